//! Runs podinit.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

const PODINIT: &str = env!("CARGO_BIN_EXE_podinit");

/// Ways to make a pid namespace with a `/proc` that shows it.
const NAMESPACES: [&[&str]; 2] = [
    &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
    &["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"],
];

/// The first of them that this machine allows.
fn namespace() -> Option<&'static [&'static str]> {
    static FOUND: OnceLock<Option<&'static [&'static str]>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let works = |way: &&&[&str]| {
            let tried = Command::new(way[0]).args(&way[1..]).arg("true").stderr(Stdio::null()).status();
            tried.is_ok_and(|status| status.success())
        };
        NAMESPACES.iter().find(works).copied()
    })
}

/// Before a command: it begins with no signal ignored. What runs in the background of a shell ignores interrupts, which
/// podinit and its programs would inherit.
fn default_signals() -> &'static [&'static str] {
    const WAY: &[&str] = &["env", "--default-signal"];
    static FOUND: OnceLock<bool> = OnceLock::new();
    let works = || {
        let tried = Command::new(WAY[0]).args(&WAY[1..]).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    if *FOUND.get_or_init(works) { WAY } else { &[] }
}

/// Whether podinit is process 1, and `/proc` shows only what is below it.
pub(crate) fn is_process_1() -> bool {
    namespace().is_some()
}

/// podinit with these arguments, with nothing on its standard input.
pub(crate) fn podinit(args: &[&str]) -> Command {
    let mut words = default_signals().to_vec();
    match namespace() {
        Some(way) => {
            words.extend(way);
            words.push(PODINIT);
        }
        None => words.extend([PODINIT, "-s"]),
    }
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command.args(args).stdin(Stdio::null()).env("LC_ALL", "C");
    command
}

/// podinit itself, for what needs no namespace.
pub(crate) fn plain(args: &[&str]) -> Done {
    let mut command = Command::new(PODINIT);
    command.args(args).stdin(Stdio::null()).env("LC_ALL", "C");
    Done::new(command.output().expect("the program was built with this test"))
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Done {
    Done::new(podinit(args).output().expect("the program was built with this test"))
}

/// A shell script as the main program, run to its end.
pub(crate) fn script(text: &str) -> Done {
    run(&["--", "sh", "-c", text])
}

/// Runs what a document says.
pub(crate) fn document(dir: &Path, document: &Value) -> Done {
    run(&["--config", &write(dir, document)])
}

/// Puts a document into a folder; its path.
pub(crate) fn write(dir: &Path, document: &Value) -> String {
    let path = dir.join("config.json");
    std::fs::write(&path, document.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Ends with this status.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// A podinit that runs, and what it and its programs print.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it. What goes to standard error is seen with the test's own.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child =
            podinit(args).stdout(Stdio::piped()).spawn().expect("the program was built with this test");
        let out = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Self { child, out }
    }

    /// The next line that is printed.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended after {line:?}");
        line.trim_end().to_owned()
    }

    /// The number of podinit's own process, as seen from here. None: it has not been started yet.
    pub(crate) fn try_pid(&self) -> Option<i32> {
        let id = self.child.id();
        if !is_process_1() {
            return Some(id.cast_signed());
        }
        // The child of unshare.
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// The same, when something was printed.
    pub(crate) fn pid(&self) -> i32 {
        self.try_pid().expect("it has printed something")
    }

    /// Sends a signal by number.
    pub(crate) fn signal(&self, number: i32) {
        send(self.pid(), number);
    }

    /// Waits for its end: the rest of what was printed.
    #[track_caller]
    pub(crate) fn ends(mut self, code: i32) -> String {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(code), "{rest}");
        rest
    }
}

impl Drop for Running {
    /// A test that fails leaves nothing running. Below unshare, all ends with it.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process. By the shell's own `kill`, which every shell has and which takes every
/// number.
pub(crate) fn send(pid: i32, number: i32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{number} {pid}")]).status().unwrap();
    assert!(status.success(), "signal {number} to {pid}");
}
