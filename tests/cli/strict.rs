//! Losses: told, refused, reported.

use std::os::unix::net::UnixListener;

use crate::run::Sample;

/// A tree with a socket, which no layer can hold.
fn lossy() -> Sample {
    let sample = Sample::new();
    UnixListener::bind(sample.join("tree/socket")).expect("a socket can be made");
    sample
}

#[test]
fn losses_are_told_unless_quiet() {
    let sample = lossy();
    let done = sample.run(&["convert", "dir:tree", "oci:a"]).exits(0).says("lost: socket: type: ");
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    sample.run(&["convert", "-q", "dir:tree", "oci:b"]).exits(0).quietly().prints_nothing();
    let done = sample.run(&["convert", "-q", "--json", "dir:tree", "oci:c"]).exits(0).quietly();
    let found: serde_json::Value = serde_json::from_str(&done.out).expect("--json prints JSON");
    assert_eq!(
        (&found["losses"][0]["path"], &found["losses"][0]["kind"]),
        (&"socket".into(), &"type".into())
    );
}

#[test]
fn strict_leaves_no_result() {
    let sample = lossy();
    for dst in ["oci:a", "oci-archive:b", "docker-archive:c"] {
        let done = sample.run(&["convert", "--strict", "dir:tree", dst]).exits(1).prints_nothing();
        assert!(
            done.err.contains(&format!("error: {dst}: would be lost in the target: socket")),
            "{}",
            done.err
        );
        assert!(done.err.contains("help: leave out --strict"), "{}", done.err);
    }
    assert_eq!(sample.names(), [""; 0]);
}

#[test]
fn strict_report_is_status_4() {
    let sample = lossy();
    sample.run(&["convert", "--strict=report", "dir:tree", "oci:a"]).exits(4).says("lost: socket");
    sample.run(&["convert", "--strict=report", "oci:a", "dir:b"]).exits(0);
    assert_eq!(sample.names(), ["a", "b"]);
}
