//! Signals, from outside and from within.

use std::process::{Command, Stdio};

use crate::run::{Running, podinit, script, send};

/// All but KILL and STOP, which no one receives, CHLD, which is podinit's own, and the two that C libraries
/// keep.
fn forwarded() -> impl Iterator<Item = i32> {
    (1..=64).filter(|n| ![9, 17, 19, 32, 33].contains(n))
}

#[test]
fn every_signal_is_forwarded() {
    let all = forwarded().map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let text =
        format!("for n in {all}; do trap \"echo got $n\" $n; done; echo ready; while :; do sleep 0.01; done");
    let mut init = Running::start(&["--", "sh", "-c", &text]);
    assert_eq!(init.line(), "ready");
    for number in forwarded() {
        init.signal(number);
        assert_eq!(init.line(), format!("got {number}"));
    }
    init.signal(9);
    drop(init);
}

#[test]
fn from_within_too() {
    let text = "trap 'echo got; exit 5' USR1; kill -USR1 $PPID; while :; do sleep 0.01; done";
    assert_eq!(script(text).exits(5).out, "got\n");
}

#[test]
fn the_program_begins_as_if_podinit_were_not_there() {
    // Some signals are held back, some ignored when it is started.
    let odd = |command: Command| {
        let mut words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        if words.starts_with(&["env".as_ref(), "--default-signal".as_ref()]) {
            words.drain(..2);
        }
        let mut odd = Command::new("env");
        odd.args(["--default-signal", "--block-signal=USR1", "--ignore-signal=HUP"]).args(words);
        odd.env("NOTIFY_SOCKET", "@theirs").env("LC_ALL", "C").stdin(Stdio::null());
        String::from_utf8(odd.output().unwrap().stdout).unwrap()
    };
    // The first is no shell, as shells put their signals right.
    let programs: [(&[&str], &str); 2] = [
        (&["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"], "SigBlk:\t0000000000000200\n"),
        (&["sh", "-c", "ls /proc/self/fd; env | grep NOTIFY; pwd"], "NOTIFY_SOCKET=@theirs\n"),
    ];
    for (program, want) in programs {
        let mut plain = Command::new(program[0]);
        plain.args(&program[1..]);
        let (without, with) = (odd(plain), odd(podinit(&[&["--"], program].concat())));
        assert_eq!(with, without);
        assert!(without.contains(want), "{without}");
    }
}

#[test]
fn to_the_program_or_to_its_whole_group() {
    // A child that only the group's signal reaches, and that the program waits for.
    let text = "trap 'echo main' USR1; \
        (trap 'echo child; exit' USR1; echo ready; while :; do sleep 0.01; done) & \
        wait; wait; exit 0";
    let mut init = Running::start(&["-g", "--", "sh", "-c", text]);
    assert_eq!(init.line(), "ready");
    init.signal(10);
    let mut lines = [init.line(), init.line()];
    lines.sort();
    assert_eq!(lines, ["child", "main"]);
    assert_eq!(init.ends(0), "");

    let text = "trap 'echo main; kill $child; exit 3' USR1; \
        (trap 'echo child' USR1; echo ready; while :; do sleep 0.01; done) & child=$!; wait; exit 9";
    let mut init = Running::start(&["--", "sh", "-c", text]);
    assert_eq!(init.line(), "ready");
    init.signal(10);
    assert_eq!(init.ends(3), "main\n");
}

#[test]
fn without_a_program_it_waits_to_be_told_to_end() {
    for number in [15, 2, 3] {
        let init = Running::start(&["-v", "-P"]);
        // It prints nothing by which one could know that it is there. Before it holds signals back, a process
        // 1 ignores them.
        let pid = loop {
            match init.try_pid() {
                Some(pid) if holds_signals_back(pid) => break pid,
                _ => std::thread::yield_now(),
            }
        };
        send(pid, 10);
        send(pid, number);
        assert_eq!(init.ends(0), "");
    }
}

/// All that can be: not KILL, STOP and the two of the C library.
fn holds_signals_back(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("SigBlk:") && line.ends_with("fffffffe7ffbfeff"))
}
