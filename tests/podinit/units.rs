//! Documents: a program with its surroundings, and several units.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::helpers;
use crate::run::{Running, document, is_process_1, plain, run, write};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_owned()
}

fn read(dir: &TempDir, name: &str) -> String {
    std::fs::read_to_string(dir.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A document whose main program is a script, with this folder as run directory.
fn shell(dir: &Path, script: &str, units: Value) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": { "args": ["sh", "-c", script], "cwd": "/", "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] },
        "aurora": { "units": units, "runDir": dir },
    })
}

fn unit(name: &str, kind: &str, script: &str, more: Value) -> Value {
    let mut unit = json!({ "name": name, "type": kind, "args": ["sh", "-c", script] });
    unit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    unit
}

/// Runs on until it is told to end, then says so.
fn until_told(word: &str) -> String {
    format!("trap 'echo {word} ends; exit 0' TERM; echo {word}; while :; do sleep 0.01; done")
}

#[test]
fn a_program_and_its_surroundings() {
    let dir = folder();
    let mut document_ =
        shell(dir.path(), "pwd; ulimit -n; echo $A $HOME; cat; ls /proc/self/fd | wc -l; exit 9", json!([]));
    let process = &mut document_["process"];
    process["cwd"] = json!(dir.path());
    process["env"] = json!(["PATH=/usr/bin:/bin", "A=b c", "HOME=/home"]);
    process["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 33, "hard": 44 }]);
    let done = document(dir.path(), &document_).exits(9);
    // No descriptor but those that this test has been left with itself.
    let without = std::process::Command::new("sh").args(["-c", "ls /proc/self/fd | wc -l"]).output().unwrap();
    let descriptors = String::from_utf8(without.stdout).unwrap();
    assert_eq!(done.out, format!("{}\n33\nb c /home\n{descriptors}", dir.path().display()));
    assert_eq!(read(&dir, "exit"), "{\"code\":9}\n");
}

/// Only root can become someone else; the gate runs as root.
#[test]
fn a_program_as_someone_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = folder();
    let text = "id -u; id -G; umask; echo $HOME; grep -E '^(NoNewPrivs|CapBnd|CapEff)' /proc/self/status";
    let mut document_ = shell(dir.path(), text, json!([]));
    let process = &mut document_["process"];
    process["user"] = json!({ "uid": 12345, "gid": 23456, "additionalGids": [34567], "umask": 0o27 });
    process["noNewPrivileges"] = json!(true);
    process["capabilities"] = json!({ "bounding": ["CAP_KILL", "CAP_NEVER"] });
    let done = document(dir.path(), &document_).exits(0);
    let privileges = "CapEff:\t0000000000000000\nCapBnd:\t0000000000000020\nNoNewPrivs:\t1\n";
    assert_eq!(done.out, format!("12345\n23456 34567\n0027\n/\n{privileges}"));
    assert_eq!(done.err, "podinit: process.capabilities: unknown: \"CAP_NEVER\"\n");
    // With one of them kept, and raised for what is executed.
    let process = &mut document_["process"];
    let kill = json!(["CAP_KILL"]);
    process["capabilities"] = json!({ "bounding": kill, "permitted": kill, "effective": kill, "inheritable": kill, "ambient": kill });
    let done = document(dir.path(), &document_).exits(0);
    assert!(done.out.contains("CapEff:\t0000000000000020\n"), "{}", done.out);
}

#[test]
fn what_can_not_be_set_up() {
    let dir = folder();
    let case = |member: &str, value: Value, code: i32, want: &str| {
        let mut document_ = shell(dir.path(), "exit 0", json!([]));
        document_["process"][member] = value;
        let done = document(dir.path(), &document_).exits(code);
        assert_eq!(done.err, format!("podinit: main: {want}\n"));
        let told: Value = serde_json::from_str(&read(&dir, "exit")).unwrap();
        assert_eq!(told, json!({ "code": code, "error": want }));
    };
    case("cwd", json!("/no/such"), 126, "chdir \"/no/such\": no such file or directory");
    case("args", json!(["nosuch"]), 127, "exec: \"nosuch\": executable file not found in $PATH");
    case(
        "terminal",
        json!(true),
        126,
        "can't take the terminal: Inappropriate ioctl for device (os error 25)",
    );
}

/// Where it is process 1 of nothing, the machine is not its to halt.
#[test]
fn it_halts_what_it_is_process_1_of() {
    let dir = folder();
    let mut document_ = shell(dir.path(), "echo runs; exit 7", json!([]));
    document_["aurora"]["halt"] = json!(true);
    let refused = plain(&["--config", &write(dir.path(), &document_)]).exits(125);
    assert!(refused.err.starts_with("podinit: aurora.halt: this is not process 1\n"), "{}", refused.err);
    assert_eq!(refused.out, "");
    if !is_process_1() {
        return;
    }
    let done = document(dir.path(), &document_);
    // reboot(2): the first process of a namespace that is halted ends by INT, and unshare as it does.
    assert_eq!((done.code, done.out.as_str()), (None, "runs\n"), "{}", done.err);
    assert_eq!(read(&dir, "exit"), "{\"code\":7}\n");
}

#[test]
fn units_start_in_order_and_stop_backwards() {
    let dir = folder();
    let units = json!([
        unit(
            "web",
            "daemon",
            &until_told("web"),
            json!({ "requires": ["db"], "ready": { "file": path(&dir, "w") } })
        ),
        unit(
            "db",
            "daemon",
            &format!("sleep 0.1; touch {}; {}", path(&dir, "d"), until_told("db")),
            json!({ "requires": ["setup"], "ready": { "file": path(&dir, "d") } })
        ),
        unit("setup", "oneshot", "sleep 0.1; echo setup", json!({})),
    ]);
    std::fs::write(dir.path().join("d"), "left by a former run").unwrap();
    let mut document_ = shell(dir.path(), "sleep 0.1; echo main; touch $0; exit 4", units);
    document_["process"]["args"].as_array_mut().unwrap().push(json!(path(&dir, "w")));
    document_["aurora"]["main"] = json!({ "after": ["db"] });
    let done = document(dir.path(), &document_).exits(4);
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!(lines[0], "setup", "{lines:?}");
    assert_eq!(lines[1], "db", "{lines:?}");
    assert_eq!(lines[lines.len() - 2..], ["web ends", "db ends"], "{lines:?}");
    assert!(lines.contains(&"main") && lines.contains(&"web"), "{lines:?}");
    assert_eq!(read(&dir, "exit"), "{\"code\":4}\n");
}

#[test]
fn one_says_itself_that_it_is_ready() {
    let dir = folder();
    let says = helpers::command("says_that_it_is_ready");
    let text = format!("echo db; {says} >/dev/null; while :; do sleep 0.01; done");
    let units = json!([unit("db", "daemon", &text, json!({ "ready": { "notify": true } }))]);
    let mut document_ = shell(dir.path(), "echo main $NOTIFY_SOCKET; exit 0", units);
    document_["aurora"]["main"] = json!({ "requires": ["db"] });
    let done = document(dir.path(), &document_).exits(0);
    assert_eq!(done.out, "db\nmain\n");
    assert!(dir.path().join("ready").exists());
}

#[test]
fn a_crash_loop_backs_off() {
    let dir = folder();
    let text = format!("date +%s%N >>{}; exit 1", path(&dir, "starts"));
    let units = json!([unit("d", "daemon", &text, json!({ "backoff": { "min": "100ms", "max": "300ms" } }))]);
    let main = format!(
        "until [ \"$(wc -l <{0})\" -ge 6 ]; do sleep 0.02; done 2>/dev/null; exit 0",
        path(&dir, "starts")
    );
    document(dir.path(), &shell(dir.path(), &main, units)).exits(0);
    let starts: Vec<u64> = read(&dir, "starts").lines().map(|line| line.parse().unwrap()).collect();
    let pauses: Vec<u64> = starts.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    // It takes longer as it pleases, never shorter.
    for (pause, least) in pauses.iter().zip([100, 200, 300, 300, 300]) {
        assert!(*pause >= least, "{pauses:?}");
    }
}

#[test]
fn what_does_not_stop_is_killed_with_all_it_started() {
    let dir = folder();
    let text = format!(
        "trap '' TERM; (trap '' TERM; while :; do sleep 0.01; done) & echo $! >{0}.new; mv {0}.new {0}; wait",
        path(&dir, "child")
    );
    let more = json!({ "stop": { "timeout": "100ms" }, "ready": { "file": path(&dir, "child") } });
    let units = json!([unit("stubborn", "daemon", &text, more)]);
    let mut document_ = shell(dir.path(), "exit 3", units);
    document_["aurora"]["main"] = json!({ "requires": ["stubborn"] });
    let done = run(&["-v", "--config", &write(dir.path(), &document_)]).exits(3);
    let killed = done.err.find("podinit: stubborn: does not end in time: killed\n");
    let ended = done.err.find(" has ended: signal KILL\n");
    assert!(killed.is_some() && killed < ended, "{}", done.err);
}

#[test]
fn what_a_unit_leaves_behind_goes_with_it() {
    let dir = folder();
    // The child holds a lock of sorts: a second one at the same time would find the folder there.
    let text = format!(
        "mkdir {0} || echo two at once; (trap '' TERM HUP; while :; do sleep 0.01; done) & echo $!; rmdir {0}; kill -9 $$",
        path(&dir, "lock")
    );
    let units = json!([unit(
        "d",
        "daemon",
        &text,
        json!({ "restart": "on-failure", "backoff": { "min": "10ms", "max": "10ms" } })
    )]);
    let config = write(dir.path(), &json!({ "aurora": { "units": units, "runDir": dir.path() } }));
    let mut init = Running::start(&["--config", &config]);
    let children = [init.line(), init.line(), init.line()];
    // When the third has been started, the first has long been killed.
    let inside = format!("/proc/{}/root/proc/{}", init.pid(), children[0]);
    assert!(!Path::new(&inside).exists(), "{children:?}");
    init.signal(15);
    init.ends(0);
}

/// As in a zone, whose init starts without open files: somebody outside has the other ends.
#[test]
fn streams_are_pipes_of_a_folder() {
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;
    let dir = folder();
    let fifo = |name: &str| {
        let path = dir.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .unwrap();
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        std::fs::File::options().read(true).write(true).custom_flags(flags).open(path).unwrap()
    };
    let [mut stdin, mut stdout, mut stderr] = ["stdin", "stdout", "stderr"].map(fifo);
    let mut document_ = shell(dir.path(), "read line; echo got $line; echo bad >&2; exit 3", json!([]));
    document_["aurora"]["stdio"] = json!(dir.path());
    stdin.write_all(b"this\n").unwrap();
    let done = document(dir.path(), &document_).exits(3);
    assert_eq!((done.out.as_str(), done.err.as_str()), ("", ""));
    let read = |file: &mut std::fs::File| {
        let mut bytes = [0; 64];
        let n = file.read(&mut bytes).unwrap();
        String::from_utf8(bytes[..n].to_vec()).unwrap()
    };
    assert_eq!((read(&mut stdout), read(&mut stderr)), ("got this\n".to_owned(), "bad\n".to_owned()));
    // Their names are gone: a second podinit does not begin.
    assert!(!["stdin", "stdout", "stderr"].iter().any(|name| dir.path().join(name).exists()));
    let done = document(dir.path(), &document_).exits(125);
    assert!(done.err.contains("/stdin: "), "{}", done.err);
    std::fs::write(dir.path().join("stdin"), "").unwrap();
    let done = document(dir.path(), &document_).exits(125);
    assert!(done.err.ends_with("/stdin: not a named pipe\n"), "{}", done.err);
}

#[test]
fn one_run_is_enough() {
    let dir = folder();
    let mut document_ = shell(dir.path(), "echo runs; exit 4", json!([]));
    document(dir.path(), &document_).exits(4);
    assert_eq!(document(dir.path(), &document_).exits(4).out, "runs\n");
    document_["aurora"]["once"] = json!(true);
    let done = document(dir.path(), &document_).exits(125);
    assert_eq!(done.out, "");
    assert!(done.err.contains("the one run that there was to be has ended: "), "{}", done.err);
    assert_eq!(read(&dir, "exit"), "{\"code\":4}\n");
    std::fs::remove_file(dir.path().join("exit")).unwrap();
    assert_eq!(document(dir.path(), &document_).exits(4).out, "runs\n");
}

#[test]
fn a_pod_without_a_main_program() {
    let dir = folder();
    let units = json!([
        unit("a", "daemon", &until_told("a"), json!({})),
        unit("b", "daemon", "exit 1", json!({ "restart": "never" })),
    ]);
    let config = write(dir.path(), &json!({ "aurora": { "units": units, "runDir": dir.path() } }));
    let mut init = Running::start(&["--config", &config]);
    assert_eq!(init.line(), "a");
    init.signal(15);
    assert_eq!(init.ends(0), "a ends\n");
    assert_eq!(read(&dir, "exit"), "{\"code\":0}\n");
    assert!(!dir.path().join("podinit.sock").exists());
}

#[test]
fn the_signal_that_ended_it_is_told() {
    let dir = folder();
    document(dir.path(), &shell(dir.path(), "kill -9 $$", json!([]))).exits(137);
    assert_eq!(read(&dir, "exit"), "{\"code\":137,\"signal\":\"KILL\"}\n");
}

#[test]
fn a_log_of_its_own() {
    let dir = folder();
    let log = path(&dir, "log");
    let more = |log: Value| json!({ "log": log });
    let units = json!([
        unit("file", "oneshot", "echo out; echo err >&2", more(json!({ "file": log }))),
        unit("none", "oneshot", "echo nothing", more(json!("discard"))),
        unit("link", "oneshot", "exit 0", more(json!({ "file": path(&dir, "link") }))),
    ]);
    std::os::unix::fs::symlink(&log, dir.path().join("link")).unwrap();
    let mut document_ = shell(dir.path(), "exit 0", units);
    document_["aurora"]["main"] = json!({ "after": ["file", "none", "link"] });
    let done = document(dir.path(), &document_).exits(0);
    assert_eq!(done.out, "");
    assert_eq!(read(&dir, "log"), "out\nerr\n");
    assert!(done.err.contains("link: can't open the log"), "{}", done.err);
}

#[test]
fn a_run_directory_that_goes_away_changes_no_exit_code() {
    let dir = folder();
    let run_dir = dir.path().join("run");
    std::fs::create_dir(&run_dir).unwrap();
    let text = format!("rm -r {}; exit 4", run_dir.display());
    let done = document(dir.path(), &shell(&run_dir, &text, json!([]))).exits(4);
    assert!(
        done.err.starts_with("podinit: can't write ") && done.err.contains("/run/exit: "),
        "{}",
        done.err
    );
}

#[test]
fn hooks_run_first_and_read_the_state() {
    let dir = folder();
    let mut document_ = shell(dir.path(), "echo main", json!([]));
    document_["aurora"]["state"] = json!({ "ociVersion": "1.2.0", "id": "c1", "bundle": "/b" });
    let hook = |text: &str| json!({ "path": "/bin/sh", "args": ["hook", "-c", text], "env": ["A=b"] });
    document_["hooks"] = json!({ "startContainer": [hook("echo $0 $A; cat; echo"), hook("echo second")] });
    let done = document(dir.path(), &document_).exits(0);
    let state = r#"{"bundle":"/b","id":"c1","ociVersion":"1.2.0","status":"created"}"#;
    assert_eq!(done.out, format!("hook b\n{state}\nsecond\nmain\n"));
    document_["hooks"]["startContainer"][0] = hook("exit 3");
    let done = document(dir.path(), &document_).exits(126);
    assert_eq!((done.out.as_str(), done.err.as_str()), ("", "podinit: hook-0: has failed: exit 3\n"));
}
