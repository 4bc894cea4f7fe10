//! The twin of the host's programs for tests: answers by a rule, and keeps what it was asked.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::{CommandError, CommandLine, Input, Programs};

/// What a program does: prints, and then ends well or says why not.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// What it prints.
    pub output: Vec<u8>,
    /// What it says on standard error before it ends with status 1.
    pub failure: Option<String>,
    /// Whether it is killed instead, and says this before.
    pub is_killed: bool,
}

impl Answer {
    /// Prints and ends well.
    pub fn output(output: impl Into<Vec<u8>>) -> Self {
        Self { output: output.into(), ..Self::default() }
    }

    /// Fails.
    pub fn failure(stderr: &str) -> Self {
        Self { failure: Some(stderr.to_owned()), ..Self::default() }
    }

    /// Is killed.
    pub fn killed() -> Self {
        Self { is_killed: true, ..Self::failure("") }
    }
}

type Rule = dyn Fn(&str) -> Answer + Send + Sync;

/// Runs nothing. Command lines are asked of a rule, as texts.
#[derive(Clone)]
pub struct Recorded {
    rule: Arc<Rule>,
    log: Arc<Mutex<Vec<String>>>,
    received: Arc<Mutex<Vec<u8>>>,
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Recorded {
    /// Answers by this rule.
    pub fn new(rule: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(rule), log: Arc::default(), received: Arc::default() }
    }

    /// All command lines in order, and `killed: …` for those that nobody waited for.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All that programs were fed.
    pub fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn asked(&self, line: &CommandLine) -> Answer {
        self.note(line.to_string());
        (self.rule)(&line.to_string())
    }

    fn note(&self, text: String) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

fn ended(line: &CommandLine, answer: &Answer) -> Result<(), CommandError> {
    let Some(stderr) = answer.failure.clone() else { return Ok(()) };
    let status = if answer.is_killed { "signal: 9 (SIGKILL)" } else { "exit status: 1" };
    Err(CommandError::Failed { line: line.clone(), status: status.to_owned(), stderr })
}

impl Programs for Recorded {
    fn run(&self, line: &CommandLine) -> Result<Vec<u8>, CommandError> {
        let answer = self.asked(line);
        ended(line, &answer).map(|()| answer.output)
    }

    fn ask(&self, line: &CommandLine, input: &[u8]) -> Result<Vec<u8>, CommandError> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(input);
        self.run(line)
    }

    fn read(&self, line: &CommandLine) -> Result<Box<dyn Read + Send>, CommandError> {
        let answer = self.asked(line);
        Ok(Box::new(Played { line: line.clone(), at: 0, answer, is_over: false, to: self.clone() }))
    }

    fn write(&self, line: &CommandLine) -> Result<Box<dyn Input>, CommandError> {
        let answer = self.asked(line);
        Ok(Box::new(Taken { line: line.clone(), answer, is_over: false, to: self.clone() }))
    }
}

struct Played {
    line: CommandLine,
    answer: Answer,
    at: usize,
    is_over: bool,
    to: Recorded,
}

impl Read for Played {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = &self.answer.output[self.at..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        if n == 0 && !buf.is_empty() {
            self.is_over = true;
            ended(&self.line, &self.answer).map_err(CommandError::into_io)?;
        }
        Ok(n)
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if !self.is_over {
            self.to.note(format!("killed: {}", self.line));
        }
    }
}

struct Taken {
    line: CommandLine,
    answer: Answer,
    is_over: bool,
    to: Recorded,
}

impl Write for Taken {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.to.received.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Input for Taken {
    fn finish(mut self: Box<Self>) -> Result<(), CommandError> {
        self.is_over = true;
        ended(&self.line, &self.answer)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_over {
            self.to.note(format!("killed: {}", self.line));
        }
    }
}
