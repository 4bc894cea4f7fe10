//! `migrate`: plans, runs of them, and what their journals tell.

use std::path::Path;

use crate::fault_server::FaultServer;
use crate::http::Fault;
use crate::run::{Done, Sample};

const BASE: &str = "a0000000-0000-4000-8000-000000000001";
const MIDDLE: &str = "b0000000-0000-4000-8000-000000000002";
const TOP: &str = "c0000000-0000-4000-8000-000000000003";
const OTHER: &str = "d0000000-0000-4000-8000-000000000004";
const DISK: &str = "e0000000-0000-4000-8000-000000000005";

fn stream(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/zfs").join(format!("{name}.zfs.gz"));
    std::fs::read(path).expect("the corpus is there")
}

fn manifest(uuid: &str, name: &str, version: &str, origin: Option<&str>, size: usize) -> serde_json::Value {
    let mut manifest = serde_json::json!({
        "v": 2, "uuid": uuid, "owner": "00000000-0000-0000-0000-000000000000", "name": name, "version": version,
        "state": "active", "disabled": false, "public": true, "published_at": "2024-05-06T07:08:09Z",
        "type": if uuid == DISK { "zvol" } else { "zone-dataset" }, "os": "smartos",
        "files": [{"size": size, "compression": "gzip"}],
    });
    if let Some(origin) = origin {
        manifest["origin"] = origin.into();
    }
    manifest
}

/// A chain of three that kernels made, another image of the same name and version, and a disk.
const IMAGES: [(&str, &str, &str, Option<&str>, &str); 5] = [
    (BASE, "web", "1", None, "inc-full-a"),
    (MIDDLE, "web", "2", Some(BASE), "inc-i-a-b"),
    (TOP, "top", "1", Some(MIDDLE), "inc-i-b-c"),
    (OTHER, "web", "1", None, "hello"),
    (DISK, "disk", "1", None, "vol8k-full"),
];

/// SHA-1 of their files.
const SHA1: [&str; 5] = [
    "f49eee7d2b347f302355743b6e16f0c189558224",
    "4f37eb1b95df9fbb32372599ce158e573d694a00",
    "7736e745dd9b9c9c803dfc89085a6f797b7442b0",
    "c6843d72b86a301012a1404df73089a104d79606",
    "3fb37b4bea63ae8511106d8e9ad642cca00f6548",
];

/// They in the folder `images`.
fn folder() -> Sample {
    let sample = Sample::new();
    std::fs::create_dir(sample.join("images")).expect("the sample can be written");
    for (uuid, name, version, origin, file) in IMAGES {
        let bytes = stream(file);
        let manifest = manifest(uuid, name, version, origin, bytes.len()).to_string();
        std::fs::write(sample.join(&format!("images/{uuid}.zfs.gz")), bytes)
            .expect("the sample can be written");
        std::fs::write(sample.join(&format!("images/{uuid}.imgmanifest")), manifest)
            .expect("the sample can be written");
    }
    sample
}

#[track_caller]
fn migrate(sample: &Sample, args: &[&str]) -> Done {
    let args: Vec<&str> = ["--store", "s", "migrate"].iter().chain(args).copied().collect();
    sample.run(&args)
}

#[track_caller]
fn json(done: &Done) -> serde_json::Value {
    serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {}", done.out))
}

fn read(sample: &Sample, name: &str) -> serde_json::Value {
    let bytes = std::fs::read(sample.join(name)).expect("it was written");
    serde_json::from_slice(&bytes).expect("it is JSON")
}

/// Names and digests of a layout.
fn names(sample: &Sample, layout: &str) -> Vec<(String, String)> {
    let index = read(sample, &format!("{layout}/index.json"));
    let name = |m: &serde_json::Value| {
        let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
        (text(&m["annotations"]["org.opencontainers.image.ref.name"]), text(&m["digest"]))
    };
    let mut names: Vec<_> = index["manifests"].as_array().into_iter().flatten().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_folder_becomes_a_layout_once() {
    let sample = folder();
    let done = migrate(&sample, &["plan", "smartos:images", "oci:out", "-o", "plan.json"]).exits(0).quietly();
    assert!(done.out.contains("images:        5 images\n"), "{}", done.out);
    let plan = read(&sample, "plan.json");
    let field = |at: usize, key: &str| plan["images"][at][key].as_str().unwrap_or_default().to_owned();
    let order: Vec<String> = (0..5).map(|at| field(at, "id")).collect();
    let place = |uuid: &str| order.iter().position(|id| id == uuid);
    assert!(place(BASE) < place(MIDDLE) && place(MIDDLE) < place(TOP), "{order:?}");
    let other = place(OTHER).expect("it is planned");
    assert_eq!(field(other, "to"), "oci:out:web:1-d0000000", "the second of that name is told apart");
    assert_eq!(field(place(DISK).expect("it is planned"), "how"), "artifact");
    // The same again is the same bytes.
    let first = std::fs::read(sample.join("plan.json")).expect("it was written");
    let again = migrate(&sample, &["plan", "smartos:images", "oci:out"]).exits(0).quietly();
    assert_eq!(again.out.as_bytes(), first);

    let done = migrate(&sample, &["run", "plan.json", "--dry-run"]).exits(0).quietly();
    assert!(done.out.contains("to do:        5\n"), "{}", done.out);
    assert_eq!(sample.names(), ["images", "plan.json"]);
    let done = json(&migrate(&sample, &["run", "plan.json", "--json", "--jobs", "2"]).exits(0).quietly());
    assert_eq!((&done["done"], &done["failed"], &done["left"]), (&5.into(), &0.into(), &0.into()), "{done}");
    let found = names(&sample, "out");
    assert_eq!(found.len(), 10, "{found:?}");
    let digest = |name: &str| found.iter().find(|(n, _)| n == name).map(|(_, digest)| digest.clone());
    assert_eq!(digest("web:1"), digest(&format!("web:{BASE}")));

    // Alone it becomes the same.
    let top = format!("smartos:images/{TOP}.imgmanifest");
    sample.run(&["convert", "-q", "--layers", "keep", &top, "oci:alone:x"]).exits(0);
    assert_eq!(digest("top:1"), Some(names(&sample, "alone")[0].1.clone()));
    assert_eq!(
        sample.run(&["ls", "--jsonl", "oci:out:top:1"]).exits(0).out,
        sample.run(&["ls", "--jsonl", &top]).exits(0).out
    );
    // A layer for each image of the chain.
    let layers = |name: &str| {
        digest(name).map(|digest| {
            let blob = read(&sample, &format!("out/blobs/{}", digest.replace(':', "/")));
            blob["layers"].as_array().map(Vec::len)
        })
    };
    assert_eq!((layers("web:1"), layers("top:1")), (Some(Some(1)), Some(Some(3))));

    let done = json(&migrate(&sample, &["run", "plan.json", "--json"]).exits(0).quietly());
    assert_eq!((&done["done"], &done["there"]), (&0.into(), &5.into()), "{done}");
    let status = json(&migrate(&sample, &["status", "plan.json", "--json"]).exits(0));
    assert_eq!((&status["done"], &status["runs"]), (&5.into(), &2.into()), "{status}");
    // With and without the journal, which is derived.
    std::fs::remove_dir_all(sample.join("s")).expect("it is ours");
    let done = json(&migrate(&sample, &["run", "plan.json", "--json"]).exits(0));
    assert_eq!((&done["done"], &done["there"]), (&0.into(), &5.into()), "{done}");
    sample.run(&["--store", "s", "fsck"]).exits(0);
    let again = migrate(&sample, &["plan", "smartos:images", "oci:out"]).exits(0);
    assert_eq!(again.out.matches("\"done\"").count(), 5);

    migrate(&sample, &["report", "plan.json", "--html", "r.html"]).exits(0).prints_nothing();
    let page = std::fs::read_to_string(sample.join("r.html")).expect("it was written");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("oci:out:top:1"), "{page}");
}

#[test]
fn what_is_damaged_is_reported_and_hinders_nobody_else() {
    let sample = folder();
    let path = sample.join(&format!("images/{MIDDLE}.zfs.gz"));
    let whole = std::fs::read(&path).expect("it was written");
    let mut torn = whole.clone();
    let at = torn.len() / 2;
    torn[at] ^= 0x10;
    std::fs::write(&path, &torn).expect("the sample can be written");
    migrate(&sample, &["plan", "smartos:images", "oci:out", "-o", "plan.json"]).exits(0);
    let done = migrate(&sample, &["run", "plan.json", "--jsonl", "--jobs", "2"])
        .exits(1)
        .says("failed: web 2: ")
        .says("what it builds on was not migrated");
    assert_eq!(done.out.lines().count(), 5, "a line each: {}", done.out);
    let report = json(&migrate(&sample, &["report", "plan.json", "--json"]).exits(0));
    assert_eq!(report["totals"]["done"], 3, "{report}");
    assert_eq!(
        report["failures"],
        serde_json::json!([{"cause": "damaged", "count": 1}, {"cause": "origin", "count": 1}])
    );
    // Again and again it would be the same: only retry tries.
    std::fs::write(&path, &whole).expect("the sample can be written");
    let done = json(&migrate(&sample, &["run", "plan.json", "--json"]).exits(1));
    assert_eq!((&done["done"], &done["there"], &done["failed"]), (&0.into(), &3.into(), &2.into()), "{done}");
    let done = json(&migrate(&sample, &["retry", "plan.json", "--json"]).exits(0));
    assert_eq!((&done["done"], &done["there"], &done["failed"]), (&2.into(), &3.into(), &0.into()), "{done}");

    // What fails first ends the run, if that is wanted.
    std::fs::write(sample.join(&format!("images/{BASE}.zfs.gz")), b"no").expect("the sample can be written");
    let args = ["plan", "smartos:images", "oci:second", "-o", "plan.json", "--filter", "name=~web"];
    migrate(&sample, &args).exits(0);
    let done = migrate(&sample, &["run", "plan.json", "--json", "--fail-fast", "--jobs", "1"]).exits(1);
    assert!(
        json(&done)["left"].as_u64() > Some(0) || json(&done)["failed"].as_u64() > Some(1),
        "{}",
        done.out
    );
    done.says("stopped at the first failure");
}

#[test]
fn what_has_a_name_already_keeps_it() {
    let sample = folder();
    sample.run(&["convert", "-q", "dir:tree", "oci:out:web:1"]).exits(0);
    let before = names(&sample, "out");
    let plan = migrate(&sample, &["plan", "smartos:images", "oci:out", "--filter", "name=web"]).exits(0).out;
    assert!(plan.contains("can't be done: something else has its name there: sha256:"), "{plan}");
    std::fs::write(sample.join("plan.json"), &plan).expect("the sample can be written");
    let done =
        migrate(&sample, &["run", "plan.json", "--json"]).exits(1).says("something else has its name there");
    let done = json(&done);
    // What builds on it goes with it; the other image of that name has another one.
    assert_eq!((&done["done"], &done["failed"]), (&1.into(), &2.into()), "{done}");
    let after = names(&sample, "out");
    assert!(before.iter().all(|name| after.contains(name)), "{after:?}");
    // Under another name it has a place.
    let edited = plan.replace("oci:out:web:1\"", "oci:out:web:first\"");
    std::fs::write(sample.join("plan.json"), edited).expect("the sample can be written");
    let done = json(&migrate(&sample, &["retry", "plan.json", "--json"]).exits(0));
    assert_eq!((&done["done"], &done["there"]), (&2.into(), &1.into()), "{done}");

    // Of files and streams, too.
    let taken = ["files/web-1.imgmanifest", "streams/web-1.zfs"];
    for (folder, file) in ["files", "streams"].into_iter().zip(taken) {
        std::fs::create_dir(sample.join(folder)).expect("the sample can be written");
        std::fs::write(sample.join(file), "mine").expect("the sample can be written");
    }
    for (name, target) in [("f.json", "smartos:files"), ("z.json", "zfs:streams")] {
        migrate(&sample, &["plan", "smartos:images", target, "-o", name, "--filter", "name=web"]).exits(0);
        migrate(&sample, &["run", name]).exits(1).says("something else has its name there");
    }
    for file in taken {
        assert_eq!(std::fs::read(sample.join(file)).expect("it is there"), b"mine");
    }
}

#[test]
fn an_image_that_is_not_the_planned_one_any_more_is_left_alone() {
    let sample = folder();
    let path = sample.join(&format!("images/{OTHER}.imgmanifest"));
    let text = std::fs::read_to_string(&path).expect("it was written");
    let with = |sha1: &str| text.replace("\"compression\"", &format!("\"sha1\":\"{sha1}\",\"compression\""));
    std::fs::write(&path, with(&"0".repeat(40))).expect("the sample can be written");
    let args = [
        "plan",
        "smartos:images",
        "oci:out",
        "-o",
        "plan.json",
        "--filter",
        "version=1",
        "--filter",
        "name=web",
    ];
    migrate(&sample, &args).exits(0);
    std::fs::write(&path, text).expect("the sample can be written");
    migrate(&sample, &["run", "plan.json"])
        .exits(1)
        .says("not the image of the plan any more: SHA-1 was 0000");
}

#[test]
fn filters_names_and_dates_choose() {
    let sample = folder();
    let ids = |more: &[&str]| -> Vec<String> {
        let args: Vec<&str> = ["plan", "smartos:images", "docker://localhost:1/x"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        // Nobody is there to be asked what it has.
        migrate(&sample, &args).exits(1).says("localhost:1");
        let args: Vec<&str> =
            ["plan", "smartos:images", "zfs:out"].into_iter().chain(more.iter().copied()).collect();
        let plan = json(&migrate(&sample, &args).exits(0));
        let images = plan["images"].as_array().cloned().unwrap_or_default();
        images.iter().map(|image| image["id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(ids(&["--filter", "type=zvol", "--filter", "name=~is"]), [DISK]);
    let args =
        ["plan", "smartos:images", "zfs:out", "--filter", "name=top", "--as", "x/{name}:{date}-{short}"];
    let plan = json(&migrate(&sample, &args).exits(0));
    assert_eq!(plan["images"].as_array().map(Vec::len), Some(3), "with what it builds on: {plan}");
    assert_eq!(plan["images"][0]["needed_only"], true);
    assert_eq!(plan["images"][2]["to"], "zfs:out/x-top-20240506-c0000000.zfs");
    for (more, says) in [
        (["--since", "2024-05-07"], "0"),
        (["--until", "2024-05-06"], "5"),
        (["--since", "2024-05-06T07:08:09Z"], "5"),
    ] {
        let args: Vec<&str> = ["plan", "smartos:images", "zfs:out"].into_iter().chain(more).collect();
        let plan = json(&migrate(&sample, &args).exits(0));
        assert_eq!(plan["images"].as_array().map(Vec::len), says.parse().ok(), "{more:?}");
    }
    migrate(&sample, &["plan", "smartos:images", "zfs:out", "--as", "{colour}:x"]).exits(2).says("{colour}");
    migrate(&sample, &["plan", "smartos:images", "tar:out"]).exits(2).says("not a place for images");
    migrate(&sample, &["plan", "nowhere", "oci:out"]).exits(2).says("not a source of images");
    migrate(&sample, &["plan", "smartos:nowhere", "oci:out"]).exits(3).says("no directory");
}

#[test]
fn every_kind_of_target_takes_them() {
    let sample = folder();
    let one = |name: &str, target: &str, more: &[&str]| {
        let plan = format!("{name}.json");
        let args = ["plan", "smartos:images", target, "-o", &plan];
        migrate(&sample, &args.iter().chain(more).copied().collect::<Vec<_>>()).exits(0);
        for (done, there) in [(5, 0), (0, 5)] {
            let summary = json(&migrate(&sample, &["run", &plan, "--json"]).exits(0));
            assert_eq!((&summary["done"], &summary["there"]), (&done.into(), &there.into()), "{summary}");
        }
    };
    one("files", "smartos:files", &[]);
    one("streams", "zfs:streams", &[]);
    one("zstd", "oci:zstd", &["--compress", "zstd:3"]);
    let want = sample.run(&["ls", "--jsonl", &format!("smartos:images/{TOP}.imgmanifest")]).exits(0).out;
    for name in ["smartos:files/top-1.imgmanifest", "zfs:streams/top-1.zfs", "oci:zstd:top:1"] {
        assert_eq!(sample.run(&["ls", "--jsonl", name]).exits(0).out, want, "{name}");
    }
    let disk = std::fs::read(sample.join("files/disk-1.zvol.gz")).expect("it was copied");
    assert_eq!(disk, stream("vol8k-full"));
    // And on from there, with the bytes that they have.
    let args = ["plan", "oci:zstd", "oci:copied", "-o", "copy.json"];
    migrate(&sample, &args).exits(0);
    migrate(&sample, &["run", "copy.json", "-q"]).exits(0).quietly().prints_nothing();
    assert_eq!(names(&sample, "zstd"), names(&sample, "copied"));
}

#[test]
fn an_image_server_is_asked_for_each_file_once() {
    let sample = Sample::new();
    let server = FaultServer::new();
    for ((uuid, name, version, origin, file), sha1) in IMAGES.into_iter().zip(SHA1) {
        let bytes = stream(file);
        let mut manifest = manifest(uuid, name, version, origin, bytes.len());
        manifest["files"][0]["sha1"] = sha1.into();
        server.add(uuid, manifest.to_string(), bytes);
    }
    let source = format!("imgapi:{}", server.url());
    migrate(&sample, &["plan", &source, "oci:out", "-o", "plan.json"]).exits(0);
    // Who is not let in any more has to be told, and goes on afterwards.
    server.next(&format!("/images/{MIDDLE}/file"), [Fault::Status(403, &[], "no")]);
    let done = migrate(&sample, &["run", "plan.json", "--json", "--jobs", "1"])
        .exits(1)
        .says("the same command again");
    assert!(json(&done)["left"].as_u64() > Some(0), "{}", done.out);
    let done = json(&migrate(&sample, &["run", "plan.json", "--json", "--jobs", "1"]).exits(0).quietly());
    assert_eq!(done["there"].as_u64().zip(done["done"].as_u64()).map(|(a, b)| a + b), Some(5), "{done}");
    let status = json(&migrate(&sample, &["status", "plan.json", "--json"]).exits(0));
    assert_eq!((&status["done"], &status["failed"]), (&5.into(), &0.into()), "{status}");
}

#[test]
fn plans_that_cannot_be_run_are_told_from_damaged_journals() {
    let sample = folder();
    migrate(&sample, &["run", "nowhere.json"]).exits(3).says("no plan: nowhere.json");
    std::fs::write(sample.join("bad.json"), "{}").expect("the sample can be written");
    migrate(&sample, &["run", "bad.json"]).exits(1).says("bad.json").says("`kind` must be").says("help: ");
    migrate(&sample, &["plan", "smartos:images", "oci:out", "-o", "plan.json"]).exits(0);
    std::fs::create_dir(sample.join("j")).expect("the sample can be written");
    std::fs::write(sample.join("j/journal.jsonl"), "rubbish\n").expect("the sample can be written");
    let args = ["run", "plan.json", "--journal", "j"];
    migrate(&sample, &args).exits(1).says("line 1 at byte 0x0 is no record").says("finds what is done");
    // A torn line is none: it was never told to anybody.
    std::fs::write(sample.join("j/journal.jsonl"), "rubbish").expect("the sample can be written");
    migrate(&sample, &args).exits(0);
}
