//! The commands about image servers, against one on this machine.

use crate::fault_server::FaultServer;
use crate::http::Fault;
use crate::run::{Done, Sample, imageadm};
use crate::streams::corpus;

const NOWHERE: &str = "00000000-0000-4000-8000-000000000000";

/// A sample whose tree is an image of a server.
fn served() -> (Sample, FaultServer, String) {
    let sample = Sample::new();
    let args =
        ["convert", "-q", "dir:tree", "smartos:made", "--name", "web", "--version", "1", "--tag", "role=web"];
    sample.run(&args).exits(0);
    let read = |name: &str| std::fs::read(sample.join(name)).expect("it was written");
    let manifest = String::from_utf8(read("made/web-1.imgmanifest")).expect("manifests are text");
    let uuid = manifest
        .split("\"uuid\": \"")
        .nth(1)
        .and_then(|rest| rest.get(..36))
        .expect("it has a uuid")
        .to_owned();
    let server = FaultServer::new();
    server.add(&uuid, manifest, read("made/web-1.zfs.gz"));
    (sample, server, uuid)
}

/// Runs a command that asks this server.
#[track_caller]
fn ask(sample: &Sample, server: &FaultServer, args: &[&str]) -> Done {
    sample.run(&[args, &["-S", &server.url()]].concat())
}

#[test]
fn images_are_found_and_shown() {
    let (sample, server, uuid) = served();
    let done = ask(&sample, &server, &["avail"]).exits(0).quietly();
    assert_eq!(
        done.out.lines().next().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).as_deref(),
        Some("UUID NAME VERSION OS TYPE PUB")
    );
    assert!(
        done.out.lines().nth(1).is_some_and(|l| l.starts_with(&uuid) && l.contains("lx-dataset")),
        "{}",
        done.out
    );
    let done =
        ask(&sample, &server, &["avail", "-H", "-o", "uuid,tags.role,source", "name=~we", "tag.role=web"])
            .exits(0);
    assert_eq!(done.out, format!("{uuid}  web  {}\n", server.url()));
    assert_eq!(ask(&sample, &server, &["avail", "-H", "os=bsd"]).exits(0).quietly().out, "");
    let done = ask(&sample, &server, &["avail", "-j"]).exits(0);
    assert!(done.out.starts_with("[{\"manifest\":{\"v\":2") && done.out.ends_with("}]\n"), "{}", done.out);
    let done = ask(&sample, &server, &["show", &uuid]).exits(0).quietly();
    assert!(done.out.starts_with("{\n  \"v\": 2,\n"), "{}", done.out);
    ask(&sample, &server, &["show", NOWHERE]).exits(3).prints_nothing().says("no such image");
    ask(&sample, &server, &["avail", "-o", "colour"]).exits(2).says("no such column");
    ask(&sample, &server, &["avail", "name"]).exits(2).says("FIELD=VALUE");
    let done = ask(&sample, &server, &["channels", "-H"]).exits(0);
    assert!(done.out.contains("release  true"), "{}", done.out);
}

#[test]
fn images_of_servers_are_read_like_any_other() {
    let (sample, server, uuid) = served();
    let name = format!("imgapi:{}/{uuid}", server.url());
    let want = sample.run(&["ls", "--jsonl", "smartos:made"]).exits(0).out;
    assert_eq!(sample.run(&["ls", "--jsonl", &name]).exits(0).quietly().out, want);
    sample.run(&["verify", &name]).exits(0).quietly();
    let done = sample.run(&["inspect", "--quick", "--json", &name]).exits(0);
    assert!(done.out.contains(&format!("/images/{uuid}")), "{}", done.out);
    sample.run(&["convert", "-q", &name, "oci:out"]).exits(0);
    sample.run(&["diff", &name, "smartos:made"]).exits(0);
    sample.run(&["convert", "dir:tree", &name]).exits(2).says("read, not written");

    server.always("/file", Fault::Body(b"x".to_vec()));
    sample.run(&["ls", &name]).exits(1).prints_nothing().says("announces 1");
    sample.run(&["convert", &name, "oci:bad"]).exits(1);
    let missing = format!("imgapi:{}/{NOWHERE}", server.url());
    sample.run(&["ls", &missing]).exits(3).says("no such image");
    assert_eq!(sample.names(), ["made", "out"]);
}

#[test]
fn an_origin_may_be_on_a_server() {
    let sample = Sample::new();
    let (full, increment) = (corpus("inc-full-a"), corpus("inc-i-a-b"));
    let keep = ["convert", "-q", "--layers", "keep"];
    sample.run(&[&keep[..], &[&increment, "oci:layers", "--origin", &full]].concat()).exits(0);
    sample.run(&[&keep[..], &["oci:layers", "smartos:chain"]].concat()).exits(0);
    let want = sample.run(&["ls", "--jsonl", "smartos:chain"]).exits(0).out;

    // The base goes to a server.
    let read = |name: &str| std::fs::read(sample.join("chain").join(name)).expect("it was written");
    let is_base = |name: &String| {
        name.ends_with(".imgmanifest") && !String::from_utf8_lossy(&read(name)).contains("\"origin\"")
    };
    let base = crate::run::names(&sample.join("chain")).into_iter().find(is_base).expect("one is the base");
    let file = base.replace(".imgmanifest", ".zfs.gz");
    let manifest = String::from_utf8(read(&base)).expect("manifests are text");
    let uuid =
        manifest.split("\"uuid\": \"").nth(1).and_then(|rest| rest.get(..36)).expect("it has one").to_owned();
    let server = FaultServer::new();
    server.add(&uuid, manifest, read(&file));
    for name in [&base, &file] {
        std::fs::remove_file(sample.join("chain").join(name)).expect("it is there");
    }

    sample.run(&["ls", "smartos:chain"]).exits(3).says("--origin smartos:PATH or imgapi:URL/UUID");
    let origin = format!("imgapi:{}/{uuid}", server.url());
    let with = |command: &[&str]| sample.run(&[command, &["smartos:chain", "--origin", &origin]].concat());
    assert_eq!(with(&["ls", "--jsonl"]).exits(0).out, want);
    with(&["verify"]).exits(0);
    with(&["inspect"]).exits(0);
    server.always("/file", Fault::Status(404, &[], ""));
    with(&["ls"]).exits(1).prints_nothing().says("404");
}

#[test]
fn images_are_imported_into_a_folder() {
    let (sample, server, uuid) = served();
    let done = ask(&sample, &server, &["import", &uuid, "--dir", "images"]).exits(0).quietly();
    assert!(done.out.starts_with(&uuid) && done.out.contains("images/web-1.imgmanifest"), "{}", done.out);
    assert_eq!(crate::run::names(&sample.join("images")), ["web-1.imgmanifest", "web-1.zfs.gz"]);
    sample.run(&["verify", "smartos:images"]).exits(0);
    let done = ask(&sample, &server, &["import", &uuid, "--dir", "images", "-j"]).exits(0);
    assert!(done.out.contains("\"was_there\":true"), "{}", done.out);
    let local = sample.run(&["ancestry", "-H", "-o", "uuid", "smartos:images"]).exits(0).out;
    assert_eq!(local, format!("{uuid}\n"));
    assert_eq!(ask(&sample, &server, &["ancestry", "-H", "-o", "uuid", &uuid]).exits(0).out, local);

    server.always("/file", Fault::Longer(vec![0]));
    ask(&sample, &server, &["import", &uuid, "--dir", "bad"]).exits(1).says("help: ");
    assert_eq!(crate::run::names(&sample.join("bad")), [""; 0]);
    ask(&sample, &server, &["import", NOWHERE, "--dir", "none"]).exits(3);
    assert_eq!(sample.names(), ["bad", "images", "made"]);
}

#[test]
fn an_interruption_reaches_a_request_that_waits() {
    use std::os::unix::process::ExitStatusExt;
    let (sample, server, uuid) = served();
    server.always("/file", Fault::Stall);
    let temp = sample.join("temp");
    std::fs::create_dir(&temp).expect("the sample can be written");
    let child = imageadm()
        .args(["convert", &format!("imgapi:{}/{uuid}", server.url()), "oci:out"])
        .current_dir(sample.path())
        .env("TMPDIR", &temp)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program was built with this test");
    while !server.requests().iter().any(|line| line.ends_with("/file")) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    crate::run::send(rustix::process::Signal::INT, &child);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.signal(), Some(2), "{:?}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "interrupted\n");
    assert_eq!(sample.names(), ["made", "temp"]);
    assert_eq!(crate::run::names(&temp), [""; 0]);
}

#[test]
fn a_source_that_fails_is_told() {
    let (sample, server, uuid) = served();
    let bad = FaultServer::new();
    bad.always("/images", Fault::Body(b"<html>".to_vec()));
    let done =
        sample.run(&["avail", "-H", "-S", &bad.url(), "-S", &server.url()]).exits(1).says("was left out");
    assert!(done.out.contains(&uuid), "{}", done.out);
}

#[test]
fn sources_are_kept_in_a_file() {
    let (sample, server, uuid) = served();
    let file = ["--sources", "s/sources.json"];
    let run = |args: &[&str]| sample.run(&[args, &file].concat());
    assert_eq!(run(&["sources"]).exits(0).out, "https://images.smartos.org\n");
    run(&["sources", "-a", &server.url(), "-d", "https://images.smartos.org"]).exits(0).quietly();
    assert_eq!(run(&["sources"]).exits(0).out, format!("{}\n", server.url()));
    assert_eq!(
        run(&["sources", "-j"]).exits(0).out,
        format!("[{{\"url\":\"{}\",\"type\":\"imgapi\"}}]\n", server.url())
    );
    run(&["sources", "-c"]).exits(0).quietly();
    assert!(run(&["avail", "-H"]).exits(0).out.starts_with(&uuid));

    server.always("/ping", Fault::Body(b"{}".to_vec()));
    run(&["sources", "-c"]).exits(1).says("no image server");
    let other = format!("{}/base", server.url());
    run(&["sources", "-a", &other]).exits(1).says("no image server");
    run(&["sources", "-a", &other, "--no-check"]).exits(0);
    assert_eq!(run(&["sources"]).exits(0).out, format!("{}\n{other}\n", server.url()));
    run(&["sources", "-a", "ftp://x"]).exits(2).says("not an http");
    assert_eq!(crate::run::names(&sample.join("s")), ["sources.json"]);
}
