//! Exit statuses.

use crate::run::{plain, run, script};

#[test]
fn every_code() {
    for code in 0..=255 {
        script(&format!("exit {code}")).exits(code);
    }
}

#[test]
fn every_signal_that_ends_a_process() {
    // Of those between, the default is to stop, to go on, or nothing.
    let deadly = (1..=16).chain([24, 25, 26, 27, 29, 30, 31]).chain(34..=64);
    for number in deadly {
        script(&format!("ulimit -c 0; kill -{number} $$; while :; do sleep 1; done")).exits(128 + number);
    }
}

#[test]
fn what_can_not_be_executed() {
    let said = |done: crate::run::Done, code: i32, text: &str| {
        let done = done.exits(code);
        assert!(done.err.contains(text), "{}", done.err);
    };
    // Not in a folder of the caller's that can't be looked into: that is another error.
    let nosuch = ["--", "env", "PATH=/usr/bin:/bin", env!("CARGO_BIN_EXE_podinit"), "-s", "nosuch", "x"];
    said(run(&nosuch), 127, "podinit: exec: \"nosuch\": executable file not found in $PATH\n");
    said(run(&["--", "/no/such"]), 127, "podinit: exec: \"/no/such\": no such file or directory\n");
    said(run(&["--", "/etc/passwd"]), 126, "podinit: exec: \"/etc/passwd\": permission denied\n");
    said(run(&["--", "/etc"]), 126, "podinit: exec: \"/etc\": permission denied\n");
}

#[test]
fn its_own_failures() {
    let said = |args: &[&str], text: &str| {
        let done = plain(args).exits(125);
        assert_eq!(done.err, text);
        assert_eq!(done.out, "");
    };
    said(&["-x"], "podinit: no such option: -x\npodinit: help: podinit --help tells how it is called\n");
    said(&["--config", "/no/such"], "podinit: can't read /no/such: No such file or directory (os error 2)\n");
    said(
        &["--ctl", "--socket", "/no/such", "status"],
        "podinit: can't ask at /no/such: No such file or directory (os error 2)\n",
    );
}

#[test]
fn help_and_version() {
    assert!(plain(&["--help"]).exits(0).out.starts_with("usage: podinit "));
    assert!(plain(&["--version"]).exits(0).out.starts_with("podinit 0."));
}
