//! Programs that no shell can stand in for. They are tests of this very file, called by name: nothing else
//! has to be built or found. Each does nothing when it is run as a test.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

/// Set for those that are meant to work.
const MARK: &str = "PODINIT_TEST_HELPER";

/// The command line of one, for a shell.
pub(crate) fn command(name: &str) -> String {
    let me = std::env::current_exe().expect("this program has a path");
    format!("{MARK}=1 {} --ignored --exact helpers::{name} --nocapture", me.display())
}

fn is_called() -> bool {
    std::env::var_os(MARK).is_some()
}

/// How many children one [`leaves_orphans`] starts.
pub(crate) const ORPHANS: usize = 100;

#[test]
#[ignore = "a helper of other tests"]
#[expect(clippy::zombie_processes, reason = "that is what it is for")]
fn leaves_orphans() {
    if !is_called() {
        return;
    }
    for _ in 0..ORPHANS {
        // Never waited for: when this process ends, they are someone else's.
        Command::new("true").stdin(Stdio::null()).spawn().unwrap();
    }
    // Before the test harness can be of another mind.
    std::process::exit(0);
}

#[test]
#[ignore = "a helper of other tests"]
fn says_that_it_is_ready() {
    if !is_called() {
        return;
    }
    let socket: OsString = std::env::var_os("NOTIFY_SOCKET").expect("podinit has set it");
    let notify = UnixDatagram::unbound().unwrap();
    notify.send_to(b"STATUS=nearly\nREADY=0\n", &socket).unwrap();
    notify.send_to(b"STATUS=there\nREADY=1\n", &socket).unwrap();
    std::io::stdout().flush().unwrap();
    std::process::exit(0);
}
