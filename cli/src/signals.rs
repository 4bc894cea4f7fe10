//! SIGINT, SIGTERM and SIGHUP stop the work and let it clean up; a second one ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use aurora_convert::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Which signal came.
pub(crate) struct Caught(Arc<AtomicI32>);

/// Watches from a thread of its own until the process ends.
pub(crate) fn watch(cancel: Arc<Cancel>) -> io::Result<Caught> {
    let caught = Arc::new(AtomicI32::new(0));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let first = Arc::clone(&caught);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if first.swap(signal, Ordering::SeqCst) != 0 {
                die_of(signal);
            }
            cancel.set();
        }
    })?;
    Ok(Caught(caught))
}

impl Caught {
    /// Whether one came.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }

    /// Ends as the signal would have ended it, so that a shell sees why. Returns where none came.
    pub(crate) fn reraise(&self) {
        match self.0.load(Ordering::SeqCst) {
            0 => {}
            signal => die_of(signal),
        }
    }
}

fn die_of(signal: i32) {
    // What can't be raised is told by the exit status instead.
    if emulate_default_handler(signal).is_err() {
        signal_hook::low_level::exit(128 + signal);
    }
}
