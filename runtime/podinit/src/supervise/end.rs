//! How a program has ended.

use rustix::process::WaitStatus;

use crate::signal::Signal;

/// How, as far as anyone outside can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Code(u8),
    Signal(i32),
    /// It could not be executed: the code that shells use for that.
    NotRun(u8),
}

impl End {
    pub(crate) const SUCCESS: Self = Self::Code(0);

    /// From what waiting for it has told. None: it has not ended.
    pub(crate) fn of(status: WaitStatus) -> Option<Self> {
        let code = |code: i32| Self::Code((code & 0xff) as u8);
        status.exit_status().map(code).or_else(|| status.terminating_signal().map(Self::Signal))
    }

    /// The code that stands for it: its own, or 128 and the number of the signal.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Code(code) | Self::NotRun(code) => code,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        }
    }

    pub(crate) fn is_success(self) -> bool {
        self == Self::SUCCESS
    }

    /// Of a signal, its name.
    pub(crate) fn signal(self) -> Option<String> {
        match self {
            Self::Signal(number) => Some(Signal::received(number).to_string()),
            Self::Code(_) | Self::NotRun(_) => None,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(number) => write!(f, "signal {}", Signal::received(*number)),
            Self::NotRun(_) => f.write_str("not executed"),
        }
    }
}
