//! zlogin(1): a command in a zone, by nsenter(1); or the console. [`interactive`] is a command on a terminal.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::door;
use super::failure::{Failure, Result};
use super::interactive;
use super::options::Options;
use super::processes::Process;
use super::state::Place;
use super::zone::{State, Zone};

const NSENTER: &str = "/usr/bin/nsenter";
const SETSID: &str = "/usr/bin/setsid";
const CHROOT: &str = "/usr/sbin/chroot";
const USAGE: &str = "usage: zlogin [-dinCEINQS] [-e cmdchar] [-l user] zonename [command [args ...] ]";
/// What runs a command where `-S` is given.
const FAILSAFE_SHELL: &str = "/sbin/sh";
/// Looked for in the zone in this order.
const SU: [&str; 2] = ["/usr/bin/su", "/bin/su"];

fn usage(why: &str) -> Failure {
    Failure::usage(if why.is_empty() { USAGE.to_owned() } else { format!("zlogin: {why}\n{USAGE}") })
}

fn error<T>(why: &str) -> Result<T> {
    Err(Failure::error(format!("zlogin: {why}")))
}

/// Its exit status: that of the command. It has written what there was to say.
pub(crate) fn zlogin(place: &Place, args: &[String]) -> Result<u8> {
    let options = Options::read(args, "diNnECIR:Se:l:Q").map_err(|_| usage(""))?;
    let console = options.has('C');
    for (letter, refused) in [('l', 'C'), ('n', 'C'), ('S', 'C'), ('l', 'S'), ('i', 'n')] {
        if options.has(letter) && options.has(refused) {
            return Err(usage(&format!("-{letter} may not be specified with -{refused}")));
        }
    }
    if options.has('d') && !console {
        return Err(usage("-d may only be specified with console login"));
    }
    let Some((name, command)) = options.operands.split_first() else { return Err(usage("")) };
    if console && !command.is_empty() {
        return Err(usage("Commands may not be specified for console login."));
    }
    if name == "global" {
        return error("'zlogin' not applicable to the global zone");
    }
    let zone = {
        let held = place.hold()?;
        held.host.zones.get(name).cloned()
    };
    let Some(zone) = zone else { return error(&format!("zone '{name}' unknown")) };
    if zone.state < State::Installed {
        return error(&format!("cannot login to a zone which is '{}'", zone.state.name()));
    }
    if options.has('I') {
        return error("'zlog-mode' is not configured on the zone");
    }
    if console {
        return connect(place, name, &options).map(|()| 0);
    }
    if zone.state != State::Running {
        return error(&format!("login allowed only to running zones ({name} is '{}').", zone.state.name()));
    }
    if options.has('i') && !command.is_empty() {
        if !io::stdin().is_terminal() {
            // The real one executes something then that it has not set up.
            return error("-i, and standard input is not a terminal");
        }
        let (quiet, failsafe) = (options.has('Q'), options.has('S'));
        let options = interactive::Options { quiet, failsafe, escape: escape(&options) };
        return interactive::login(&zone, name, command, options);
    }
    let user = options.get('l').unwrap_or("root");
    let words = arguments(&zone, user, command, options.has('S'))?;
    enter(&zone, &words, options.has('S'), options.has('n'))
}

/// What is executed in the zone. "The specified command is passed as a string and interpreted by a shell running in the non-global
/// zone." Words become that string with blanks between them; where there are several, those with blanks are put in single
/// quotes, and nothing else is quoted. Without su(1) in the zone, and without `-S`, there is no shell: the words are executed.
fn arguments(zone: &Zone, user: &str, command: &[String], failsafe: bool) -> Result<Vec<String>> {
    if command.is_empty() {
        // login(1) on a terminal.
        return error("interactive login is not stood in for");
    }
    let quote = |word: &String| {
        if command.len() > 1 && word.contains([' ', '\t']) { format!("'{word}'") } else { word.clone() }
    };
    let string = command.iter().map(quote).collect::<Vec<_>>().join(" ");
    if failsafe {
        return Ok(vec![FAILSAFE_SHELL.into(), "-c".into(), string]);
    }
    let su = SU.into_iter().find(|su| is_there(zone, su));
    Ok(match su {
        None if user != "root" => return error("unable to find 'su' command"),
        None => command.to_vec(),
        Some(su) if user == "root" => vec![su.into(), user.into(), "-c".into(), string],
        Some(su) => vec![su.into(), "-".into(), user.into(), "-c".into(), string],
    })
}

pub(super) fn is_there(zone: &Zone, path: &str) -> bool {
    fs::symlink_metadata(format!("{}{path}", zone.root())).is_ok()
}

/// Process 1 of the zone, to enter by.
pub(super) fn init(zone: &Zone) -> Result<Process> {
    let init = zone.init.filter(|init| init.runs());
    init.ok_or_else(|| Failure::error("zlogin: could not enter zone: no process 1"))
}

/// Which terminal a command is to have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Terminal {
    /// Whatever is given.
    Given,
    /// Standard input's, of which it leads a session.
    Own,
}

/// What enters the zone, and is to be given a command's words.
pub(super) fn entering(zone: &Zone, init: Process, terminal: Terminal, failsafe: bool) -> Command {
    let path = match zone.brand() {
        "lx" => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        // On illumos /sbin and /bin are in there.
        _ => "/usr/sbin:/usr/bin:/sbin:/bin",
    };
    let mut command = Command::new(NSENTER);
    command.args(["--target", &init.pid.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid"]);
    match terminal {
        Terminal::Given => command.args(["--root", "--wd", "--"]),
        // A session can only be made within the pid namespace, and by a program that may not be in the zone.
        Terminal::Own => command.args(["--", SETSID, "--ctty", CHROOT, &zone.root()]),
    };
    command.env_clear().env("PATH", path);
    if let Some(term) = std::env::var_os("TERM") {
        command.env("TERM", term);
    }
    if failsafe {
        command.env("HOME", "/").env("SHELL", FAILSAFE_SHELL);
    }
    command
}

/// Runs it. A command that a signal has ended leaves no status to report: zlogin takes WEXITSTATUS of what wait(2) gave, which
/// is 0 then.
fn enter(zone: &Zone, words: &[String], failsafe: bool, no_input: bool) -> Result<u8> {
    let init = init(zone)?;
    // execve(2), not execvp(3): nothing is looked for in PATH.
    if !words[0].starts_with('/') || !is_there(zone, &words[0]) {
        return error("exec failure: No such file or directory");
    }
    let mut command = entering(zone, init, Terminal::Given, failsafe);
    command.args(words);
    if !failsafe {
        command.env("HOME", "/").env("SHELL", FAILSAFE_SHELL).env("LOGNAME", "root");
    }
    if no_input {
        command.stdin(Stdio::null());
    }
    let status = command.status().map_err(|e| Failure::linux(NSENTER, &e))?;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(u8::try_from(code).unwrap_or(1)),
        _ => Ok(0),
    }
}

/// The key that escapes begin with.
fn escape(options: &Options<'_>) -> Option<u8> {
    if options.has('E') { None } else { options.get('e').unwrap_or("~").bytes().next() }
}

/// "Lines that you type that start with the tilde character (~) are escape sequences." Whatever follows it, that is not passed on.
pub(super) struct Escape {
    key: Option<u8>,
    begins_line: bool,
    is_kept: bool,
}

/// What comes of a byte that was typed.
pub(super) enum Key {
    Passed,
    Kept,
    /// "~.: Disconnects from the zone."
    Quits,
}

impl Escape {
    pub(super) fn new(key: Option<u8>) -> Self {
        Self { key, begins_line: true, is_kept: false }
    }

    pub(super) fn next(&mut self, byte: u8) -> Key {
        if std::mem::take(&mut self.is_kept) && byte == b'.' {
            return Key::Quits;
        }
        if std::mem::replace(&mut self.begins_line, matches!(byte, b'\n' | b'\r')) && self.key == Some(byte) {
            self.is_kept = true;
            return Key::Kept;
        }
        Key::Passed
    }
}

/// "If the -C option is specified, the user is connected to the zone console device … Connections to the console are persistent
/// across reboot of the zone."
fn connect(place: &Place, name: &str, options: &Options<'_>) -> Result<()> {
    let mut stream = door::open(place, name)?;
    let leaves = if options.has('d') { " -d" } else { "" };
    let answer =
        writeln!(stream, "console {}{leaves}", std::process::id()).and_then(|()| door::request(&mut stream));
    match answer.as_deref().unwrap_or_default().split_once(' ') {
        Some(("ok", _)) => {}
        Some(("error", pid)) => return error(&format!("Console is already in use by process ID {pid}.")),
        _ => return error("unable to connect"),
    }
    let broken = |e: io::Error| Failure::linux("console", &e);
    let mut out = io::stdout();
    if !options.has('Q') {
        writeln!(out, "[Connected to zone '{name}' console]").map_err(broken)?;
    }
    let raw = Raw::set()?;
    let mut to = stream.try_clone().map_err(broken)?;
    let mut escape = Escape::new(escape(options));
    thread::spawn(move || {
        // At the end of input nothing more is sent.
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = io::stdin().read(&mut buffer) {
            let mut passed = Vec::new();
            for byte in &buffer[..length] {
                match escape.next(*byte) {
                    Key::Passed => passed.push(*byte),
                    Key::Kept => {}
                    Key::Quits => {
                        let _ = to.shutdown(Shutdown::Both);
                        return;
                    }
                }
            }
            if to.write_all(&passed).is_err() {
                return;
            }
        }
    });
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        out.write_all(&buffer[..length]).and_then(|()| out.flush()).map_err(broken)?;
    }
    drop(raw);
    if !options.has('Q') {
        writeln!(out, "\n[Connection to zone '{name}' console closed]").map_err(broken)?;
    }
    Ok(())
}

/// A terminal on standard input that passes everything on, until this is dropped.
pub(super) struct Raw(Option<Termios>);

impl Raw {
    pub(super) fn set() -> Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self(None));
        }
        let set = || -> rustix::io::Result<Termios> {
            let before = tcgetattr(&stdin)?;
            let mut raw = before.clone();
            raw.make_raw();
            // What was typed before is lost, as zlogin has it.
            tcsetattr(&stdin, OptionalActions::Flush, &raw)?;
            Ok(before)
        };
        set().map(|before| Self(Some(before))).map_err(|e| Failure::linux("terminal", &e.into()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Whoever has the terminal sees if it stays raw.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        for (typed, passed, quits) in [
            ("a~.\n", "a~.\n", false),
            ("~.", "", true),
            ("a\r~.b", "a\r", true),
            ("~~x\n~y~.", "~x\ny~.", false),
        ] {
            let mut escape = Escape::new(Some(b'~'));
            let (mut got, mut has_quit) = (String::new(), false);
            for byte in typed.bytes() {
                match escape.next(byte) {
                    Key::Passed => got.push(char::from(byte)),
                    Key::Kept => {}
                    Key::Quits => {
                        has_quit = true;
                        break;
                    }
                }
            }
            assert_eq!((got.as_str(), has_quit), (passed, quits), "{typed:?}");
        }
        let mut none = Escape::new(None);
        assert!("~.\n~.".bytes().all(|byte| matches!(none.next(byte), Key::Passed)));
    }
}
