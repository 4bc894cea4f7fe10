//! `runz` where no container is made, and so without root: what clients see of it before.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::Done;

/// Runs it with a state directory of its own.
fn runz(dir: &Path, args: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_runz"))
        .arg("--root")
        .arg(dir.join("root"))
        .args(args)
        .current_dir(dir)
        .env_remove("XDG_RUNTIME_DIR")
        .stdin(Stdio::null())
        .output()
        .expect("the program was built with this test");
    Done::new(args, output)
}

#[test]
fn what_is_not_there_has_runcs_answers() {
    let dir = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 8] = [
        &["state", "c"],
        &["start", "c"],
        &["kill", "c"],
        &["delete", "c"],
        &["ps", "c"],
        &["pause", "c"],
        &["resume", "c"],
        &["update", "c"],
    ];
    for args in commands {
        runz(dir.path(), args).exits(1).says("container does not exist").prints_nothing();
    }
    runz(dir.path(), &["exec", "c", "true"]).exits(255).says("exec failed: container does not exist");
    runz(dir.path(), &["delete", "--force", "c"]).exits(0).quietly();
    runz(dir.path(), &["create", "--bundle", "/nonexistent", "c"])
        .exits(1)
        .says("runz create failed: chdir /nonexistent: no such file or directory");
    runz(dir.path(), &["state", "a/b"]).exits(1).says("invalid container ID format: \"a/b\"");
    runz(dir.path(), &["nosuch"]).exits(3);
    runz(dir.path(), &["state"]).exits(1);
    let list = runz(dir.path(), &["list"]).exits(0).quietly();
    assert_eq!(
        list.out.split_whitespace().collect::<Vec<_>>(),
        ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    );
    assert_eq!(runz(dir.path(), &["list", "-f", "json"]).exits(0).out, "[]\n");
    assert_eq!(runz(dir.path(), &["list", "-q"]).exits(0).out, "");
}

#[test]
fn the_log_has_one_line_for_each_failure() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log").display().to_string();
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&log).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    runz(dir.path(), &["--log", &log, "--log-format", "json", "list"]).exits(0);
    assert!(lines().is_empty());
    // No help for people in what callers pass on.
    let done =
        runz(dir.path(), &["--log", &log, "--log-format", "json", "create", "-b", "/nonexistent", "c"])
            .exits(1);
    assert!(!done.err.contains("help:"), "{}", done.err);
    runz(dir.path(), &[&format!("--log={log}"), "--log-format=json", "create", "--nosuch"]).exits(1);
    let lines = lines();
    assert_eq!(lines[0]["msg"], "runz create failed: chdir /nonexistent: no such file or directory");
    assert!(lines[1]["msg"].as_str().unwrap().contains("--nosuch") && lines[1]["level"] == "error");
    assert_eq!(lines.len(), 2);
}

#[test]
fn it_says_what_it_is_and_what_it_can() {
    let dir = tempfile::tempdir().unwrap();
    for flag in ["--version", "-v"] {
        let version = runz(dir.path(), &[flag]).exits(0).quietly();
        assert!(
            version.out.starts_with("runz version ") && version.out.contains("\nspec: 1."),
            "{}",
            version.out
        );
    }
    let features: serde_json::Value =
        serde_json::from_str(&runz(dir.path(), &["features"]).exits(0).out).unwrap();
    assert_eq!(features["ociVersionMin"], "1.0.0");
    runz(dir.path(), &["spec"]).exits(0).quietly();
    let spec: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(
        (&spec["process"]["args"], &spec["process"]["terminal"]),
        (&serde_json::json!(["sh"]), &true.into())
    );
    runz(dir.path(), &["spec"]).exits(1).says("config.json exists. Remove it first");
}

#[test]
fn scripts_and_pages_come_from_the_arguments() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = runz(dir.path(), &["completions", shell]).exits(0).quietly();
        assert!(script.out.contains("console-socket") && !script.out.contains("unpack-image\n"), "{shell}");
    }
    runz(dir.path(), &["man", "pages"]).exits(0).quietly();
    let pages = crate::run::names(&dir.path().join("pages"));
    for page in ["runz.1", "runz-create.1", "runz-exec.1"] {
        assert!(pages.iter().any(|name| name == page), "{page}: {pages:?}");
    }
}

/// Files of runz's own would be taken for those that are not there.
#[test]
fn open_files_that_are_not_there_are_not_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let want = "unable to stat preserved-fd ";
    for (args, code) in [(["create", "c"], 1), (["run", "c"], 1), (["exec", "c"], 255)] {
        let args = [args[0], "--preserve-fds", "1000", args[1]];
        let done = runz(dir.path(), &args).exits(code).says(want).says("(of 1000): stat /proc/self/fd/");
        assert_eq!(done.err.matches("error:").count(), 1, "{}", done.err);
    }
    assert!(!dir.path().join("root").exists());
}

/// A bundle that lacks what every platform needs is refused before anything is made.
#[test]
fn a_bad_bundle_has_one_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rootfs")).unwrap();
    let cases = [
        ("{", "config.json: EOF while parsing"),
        (r#"{"ociVersion":"3.0.0","root":{"path":"rootfs"}}"#, "config.json: ociVersion: only 1.x is known"),
        (r#"{"ociVersion":"1.0.2"}"#, "config.json: root.path: missing"),
        (
            r#"{"ociVersion":"1.0.2","root":{"path":"rootfs"}}"#,
            "config.json: process: property must not be empty",
        ),
    ];
    for (config, want) in cases {
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        let done = runz(dir.path(), &["create", "c"]).exits(1).says(want);
        assert_eq!(done.err.matches("error:").count(), 1, "{}", done.err);
        assert!(!dir.path().join("root/c").exists());
    }
}

/// A bundle that is also a zone's path.
fn zone_bundle(dir: &Path, os: &str) -> String {
    let bundle = dir.join("web");
    std::fs::create_dir_all(bundle.join("root")).expect("a folder can be made");
    let config = serde_json::json!({
        "ociVersion": "1.0.2", "root": {"path": "root"},
        "annotations": {"org.opencontainers.image.os": os},
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/true"]},
        "solaris": {"anet": [{"linkname": "net0", "lowerLink": "igb0"}]},
    });
    std::fs::write(bundle.join("config.json"), config.to_string()).expect("a file can be written");
    bundle.canonicalize().expect("it was made").display().to_string()
}

fn dry_run(dir: &Path, dialect: &str, bundle: &str) -> Done {
    let args = ["--backend", "zones", "--zone-dialect", dialect, "--podinit", "/opt/podinit"];
    runz(dir, &[&args[..], &["create", "--dry-run", "--bundle", bundle, "c"]].concat())
}

/// The text of zonecfg and the host's commands, as they are.
#[test]
fn a_zone_can_be_shown_on_any_system() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = zone_bundle(dir.path(), "linux");
    let done = dry_run(dir.path(), "omnios", &bundle).exits(0).quietly();
    let at = done.out.find("zonecfg -z ").unwrap() + "zonecfg -z ".len();
    let zone = &done.out[at..at + 47];
    let state = dir.path().join("root/c").display().to_string();
    let text = done.out.replace(zone, "ZONE").replace(&state, "STATE").replace(&bundle, "BUNDLE");
    assert_eq!(text, include_str!("runz-zone-omnios.txt"));
    let done = dry_run(dir.path(), "smartos", &bundle).exits(0).quietly();
    for want in ["set brand=lx\n", "set name=init-name\n", "set global-nic=igb0\n"] {
        assert!(done.out.contains(want), "{want}: {}", done.out);
    }
    dry_run(dir.path(), "gate", &bundle)
        .exits(1)
        .says("config.json: brand: zonecfg of illumos-gate has nothing for it: \"lx\"");
    let bundle = zone_bundle(dir.path(), "illumos");
    let done = dry_run(dir.path(), "gate", &bundle).exits(0).quietly();
    for want in [
        "set brand=aurora\n",
        "dladm create-vnic -t -l igb0 au",
        "#   undone by: /usr/sbin/dladm delete-vnic -t au",
    ] {
        assert!(done.out.contains(want), "{want}: {}", done.out);
    }
    assert!(!dir.path().join("root/c").exists());
}

/// It is unpacked for that, and nothing of it is left.
#[test]
fn an_image_is_shown_with_its_datasets() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("image/etc")).unwrap();
    let zones = ["--backend", "zones", "--zone-dialect", "omnios", "--podinit", "/opt/podinit"];
    let run = ["run", "--dry-run", "--image", "dir:image", "c"];
    let done = runz(dir.path(), &[&zones[..], &["--dataset", "tank/c"], &run].concat()).exits(0).quietly();
    let root = dir.path().canonicalize().unwrap().join("root");
    let bundle = root.join("@bundles/c/bundle").display().to_string();
    for want in [
        &format!(
            "/usr/sbin/zfs create -o mountpoint={bundle} -o devices=off -o aurora:container=c tank/c/aurora-"
        ),
        &format!(
            "# dir:image is unpacked as by `imageadm unpack --bundle --zonepath` to {bundle}\n# zonepath\n"
        ),
        "-o quota=64M -o aurora:container=c tank/c/aurora-",
        &format!("set zonepath={bundle}\n"),
    ] {
        assert!(done.out.contains(want), "{want}: {}", done.out);
    }
    assert!(!done.out.contains("will refuse"), "{}", done.out);
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
    runz(dir.path(), &[&zones[..], &["--dataset", "tank@c"], &run].concat())
        .exits(1)
        .says("a dataset is needed, not a snapshot: tank@c");
}

#[test]
fn what_is_no_zones_root_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = zone_bundle(dir.path(), "linux");
    if !cfg!(target_os = "illumos") {
        let args = ["--backend", "zones", "create", "--dry-run", "--bundle", &bundle, "c"];
        runz(dir.path(), &args).exits(1).says("say it by --zone-dialect gate|omnios|smartos");
    }
    std::fs::rename(dir.path().join("web/root"), dir.path().join("web/rootfs")).unwrap();
    let config = std::fs::read_to_string(dir.path().join("web/config.json")).unwrap();
    std::fs::write(dir.path().join("web/config.json"), config.replace("\"root\"}", "\"rootfs\"}")).unwrap();
    dry_run(dir.path(), "smartos", &bundle)
        .exits(1)
        .says("config.json: root.path: not the root of a zone, its name is not root: ")
        .says("imageadm unpack --bundle --zonepath");
}
