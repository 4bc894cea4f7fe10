//! What libcontainer has to say: its errors are short, and what they were about is in its log.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use libcontainer::error::LibcontainerError;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

use super::{backend, shown};
use crate::{Error, Result};

/// Before a text that our own code has put into an error of libcontainer's, which leads it through processes as a text.
pub(super) const MARK: &str = "\u{1}";
/// The file of the log.
const LOG: &str = "errors";
/// Of which no more is read.
const MAX_LOG: usize = 64 << 10;

/// The log of one operation. libcontainer works in copies of this process behind another root directory, so the file is
/// opened before they are made.
pub(super) struct Trace {
    path: PathBuf,
}

impl Trace {
    pub(super) fn begin(folder: &Path) -> Result<Self> {
        let path = folder.join(LOG);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|e| backend(&shown(&path, &e)))?;
        file.set_len(0).map_err(|e| backend(&shown(&path, &e)))?;
        // The second operation of this process (`run`: create, start) goes on with the file of the first.
        let _ = tracing::subscriber::set_global_default(Log { file });
        Ok(Self { path })
    }

    /// An error with what it was about.
    pub(super) fn explain(&self, e: &LibcontainerError) -> Error {
        let text = chain(e);
        if let Some((_, ours)) = text.split_once(MARK) {
            return Error::Program(clean(ours));
        }
        let log = std::fs::read(&self.path).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[..log.len().min(MAX_LOG)]).into_owned();
        // The first line comes from the innermost place.
        match log.lines().next() {
            Some(first) if !text.contains(first) => Error::Program(format!("{}: {first}", clean(&text))),
            _ => Error::Program(clean(&text)),
        }
    }
}

/// What the errors behind an error say, each once.
fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(e) = next {
        let more = e.to_string();
        if !text.contains(&more) {
            let _ = write!(text, ": {more}");
        }
        next = e.source();
    }
    text
}

/// Without what only libcontainer's own processes mean, and the padding of its messages.
fn clean(text: &str) -> String {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let text = text.strip_prefix("failed to create container: ").unwrap_or(text);
    let text = text.rsplit("error in executing process : ").next().unwrap_or(text);
    text.replace(MARK, "")
}

/// Writes what libcontainer calls errors, a line each.
struct Log {
    file: File,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        // Nothing is kept of spans, so that all may have one number.
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let text = format!("{}{}", line.message, line.fields).replace(['\n', '\0'], " ");
        // It is in addition to the error itself.
        let _ = (&self.file).write_all(format!("{text}\n").as_bytes());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event as text: the message, then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, ", {name}: {value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_freed_of_their_way() {
        let cases = [
            (
                "failed to create container: error in executing process : \u{1}exec: \"x\": no",
                "exec: \"x\": no",
            ),
            ("failed to create container: io error", "io error"),
            ("exec: \"x\": no\0\0", "exec: \"x\": no"),
        ];
        for (text, want) in cases {
            assert_eq!(clean(text), want);
        }
    }
}
