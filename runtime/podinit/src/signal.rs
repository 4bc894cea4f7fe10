//! Signals: names and numbers of this system, and what podinit does with each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::sys;

/// A signal, by the number that it has on this system.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Signal(i32);

impl Signal {
    pub(crate) const CHLD: Self = Self(libc::SIGCHLD);
    pub(crate) const CONT: Self = Self(libc::SIGCONT);
    pub(crate) const HUP: Self = Self(libc::SIGHUP);
    pub(crate) const INT: Self = Self(libc::SIGINT);
    pub(crate) const KILL: Self = Self(libc::SIGKILL);
    pub(crate) const QUIT: Self = Self(libc::SIGQUIT);
    pub(crate) const STOP: Self = Self(libc::SIGSTOP);
    pub(crate) const TERM: Self = Self(libc::SIGTERM);
    pub(crate) const TSTP: Self = Self(libc::SIGTSTP);

    /// The one of a number that a signal was received as.
    pub(crate) fn received(number: i32) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> i32 {
        self.0
    }

    /// Whether it asks a service to end, where no main program is there to decide that.
    pub(crate) fn asks_to_end(self) -> bool {
        [Self::TERM, Self::INT, Self::QUIT, Self(libc::SIGPWR)].contains(&self)
    }

    /// Whether it is about the terminal and the process that receives it, when the kernel sends it: of no
    /// concern to anyone else.
    pub(crate) fn is_about_reading_and_writing(self) -> bool {
        [libc::SIGTTIN, libc::SIGTTOU].contains(&self.0)
    }
}

/// Names that both systems have. Numbers are the system's own: above 15 they differ.
const NAMES: [(&str, i32); 29] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// Other names of the same.
const ALIASES: [(&str, i32); 4] =
    [("IOT", libc::SIGABRT), ("CLD", libc::SIGCHLD), ("POLL", libc::SIGPOLL), ("IO", libc::SIGIO)];

impl FromStr for Signal {
    type Err = String;

    /// `TERM`, `SIGTERM`, `15`, `RTMIN+3`, `RTMAX-1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || format!("no such signal: {text:?}");
        let (first, last) = sys::real_time_signals();
        if let Ok(number) = text.parse::<i32>() {
            return if (1..=last).contains(&number) { Ok(Self(number)) } else { Err(unknown()) };
        }
        let name = text.strip_prefix("SIG").unwrap_or(text);
        if let Some((_, number)) = NAMES.iter().chain(&ALIASES).find(|(known, _)| *known == name) {
            return Ok(Self(*number));
        }
        let offset = |text: &str, sign: char| match text {
            "" => Some(0),
            _ => text.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from),
        };
        let number = if let Some(above) = name.strip_prefix("RTMIN") {
            offset(above, '+').map(|n| first + n)
        } else if let Some(below) = name.strip_prefix("RTMAX") {
            offset(below, '-').map(|n| last - n)
        } else {
            None
        };
        number.filter(|n| (first..=last).contains(n)).map(Self).ok_or_else(unknown)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = sys::real_time_signals();
        match NAMES.iter().chain(&ALIASES).find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None if self.0 == first => f.write_str("RTMIN"),
            None if (first..=last).contains(&self.0) => write!(f, "RTMIN+{}", self.0 - first),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let (first, last) = sys::real_time_signals();
        let cases = [
            ("TERM", libc::SIGTERM),
            ("SIGTERM", libc::SIGTERM),
            ("15", 15),
            ("IOT", libc::SIGABRT),
            ("RTMIN", first),
            ("SIGRTMIN+3", first + 3),
            ("RTMAX", last),
            ("RTMAX-1", last - 1),
        ];
        for (text, number) in cases {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number), "{text}");
        }
        for text in [
            "",
            "term",
            "SIG",
            "0",
            "-1",
            "65",
            "99999999999",
            "RTMIN-1",
            "RTMIN+99",
            "RTMAX+1",
            "RTMIN+",
            "TERM ",
        ] {
            assert_eq!(text.parse::<Signal>(), Err(format!("no such signal: {text:?}")));
        }
    }

    #[test]
    fn what_is_printed_can_be_read() {
        let (first, last) = sys::real_time_signals();
        for number in (1..32).chain(first..=last) {
            let signal = Signal(number);
            assert_eq!(signal.to_string().parse(), Ok(signal), "{number}");
        }
    }
}
