//! `imageadm pack`.

use serde_json::{Value, json};

use crate::datasets::{Host, ORIGIN, corpus};
use crate::run::Sample;

fn manifest(sample: &Sample, path: &str) -> Value {
    let bytes = std::fs::read(sample.join(path)).expect("it was written");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// What is printed behind a name.
fn fact<'a>(out: &'a str, name: &str) -> &'a str {
    let found = out.lines().filter_map(|line| line.split_once(':')).find(|(found, _)| *found == name);
    found.unwrap_or_else(|| panic!("no {name}: {out}")).1.trim()
}

/// Manifest and config of the one image of a layout.
fn documents(sample: &Sample, layout: &str) -> (Value, Value) {
    let read = |path: String| manifest(sample, &format!("{layout}/{path}"));
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().expect("a digest");
        read(format!("blobs/{}", digest.replacen(':', "/", 1)))
    };
    let manifest = blob(&read("index.json".into())["manifests"][0]);
    let config = blob(&manifest["config"]);
    (manifest, config)
}

#[test]
fn a_directory_becomes_an_image_that_lists_as_it_does() {
    let sample = Sample::new();
    std::fs::create_dir(sample.join("tree/usr")).expect("the tree can be written");
    let done =
        sample.run(&["pack", "tree", "smartos:out", "--name", "web", "--version", "1.5"]).exits(0).quietly();
    assert!(done.out.contains("manifest: out/web-1.5.imgmanifest"), "{}", done.out);
    sample.run(&["convert", "-q", "smartos:out", "tar:back"]).exits(0);
    sample.run(&["diff", "dir:tree", "tar:back"]).exits(0);
    sample.run(&["verify", "smartos:out"]).exits(0);
    sample.run(&["validate", "out/web-1.5.imgmanifest"]).exits(0);
    // The same as convert makes of it, and of the tar of it, packed as asked.
    sample.run(&["convert", "-q", "dir:tree", "smartos:again", "--name", "web", "--version", "1.5"]).exits(0);
    let read = |name: &str| std::fs::read(sample.join(name)).expect("it was written");
    assert!(read("out/web-1.5.imgmanifest") == read("again/web-1.5.imgmanifest"));
    sample
        .run(&["pack", "-q", "tar:back", "smartos:xz", "-c", "xz", "--name", "web", "--version", "1.5"])
        .exits(0);
    assert_eq!(crate::run::names(&sample.join("xz")), ["web-1.5.imgmanifest", "web-1.5.zfs.xz"]);
    for (kind, dst) in [("tar", "oci:x"), ("dir", "zfs:z"), ("dir", "docker-archive:d")] {
        let src = if kind == "tar" { "tar:back" } else { "tree" };
        sample.run(&["pack", "-q", src, dst]).exits(0);
        sample.run(&["diff", "dir:tree", dst]).exits(0);
    }
}

#[test]
fn a_manifest_is_begun_with_and_options_change_it() {
    let sample = Sample::new();
    let base = json!({
        "name": "base", "version": "1", "type": "zone-dataset", "os": "smartos", "description": "from the file",
        "requirements": {"min_platform": {"7.0": "20200101T000000Z"}}, "tags": {"role": "os"},
        "users": [{"name": "root"}], "uuid": "11111111-2222-4333-8444-555555555555",
        "files": [{"sha1": "x", "size": 1, "compression": "gzip"}], "state": "unactivated"
    });
    std::fs::write(sample.join("base.json"), base.to_string()).expect("a file can be written");
    let pack = |dst: &str, more: &[&str]| {
        sample.run(&[&["pack", "-q", "tree", dst, "-m", "base.json"], more].concat())
    };
    pack("smartos:a.imgmanifest", &["--version", "2", "--tag", "n=5", "--owner", ORIGIN]).exits(0).quietly();
    let found = manifest(&sample, "a.imgmanifest");
    for field in ["name", "type", "os", "description", "requirements", "users", "uuid"] {
        assert_eq!(found[field], base[field], "{field}");
    }
    assert_eq!((&found["version"], &found["owner"]), (&json!("2"), &json!(ORIGIN)));
    assert_eq!((&found["tags"], found.get("state")), (&json!({"role": "os", "n": 5}), None));
    assert!(found["files"][0]["size"].as_u64() > Some(1));
    pack("smartos:b.imgmanifest", &["--os", "linux", "--type", "lx-dataset", "--description", "mine"])
        .exits(0);
    let found = manifest(&sample, "b.imgmanifest");
    assert_eq!((&found["os"], &found["type"]), (&json!("linux"), &json!("lx-dataset")));
    assert_eq!((&found["description"], &found["requirements"]["brand"]), (&json!("mine"), &json!("lx")));
    // Where OCI has a place for it, it is there.
    pack("oci:img:x", &["--name", "web"]).exits(0);
    let shown = sample.run(&["inspect", "--json", "oci:img:x"]).exits(0).out;
    assert!(shown.contains("\"org.opencontainers.image.title\":\"web\""), "{shown}");

    pack("smartos:c", &["--type", "zvol"]).exits(2).says("lx-dataset or other, not zvol");
    pack("smartos:c", &["--os", "beos"]).exits(2).says("smartos, linux");
    sample.run(&["pack", "tree", "smartos:c", "-m", "none.json"]).exits(3);
    std::fs::write(sample.join("bad.json"), "{\"name\":").expect("a file can be written");
    sample.run(&["pack", "tree", "smartos:c", "-m", "bad.json"]).exits(1).says("bad.json");
    std::fs::write(sample.join("bad.json"), "{\"name\":\"a:b\"}").expect("a file can be written");
    sample
        .run(&["pack", "tree", "smartos:c", "-m", "bad.json"])
        .exits(2)
        .says("imgadm would refuse the manifest");
    sample.run(&["pack", "oci:img:x", "smartos:c"]).exits(2).says("convert");
    sample.run(&["pack", "tree", "smartos:c", "-i"]).exits(2).says("of a clone");
    assert!(!sample.join("c").exists());
}

#[test]
fn what_is_excluded_is_not_in_it() {
    let sample = Sample::new();
    let args = [
        "pack",
        "tree",
        "smartos:out",
        "--exclude",
        "/etc/empty",
        "--exclude",
        "t[wx]in",
        "--exclude",
        "*.log",
    ];
    let done = sample.run(&args).exits(0).says("note: oddity: nothing is there to be excluded by \"*.log\"");
    assert!(done.out.contains("excluded: 2"), "{}", done.out);
    let listing = sample.run(&["ls", "--jsonl", "--placement", "top", "smartos:out"]).exits(0).out;
    assert!(
        listing.contains("root/bin/tool\"") && !listing.contains("empty") && !listing.contains("twin"),
        "{listing}"
    );
    let uuid = |name: &str| -> String {
        let path = crate::run::names(&sample.join(name)).into_iter().find(|n| n.ends_with("manifest"));
        manifest(&sample, &format!("{name}/{}", path.expect("one was written")))["uuid"].to_string()
    };
    sample.run(&["pack", "-q", "tree", "smartos:whole"]).exits(0);
    sample
        .run(&["pack", "-q", "tree", "smartos:again", "--exclude", "/etc/empty", "--exclude", "twin"])
        .exits(0);
    assert_ne!(uuid("out"), uuid("whole"));
    assert_eq!(uuid("out"), uuid("again"), "named by what it holds");
    sample.run(&["pack", "tree", "smartos:x", "--exclude", "[a"]).exits(2).says("has no end");
}

#[test]
fn datasets_are_packed() {
    let host = Host::new();
    host.run(&["pack", "-q", "dataset:tank/inc@a", "smartos:out", "--name", "z"]).exits(0);
    let file = format!("zfs:{}/inc-full-a.zfs.gz", corpus());
    host.run(&["convert", "-q", &file, "smartos:want", "--name", "z"]).exits(0);
    let read = |name: &str| crate::run::names(&host.sample.join(name));
    assert_eq!(read("out"), read("want"));
    host.run(&["diff", "-q", "smartos:out", "smartos:want"]).exits(0);
    // A pair is one layer: what changed, upon the first.
    host.run(&["convert", "-q", "dataset:tank/inc@a", "oci:first"]).exits(0);
    host.run(&["convert", "-q", "dataset:tank/inc@a..b", "oci:second"]).exits(0);
    let layers = |image: &str| documents(&host.sample, image).0["layers"].as_array().expect("layers").clone();
    let args = ["pack", "dataset:tank/inc@a..b", "oci:pair"];
    host.run(&args).exits(0).says("one layer, what changed between the snapshots");
    host.run(&["pack", "-q", "--base", "oci:first", "dataset:tank/inc@a..b", "oci:both"]).exits(0).quietly();
    assert_eq!(layers("both"), [layers("first"), layers("pair")].concat());
    host.run(&["diff", "--ignore", "root", "oci:both", "oci:second"]).exits(0);
    let done = host.run(&["pack", "--base", "oci:pair", "dataset:tank/inc@a..b", "oci:odd"]).exits(0);
    done.says("the base is not the first snapshot");
    host.fail("send");
    host.run(&["pack", "dataset:tank/inc@a", "smartos:none"]).exits(1).says("cannot send: injected");
    assert!(!host.sample.join("none").exists());
}

#[test]
fn what_lies_beside_root_of_a_zone_stays_there() {
    let host = Host::new();
    std::fs::create_dir_all(host.sample.join("zone/config")).expect("a directory can be made");
    std::fs::create_dir_all(host.sample.join("zone/root/etc")).expect("a directory can be made");
    std::fs::write(host.sample.join("zone/config/metadata.json"), "secret").expect("a file can be written");
    host.run(&["convert", "-q", "dir:zone", "zfs:zone.zfs"]).exits(0);
    let done = host.run(&["pack", "--strict", "zfs:zone.zfs", "smartos:out"]).exits(0);
    done.says("note: config: oddity: beside root/ of the zonepath, and left out");
    let listing = host.run(&["ls", "--jsonl", "--placement", "top", "smartos:out"]).exits(0).out;
    assert!(listing.contains("root/etc") && !listing.contains("config"), "{listing}");
}

#[test]
fn an_increment_is_the_systems_stream_under_the_images_name() {
    let host = Host::new();
    // The origin, as it is installed: its stream is the one that the clone's builds on.
    std::fs::create_dir(host.sample.join("images")).expect("a directory can be made");
    let file = std::fs::read(format!("{}/inc-full-a.zfs.gz", corpus())).expect("the corpus is there");
    std::fs::write(host.sample.join("images/base-1.zfs.gz"), &file).expect("a file can be written");
    let origin = json!({
        "v": 2, "uuid": ORIGIN, "name": "base", "version": "1", "type": "zone-dataset", "os": "illumos",
        "users": [{"name": "admin"}], "billing_tags": [], "traits": {"a": true},
        "files": [{"size": file.len(), "compression": "gzip",
                   "dataset_guid": "9623559476663768879"}]
    });
    std::fs::write(host.sample.join("images/base-1.imgmanifest"), origin.to_string())
        .expect("a file can be written");

    let pack = |dst: &str, more: &[&str]| {
        let first = ["pack", "-i", "dataset:tank/clone", dst, "--origin", "smartos:images", "--name", "top"];
        host.run(&[&first, more].concat())
    };
    pack("smartos:out/top.imgmanifest", &["--version", "2", "--max-origin-depth", "1"]).exits(0);
    let log = host.log();
    let sent = format!("send -i tank/{ORIGIN}@final tank/clone@TEMP");
    assert!(log.contains(&sent) && log.last().is_some_and(|l| l == "destroy tank/clone@TEMP"), "{log:?}");
    let found = manifest(&host.sample, "out/top.imgmanifest");
    for field in ["type", "os", "users", "traits"] {
        assert_eq!(found[field], origin[field], "{field}");
    }
    assert_eq!((&found["origin"], found.get("billing_tags")), (&json!(ORIGIN), None));
    assert_eq!(found["files"][0]["dataset_guid"], json!("581719088942506706"));
    let args = ["smartos:out/top.imgmanifest", "--origin", "smartos:images"];
    // All that is wrong is the origin, which is not as an image would be.
    let faults = host.run(&[&["verify"], &args[..]].concat()).exits(1).out;
    let mut about = faults.lines().filter(|line| line.contains(".imgmanifest"));
    assert!(about.all(|line| line.starts_with("images/base-1.imgmanifest: ")), "{faults}");
    let got = host.run(&[&["ls", "--jsonl"], &args[..]].concat()).exits(0).out;
    assert_eq!(got, host.run(&["ls", "-q", "--jsonl", "dataset:tank/inc@a..b"]).exits(0).out);
    let shown = host.run(&["inspect", "--quick", "zfs:out/top.zfs.gz"]).exits(0).out;
    let uuid = found["uuid"].as_str().expect("a text");
    assert!(shown.contains(&format!("stream zones/{uuid}@final:")), "{shown}");

    pack("smartos:deep", &["--max-origin-depth", "0"]).exits(1).says("--max-origin-depth");
    pack("smartos:x", &["--exclude", "a"]).exits(2).says("--exclude");
    pack("smartos:x", &["--type", "zvol"]).exits(2).says("not zvol");
    pack("smartos:x", &["--layers", "keep"]).exits(2).says("leave out --layers keep");
    host.run(&["pack", "-i", "dataset:tank/plain", "smartos:x"]).exits(2).says("no clone of an image");
    // Without a manifest its name tells which image it is.
    host.run(&["pack", "-i", "dataset:tank/clone", "smartos:bare", "--os", "illumos"])
        .exits(0)
        .says("is not known");
    let mut other = origin.clone();
    other["files"][0]["dataset_guid"] = json!("7");
    std::fs::write(host.sample.join("images/base-1.imgmanifest"), other.to_string())
        .expect("a file can be written");
    pack("smartos:x", &[]).exits(1).says("has the guid 7 by its manifest");
    std::fs::write(host.sample.join("images/base-1.imgmanifest"), origin.to_string())
        .expect("a file can be written");
    for verb in ["send", "snapshot", "list"] {
        host.log();
        host.fail(verb);
        pack("smartos:failed", &[]).exits(1).says(&format!("cannot {verb}: injected"));
        let log = host.log();
        let count = |word: &str| log.iter().filter(|line| line.starts_with(word)).count();
        assert_eq!(count("destroy"), usize::from(verb == "send"), "{log:?}");
    }
    let left = |name: &str| {
        host.sample.join(name).exists() && !crate::run::names(&host.sample.join(name)).is_empty()
    };
    assert!(!left("deep") && !left("x") && !left("failed"));
}

#[test]
fn what_is_packed_upon_a_base_is_one_layer_of_changes() {
    let sample = Sample::new();
    let read = |path: &str| std::fs::read_to_string(sample.join(path)).expect("it was written");
    sample
        .run(&[
            "pack", "-q", "tree", "oci:base", "--env", "A=1", "--cmd", "[\"sh\"]", "--label", "k=v",
            "--user", "7",
        ])
        .exits(0);
    sample.run(&["unpack", "-q", "oci:base", "work"]).exits(0);
    let write = |path: &str, text: &str| std::fs::write(sample.join(path), text).expect("it can be written");
    write("work/added", "new");
    write("work/a.log", "not this");
    let first =
        crate::run::names(&sample.join("work")).into_iter().find(|name| name != "added" && name != "a.log");
    let gone = format!("work/{}", first.expect("the sample has files"));
    let is_dir = sample.join(&gone).is_dir();
    if is_dir {
        std::fs::remove_dir_all(sample.join(&gone))
    } else {
        std::fs::remove_file(sample.join(&gone))
    }
    .expect("it can be removed");
    let pack = |dst: &str, more: &[&str]| {
        let fixed = ["pack", "--base", "oci:base", "--exclude", "*.log", "work", dst];
        sample.run(&[&fixed[..], more].concat())
    };
    let done = pack("oci:top", &["--env", "B=2", "--entrypoint", "run it"]).exits(0);
    assert_eq!((fact(&done.out, "layers"), fact(&done.out, "excluded")), ("2", "1"));
    sample.run(&["verify", "oci:top"]).exits(0);
    // The layer below is the base's to the byte; the one upon it has what changed, and nothing that was left out.
    let layers = |image: &str| documents(&sample, image).0["layers"].as_array().expect("layers").clone();
    assert_eq!((layers("top").len(), &layers("top")[0]), (2, &layers("base")[0]));
    let done = sample.run(&["ls", "--layer", "2", "--jsonl", "oci:top"]).exits(0);
    let changes = done.out.lines().filter(|line| !line.contains("\"path\":\".\"")).count();
    assert!(changes == 2 && done.out.contains("\"added\"") && done.out.contains("removed"), "{}", done.out);
    // Its config is the base's, but for what was said.
    let text = documents(&sample, "top").1.to_string();
    for part in ["A=1", "B=2", "/bin/sh", "run it", "\"k\"", "imageadm pack"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("\"Cmd\""), "{text}");
    // The same again is the same image; unpacked and packed once more, too.
    pack("oci:again", &["--env", "B=2", "--entrypoint", "run it"]).exits(0);
    assert_eq!(read("again/index.json"), read("top/index.json"));
    std::fs::remove_file(sample.join("work/a.log")).expect("it can be removed");
    sample.run(&["diff", "--ignore", "dir_mtime", "oci:top", "dir:work"]).exits(0);
    sample.run(&["unpack", "-q", "oci:top", "more"]).exits(0);
    sample
        .run(&[
            "pack",
            "-q",
            "--base",
            "oci:base",
            "more",
            "oci:third",
            "--env",
            "B=2",
            "--entrypoint",
            "run it",
        ])
        .exits(0);
    assert_eq!(read("third/index.json"), read("top/index.json"));
    // Onto a docker-archive, and into one.
    sample.run(&["pack", "-q", "tree", "docker-archive:old.tar"]).exits(0);
    sample
        .run(&["pack", "-q", "--base", "docker-archive:old.tar", "work", "docker-archive:new.tar"])
        .exits(0);
    sample.run(&["diff", "docker-archive:new.tar", "dir:work"]).exits(0);
    for (args, status, text) in [
        (["--base", "dir:tree", "work", "oci:x"], 2, "this is none"),
        (["--base", "oci:none", "work", "oci:x"], 3, "no such image"),
        (["--base", "oci:base", "work", "smartos:x"], 2, "`pack -i`"),
        (["--config", "none.json", "work", "oci:x"], 3, "no such image"),
        (["--expose", "0", "work", "oci:x"], 2, "1 to 65535"),
    ] {
        sample.run(&[&["pack"][..], &args].concat()).exits(status).says(text);
    }
    assert!(!sample.join("x").exists());
}

#[test]
fn images_say_what_a_config_and_source_date_epoch_say() {
    let sample = Sample::new();
    std::fs::write(
        sample.join("c.json"),
        r#"{"architecture":"arm64","os":"linux","config":{"Env":["X=1"]},"rootfs":{"type":"layers","diff_ids":["bad"]}}"#,
    )
    .expect("it can be written");
    let run = |epoch: &str, dst: &str| {
        sample.run_with(
            &["pack", "tree", dst, "--config", "c.json", "--rootless"],
            &[("SOURCE_DATE_EPOCH", epoch)],
        )
    };
    let done = run("1000000000", "oci:a").exits(0);
    assert_ne!(fact(&done.out, "times set to SOURCE_DATE_EPOCH"), "0");
    let text = documents(&sample, "a").1.to_string();
    for part in ["arm64", "X=1", "2001-09-09T01:46:40Z"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let listing = sample.run(&["ls", "--jsonl", "oci:a"]).exits(0).out.clone();
    for line in listing.lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        assert!(row["mtime_ns"].as_i64() <= Some(1_000_000_000_000_000_000), "{line}");
        assert_eq!((&row["uid"], &row["gid"]), (&json!(0), &json!(0)), "{line}");
    }
    // The files are newer at every run of this test, the image is not.
    run("1000000000", "oci:b").exits(0);
    let index = |dir: &str| std::fs::read(sample.join(dir).join("index.json")).expect("it was written");
    assert_eq!(index("a"), index("b"));
    run("soon", "oci:x").exits(2).says("SOURCE_DATE_EPOCH");
}

#[test]
fn a_base_keeps_what_it_says_and_what_is_excluded() {
    let sample = Sample::new();
    let settings = ["--env", "A=1", "--annotation", "k=v", "--platform", "linux/arm64"];
    sample.run(&[&["pack", "-q", "tree", "oci:base"][..], &settings].concat()).exits(0);
    sample.run(&["unpack", "-q", "oci:base", "work"]).exits(0);
    std::fs::remove_dir_all(sample.join("work/etc")).expect("it can be removed");
    let args =
        ["pack", "-q", "--base", "oci:base", "--exclude", "/etc/hosts", "--name", "web", "work", "oci:top"];
    sample.run(&args).exits(0);
    let (manifest, config) = documents(&sample, "top");
    assert_eq!((&config["architecture"], &config["config"]["Env"]), (&json!("arm64"), &json!(["A=1"])));
    assert_eq!(manifest["annotations"]["k"], json!("v"));
    // All else in the directory is gone.
    let done = sample.run(&["ls", "--jsonl", "oci:top"]).exits(0);
    let etc: Vec<&str> = done.out.lines().filter(|line| line.contains("\"etc")).collect();
    assert!(etc.len() == 2 && etc[1].contains("etc/hosts"), "{etc:?}");
    std::fs::write(sample.join("work/etc"), "a file").expect("it can be written");
    let args = ["pack", "--base", "oci:base", "--exclude", "/etc/hosts", "work", "oci:no"];
    sample.run(&args).exits(1).says("etc: ").says("no directory any more");
    // A config goes before the base's, which has the platform where it says none.
    std::fs::write(sample.join("c.json"), r#"{"config":{"Env":["C=3"]},"created":"2020-01-01T00:00:00Z"}"#)
        .expect("it can be written");
    sample.run(&["pack", "-q", "--base", "oci:base", "--config", "c.json", "tree", "oci:new"]).exits(0);
    let (_, config) = documents(&sample, "new");
    assert_eq!((&config["architecture"], &config["config"]["Env"]), (&json!("arm64"), &json!(["C=3"])));
    // What is said counts for more than what the surroundings say.
    let args = ["pack", "-q", "tree", "oci:dated", "--created", "2026-01-31T12:00:00Z"];
    sample.run_with(&args, &[("SOURCE_DATE_EPOCH", "1000")]).exits(0);
    assert_eq!(documents(&sample, "dated").1["created"], json!("2026-01-31T12:00:00Z"));
    sample.run(&["pack", "tree", "tar:x", "--env", "A=1"]).exits(2).says("says nothing");
    sample
        .run(&["pack", "tree", "oci:x", "--uid-map", "0:5:1", "--uid-map", "1:5:10"])
        .exits(2)
        .says("overlap");
}
