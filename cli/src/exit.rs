//! How the process ends.

use std::process::ExitCode;

use aurora_convert::{Error, ErrorKind};

/// All ways to end; the numbers are a promise (docs/cli.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Failed; or `diff` found differences, or `verify` found faults.
    Failed,
    /// Wrong usage.
    Usage,
    /// No image of that name.
    NoSuchImage,
    /// Done with losses under `--strict=report`.
    Lossy,
    /// By a signal.
    Interrupted,
}

impl Exit {
    /// Its number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoSuchImage => 3,
            Self::Lossy => 4,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<&Error> for Exit {
    fn from(e: &Error) -> Self {
        match e.kind() {
            ErrorKind::Usage(_) => Self::Usage,
            ErrorKind::Interrupted => Self::Interrupted,
            _ if e.is_no_such_image() => Self::NoSuchImage,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_contract() {
        let all = [Exit::Done, Exit::Failed, Exit::Usage, Exit::NoSuchImage, Exit::Lossy, Exit::Interrupted];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 130]);
    }

    #[test]
    fn errors_have_theirs() {
        let cases = [
            (Error::usage("x"), Exit::Usage),
            (ErrorKind::NoSuchImage("x".into()).into(), Exit::NoSuchImage),
            (ErrorKind::Interrupted.into(), Exit::Interrupted),
            (ErrorKind::Lossy("x".into()).into(), Exit::Failed),
            (ErrorKind::Exists("x".into()).into(), Exit::Failed),
            (Error::io("x", std::io::ErrorKind::NotFound.into()), Exit::Failed),
        ];
        for (e, want) in cases {
            assert_eq!(Exit::from(&e), want, "{e}");
        }
    }
}
