//! What is run, and how it failed.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Looked up in `PATH`.
    pub program: String,
    /// Handed over as they are.
    pub args: Vec<String>,
}

impl CommandLine {
    /// A program with arguments.
    pub fn new(program: &str, args: &[&str]) -> Self {
        Self { program: program.to_owned(), args: args.iter().map(|&a| a.to_owned()).collect() }
    }
}

/// For people, not for a shell.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

/// A program that did not do what it was run for.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It could not be started, or its pipes failed.
    #[error("cannot run `{line}`: {source}")]
    Start {
        /// What was run.
        line: CommandLine,
        /// The operating system's word.
        #[source]
        source: Arc<io::Error>,
    },
    /// It ended with a failure.
    #[error("`{line}` failed ({status}){}{stderr}", if stderr.is_empty() { "" } else { ": " })]
    Failed {
        /// What was run.
        line: CommandLine,
        /// Exit status or signal.
        status: String,
        /// The last of what it said on standard error, its lines joined by semicolons.
        stderr: String,
    },
    /// It printed more than is believed.
    #[error("`{line}` printed more than {limit} bytes")]
    TooMuch {
        /// What was run.
        line: CommandLine,
        /// How much is taken.
        limit: u64,
    },
    /// It did not end in time, and was killed.
    #[error("`{line}` did not end within {seconds} s")]
    TooLong {
        /// What was run.
        line: CommandLine,
        /// How long was waited.
        seconds: u64,
    },
    /// It printed what is not understood.
    #[error("`{line}` printed a line that is not understood: {text:?}")]
    Output {
        /// What was run.
        line: CommandLine,
        /// The line, cut.
        text: String,
    },
}

impl CommandError {
    pub(super) fn start(line: &CommandLine, source: io::Error) -> Self {
        Self::Start { line: line.clone(), source: Arc::new(source) }
    }

    /// Of what it said on standard error, the lines in a row.
    pub(super) fn failed(line: &CommandLine, status: ExitStatus, said: &[u8]) -> Self {
        let said = String::from_utf8_lossy(said);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Self::Failed { line: line.clone(), status: status.to_string(), stderr: lines.join("; ") }
    }

    /// Whether there is no such program.
    pub fn is_missing_program(&self) -> bool {
        matches!(self, Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether it failed and said this.
    pub fn says(&self, text: &str) -> bool {
        matches!(self, Self::Failed { stderr, .. } if stderr.contains(text))
    }

    /// Whether it did not end by itself.
    pub fn was_killed(&self) -> bool {
        matches!(self, Self::Failed { status, .. } if status.starts_with("signal"))
    }

    /// As the error of a stream.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}
