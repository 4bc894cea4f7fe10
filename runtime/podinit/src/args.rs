//! The command line, as engines and people write it for an init: options, then the program with its own. By
//! hand, as these are few and old, and process 1 stays small.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Error, Result};

pub(crate) const USAGE: &str = "\
usage: podinit [-gsv] [--] PROGRAM [ARG…]    run a program, and reap and forward signals for it
       podinit -P [-sv]                      run nothing: reap until TERM, INT or QUIT
       podinit [-gsv] [--config FILE]        run what FILE says (default: /.aurora/config.json)
       podinit --ctl [--socket FILE] [--json] REQUEST [UNIT [SIGNAL]]
                                             ask a running podinit: status, start, stop, restart, signal,
                                             reload, shutdown

  -g             signals go to the program's process group
  -s             adopt orphans where this is not process 1 (Linux)
  -v             say on standard error what happens
  --config FILE  the runtime specification's config.json, with units and config maps
  --socket FILE  of the podinit to ask (default: /.aurora-run/podinit.sock)
  --json         print the answer as it came
  -h, --help     this text
  -V, --version  the version

Exit status: the program's own; 128 and the number of the signal that ended it; 126 or 127 if it can't be
executed or is not there; 125 if podinit itself fails.
";

/// Where the control directory has it.
pub(crate) const CONFIG: &str = "/.aurora/config.json";

/// Where the run directory has it.
const SOCKET: &str = "/.aurora-run/podinit.sock";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Args {
    Run(Run),
    Ctl(Ctl),
    Help,
    Version,
}

/// To supervise something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) what: What,
    pub(crate) group: bool,
    pub(crate) subreaper: bool,
    pub(crate) verbose: bool,
}

/// What there is to supervise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    Program(Vec<OsString>),
    Nothing,
    Document(PathBuf),
}

/// To ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ctl {
    pub(crate) socket: PathBuf,
    pub(crate) json: bool,
    pub(crate) words: Vec<String>,
}

fn usage<T>(problem: impl Into<String>) -> Result<T> {
    Err(Error::Usage { problem: problem.into() })
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Args> {
    let mut words = words.into_iter();
    let mut run = Run { what: What::Nothing, group: false, subreaper: false, verbose: false };
    let (mut pause, mut config, mut program) = (false, None, Vec::new());
    let mut first = true;
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--ctl") if first => return ctl(words),
            Some("--") => program.extend(words.by_ref()),
            Some("--help" | "-h") => return Ok(Args::Help),
            Some("--version" | "-V") => return Ok(Args::Version),
            Some("--config") => match words.next() {
                Some(file) => config = Some(PathBuf::from(file)),
                None => return usage("--config: a file is missing"),
            },
            Some(option) if option.starts_with("--") => return usage(format!("no such option: {option}")),
            Some(options) if options.len() > 1 && options.starts_with('-') => {
                for option in options[1..].chars() {
                    match option {
                        'g' => run.group = true,
                        's' => run.subreaper = true,
                        'v' => run.verbose = true,
                        'P' => pause = true,
                        other => return usage(format!("no such option: -{other}")),
                    }
                }
            }
            _ => {
                program.push(word);
                program.extend(words.by_ref());
            }
        }
        first = false;
    }
    run.what = match (program.is_empty(), pause, config) {
        (false, false, None) => What::Program(program),
        (true, true, None) => What::Nothing,
        (true, false, config) => What::Document(config.unwrap_or_else(|| CONFIG.into())),
        _ => return usage("a program, -P and --config exclude one another"),
    };
    Ok(Args::Run(run))
}

fn ctl(words: impl IntoIterator<Item = OsString>) -> Result<Args> {
    let mut words = words.into_iter();
    let mut ctl = Ctl { socket: SOCKET.into(), json: false, words: Vec::new() };
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--json") => ctl.json = true,
            Some("--socket") => match words.next() {
                Some(file) => ctl.socket = file.into(),
                None => return usage("--socket: a file is missing"),
            },
            Some("--help" | "-h") => return Ok(Args::Help),
            Some(option) if option.starts_with('-') => return usage(format!("no such option: {option}")),
            Some(word) => ctl.words.push(word.to_owned()),
            None => return usage(format!("not text: {}", word.display())),
        }
    }
    Ok(Args::Ctl(ctl))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(what: What, options: &str) -> Args {
        let has = |option| options.contains(option);
        Args::Run(Run { what, group: has('g'), subreaper: has('s'), verbose: has('v') })
    }

    fn program(words: &str) -> What {
        What::Program(words.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn command_lines() {
        let cases = [
            // As podman calls it.
            ("-- sleep 5", run(program("sleep 5"), "")),
            ("sleep 5", run(program("sleep 5"), "")),
            ("-s -g -- sh -c -v", run(program("sh -c -v"), "sg")),
            ("-sgv ls -P -- --x", run(program("ls -P -- --x"), "sgv")),
            ("-- -- x", run(program("-- x"), "")),
            ("- x", run(program("- x"), "")),
            // As podman calls the pause process of a pod.
            ("-P", run(What::Nothing, "")),
            ("", run(What::Document("/.aurora/config.json".into()), "")),
            ("-v --config f", run(What::Document("f".into()), "v")),
            ("--version", Args::Version),
            ("-g --help", Args::Help),
            ("-- --help", run(program("--help"), "")),
            (
                "--ctl --json stop db",
                Args::Ctl(Ctl { socket: SOCKET.into(), json: true, words: vec!["stop".into(), "db".into()] }),
            ),
            ("-- --ctl", run(program("--ctl"), "")),
        ];
        for (line, want) in cases {
            assert_eq!(parse(line.split_whitespace().map(OsString::from)).unwrap(), want, "{line}");
        }
    }

    #[test]
    fn wrong_ones() {
        let cases = [
            ("-x ls", "no such option: -x"),
            ("--gs ls", "no such option: --gs"),
            ("--config", "--config: a file is missing"),
            ("-P ls", "a program, -P and --config exclude one another"),
            ("--config f ls", "a program, -P and --config exclude one another"),
            ("-P --config f", "a program, -P and --config exclude one another"),
            ("--ctl -x", "no such option: -x"),
            ("--ctl status --socket", "--socket: a file is missing"),
        ];
        for (line, want) in cases {
            let error = parse(line.split_whitespace().map(OsString::from)).unwrap_err();
            assert_eq!(error.to_string(), want, "{line}");
        }
    }
}
