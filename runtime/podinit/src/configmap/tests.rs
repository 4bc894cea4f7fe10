//! What an image can put in the way, and what a map can ask for.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn apply(directory: &Path, files: &Value) -> Result<usize, String> {
    let maps: Vec<ConfigMap> = serde_json::from_value(json!([{ "directory": directory, "files": files }]))
        .map_err(|e| e.to_string())?;
    let rendered = render(&maps).map_err(|e| e.to_string())?;
    write(&rendered).map_err(|e| e.to_string())
}

fn one(name: &str) -> Value {
    json!({ name: { "format": "text", "data": "new" } })
}

#[test]
fn files_are_made_and_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("etc/app");
    let files = json!({
        "a.json": { "format": "json", "data": { "k": 1 }, "mode": "0600" },
        "sub/b.toml": { "format": "toml", "data": { "k": 1 } },
    });
    for _ in 0..2 {
        assert_eq!(apply(&dir, &files), Ok(2));
        assert_eq!(std::fs::read_to_string(dir.join("a.json")).unwrap(), "{\n  \"k\": 1\n}\n");
        assert_eq!(std::fs::read_to_string(dir.join("sub/b.toml")).unwrap(), "k = 1\n");
        let mode = |name: &str| std::fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a.json"), mode("sub/b.toml")), (0o600, 0o644));
    }
    // A reader of the old file keeps the old file.
    let before = std::fs::metadata(dir.join("a.json")).unwrap().ino();
    apply(&dir, &files).unwrap();
    assert_ne!(std::fs::metadata(dir.join("a.json")).unwrap().ino(), before);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn what_an_image_puts_in_the_way() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, outside) = (temp.path().join("dir"), temp.path().join("outside"));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("secret"), "old").unwrap();
    symlink(&outside, dir.join("out")).unwrap();
    symlink("../outside/secret", dir.join("file")).unwrap();
    symlink("../outside/new", dir.join("dangling")).unwrap();
    symlink(outside.join("secret"), dir.join(".podinit-new")).unwrap();
    symlink(&dir, temp.path().join("link")).unwrap();
    let pipe = dir.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    std::fs::create_dir(dir.join("folder")).unwrap();
    std::fs::hard_link(outside.join("secret"), dir.join("hard")).unwrap();

    let at = |name: &str| dir.join(name).display().to_string();
    let not_a_file =
        |name: &str| Err(format!("config map: {}: something other than a regular file is there", at(name)));
    let not_a_directory = |path: String| {
        Err(format!("config map: {path}: a symbolic link or a file is where a directory has to be"))
    };
    assert_eq!(apply(&dir, &one("out/secret")), not_a_directory(at("out")));
    assert_eq!(apply(&dir, &one("file")), not_a_file("file"));
    assert_eq!(apply(&dir, &one("dangling")), not_a_file("dangling"));
    assert_eq!(apply(&dir, &one("pipe")), not_a_file("pipe"));
    assert_eq!(apply(&dir, &one("folder")), not_a_file("folder"));
    assert_eq!(apply(&dir, &one("pipe/x")), not_a_directory(at("pipe")));
    let link = temp.path().join("link");
    assert_eq!(apply(&link, &one("x")), not_a_directory(link.display().to_string()));
    // The link in the temporary file's place is removed, not written through; a hard link loses one name, not
    // its content.
    assert_eq!(apply(&dir, &one("fine")), Ok(1));
    assert_eq!(apply(&dir, &one("hard")), Ok(1));

    assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "old");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(std::fs::read_to_string(dir.join("fine")).unwrap(), "new");
}

#[test]
fn what_a_map_can_ask_for() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("dir");
    let name = |name: &str, problem: &str| {
        let text = format!("config map of {}: not a file name: {name:?}: {problem}", dir.display());
        assert_eq!(apply(&dir, &one(name)), Err(text));
    };
    name("../x", "a component of dots in it");
    name("/etc/x", "empty, or an empty component in it");
    name("a\0", "a control character in it");
    let directory = |path: &str| {
        let text = format!("config map: not an absolute path without \"..\": {path}");
        assert_eq!(apply(Path::new(path), &one("x")), Err(text));
    };
    directory("etc");
    directory("/etc/../x");
    for (member, value, problem) in [
        ("mode", json!("4755"), "not permissions such as \"0644\": \"4755\""),
        ("mode", json!("+644"), "not permissions such as \"0644\": \"+644\""),
        ("owner", json!("0:4294967295"), "not numbers of user and group such as \"0:0\": \"0:4294967295\""),
        ("owner", json!("root"), "not numbers of user and group such as \"0:0\": \"root\""),
        ("formt", json!("x"), "unknown field `formt`, expected one of `format`, `data`, `mode`, `owner`"),
        ("format", json!("xml"), "unknown variant `xml`, expected one of `toml`, `yaml`, `json`, `text`"),
    ] {
        let mut files = one("x");
        files["x"][member] = value;
        assert_eq!(apply(&dir, &files), Err(problem.to_owned()));
    }
    // One that can't be rendered, and none is written.
    let files = json!({ "a": { "format": "text", "data": "x" }, "b": { "format": "toml", "data": null } });
    let text = format!("config map of {}: \"b\": TOML has no null", dir.display());
    assert_eq!(apply(&dir, &files), Err(text));
    assert!(!dir.exists());
}
