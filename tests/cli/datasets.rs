//! Datasets of this host, by way of a `zfs` that is a script: it serves streams of the corpus and keeps what it is fed.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::run::{Done, Sample, imageadm, send};

/// `inc@a` is a full stream and `inc@b` an increment upon it; `tank/clone` is a clone of the former. What is asked goes
/// to `log`, what is received to `received`; a verb in the file `fail` fails, after it has said half of what it says.
const ZFS: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/log"
for last; do :; done
fails() {
    if [ "$(cat "$here/fail" 2>/dev/null)" = "$1" ]; then echo "cannot $1: injected" >&2; exit 7; fi
}
A=9623559476663768879 B=581719088942506706
case "$1" in
list)
    fails list
    case "$last" in
    tank/inc)
        printf 'tank/inc\tfilesystem\t/tank/inc\t-\t1\n'
        printf 'tank/inc/kid\tfilesystem\t/tank/inc/kid\t-\t2\n'
        printf 'tank/inc@a\tsnapshot\t-\t-\t%s\ntank/inc@b\tsnapshot\t-\t-\t%s\n' $A $B;;
    tank/clone)
        printf 'tank/clone\tfilesystem\t/tank/clone\ttank/4b4af2b2-7a9c-4b4a-8d2c-000000000001@final\t3\n'
        if [ -e "$here/snapshot" ]; then printf '%s\tsnapshot\t-\t-\t%s\n' "$(cat "$here/snapshot")" $B; fi;;
    tank/4b4af2b2-7a9c-4b4a-8d2c-000000000001)
        printf '%s\tfilesystem\t/x\t-\t4\n%s@final\tsnapshot\t-\t-\t%s\n' "$last" "$last" $A;;
    tank/plain)
        printf 'tank/plain\tfilesystem\tnone\t-\t5\n';;
    *)
        echo "cannot open '$last': dataset does not exist" >&2; exit 1;;
    esac;;
snapshot) fails snapshot; echo "$last" >"$here/snapshot";;
send)
    case "$*" in
    "send -i tank/inc@a tank/inc@b"|"send -i tank/4b4af2b2-"*) file=inc-i-a-b;;
    *) file=inc-full-a;;
    esac
    if [ "$(cat "$here/fail" 2>/dev/null)" = send ]; then
        gunzip -c "$CORPUS/$file.zfs.gz" | head -c 400000
        fails send
    fi
    if [ "$(cat "$here/fail" 2>/dev/null)" = hang ]; then
        gunzip -c "$CORPUS/$file.zfs.gz" | head -c 400000
        echo >"$here/hanging"
        exec sleep 1000
    fi
    gunzip -c "$CORPUS/$file.zfs.gz";;
receive)
    if [ "$(cat "$here/fail" 2>/dev/null)" = receive ]; then head -c 1000 >/dev/null; exec <&-; fails receive; fi
    cat >"$here/received";;
rename) fails rename;;
destroy) fails destroy; rm -f "$here/snapshot";;
*) echo "unknown: $*" >&2; exit 2;;
esac
"#;

/// The uuid of the image that `tank/clone` was cloned from.
pub(crate) const ORIGIN: &str = "4b4af2b2-7a9c-4b4a-8d2c-000000000001";

/// A sample beside which there is such a host.
pub(crate) struct Host {
    pub(crate) sample: Sample,
}

pub(crate) fn corpus() -> String {
    format!("{}/../corpus/zfs", env!("CARGO_MANIFEST_DIR"))
}

impl Host {
    pub(crate) fn new() -> Self {
        let sample = Sample::new();
        let bin = sample.join("bin");
        std::fs::create_dir(&bin).expect("a directory can be made");
        std::fs::write(bin.join("zfs"), ZFS).expect("a script can be written");
        std::fs::set_permissions(bin.join("zfs"), std::fs::Permissions::from_mode(0o755))
            .expect("it is ours");
        Self { sample }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let path = std::env::var("PATH").expect("tests have a PATH");
        let path = format!("{}:{path}", self.sample.join("bin").display());
        self.sample.run_with(args, &[("PATH", &path), ("CORPUS", &corpus())])
    }

    /// From now on this verb fails.
    pub(crate) fn fail(&self, verb: &str) {
        std::fs::write(self.sample.join("bin/fail"), verb).expect("a file can be written");
    }

    /// What was asked since the last time, with the temporary names made plain.
    pub(crate) fn log(&self) -> Vec<String> {
        let path = self.sample.join("bin/log");
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        let plain = |word: &str| match word.split_once("aurora-") {
            Some((before, _)) => format!("{before}TEMP"),
            None => word.to_owned(),
        };
        log.lines().map(|line| line.split(' ').map(plain).collect::<Vec<_>>().join(" ")).collect()
    }

    /// What is there but for the tree and the program.
    pub(crate) fn names(&self) -> Vec<String> {
        self.sample.names().into_iter().filter(|name| name != "bin").collect()
    }
}

const LIST: &str = "list -H -p -d 1 -t filesystem,volume,snapshot -o name,type,mountpoint,origin,guid";

#[test]
fn snapshots_are_read_wherever_streams_are() {
    let host = Host::new();
    let (full, inc) =
        (format!("zfs:{}/inc-full-a.zfs.gz", corpus()), format!("zfs:{}/inc-i-a-b.zfs.gz", corpus()));
    let want = host.run(&["ls", "--jsonl", &full]).exits(0).out;
    assert_eq!(host.run(&["ls", "--jsonl", "dataset:tank/inc@a"]).exits(0).out, want);
    assert_eq!(host.log(), [format!("{LIST} tank/inc"), "send tank/inc@a".into()]);
    let b = host.run(&["ls", "--jsonl", &inc, "--origin", &full]).exits(0).out;
    assert_eq!(host.run(&["ls", "--jsonl", "dataset:tank/inc@a..b"]).exits(0).out, b);
    assert_eq!(host.log()[1..], ["send tank/inc@a", "send -i tank/inc@a tank/inc@b"]);
    assert_eq!(host.run(&["ls", "--jsonl", &inc, "--origin", "dataset:tank/inc@a"]).exits(0).out, b);
    host.run(&["diff", "dataset:tank/inc@a", &full]).exits(0).says("note: oddity: a dataset of its own");
    let found = host.run(&["inspect", "--json", "dataset:tank/inc@a..b"]).exits(0).out;
    assert!(found.contains("\"form\":\"dataset\"") && found.contains("\"9623559476663768879\""), "{found}");
    host.run(&["verify", "dataset:tank/inc@a"]).exits(0);
    host.run(&["convert", "-q", "--layers", "keep", "dataset:tank/inc@a..b", "oci:out"]).exits(0);
    host.run(&["diff", "-q", "dataset:tank/inc@a..b", "oci:out"]).exits(0);
    for name in ["dataset:tank/none", "dataset:tank/none@a", "dataset:tank/inc@z", "dataset:tank/inc@z..b"] {
        host.run(&["ls", name]).exits(3).says("no such image").prints_nothing();
    }
    host.run(&["ls", &inc, "--origin", "dataset:tank/inc"]).exits(2).says("an origin is a snapshot");
}

#[test]
fn a_temporary_snapshot_is_gone_whatever_happens() {
    let host = Host::new();
    let asked = |more: &[&str]| -> Vec<String> {
        let first = [format!("{LIST} tank/plain"), "snapshot tank/plain@TEMP".into()];
        first.into_iter().chain(more.iter().map(|&s| s.to_owned())).collect()
    };
    let all = asked(&["send tank/plain@TEMP", "destroy tank/plain@TEMP"]);
    // It is named by its content: the same every time.
    let convert =
        |to: &str| host.run(&["convert", "-q", "dataset:tank/plain", &format!("zfs:{to}")]).exits(0);
    convert("one");
    assert_eq!(host.log(), all);
    convert("two");
    host.log();
    let read = |name: &str| std::fs::read(host.sample.join(name)).expect("it was written");
    assert!(read("one") == read("two"), "the same bytes");
    host.fail("send");
    host.run(&["convert", "dataset:tank/plain", "zfs:three"])
        .exits(1)
        .says("failed (exit status: 7): cannot send: injected");
    assert_eq!(host.log(), all);
    host.fail("snapshot");
    host.run(&["ls", "dataset:tank/plain"])
        .exits(1)
        .says("`zfs snapshot tank/plain@aurora-")
        .says("injected");
    assert_eq!(host.log(), asked(&[]));
    host.fail("destroy");
    host.run(&["convert", "dataset:tank/plain", "tar:tar"])
        .exits(0)
        .says("is still there: `zfs destroy tank/plain@aurora-");
    host.fail("list");
    host.run(&["ls", "dataset:tank/plain"]).exits(1).says("injected");
    assert_eq!(host.names(), ["one", "tar", "two"]);
}

#[test]
fn a_signal_does_not_wait_for_a_silent_program() {
    let host = Host::new();
    host.fail("hang");
    let path = format!(
        "{}:{}",
        host.sample.join("bin").display(),
        std::env::var("PATH").expect("tests have a PATH")
    );
    let mut child = imageadm()
        .args(["convert", "dataset:tank/plain", "zfs:out"])
        .current_dir(host.sample.path())
        .envs([("PATH", &path), ("CORPUS", &corpus())])
        .stderr(Stdio::null())
        .spawn()
        .expect("the program was built with this test");
    while !host.sample.join("bin/hanging").exists() {
        assert_eq!(child.try_wait().expect("it is ours"), None, "it waits for zfs");
        std::thread::sleep(Duration::from_millis(10));
    }
    send(Signal::INT, &child);
    assert_eq!(child.wait().expect("it is ours").signal(), Some(2));
    assert_eq!(host.log().last().map(String::as_str), Some("destroy tank/plain@TEMP"));
    assert_eq!(host.names(), [""; 0]);
}

#[test]
fn what_is_written_has_its_name_when_it_is_whole() {
    let host = Host::new();
    let done = host.run(&["convert", "dir:tree", "dataset:tank/new"]).exits(0).quietly();
    assert!(done.out.contains("snapshot: tank/new@final"), "{}", done.out);
    let asked = |more: &[&str]| -> Vec<String> {
        let first = [
            format!("{LIST} tank/new"),
            format!("{LIST} tank/new-partial-TEMP"),
            "receive -s -u tank/new-partial-TEMP".into(),
        ];
        first.into_iter().chain(more.iter().map(|&s| s.to_owned())).collect()
    };
    assert_eq!(host.log(), asked(&["rename tank/new-partial-TEMP tank/new"]));
    host.run(&["convert", "-q", "dir:tree", "zfs:stream"]).exits(0);
    let read = |name: &str| std::fs::read(host.sample.join(name)).expect("it was written");
    assert!(read("bin/received") == read("stream"), "the stream that a file would hold");

    for (verb, end) in [
        ("receive", &["destroy -r tank/new-partial-TEMP"][..]),
        ("rename", &["rename tank/new-partial-TEMP tank/new", "destroy -r tank/new-partial-TEMP"]),
    ] {
        host.log();
        host.fail(verb);
        let done = host.run(&["convert", "dir:tree", "dataset:tank/new"]).exits(1).prints_nothing();
        done.says(&format!("failed (exit status: 7): cannot {verb}: injected"));
        assert_eq!(host.log(), asked(end), "{verb}");
    }
    host.run(&["convert", "dir:tree", "dataset:tank/inc"]).exits(1).says("already exists: dataset:tank/inc");
    host.run(&["convert", "dir:tree", "dataset:tank"]).exits(2).says("dataset:tank/NAME");
    host.run(&["convert", "dir:tree", "dataset:tank/x@s"]).exits(2).says("leave out");
    host.run(&["convert", "dir:none", "dataset:tank/new"]).exits(3);
    assert!(!host.log().iter().any(|line| line.starts_with("receive")));
}

#[test]
fn a_host_without_zfs_says_so() {
    let sample = Sample::new();
    let empty = sample.join("empty");
    std::fs::create_dir(&empty).expect("a directory can be made");
    let path = empty.display().to_string();
    let done = sample.run_with(&["ls", "dataset:tank/x"], &[("PATH", &path)]).exits(1);
    done.says("cannot run `zfs list").says("help: dataset: names need this host's zfs");
}
