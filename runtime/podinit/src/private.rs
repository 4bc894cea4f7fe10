//! Sockets that are their owner's from the first moment.

use rustix::fs::Mode;
use rustix::process::umask;

/// Makes something with no permissions for anyone else. The mask is the process's: there is one thread.
pub(crate) fn private<T>(make: impl FnOnce() -> T) -> T {
    let before = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let made = make();
    umask(before);
    made
}
