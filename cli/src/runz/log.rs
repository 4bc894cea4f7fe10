//! Where errors go: standard error for people, and a file for the program that has called.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use aurora_convert::image::time::{Timestamp, timestamp};
use aurora_convert::ops::{json_string, rfc3339};

use crate::errors;

/// Options before the command that have a value in the next word.
const WITH_VALUE: [&str; 9] = [
    "--root",
    "--log",
    "--log-format",
    "--rootless",
    "--criu",
    "--backend",
    "--zone-dialect",
    "--podinit",
    "--dataset",
];

/// The file of `--log`, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    path: Option<PathBuf>,
    json: bool,
}

impl Log {
    /// Finds the options before the command, also where the rest cannot be understood.
    pub(crate) fn of_args(args: &[OsString]) -> Self {
        let value = |name: &str| {
            let joined = format!("{name}=");
            let mut rest = args.iter().skip(1);
            while let Some(arg) = rest.next() {
                let text = arg.to_str().unwrap_or_default();
                if let Some(value) = text.strip_prefix(&joined) {
                    return Some(value.into());
                }
                let next = if WITH_VALUE.contains(&text) { rest.next() } else { None };
                if text == name {
                    return next.cloned();
                }
                // The command: what follows may be that of a container.
                if !text.starts_with('-') {
                    return None;
                }
            }
            None
        };
        let log = Self {
            path: value("--log").map(PathBuf::from),
            json: value("--log-format").is_some_and(|f| f == "json"),
        };
        // Callers open it, whatever happens.
        if let Some(path) = &log.path
            && let Err(e) = OpenOptions::new().append(true).create(true).open(path)
        {
            errors::message("error", &format!("log file {}: {e}", path.display()), None);
        }
        log
    }

    /// An error, for both.
    pub(crate) fn error(&self, text: &str, hint: Option<&str>) {
        self.record(text);
        // Callers show standard error to their users, who have not called this program.
        errors::message("error", text, hint.filter(|_| self.path.is_none()));
    }

    /// Not an error: the file holds nothing else, as callers read it as one document.
    pub(crate) fn warn(&self, text: &str) {
        errors::message("warning", text, None);
    }

    /// One line of the file.
    pub(crate) fn record(&self, text: &str) {
        let Some(path) = &self.path else { return };
        let time = rfc3339(Timestamp::from_secs(timestamp(SystemTime::now()).secs));
        let line = if self.json {
            format!("{{\"level\":\"error\",\"msg\":{},\"time\":\"{time}\"}}\n", json_string(text))
        } else {
            format!("time=\"{time}\" level=error msg={}\n", json_string(text))
        };
        let written = OpenOptions::new().append(true).create(true).open(path);
        // It is on standard error as well.
        let _ = written.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = path.display().to_string();
        for args in
            [vec!["runz", "--log", &file, "--log-format=json", "x"], vec!["runz", &format!("--log={file}")]]
        {
            let args: Vec<OsString> = args.into_iter().map(OsString::from).collect();
            Log::of_args(&args).record("it \"fails\"\n");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let first: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!((&first["level"], &first["msg"]), (&"error".into(), &"it \"fails\"\n".into()));
        assert!(
            lines[1].starts_with("time=\"") && lines[1].ends_with("level=error msg=\"it \\\"fails\\\"\\n\"")
        );
        Log::default().record("nowhere");
    }

    #[test]
    fn only_options_before_the_command_count() {
        let of = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(|arg| (*arg).into()).collect();
            Log::of_args(&args)
        };
        assert_eq!(of(&["runz", "exec", "c", "program", "--log", "/nonexistent/a"]).path, None);
        let log = of(&[
            "runz",
            "--root",
            "exec",
            "--debug",
            "--log",
            "/nonexistent/a",
            "--log-format",
            "json",
            "list",
        ]);
        assert_eq!((log.path, log.json), (Some("/nonexistent/a".into()), true));
    }
}
