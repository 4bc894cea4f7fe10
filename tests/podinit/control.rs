//! Requests over the socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{Running, plain, write};

/// Connects, and goes on when something has been put at the other end.
struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(run_dir: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(run_dir.join("podinit.sock")).unwrap()))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next answer; null when the connection has ended.
    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        if line.is_empty() { Value::Null } else { serde_json::from_str(&line).unwrap() }
    }
}

/// One request, one answer.
pub(crate) fn ask(run_dir: &Path, line: &str) -> Value {
    let mut client = Client::connect(run_dir);
    client.send(&format!("{line}\n"));
    client.answer()
}

const RUNS: &str = "trap 'echo $0 ends; exit 0' TERM; trap 'echo $0 reloads' HUP; trap 'echo $0 usr1' USR1; \
    echo $0; while :; do sleep 0.01; done";

/// A main program and two units, all running.
fn start(dir: &TempDir) -> Running {
    let unit = |name: &str, more: Value| {
        let mut unit = json!({ "name": name, "type": "daemon", "args": ["sh", "-c", RUNS, name] });
        unit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        unit
    };
    let document = json!({
        "process": { "args": ["sh", "-c", RUNS, "main"], "cwd": "/", "env": ["PATH=/usr/bin:/bin"] },
        "aurora": {
            "main": { "after": ["web"] },
            "units": [
                unit("db", json!({})),
                unit("web", json!({ "requires": ["db"] })),
                { "name": "crash", "type": "daemon", "args": ["sh", "-c", "exit 3"], "after": ["main"], "restart": "never" },
            ],
            "configmaps": [{ "directory": dir.path().join("etc"), "files": { "a": { "format": "text", "data": "1" } } }],
            "runDir": dir.path(),
        }
    });
    let mut init = Running::start(&["--config", &write(dir.path(), &document)]);
    let mut lines = [init.line(), init.line(), init.line()];
    lines.sort();
    assert_eq!(lines, ["db", "main", "web"]);
    while !states(dir.path()).contains(&"crash failed".to_owned()) {}
    init
}

fn states(dir: &Path) -> Vec<String> {
    let answer = ask(dir, r#"{"op":"status"}"#);
    let units = answer["units"].as_array().unwrap();
    units
        .iter()
        .map(|u| format!("{} {}", u["name"].as_str().unwrap(), u["state"].as_str().unwrap()))
        .collect()
}

#[test]
fn units_are_stopped_started_and_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let mut init = start(&dir);
    let ok = json!({ "ok": true });
    // The answer comes when it is done; what requires it went first.
    assert_eq!(ask(dir.path(), r#"{"op":"stop","unit":"db"}"#), ok);
    assert_eq!([init.line(), init.line()], ["web ends", "db ends"]);
    let crashed = "crash failed".to_owned();
    assert_eq!(states(dir.path()), ["main up".to_owned(), "db ended".into(), "web ended".into(), crashed]);
    assert_eq!(ask(dir.path(), r#"{"op":"start","unit":"web"}"#), ok);
    let mut lines = [init.line(), init.line()];
    lines.sort();
    assert_eq!(lines, ["db", "web"]);
    assert_eq!(ask(dir.path(), r#"{"op":"restart","unit":"db"}"#), ok);
    assert_eq!([init.line(), init.line()], ["db ends", "db"]);
    // Already there.
    assert_eq!(ask(dir.path(), r#"{"op":"start","unit":"db"}"#), ok);
    assert_eq!(ask(dir.path(), r#"{"op":"signal","unit":"web","signal":"USR1"}"#), ok);
    assert_eq!(init.line(), "web usr1");
    let answer = ask(dir.path(), r#"{"op":"status","unit":"db"}"#);
    assert_eq!((&answer["units"][0]["starts"], &answer["units"][0]["exit"]["code"]), (&json!(3), &json!(0)));
    let answer = ask(dir.path(), r#"{"op":"start","unit":"crash"}"#);
    // It was up before it crashed, or not: both are told as they are seen.
    assert!(answer == ok || answer == json!({ "ok": false, "error": "it has ended: exit 3" }), "{answer}");
    assert_eq!(ask(dir.path(), r#"{"op":"shutdown"}"#), ok);
    let rest = init.ends(0);
    let ends: Vec<&str> = rest.lines().collect();
    assert_eq!(ends, ["main ends", "web ends", "db ends"]);
}

#[test]
fn files_are_rendered_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut init = start(&dir);
    let read = || std::fs::read_to_string(dir.path().join("etc/a")).unwrap();
    assert_eq!(read(), "1");
    let config = dir.path().join("config.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    document["aurora"]["configmaps"][0]["files"]["a"]["data"] = json!("2");
    std::fs::write(&config, document.to_string()).unwrap();
    assert_eq!(ask(dir.path(), r#"{"op":"reload"}"#), json!({ "ok": true }));
    assert_eq!((init.line().as_str(), read().as_str()), ("main reloads", "2"));
    assert_eq!(ask(dir.path(), r#"{"op":"reload","unit":"db"}"#), json!({ "ok": true }));
    assert_eq!(init.line(), "db reloads");
    // A document that is none changes nothing, and nobody is told to reload.
    std::fs::write(&config, "{").unwrap();
    let answer = ask(dir.path(), r#"{"op":"reload"}"#);
    assert_eq!(answer["ok"], false);
    assert!(answer["error"].as_str().unwrap().contains("EOF while parsing"), "{answer}");
    assert_eq!(read(), "2");
    init.signal(15);
    assert_eq!(init.ends(0), "main ends\nweb ends\ndb ends\n");
}

#[test]
fn what_is_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let init = start(&dir);
    let cases = [
        ("", "not a request: EOF while parsing a value at line 1 column 0"),
        ("status", "not a request: expected value at line 1 column 1"),
        (
            r#"{"op":"dance"}"#,
            "not a request: unknown variant `dance`, expected one of `status`, `start`, `stop`, `restart`, `signal`, `reload`, `shutdown`",
        ),
        (r#"{"op":"stop"}"#, "not a request: missing field `unit`"),
        (
            r#"{"op":"stop","unit":"db","force":true}"#,
            "not a request: unknown field `force`, expected `unit`",
        ),
        (r#"{"op":"stop","unit":"nosuch"}"#, "no such unit: \"nosuch\""),
        (r#"{"op":"signal","unit":"db","signal":"NOPE"}"#, "not a request: no such signal: \"NOPE\""),
        (r#"{"op":"signal","unit":"crash","signal":"TERM"}"#, "it does not run: \"crash\""),
    ];
    for (line, want) in cases {
        let answer = ask(dir.path(), line);
        assert_eq!(answer["ok"], false, "{line}");
        assert!(answer["error"].as_str().unwrap().starts_with(want), "{line}: {answer}");
    }
    init.signal(15);
    init.ends(0);
}

#[test]
fn clients_that_mean_harm() {
    let dir = tempfile::tempdir().unwrap();
    let init = start(&dir);
    // A line without an end.
    let mut client = Client::connect(dir.path());
    client.send(&"x".repeat(70_000));
    assert_eq!(client.answer(), json!({ "ok": false, "error": "the line is too long" }));
    assert_eq!(client.answer(), Value::Null);
    // Many requests at once, of which one has to be waited for: answers come in order, none is lost.
    let mut client = Client::connect(dir.path());
    let status = "{\"op\":\"status\",\"unit\":\"db\"}\n";
    client.send(&format!(
        "{}{{\"op\":\"restart\",\"unit\":\"web\"}}\n{}",
        status.repeat(1500),
        status.repeat(1500)
    ));
    let answers: Vec<Value> = (0..3001).map(|_| client.answer()).collect();
    assert_eq!(answers[1500], json!({ "ok": true }));
    assert!(answers.iter().enumerate().all(|(n, answer)| n == 1500 || answer["units"][0]["name"] == "db"));
    // In pieces.
    let mut client = Client::connect(dir.path());
    for byte in status.chars() {
        client.send(&byte.to_string());
    }
    assert_eq!(client.answer()["ok"], true);
    // Connections that say nothing: the next one is turned away, and those that are there are served.
    let mut silent: Vec<Client> = (0..31).map(|_| Client::connect(dir.path())).collect();
    let mut beyond: Vec<Client> = (0..8).map(|_| Client::connect(dir.path())).collect();
    client.send(status);
    assert_eq!(client.answer()["ok"], true);
    assert_eq!(beyond.last_mut().unwrap().answer(), Value::Null);
    silent[0].send(status);
    assert_eq!(silent[0].answer()["ok"], true);
    drop((silent, beyond, client));
    // Half a request, and gone; an answer that nobody waits for.
    Client::connect(dir.path()).send("{\"op\":");
    Client::connect(dir.path()).send("{\"op\":\"restart\",\"unit\":\"web\"}\n");
    while ask_quietly(dir.path()) != Some(Value::Bool(true)) {}
    init.signal(15);
    init.ends(0);
}

/// Whoever sends and never reads is not worked for beyond one answer, and is in nobody's way.
#[test]
fn clients_that_read_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let init = start(&dir);
    let status = "{\"op\":\"status\"}\n".repeat(2000);
    let floods: Vec<_> = (0..3)
        .map(|_| {
            let mut client = Client::connect(dir.path());
            let status = status.clone();
            // Until podinit ends.
            std::thread::spawn(move || while client.0.get_mut().write_all(status.as_bytes()).is_ok() {})
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(ask(dir.path(), r#"{"op":"status","unit":"db"}"#)["ok"], true);
    }
    // One that reads at last has lost nothing.
    let mut late = Client::connect(dir.path());
    let mut writer = late.0.get_ref().try_clone().unwrap();
    let sends = std::thread::spawn(move || {
        for name in ["db", "web"].repeat(2000) {
            writeln!(writer, "{}", json!({ "op": "status", "unit": name })).unwrap();
        }
    });
    for name in ["db", "web"].repeat(2000) {
        assert_eq!(late.answer()["units"][0]["name"], name);
    }
    sends.join().unwrap();
    // A line that never ends is given up, however long it is sent.
    let mut endless = Client::connect(dir.path());
    while endless.0.get_mut().write_all(&[b'x'; 4096]).is_ok() {}
    init.signal(15);
    init.ends(0);
    for flood in floods {
        flood.join().unwrap();
    }
}

/// Whether it is served again: that connections have ended is not known at once.
fn ask_quietly(run_dir: &Path) -> Option<Value> {
    let mut stream = UnixStream::connect(run_dir.join("podinit.sock")).ok()?;
    stream.write_all(b"{\"op\":\"status\"}\n").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(serde_json::from_str::<Value>(&line).ok()?["ok"].clone())
}

#[test]
fn the_client() {
    let dir = tempfile::tempdir().unwrap();
    let init = start(&dir);
    let socket = dir.path().join("podinit.sock");
    let ctl = |words: &[&str]| plain(&[&["--ctl", "--socket", socket.to_str().unwrap()], words].concat());
    let done = ctl(&["status"]).exits(0);
    let lines: Vec<&str> = done.out.lines().collect();
    assert!(lines[0].starts_with("NAME   TYPE    STATE   PID"), "{}", done.out);
    assert!(lines[4].starts_with("crash  daemon  failed  - "), "{}", done.out);
    let json: Value = serde_json::from_str(&ctl(&["--json", "status", "db"]).exits(0).out).unwrap();
    assert_eq!(json["units"][0]["name"], "db");
    assert_eq!(ctl(&["stop", "web"]).exits(0).out, "");
    assert_eq!(ctl(&["stop", "nosuch"]).exits(1).err, "podinit: no such unit: \"nosuch\"\n");
    ctl(&["shutdown"]).exits(0);
    init.ends(0);
}
