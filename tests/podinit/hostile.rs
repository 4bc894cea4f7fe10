//! Config maps that mean harm, in a folder that does too. What of it is refused in which words is tested
//! beside the code; here, that nothing starts, and that nothing has been written anywhere.

use std::path::Path;

use serde_json::{Value, json};

use crate::run::{Running, document, write};

fn with(dir: &Path, files: Value) -> Value {
    json!({
        "process": { "args": ["sh", "-c", "echo started"], "cwd": "/", "env": ["PATH=/usr/bin:/bin"] },
        "aurora": { "configmaps": [{ "directory": dir.join("etc"), "files": files }], "runDir": dir.join("run") },
    })
}

/// Names and contents of all that is below a folder, links as links.
fn listing(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            lines.push(format!("{}/", path.display()));
            lines.extend(listing(&path));
        } else if kind.is_symlink() {
            lines.push(format!("{} -> {}", path.display(), std::fs::read_link(&path).unwrap().display()));
        } else if kind.is_file() {
            lines.push(format!("{} {:?}", path.display(), std::fs::read_to_string(&path).unwrap()));
        } else {
            lines.push(format!("{} special", path.display()));
        }
    }
    lines.sort();
    lines
}

#[test]
fn nothing_leaves_the_folder() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    for folder in ["etc/real", "outside", "run"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    std::fs::write(dir.join("outside/passwd"), "root").unwrap();
    for (name, target) in [
        ("folder", "../outside"),
        ("file", "../outside/passwd"),
        ("up", ".."),
        ("self", "self"),
        ("real/up", "../../outside"),
    ] {
        std::os::unix::fs::symlink(target, dir.join("etc").join(name)).unwrap();
    }
    let pipe = std::process::Command::new("mkfifo").arg(dir.join("etc/pipe")).status().unwrap();
    assert!(pipe.success());

    let names = [
        "../outside/passwd",
        "a/../../outside/passwd",
        "/outside/passwd",
        "//etc/passwd",
        "",
        ".",
        "..",
        "folder/passwd",
        "folder",
        "file",
        "up/outside/passwd",
        "real/up/passwd",
        "self",
        "self/x",
        "pipe",
        "pipe/x",
        "real",
        "real/",
        ".podinit-new",
        "a\0b",
        "\u{1b}[2J",
    ];
    for name in names {
        let document_ = with(dir, json!({ name: { "format": "text", "data": "taken" } }));
        let config = write(dir, &document_);
        let before = listing(dir);
        let done = crate::run::run(&["--config", &config]).exits(125);
        assert_eq!(done.out, "", "{name:?}");
        assert!(done.err.starts_with("podinit: config map"), "{name:?}: {}", done.err);
        assert!(!done.err.contains('\u{1b}'), "{:?}", done.err);
        assert_eq!(listing(dir), before, "{name:?}");
    }
    for directory in ["etc/folder", "etc/../etc", "etc/up/etc", "etc/pipe"] {
        let mut document_ = with(dir, json!({ "x": { "format": "text", "data": "taken" } }));
        document_["aurora"]["configmaps"][0]["directory"] = json!(dir.join(directory));
        let config = write(dir, &document_);
        let before = listing(dir);
        assert_eq!(crate::run::run(&["--config", &config]).exits(125).out, "", "{directory}");
        assert_eq!(listing(dir), before, "{directory}");
    }
    // And one that means well is written into the same folder.
    let document_ = with(dir, json!({ "real/new/a.yaml": { "format": "yaml", "data": { "a": "no" } } }));
    assert_eq!(document(dir, &document_).exits(0).out, "started\n");
    assert_eq!(std::fs::read_to_string(dir.join("etc/real/new/a.yaml")).unwrap(), "a: \"no\"\n");
}

/// Someone inside turns a folder into a link and back while podinit writes below it.
#[test]
fn a_folder_that_becomes_a_link_leads_nowhere() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    for folder in ["etc/sub", "outside", "run"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    let mut document_ = with(dir, json!({ "sub/x": { "format": "text", "data": "taken" } }));
    let swap = "trap '' HUP; cd $0; echo started; while :; do \
        mkdir -p sub; mv -T sub away; ln -sn ../outside sub; rm -rf sub away; done 2>/dev/null";
    document_["process"]["args"] = json!(["sh", "-c", swap, dir.join("etc")]);
    let mut init = Running::start(&["--config", &write(dir, &document_)]);
    assert_eq!(init.line(), "started");
    let refused = (0..300).filter(|_| {
        let answer = crate::control::ask(&dir.join("run"), r#"{"op":"reload"}"#);
        answer["ok"] == false
    });
    // Written into the folder, or refused, as it happens; never anywhere else.
    let refused = refused.count();
    drop(init);
    assert_eq!(std::fs::read_dir(dir.join("outside")).unwrap().count(), 0, "{refused} of 300 were refused");
}
