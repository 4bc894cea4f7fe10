//! Waiting, and what is done when something has happened.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::fs::AtFlags;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions};

use crate::config::{Config, Ready, UserOf};
use crate::control::Server;
use crate::error::{Error, Result};
use crate::notify::Notify;
use crate::run_dir::{RunDir, SOCKET};
use crate::signal::Signal;
use crate::supervise::{Action, End, Phase, Supervisor};
use crate::sys::SignalMask;
use crate::{beneath, configmap, messages, spawn, sys, terminal};

/// How often a file is looked for that says that a unit is ready: no way to be told of it is there on every
/// system.
const LOOK: Duration = Duration::from_millis(50);

/// Children waited for before anything else has its turn: orphans may come faster than they are reaped.
const MAX_REAPED: usize = 1024;

const SIGNALS: Token = Token(0);
const LISTENER: Token = Token(1);
/// Tokens of the units' own sockets begin here.
const NOTIFY: usize = 2;

/// What the command line adds.
pub(crate) struct Options {
    pub(crate) group: bool,
    pub(crate) verbose: bool,
    /// Where config maps are read from again.
    pub(crate) document: Option<PathBuf>,
    pub(crate) mask: SignalMask,
    /// Whether there is anyone who would let us go on.
    pub(crate) can_stop: bool,
}

/// Runs everything to its end; the exit status.
pub(crate) fn run(config: Config, signals: OwnedFd, options: Options) -> Result<u8> {
    let run_dir = match &config.run_dir {
        Some(path) => RunDir::open(path, config.once)?,
        None => None,
    };
    let files = configmap::render(&config.config_maps)?;
    configmap::write(&files)?;
    let failed = |source| Error::System { what: "wait for events", source };
    let poll = Poll::new().map_err(failed)?;
    let raw = signals.as_raw_fd();
    poll.registry().register(&mut SourceFd(&raw), SIGNALS, Interest::READABLE).map_err(failed)?;
    let server = match &run_dir {
        Some(dir) => Some(Server::open(&dir.path(SOCKET), poll.registry(), LISTENER)?),
        None => None,
    };
    let supervisor = Supervisor::new(config.units, config.main);
    let mut init = Init {
        supervisor,
        poll,
        signals,
        server,
        notify: BTreeMap::new(),
        run_dir,
        told_ready: false,
        why: None,
        unreaped: false,
        options,
    };
    let end = init.until_end()?;
    init.say(|| format!("finished: {end}"));
    if let Some(Err(error)) = init.run_dir.as_ref().map(|dir| dir.write_exit(end, init.why.as_deref())) {
        messages::say(&error.to_string());
    }
    drop(init);
    if config.halt
        && let Err(source) = sys::halt()
    {
        let failed = Error::System { what: "halt what this is the init of", source };
        if !cfg!(target_os = "linux") {
            return Err(failed);
        }
        // The end of process 1 is that of all others there.
        messages::say(&failed.to_string());
    }
    Ok(end.code())
}

struct Init {
    supervisor: Supervisor,
    poll: Poll,
    signals: OwnedFd,
    server: Option<Server>,
    /// By unit.
    notify: BTreeMap<usize, Notify>,
    run_dir: Option<RunDir>,
    told_ready: bool,
    /// Why the main unit, or what it needs, could not be run.
    why: Option<String>,
    /// Children may be left that have ended.
    unreaped: bool,
    options: Options,
}

impl Init {
    fn until_end(&mut self) -> Result<End> {
        let mut events = Events::with_capacity(64);
        loop {
            if let Some(end) = self.act()? {
                return Ok(end);
            }
            if !self.told_ready && self.supervisor.is_all_ready() {
                self.told_ready = true;
                // What runs is not to end because nobody can be told that it does.
                if let Some(Err(error)) = self.run_dir.as_ref().map(RunDir::write_ready) {
                    messages::say(&error.to_string());
                }
            }
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Error::System { what: "wait for events", source: error });
                }
                _ => {}
            }
            for event in &events {
                self.happened(event.token())?;
            }
            // Whatever woke us: to ask whether a child has ended costs one call.
            self.reap()?;
            self.look_for_files();
            self.serve();
        }
    }

    /// Steps, and does what is to be done, until there is nothing more.
    fn act(&mut self) -> Result<Option<End>> {
        let mut end = None;
        loop {
            self.supervisor.step(Instant::now());
            let actions = self.supervisor.take_actions();
            if actions.is_empty() {
                if let Some(server) = &mut self.server {
                    server.settle(&self.supervisor);
                }
                return Ok(end);
            }
            for action in actions {
                match action {
                    Action::Start(unit) => self.start(unit),
                    Action::Signal { unit, pid, signal } => {
                        let to = if self.options.group && Some(unit) == self.supervisor.main() {
                            -pid
                        } else {
                            pid
                        };
                        self.send(unit, to, signal);
                    }
                    Action::Kill { unit, pid } => {
                        self.say_of(unit, || "does not end in time: killed".to_owned());
                        self.send(unit, -pid, Signal::KILL);
                    }
                    Action::GiveUp(unit) => {
                        messages::say(&format!(
                            "{}: a unit that it requires has failed",
                            self.supervisor.unit(unit).name
                        ));
                    }
                    Action::Finish(with) => end = Some(with),
                }
            }
        }
    }

    fn start(&mut self, number: usize) {
        let prepared =
            self.prepare_ready(number).and_then(|notify| Ok((notify, self.prepare_input(number)?)));
        let unit = self.supervisor.unit(number);
        let started = prepared
            .and_then(|(notify, input)| spawn::start(unit, notify.as_deref(), input, self.options.mask));
        let now = Instant::now();
        match started {
            Ok(pid) => {
                self.say_of(number, || format!("started as process {pid}"));
                self.supervisor.started(number, pid, now);
            }
            Err(error) => {
                // The only unit of a command line needs no name.
                match self.options.document {
                    Some(_) => messages::say(&format!("{}: {}", unit.name, error.message)),
                    None => messages::say(&error.message),
                }
                let is_main = Some(number) == self.supervisor.main();
                if is_main || self.supervisor.unit(number).essential {
                    self.why = Some(error.message);
                }
                self.supervisor.ended(number, End::NotRun(error.code), now);
            }
        }
    }

    /// Takes away what a former run has left to say that it is ready; opens the socket to say so.
    fn prepare_ready(&mut self, number: usize) -> std::result::Result<Option<PathBuf>, spawn::NotStarted> {
        let failed = |message: String| spawn::NotStarted { code: 126, message };
        let unit = self.supervisor.unit(number);
        match &unit.ready {
            Ready::Running => Ok(None),
            Ready::File(_) => {
                let path = ready_file(unit);
                let removed = beneath::open_parent(&path)
                    .and_then(|(dir, name)| rustix::fs::unlinkat(&dir, name, AtFlags::empty()));
                match removed {
                    Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(None),
                    Err(error) => Err(failed(format!("can't remove {}: {error}", path.display()))),
                }
            }
            Ready::Notify => {
                let Some(dir) = &self.run_dir else {
                    return Err(failed("there is no run directory for its socket".to_owned()));
                };
                if let Some(open) = self.notify.get(&number) {
                    return Ok(Some(open.path().to_owned()));
                }
                let path = dir.path(&format!("notify.{}", unit.name));
                let ids = match &unit.program.user {
                    UserOf::Podinit => None,
                    UserOf::Ids(ids) => Some(ids.clone()),
                    UserOf::Name(name) => Some(crate::user::resolve("/".as_ref(), name).map_err(failed)?.ids),
                };
                let token = Token(NOTIFY + number);
                let notify = Notify::open(path.clone(), ids.as_ref(), self.poll.registry(), token)
                    .map_err(|error| failed(error.to_string()))?;
                self.notify.insert(number, notify);
                Ok(Some(path))
            }
        }
    }

    fn prepare_input(&self, number: usize) -> std::result::Result<Option<File>, spawn::NotStarted> {
        let failed = |message: String| spawn::NotStarted { code: 126, message };
        let Some(bytes) = &self.supervisor.unit(number).input else { return Ok(None) };
        let Some(dir) = &self.run_dir else {
            return Err(failed("there is no run directory for what it reads".to_owned()));
        };
        dir.state(bytes).map(Some).map_err(|error| failed(error.to_string()))
    }

    fn happened(&mut self, token: Token) -> Result<()> {
        match token {
            SIGNALS => self.read_signals(),
            LISTENER => {
                if let Some(server) = &mut self.server
                    && let Err(error) = server.accept(self.poll.registry())
                {
                    messages::say(&format!("can't accept a connection: {error}"));
                }
                Ok(())
            }
            Token(number) if number - NOTIFY < self.supervisor.units().len() => {
                let unit = number - NOTIFY;
                let registry = self.poll.registry();
                match self.notify.get_mut(&unit).map(|notify| notify.is_ready(registry)) {
                    Some(Ok(true)) => {
                        self.say_of(unit, || "ready".to_owned());
                        self.supervisor.ready(unit);
                    }
                    Some(Err(error)) => self.say_of(unit, || format!("can't read its socket: {error}")),
                    Some(Ok(false)) | None => {}
                }
                Ok(())
            }
            token => {
                if let Some(server) = &mut self.server {
                    server.woken(token);
                }
                Ok(())
            }
        }
    }

    /// Answers requests, one of each who asks: what they want done is done before more of them are looked at.
    fn serve(&mut self) {
        let document = self.options.document.as_ref();
        if let Some(server) = &mut self.server {
            server.serve(&mut self.supervisor, &mut || reload(document));
        }
    }

    fn read_signals(&mut self) -> Result<()> {
        let failed = |source| Error::System { what: "read signals", source };
        let (received, more) = sys::read_signals(&self.signals).map_err(failed)?;
        if more {
            // Registered anew, it is told again of those that wait.
            let raw = self.signals.as_raw_fd();
            let mut source = SourceFd(&raw);
            self.poll.registry().reregister(&mut source, SIGNALS, Interest::READABLE).map_err(failed)?;
        }
        let own = rustix::process::getpid().as_raw_pid().cast_unsigned();
        for received in received {
            let signal = Signal::received(received.number);
            let is_ours = !received.from_kernel && received.sender == own;
            // A pipe of ours that is closed raises a signal too; the terminal's about reading and writing are
            // ours alone.
            if signal == Signal::CHLD
                || is_ours
                || received.from_kernel && signal.is_about_reading_and_writing()
            {
                continue;
            }
            self.supervisor.signal(signal);
        }
        Ok(())
    }

    /// Waits for every child that has ended, ours or adopted.
    fn reap(&mut self) -> Result<()> {
        let failed = |source| Error::System { what: "wait for children", source };
        self.unreaped = true;
        for _ in 0..MAX_REAPED {
            let Some(pid) = sys::ended_child().map_err(failed)? else {
                self.unreaped = false;
                break;
            };
            let unit = self.supervisor.of_process(pid);
            if unit.is_some() && unit != self.supervisor.main() {
                // What it has left behind goes with it, while the number of its group can't be anyone else's.
                // What the main unit leaves behind ends with us.
                let _ = sys::kill(-pid, Signal::KILL.number());
            }
            let waited = rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::NOHANG);
            let end = waited.map_err(|e| failed(e.into()))?.and_then(|(_, status)| End::of(status));
            match (unit, end) {
                (Some(unit), Some(end)) if self.supervisor.unit(unit).essential && !end.is_success() => {
                    let why = format!("{}: has failed: {end}", self.supervisor.unit(unit).name);
                    messages::say(&why);
                    self.why = Some(why);
                    self.supervisor.ended(unit, end, Instant::now());
                }
                (Some(unit), Some(end)) => {
                    self.say_of(unit, || format!("process {pid} has ended: {end}"));
                    self.supervisor.ended(unit, end, Instant::now());
                }
                (None, Some(end)) => self.say(|| format!("orphan {pid} has ended: {end}")),
                (_, None) => {}
            }
        }
        self.watch_stop();
        Ok(())
    }

    /// Whether the main program was stopped, as from a terminal.
    fn watch_stop(&self) {
        let Some(main) = self.supervisor.main() else { return };
        let Some(pid) = self.supervisor.state(main).phase.pid() else { return };
        let id = WaitId::Pid(Pid::from_raw(pid).expect("a child has a number"));
        let Ok(Some(status)) = rustix::process::waitid(id, WaitIdOptions::STOPPED | WaitIdOptions::NOHANG)
        else {
            return;
        };
        let Some(by) = status.stopping_signal().map(Signal::received) else { return };
        self.say_of(main, || format!("stopped by {by}"));
        if self.supervisor.unit(main).program.terminal == Some(false) {
            return;
        }
        if let Err(error) = terminal::stopped(pid, by, self.options.can_stop) {
            messages::say(&format!("can't stop with the program: {error}"));
        }
    }

    fn look_for_files(&mut self) {
        for number in 0..self.supervisor.units().len() {
            if !self.waits_for_file(number) {
                continue;
            }
            let path = ready_file(self.supervisor.unit(number));
            let there = beneath::open_parent(&path)
                .and_then(|(dir, name)| rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW));
            if there.is_ok() {
                self.say_of(number, || "ready".to_owned());
                self.supervisor.ready(number);
            }
        }
    }

    fn waits_for_file(&self, number: usize) -> bool {
        matches!(self.supervisor.state(number).phase, Phase::Starting { .. })
            && matches!(self.supervisor.unit(number).ready, Ready::File(_))
    }

    /// How long there is nothing to do unless something happens.
    fn timeout(&self) -> Option<Duration> {
        if self.unreaped || self.server.as_ref().is_some_and(Server::is_due) {
            return Some(Duration::ZERO);
        }
        let deadline = self.supervisor.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let looks = (0..self.supervisor.units().len()).any(|number| self.waits_for_file(number));
        // Rounded up by the system: a deadline has passed when it wakes us.
        deadline.into_iter().chain(looks.then_some(LOOK)).min()
    }

    fn send(&self, unit: usize, to: i32, signal: Signal) {
        self.say_of(unit, || format!("signal {signal}"));
        match sys::kill(to, signal.number()) {
            Ok(()) => {}
            // It has ended, and is about to be waited for.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => messages::say(&format!(
                "{}: can't send signal {signal}: {error}",
                self.supervisor.unit(unit).name
            )),
        }
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.options.verbose {
            messages::say(&text());
        }
    }

    fn say_of(&self, unit: usize, text: impl FnOnce() -> String) {
        self.say(|| format!("{}: {}", self.supervisor.unit(unit).name, text()));
    }
}

/// Below the unit's own root.
fn ready_file(unit: &crate::config::Unit) -> PathBuf {
    let Ready::File(file) = &unit.ready else { return PathBuf::new() };
    let inside = file.strip_prefix("/").unwrap_or(file);
    unit.program.root.as_deref().unwrap_or("/".as_ref()).join(inside)
}

/// Renders config maps as the document has them now. Units stay as they are.
fn reload(document: Option<&PathBuf>) -> std::result::Result<(), String> {
    let Some(path) = document else { return Ok(()) };
    let config = Config::read(path).map_err(|error| error.to_string())?;
    let files = configmap::render(&config.config_maps).map_err(|error| error.to_string())?;
    configmap::write(&files).map(drop).map_err(|error| error.to_string())
}
