//! What has lost its parent.

use crate::helpers::{self, ORPHANS};
use crate::run::{is_process_1, run, script};

#[test]
fn ten_thousand_orphans_are_reaped() {
    let text = format!(
        "n=0; while [ $n -lt 100 ]; do {} >/dev/null; n=$((n + 1)); done; {}",
        helpers::command("leaves_orphans"),
        // Until there is nobody but podinit and this shell, be it as a zombie.
        if is_process_1() {
            "while set -- /proc/[0-9]*; [ $# -gt 2 ]; do sleep 0.01; done"
        } else {
            "sleep 1"
        },
    );
    let done = run(&["-v", "--", "sh", "-c", &text]).exits(0);
    let reaped = done.err.lines().filter(|line| line.starts_with("podinit: orphan ")).count();
    assert_eq!(reaped, 100 * ORPHANS);
}

#[test]
fn their_exit_statuses_are_not_the_programs() {
    script("(sh -c 'sleep 0.05; exit 3' &); (sh -c 'exit 4' &); sleep 0.2; exit 5").exits(5);
}

#[test]
fn one_that_is_stopped_holds_nobody_up() {
    script("sh -c 'kill -STOP $$' & sleep 0.1; exit 6").exits(6);
}
