//! Documents, whole and wrong.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn process(member: &str, value: Value) -> Value {
    let mut document = json!({ "process": { "args": ["sh"], "cwd": "/", "user": { "uid": 1, "gid": 2 } } });
    document["process"][member] = value;
    document
}

fn units(units: Value) -> Value {
    json!({ "aurora": { "units": units } })
}

fn unit(member: &str, value: Value) -> Value {
    let mut unit = json!({ "name": "db", "type": "daemon", "args": ["db"] });
    unit[member] = value;
    units(json!([unit]))
}

fn hook(hook: Value) -> Value {
    json!({ "hooks": { "startContainer": [hook] }, "aurora": { "state": { "id": "c" } } })
}

#[test]
fn hooks_come_first() {
    let mut document = hook(json!({ "path": "/a", "args": ["b", "c"], "timeout": 5 }));
    document["hooks"]["startContainer"].as_array_mut().unwrap().push(json!({ "path": "/d" }));
    document["process"] = process("cwd", json!("/"))["process"].clone();
    document["aurora"]["units"] = json!([{ "name": "u", "type": "daemon", "args": ["x"] }]);
    let units = Config::of_value(document).unwrap().units;
    let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(names, ["main", "hook-0", "hook-1", "u"]);
    let requires: Vec<&[usize]> = units.iter().map(|unit| &unit.requires[..]).collect();
    assert_eq!(requires, [&[2][..], &[], &[1], &[2]]);
    assert_eq!((units[1].program.executable(), units[1].program.args.len()), ("/a".as_ref(), 2));
    assert_eq!(units[1].run_timeout, Some(Duration::from_secs(5)));
    assert_eq!(units[2].program.args, ["/d"]);
    assert_eq!(units[2].input.as_deref(), Some(&br#"{"id":"c","status":"created"}"#[..]));
}

#[test]
fn what_is_not_said() {
    let config = Config::of_value(json!({
        "ociVersion": "1.2.0",
        "linux": { "namespaces": [] },
        "process": { "args": ["sh", "-c", "x"], "env": ["A=1", "B=x=y"], "cwd": "/srv", "user": { "uid": 1, "gid": 2 } },
        "aurora": { "units": [{ "name": "db", "type": "daemon", "args": ["db"] }] },
    }))
    .unwrap();
    assert_eq!(config.main, Some(0));
    let [main, db] = &config.units[..] else { panic!("{}", config.units.len()) };
    assert_eq!((main.name.as_str(), main.kind, main.restart), ("main", Kind::Main, Restart::Never));
    assert_eq!((db.name.as_str(), db.kind, db.restart), ("db", Kind::Daemon, Restart::Always));
    let env = Some(vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "x=y".to_owned())]);
    assert_eq!((&main.program.env, &db.program.env), (&env, &env));
    assert_eq!(main.program.cwd.as_deref(), Some(c"/srv"));
    assert_eq!(db.program.cwd.as_deref(), Some(c"/"));
    assert_eq!(db.program.user, UserOf::Podinit);
    assert_eq!((db.stop.signal.to_string(), db.stop.timeout), ("TERM".to_owned(), Duration::from_secs(10)));
    assert_eq!(config.run_dir.as_deref(), Some("/.aurora-run".as_ref()));
}

#[test]
fn a_pod_has_no_main_unit() {
    let config = Config::of_value(unit("restart", json!("on-failure"))).unwrap();
    assert_eq!((config.main, config.units.len()), (None, 1));
    assert_eq!(config.units[0].program.env, None);
}

#[test]
fn everything_that_can_be_said() {
    let config = Config::of_value(units(json!([
        { "name": "one", "type": "oneshot", "args": ["x"], "restart": "on-failure" },
        {
            "name": "all", "type": "daemon", "args": ["x"], "env": [], "cwd": "/a", "user": "web:log", "root": "/pods/a",
            "umask": 18, "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1, "hard": u64::MAX }],
            "after": ["one"], "requires": ["one"], "restart": "never",
            "backoff": { "min": "1s", "max": "2m", "reset": "1h" }, "stop": { "signal": "SIGINT", "timeout": "0ms" },
            "ready": { "file": "/run/x", "timeout": "5s" }, "reload": "USR2", "log": { "file": "/var/log/all" }
        }
    ])))
    .unwrap();
    let all = &config.units[1];
    assert_eq!((&all.after[..], &all.requires[..]), (&[0][..], &[0][..]));
    assert_eq!(all.program.user, UserOf::Name("web:log".to_owned()));
    assert_eq!(all.program.rlimits[0].1.maximum, None);
    assert_eq!(all.backoff.max, Duration::from_secs(120));
    assert_eq!(all.ready, Ready::File("/run/x".into()));
    assert_eq!(all.ready_timeout, Duration::from_secs(5));
    assert_eq!(all.log, Log::File("/var/log/all".into()));
}

#[test]
fn wrong_documents() {
    let cases = [
        (process("args", json!([])), "process.args: there is nothing to run"),
        (process("args", json!([""])), "process.args: the program has no name"),
        (process("args", json!(["a\0b"])), "process.args: a zero byte in it: \"a\\0b\""),
        (process("env", json!(["=x"])), "process.env: not NAME=VALUE: \"=x\""),
        (process("env", json!(["x"])), "process.env: not NAME=VALUE: \"x\""),
        (process("cwd", json!("srv")), "process.cwd: not an absolute path: \"srv\""),
        (
            process("rlimits", json!([{ "type": "RLIMIT_FUN", "soft": 1, "hard": 1 }])),
            "process.rlimits: this system has no such limit: \"RLIMIT_FUN\"",
        ),
        (
            process("rlimits", json!([{ "type": "RLIMIT_CPU", "soft": 2, "hard": 1 }])),
            "process.rlimits: RLIMIT_CPU: soft is above hard (1): 2",
        ),
        (
            process(
                "rlimits",
                json!([{ "type": "RLIMIT_CPU", "soft": 1, "hard": 1 }, { "type": "RLIMIT_CPU", "soft": 1, "hard": 1 }]),
            ),
            "process.rlimits: twice: \"RLIMIT_CPU\"",
        ),
        (process("selinuxLabel", json!("x")), "process.selinuxLabel: podinit can't apply it"),
        (process("oomScoreAdj", json!(0)), "process.oomScoreAdj: podinit can't apply it"),
        (hook(json!({ "path": "x" })), "hooks.startContainer: not an absolute path: \"x\""),
        (hook(json!({ "path": "/x", "timeout": 0 })), "hooks.startContainer: a timeout of no seconds"),
        (hook(json!({ "path": "/x", "env": ["x"] })), "hooks.startContainer.env: not NAME=VALUE: \"x\""),
        (
            json!({ "hooks": { "startContainer": [{ "path": "/x" }] } }),
            "aurora.state: hooks read it, and it is missing",
        ),
        (unit("timeout", json!("1s")), "aurora.units: db.timeout: only what runs once has a time to end"),
        (json!({ "aurora": { "runDir": "run" } }), "aurora.runDir: not an absolute path: run"),
        (
            json!({ "aurora": { "extra": 1 } }),
            "unknown field `extra`, expected one of `main`, `units`, `configmaps`, `runDir`, `console`, `stdio`, `once`, `halt`, `state`",
        ),
        (unit("name", json!("")), "aurora.units: not a name of letters, digits, '_', '.' and '-': \"\""),
        (
            unit("name", json!("a/b")),
            "aurora.units: not a name of letters, digits, '_', '.' and '-': \"a/b\"",
        ),
        (unit("name", json!("main")), "aurora.units: the name is taken: \"main\""),
        (unit("root", json!("pods")), "aurora.units: db.root: not an absolute path: pods"),
        (unit("after", json!(["db"])), "aurora.units: db.after: a unit can't come after itself: \"db\""),
        (unit("requires", json!(["x"])), "aurora.units: db.requires: no such unit: \"x\""),
        (unit("backoff", json!({ "min": "0ms" })), "aurora.units: db.backoff: min is zero or above max"),
        (unit("backoff", json!({ "min": "2m" })), "aurora.units: db.backoff: min is zero or above max"),
        (unit("ready", json!({})), "aurora.units: db.ready: not one of notify and an absolute path as file"),
        (
            unit("ready", json!({ "file": "x" })),
            "aurora.units: db.ready: not one of notify and an absolute path as file",
        ),
        (
            json!({ "aurora": { "console": "/dev/console", "stdio": "/x" } }),
            "aurora.stdio: there is a console already",
        ),
        (unit("stop", json!({ "signal": "NOPE" })), "no such signal: \"NOPE\""),
        (unit("log", json!({ "file": "x" })), "aurora.units: db.log: not an absolute path: x"),
        (unit("umask", json!(512)), "aurora.units: db.umask: umask above 0777: 0o1000"),
        (
            units(json!([{ "name": "a", "type": "oneshot", "args": ["x"], "restart": "always" }])),
            "aurora.units: a.restart: what runs once is not started again when it has ended well",
        ),
        (
            units(json!([{ "name": "a", "type": "oneshot", "args": ["x"], "ready": { "notify": true } }])),
            "aurora.units: a.ready: what runs once is ready when it has ended well",
        ),
        (
            units(json!([
                { "name": "d", "type": "daemon", "args": ["x"], "after": ["a"] },
                { "name": "a", "type": "daemon", "args": ["x"], "after": ["b"] },
                { "name": "b", "type": "daemon", "args": ["x"], "requires": ["c"] },
                { "name": "c", "type": "daemon", "args": ["x"], "after": ["a"] },
            ])),
            "aurora.units: units that wait for one another: a after b after c after a",
        ),
    ];
    for (document, want) in cases {
        let text = document.to_string();
        assert_eq!(Config::of_value(document).err().as_deref(), Some(want), "{text}");
    }
}

#[test]
fn files_that_are_none() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    let pipe = at("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    std::fs::write(at("bad"), "{").unwrap();
    std::fs::File::create(at("large")).unwrap().set_len(MAX_DOCUMENT + 1).unwrap();
    for (name, want) in [
        ("none", "can't read {}: No such file or directory (os error 2)"),
        ("pipe", "{}: not a regular file"),
        ("bad", "{}: EOF while parsing an object at line 1 column 1"),
        ("large", "{}: larger than 4194304 bytes"),
    ] {
        let want = want.replace("{}", &at(name).display().to_string());
        assert_eq!(Config::read(&at(name)).err().map(|e| e.to_string()), Some(want));
    }
}

fn full() -> Value {
    json!({
        "hostname": "h",
        "process": {
            "args": ["x", "y"], "cwd": "/", "env": ["A=1"], "user": { "uid": 1, "gid": 2, "additionalGids": [3] },
            "rlimits": [{ "type": "RLIMIT_CPU", "soft": 1, "hard": 2 }], "capabilities": { "bounding": ["CAP_KILL"] }
        },
        "hooks": { "startContainer": [] },
        "aurora": {
            "main": { "after": ["a"], "requires": ["b"], "stop": { "signal": "INT", "timeout": "1s" } },
            "units": [
                { "name": "a", "type": "daemon", "args": ["x"], "user": "u:g", "ready": { "file": "/f" } },
                { "name": "b", "type": "oneshot", "args": ["x"], "after": ["a"], "root": "/r", "log": { "file": "/l" } }
            ],
            "configmaps": [{ "directory": "/d", "files": { "f": { "format": "json", "data": 1, "owner": "0:0" } } }],
            "runDir": "/run", "console": "/dev/console"
        }
    })
}

/// All places in a value, as JSON pointers (RFC 6901).
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            places(value, &format!("{at}/{key}"), out);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| places(value, &format!("{at}/{n}"), out));
        }
        _ => {}
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let words =
        ["main", "a", "b", "always", "daemon", "/", "", "1s", "TERM", "A=", "x\0y", "..", "RLIMIT_NOFILE"];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
        proptest::sample::select(words.to_vec()).prop_map(|word| json!([word, word])),
        proptest::sample::select(words.to_vec()).prop_map(|word| json!({ word: word })),
    ]
}

proptest! {
    /// Whatever stands where: an error, or units that can be started.
    #[test]
    fn documents_with_anything_in_them(changes in proptest::collection::vec((any::<u16>(), anything()), 0..3)) {
        let mut document = full();
        for (place, value) in changes {
            let mut all = Vec::new();
            places(&document, "", &mut all);
            *document.pointer_mut(&all[usize::from(place) % all.len()]).unwrap() = value;
        }
        match Config::of_value(document) {
            Ok(config) => {
                prop_assert!(config.units.iter().all(|u| u.comes_after().all(|n| n < config.units.len())));
                prop_assert!(config.units.iter().all(|u| !u.program.args[0].is_empty()));
                // Refused or rendered; without panic, that is.
                let _ = crate::configmap::render(&config.config_maps);
            }
            Err(message) => prop_assert!(!message.is_empty()),
        }
    }
}
