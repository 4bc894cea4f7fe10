//! SIGINT and SIGTERM.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::run::{Sample, imageadm, send};

/// Longer than any machine takes to notice.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_interrupted_conversion_leaves_nothing_and_dies_of_the_signal() {
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15)] {
        let sample = Sample::new();
        let temp = sample.join("temp");
        std::fs::create_dir(&temp).expect("the sample can be written");
        let mut child = imageadm()
            .args(["convert", "--memory", "1M", "raw:-", "raw:disk"])
            .current_dir(sample.path())
            .env("TMPDIR", &temp)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built with this test");
        let mut input = child.stdin.take().expect("it is piped");
        let chunk = vec![1; 1 << 20];
        // It reads, so it has been watching for signals since before.
        for _ in 0..4 {
            input.write_all(&chunk).expect("it reads");
        }
        send(signal, &child);
        let start = Instant::now();
        while input.write_all(&chunk).is_ok() {
            assert!(start.elapsed() < PATIENCE, "it goes on after {signal:?}");
        }
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.signal(), Some(number), "{:?}", output.status);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "interrupted\n");
        assert_eq!(sample.names(), ["temp"], "no destination, no temporary file beside it");
        assert_eq!(crate::run::names(&temp), [""; 0]);
    }
}

#[test]
fn one_signal_is_enough_while_nothing_comes() {
    for source in ["raw:-", "qcow2:-", "tar:-", "zfs:-", "oci-archive:-"] {
        let sample = Sample::new();
        let mut child = imageadm()
            .args(["convert", source, "raw:disk"])
            .current_dir(sample.path())
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program was built with this test");
        // Held open, and silent. The pipe is taken over before the program can be asked whether it watches yet, hence the
        // wait; a signal that comes too early ends the program as well.
        let input = child.stdin.take().expect("it is piped");
        std::thread::sleep(Duration::from_millis(300));
        send(Signal::INT, &child);
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "{source}: it waits on");
            std::thread::sleep(Duration::from_millis(20));
        };
        drop(input);
        assert_eq!(status.signal(), Some(2), "{source}: {status:?}");
        assert_eq!(sample.names(), [""; 0], "{source}");
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let sample = Sample::new();
    let mut child = imageadm()
        .args(["convert", "raw:-", "raw:disk"])
        .current_dir(sample.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program was built with this test");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(&vec![1; 1 << 20]).expect("it reads");
    // From here on it waits for input that does not come.
    let start = Instant::now();
    let status = loop {
        send(Signal::INT, &child);
        std::thread::sleep(Duration::from_millis(50));
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
        assert!(start.elapsed() < PATIENCE, "it does not end");
    };
    assert_eq!(status.signal(), Some(2), "{status:?}");
    drop(input);
}
