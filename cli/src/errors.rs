//! Messages on standard error.

use std::io::{self, IsTerminal, Write};

use aurora_convert::{Error, Loss};

use crate::output::safe;

/// Losses printed one by one; the rest is a number.
const MAX_LOSSES: usize = 20;

/// `error: WHERE: WHAT`, and what may be done about it.
pub(crate) fn error(e: &Error) {
    message("error", &e.to_string(), e.hint());
}

/// A line that begins with a word in bold, and a second one of help.
pub(crate) fn message(word: &str, text: &str, help: Option<&str>) {
    let (on, off) = if colours() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    // Nobody is left to tell if standard error is gone.
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{on}{word}:{off} {}", safe(text));
    if let Some(help) = help {
        let _ = writeln!(err, "  help: {}", safe(help));
    }
}

/// A plain line.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", safe(text));
}

/// What the result does not hold.
pub(crate) fn losses(losses: &[Loss]) {
    for loss in losses.iter().take(MAX_LOSSES) {
        note(&format!("{}: {loss}", word(loss)));
    }
    if losses.len() > MAX_LOSSES {
        note(&format!("and {} more ({} in all)", losses.len() - MAX_LOSSES, losses.len()));
    }
}

fn word(loss: &Loss) -> &'static str {
    if loss.is_serious() { "lost" } else { "note" }
}

/// Colours are for terminals whose user has not forbidden them (no-color.org).
fn colours() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !forbidden && !dumb && io::stderr().is_terminal()
}
