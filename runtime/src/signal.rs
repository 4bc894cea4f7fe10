//! Signals by name or number.

use std::fmt;
use std::str::FromStr;

use rustix::process::Signal as Named;

use crate::Error;

/// A signal of this host: a number means the host's number, and a name is looked up here first, as numbers above 15
/// differ between systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(i32);

/// The names that POSIX and both systems know.
const NAMES: [(&str, Named); 29] = [
    ("HUP", Named::HUP),
    ("INT", Named::INT),
    ("QUIT", Named::QUIT),
    ("ILL", Named::ILL),
    ("TRAP", Named::TRAP),
    ("ABRT", Named::ABORT),
    ("IOT", Named::ABORT),
    ("BUS", Named::BUS),
    ("FPE", Named::FPE),
    ("KILL", Named::KILL),
    ("USR1", Named::USR1),
    ("SEGV", Named::SEGV),
    ("USR2", Named::USR2),
    ("PIPE", Named::PIPE),
    ("ALRM", Named::ALARM),
    ("TERM", Named::TERM),
    ("CHLD", Named::CHILD),
    ("CONT", Named::CONT),
    ("STOP", Named::STOP),
    ("TSTP", Named::TSTP),
    ("TTIN", Named::TTIN),
    ("TTOU", Named::TTOU),
    ("URG", Named::URG),
    ("XCPU", Named::XCPU),
    ("XFSZ", Named::XFSZ),
    ("VTALRM", Named::VTALARM),
    ("PROF", Named::PROF),
    ("WINCH", Named::WINCH),
    ("SYS", Named::SYS),
];

/// Numbers beyond are no signal anywhere.
const MAX: i32 = 64;
/// The first and the last real-time signal that programs may use, where there are some.
#[cfg(target_os = "linux")]
const REAL_TIME: (i32, i32) = (34, 64);

impl Signal {
    /// Ends a process, asking.
    pub const TERM: Self = Self(Named::TERM.as_raw());
    /// Ends a process.
    pub const KILL: Self = Self(Named::KILL.as_raw());

    /// Its number here.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Whether it ends a process that has said nothing about it: POSIX has these as the ones that are ignored, that stop, and
    /// that let go on. 0 is no signal.
    pub(crate) fn ends_by_default(self) -> bool {
        let others = [
            Named::CHILD,
            Named::CONT,
            Named::STOP,
            Named::TSTP,
            Named::TTIN,
            Named::TTOU,
            Named::URG,
            Named::WINCH,
        ];
        self.0 != 0 && !others.iter().any(|other| other.as_raw() == self.0)
    }

    /// As those that have a name.
    pub(crate) fn named(self) -> Option<Named> {
        Named::from_named_raw(self.0)
    }
}

impl From<Named> for Signal {
    fn from(named: Named) -> Self {
        Self(named.as_raw())
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, signal)| signal.as_raw() == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownSignal(text.chars().take(80).collect());
        if let Ok(number) = text.parse::<i32>() {
            // 0 asks whether the process is there.
            return if (0..=MAX).contains(&number) { Ok(Self(number)) } else { Err(unknown()) };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some((_, signal)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Self(signal.as_raw()));
        }
        system(name).map(Self).ok_or_else(unknown)
    }
}

#[cfg(target_os = "linux")]
fn system(name: &str) -> Option<i32> {
    let (first, last) = REAL_TIME;
    let number = match name {
        "STKFLT" => return Some(Named::STKFLT.as_raw()),
        "IO" | "POLL" => return Some(Named::IO.as_raw()),
        "PWR" => return Some(Named::POWER.as_raw()),
        "RTMIN" => first,
        "RTMAX" => last,
        _ => {
            let near = |text: &str, sign: &str| text.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from);
            let above = name.strip_prefix("RTMIN").and_then(|rest| near(rest, "+")).map(|n| first + n);
            let below = name.strip_prefix("RTMAX").and_then(|rest| near(rest, "-")).map(|n| last - n);
            above.or(below)?
        }
    };
    (first..=last).contains(&number).then_some(number)
}

#[cfg(not(target_os = "linux"))]
fn system(_name: &str) -> Option<i32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for text in ["15", "TERM", "SIGTERM", "sigterm", "Term"] {
            assert_eq!(text.parse::<Signal>().unwrap(), Signal::TERM, "{text}");
        }
        assert_eq!("9".parse::<Signal>().unwrap().to_string(), "SIGKILL");
        for text in ["", "FOO", "SIG", "65", "-1", "9.0", "RTMIN+x"] {
            assert!(text.parse::<Signal>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_ends_a_process() {
        let ends = |text: &str| text.parse::<Signal>().unwrap().ends_by_default();
        for text in ["HUP", "INT", "KILL", "TERM", "USR1", "SEGV", "ALRM"] {
            assert!(ends(text), "{text}");
        }
        for text in ["0", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH"] {
            assert!(!ends(text), "{text}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_has_more() {
        for (text, number) in [("RTMIN+3", 37), ("SIGRTMAX-1", 63), ("RTMIN", 34), ("PWR", 30), ("USR1", 10)]
        {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
        assert!("RTMIN+31".parse::<Signal>().is_err());
        assert!("RTMAX-31".parse::<Signal>().is_err());
    }
}
