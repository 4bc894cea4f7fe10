//! The commands about registries, against one on this machine that gives what a layout holds.

use std::path::Path;

use crate::http::{Fault, HttpServer, Reply, Request};
use crate::run::{Sample, imageadm};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry that gives the blobs and manifests of a layout under any name, and takes nothing.
pub(crate) fn served(layout: &Path) -> HttpServer {
    let layout = layout.to_owned();
    HttpServer::new(move |request| answer(&layout, request))
}

fn answer(layout: &Path, request: &Request) -> Reply {
    let file = |digest: &str| std::fs::read(layout.join("blobs").join(digest.replacen(':', "/", 1)));
    let last = request.path.rsplit('/').next().unwrap_or_default();
    let found = if request.path.contains("/blobs/") {
        file(last)
    } else if request.path.contains("/manifests/") {
        let index = std::fs::read_to_string(layout.join("index.json")).expect("it is a layout");
        let digest = index.split("\"digest\":\"").nth(1).and_then(|rest| rest.split('"').next());
        if last.contains(':') { file(last) } else { file(digest.expect("it lists an image")) }
    } else if request.path.ends_with("/tags/list") {
        Ok(br#"{"tags":["latest","odd\u001b[31m"]}"#.to_vec())
    } else {
        Ok(b"{}".to_vec())
    };
    match found {
        Ok(bytes) => Reply::new(200, bytes).with("Content-Type", MANIFEST),
        Err(_) => Reply::new(404, r#"{"errors":[{"code":"NOT_FOUND"}]}"#),
    }
}

/// A sample with a layout `lay`, and its registry.
fn sample() -> (Sample, HttpServer) {
    let sample = Sample::new();
    sample.run(&["convert", "-q", "dir:tree", "oci:lay"]).exits(0);
    let server = served(&sample.join("lay"));
    (sample, server)
}

#[test]
fn an_image_is_brought_and_told_of() {
    let (sample, server) = sample();
    let name = format!("docker://{}/a/web", server.host());
    let done = sample.run(&["--store", "s", "get", "--insecure", &name, "web:1"]).exits(0).quietly();
    assert!(
        done.out.contains("name:          web:1\n") && done.out.contains("blobs copied:  2 ("),
        "{}",
        done.out
    );
    let json =
        sample.run(&["--store", "s", "get", "--insecure", "--json", &name, "web:1"]).exits(0).quietly();
    assert!(json.out.contains(r#""copied":0,"bytes":0,"mounted":0,"there":2,"documents":1"#), "{}", json.out);
    sample.run(&["--store", "s", "diff", "web:1", "dir:tree"]).exits(0);
    // Under its own name, and without docker:// in front.
    let plain = format!("{}/a/web", server.host());
    sample.run(&["--store", "s", "get", "-q", "--insecure", &plain]).exits(0).prints_nothing();
    sample.run(&["--store", "s", "ls", &plain]).exits(0);
    sample.run(&["--store", "s", "diff", "--insecure", &name, "dir:tree"]).exits(0);
    sample.run(&["copy", "-q", "--insecure", &name, "oci:new"]).exits(0);
    sample.run(&["diff", "oci:new", "oci:lay"]).exits(0);
    sample.run(&["copy", "-q", "--insecure", &name, "oci-archive:new.tar:x"]).exits(0);
    sample.run(&["copy", "-q", "--insecure", &name, "oci-archive:new.tar"]).exits(1).says("already exists");
    sample.run(&["diff", "oci-archive:new.tar:x", "oci:lay"]).exits(0);
    let done = sample.run(&["copy", "--insecure", &name, "oci-archive:-:x"]).exits(0).quietly();
    assert!(
        done.out.contains("index.json") && !done.out.contains("digest: "),
        "the archive and nothing else"
    );
    sample.run(&["copy", "-q", "oci-archive:new.tar:x", "oci:again"]).exits(0);
    sample.run(&["verify", "oci:again"]).exits(0);
    let want = std::fs::read(sample.join("lay/index.json")).expect("it was written");
    assert!(!want.is_empty() && sample.join("new/index.json").exists());
    assert_eq!(sample.run(&["tags", "--insecure", &name]).exits(0).out, "latest\nodd\\u{1b}[31m\n");
    let json = sample.run(&["tags", "--json", "--insecure", &name]).exits(0);
    assert!(json.out.starts_with(&format!(r#"{{"repository":"{plain}","tags":["latest","#)), "{}", json.out);
}

#[test]
fn refusals_have_a_status_and_a_hint() {
    let (sample, server) = sample();
    let name = format!("docker://{}/a", server.host());
    sample.run(&["--store", "s", "get", &name]).exits(1).says("--insecure");
    server.always("/manifests/none", Fault::Status(404, &[], ""));
    sample
        .run(&["--store", "s", "get", "--insecure", &format!("{name}:none")])
        .exits(3)
        .says("no such image");
    server.always("/manifests/mine", Fault::Status(401, &[], ""));
    let mine = format!("{name}:mine");
    sample
        .run(&["--store", "s", "get", "--insecure", &mine])
        .exits(1)
        .says("a user is needed")
        .says("imageadm login");
    sample.run(&["get", "UPPER/case"]).exits(2).says("lower-case");
    sample.run(&["get", &name, "oci:x"]).exits(2).says("imageadm copy");
    sample.run(&["--store", "s", "push", "none"]).exits(2).says("where to?").prints_nothing();
    sample.run(&["copy", "dir:tree", &name]).exits(2).says("imageadm convert");
    sample.run(&["copy", "oci:lay", "tar:x"]).exits(2).says("imageadm convert");
    sample.run(&["convert", "docker:a", "tar:x"]).exits(2).says("docker://HOST/NAME");
    sample.run(&["copy", "--all", "--platform", "linux/amd64", "oci:lay", &name]).exits(2);
    assert_eq!(sample.names(), ["lay"], "nothing half-made is left, no store either");
}

#[test]
fn passwords_are_read_kept_and_forgotten() {
    use std::os::unix::fs::PermissionsExt;
    let sample = Sample::new();
    let server = HttpServer::new(|request| match request.header("authorization") {
        Some("Basic dXNlcjpzM2NyZXQ=") => Reply::new(200, "{}"),
        _ => Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let (host, file) = (server.host(), sample.join("auth.json"));
    let file = file.to_str().expect("names of tests are UTF-8");
    let login = |password: &str| {
        std::fs::write(sample.join("word"), password).expect("the directory is ours");
        let word = std::fs::File::open(sample.join("word")).expect("it was written");
        let args = ["login", "--insecure", "--authfile", file, "-u", "user", "--password-stdin", &host];
        let output =
            imageadm().args(args).stdin(word).output().expect("the program was built with this test");
        crate::run::Done::new(&args, output)
    };
    let done = login("wrong\n").exits(1).says("may not");
    assert!(!done.err.contains("wrong"), "{}", done.err);
    let done = login("s3cret\n").exits(0).quietly();
    assert_eq!(done.out, format!("logged in to {host} as user; kept in {file}\n"));
    let mode = std::fs::metadata(file).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    login("").exits(2).says("empty");
    sample.run(&["login", "--authfile", file, &host]).exits(2).says("--password-stdin");
    sample.run(&["login", "--authfile", file, "alpine"]).exits(2).says("not a registry");
    let done = sample.run(&["logout", "--authfile", file, &host]).exits(0);
    assert_eq!(done.out, format!("logged out of {host}\n"));
    sample.run(&["logout", "--authfile", file, &host]).exits(2).says("nobody is logged in");
}
