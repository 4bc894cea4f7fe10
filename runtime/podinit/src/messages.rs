//! Lines on standard error.

use std::io::Write;

/// One line, control characters in it made visible.
pub(crate) fn say(text: &str) {
    let safe: String = text
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "podinit: {safe}");
}
