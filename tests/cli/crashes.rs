//! The local store under processes that are killed, that come at once, and on a full disk.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::registry::served;
use crate::run::{Done, Sample, imageadm, names};

/// Rounds of each test; more in `AURORA_STORE_ROUNDS`.
fn rounds(default: u32) -> u32 {
    let wanted = std::env::var("AURORA_STORE_ROUNDS");
    wanted.map_or(default, |text| text.parse().expect("AURORA_STORE_ROUNDS is a number"))
}

/// Numbers that look random and are the same each time (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// So many bytes that do not compress.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// A sample with a layout `in` and large trees: enough for a process to be killed in the midst of it.
fn large() -> Sample {
    let sample = Sample::new();
    for n in 0..3_u64 {
        let tree = sample.join(&format!("t{n}"));
        std::fs::create_dir(&tree).expect("the directory is ours");
        std::fs::write(tree.join("data"), Numbers(n).bytes(6 << 20)).expect("it can be written");
    }
    sample.run(&["convert", "dir:t0", "oci:in"]).exits(0);
    sample
}

fn spawn(dir: &Path, args: &[&str]) -> Child {
    let mut command = imageadm();
    command.args(["--store", "s", "--quiet"]).args(args).current_dir(dir).env("TMPDIR", dir);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program was built with this test")
}

#[track_caller]
fn on(sample: &Sample, args: &[&str]) -> Done {
    let args: Vec<&str> = ["--store", "s"].iter().chain(args).copied().collect();
    sample.run(&args)
}

/// Everything that must hold whatever has happened.
#[track_caller]
fn is_sound(sample: &Sample) {
    // The next start of one that writes tidies up.
    on(sample, &["tag", "kept", "kept:again"]).exits(0);
    assert!(names(&sample.join("s/aurora/partial")).is_empty(), "a file in the making is left");
    on(sample, &["fsck"]).exits(0);
    on(sample, &["diff", "kept", "dir:tree"]).exits(0);
    for name in names(&sample.join("s/blobs/sha256")) {
        assert_eq!(name.len(), 64, "{name} is no blob");
    }
}

#[test]
fn killed_at_any_point_it_is_whole() {
    let sample = large();
    on(&sample, &["convert", "dir:tree", "kept"]).exits(0);
    // Two blobs of the same contents, for `dedup`.
    on(&sample, &["convert", "dir:t1", "alike:1"]).exits(0);
    on(&sample, &["convert", "dir:t1", "alike:2", "--compress", "none"]).exits(0);
    let server = served(&sample.join("in"));
    let remote = format!("{}/in:latest", server.host());
    let mut random = Numbers(42);
    let mut killed = 0;
    for round in 0..rounds(35) {
        let work: &[&str] = match round % 7 {
            5 => &["dedup"],
            6 => &["dedup", "--undo"],
            3 => &["get", "--insecure", &remote, "e"],
            0 => &["convert", "dir:t1", "a", "--compress", "none"],
            1 => &["convert", "oci:in", "b"],
            2 => &["gc"],
            _ => &["convert", "dir:t2", "c"],
        };
        let others = [spawn(sample.path(), work), spawn(sample.path(), &["convert", "dir:t2", "d"])];
        std::thread::sleep(Duration::from_millis(random.below(120)));
        for mut child in others {
            // SIGKILL; of one that is done already, nothing.
            let _ = child.kill();
            let status = child.wait().expect("it is a child of ours");
            killed += u32::from(!status.success());
        }
        is_sound(&sample);
        for name in ["alike:1", "alike:2"].iter().filter(|_| round % 7 >= 5) {
            on(&sample, &["diff", name, "dir:t1"]).exits(0);
        }
        if round % 8 == 7 {
            on(&sample, &["gc"]).exits(0);
            for name in ["a", "b", "c", "d", "e"] {
                let _ = on(&sample, &["rm", name]);
            }
        }
    }
    assert!(killed > 0, "none was killed before it was done");
    on(&sample, &["dedup"]).exits(0);
    let du: serde_json::Value =
        serde_json::from_str(&on(&sample, &["du", "--json"]).exits(0).out).expect("--json prints a document");
    assert!(du["thin"].as_u64() > Some(6 << 20), "one of two alike is thin: {du}");
    // What was cut short can be done again.
    on(&sample, &["convert", "oci:in", "b"]).exits(0);
    on(&sample, &["diff", "b", "dir:t0"]).exits(0);
    on(&sample, &["get", "--insecure", &remote, "e"]).exits(0);
    on(&sample, &["diff", "e", "dir:t0"]).exits(0);
    on(&sample, &["gc"]).exits(0);
    is_sound(&sample);
}

#[test]
fn many_at_once_lose_nothing() {
    let sample = large();
    on(&sample, &["convert", "dir:tree", "kept"]).exits(0);
    let server = served(&sample.join("in"));
    let remote = format!("{}/in:latest", server.host());
    for _ in 0..rounds(3) {
        let work: &[&[&str]] = &[
            &["convert", "oci:in", "same:1"],
            &["convert", "oci:in", "same:2"],
            &["get", "--insecure", &remote, "same:3"],
            &["gc"],
            &["convert", "dir:t1", "one"],
            &["convert", "dir:t1", "two"],
            &["gc"],
            &["tag", "kept", "other"],
            &["dedup"],
            &["dedup", "--undo"],
            &["convert", "dir:t2", "three", "--compress", "none"],
        ];
        let mut children: Vec<Child> = work.iter().map(|args| spawn(sample.path(), args)).collect();
        // One collection after the other, so that one comes between a blob and its name if it can.
        let is_done = |child: &mut Child| child.try_wait().expect("it is a child of ours").is_some();
        while !children.iter_mut().all(is_done) {
            on(&sample, &["gc"]).exits(0);
        }
        for (mut child, args) in children.into_iter().zip(work) {
            assert!(child.wait().expect("it is a child of ours").success(), "{args:?}");
        }
        is_sound(&sample);
        for (name, tree) in [
            ("same:1", "t0"),
            ("same:2", "t0"),
            ("same:3", "t0"),
            ("one", "t1"),
            ("two", "t1"),
            ("three", "t2"),
        ] {
            on(&sample, &["diff", name, &format!("dir:{tree}")]).exits(0);
        }
        on(&sample, &["rm", "same:1", "same:2", "same:3", "one", "two", "three", "other"]).exits(0);
        on(&sample, &["gc"]).exits(0);
        assert_eq!(names(&sample.join("s/blobs/sha256")).len(), 3, "only what `kept` needs");
        let packs = sample.join("s/aurora/packs");
        assert!(!packs.is_dir() || names(&packs).is_empty(), "and nothing that stands for others");
    }
}

#[test]
fn a_store_made_by_many_at_once_is_one() {
    for _ in 0..rounds(5) {
        let sample = Sample::new();
        let all = ["a", "b", "c", "d"];
        let children: Vec<Child> =
            all.iter().map(|name| spawn(sample.path(), &["convert", "dir:tree", name])).collect();
        for mut child in children {
            assert!(child.wait().expect("it is a child of ours").success());
        }
        for name in all {
            on(&sample, &["diff", name, "dir:tree"]).exits(0);
        }
        on(&sample, &["fsck"]).exits(0);
    }
}

/// A small file system, for as long as it lives.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    /// `None` where this process may not mount.
    fn mount(path: &'a Path) -> Option<Self> {
        std::fs::create_dir(path).expect("the directory is ours");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_an_error_and_harms_nothing() {
    let sample = large();
    let path = sample.join("s");
    let Some(_mounted) = Small::mount(&path) else {
        eprintln!("skipped: a small file system can't be mounted here (it takes root)");
        return;
    };
    on(&sample, &["convert", "dir:tree", "kept"]).exits(0);
    for work in [["convert", "dir:t1", "a"], ["convert", "oci:in", "b"]] {
        on(&sample, &work).exits(1).says("No space left");
        is_sound(&sample);
    }
    // Room for the blobs, and none for the name.
    let mut fill = Numbers(7).bytes(3 << 20);
    while std::fs::write(path.join("filler"), &fill).is_err() {
        fill.truncate(fill.len() - 4096);
    }
    let mut more = 0;
    while std::fs::write(path.join(format!("filler{more}")), [0; 4096]).is_ok() {
        more += 1;
    }
    on(&sample, &["tag", "kept", "new"]).exits(1).says("No space left");
    for name in names(&path).iter().filter(|name| name.starts_with("filler")) {
        std::fs::remove_file(path.join(name)).expect("it was listed");
    }
    on(&sample, &["ls", "new"]).exits(3);
    is_sound(&sample);
}
