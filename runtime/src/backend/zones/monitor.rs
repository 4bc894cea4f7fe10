//! The process that stands for a zone's program: nobody outside of a zone can wait for its processes, and callers of a
//! runtime do wait for the one that they were told.
//!
//! `create` starts it, this program with a hidden command. It holds the caller's standard streams and moves bytes between
//! them and the zone, sends on the signals that it is sent, halts the zone when podinit has told of the end, and ends the same
//! way. It decides nothing else: where it is killed, the zone goes on, and `state` asks the host.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::process::{Pid, Signal as Named, kill_process};

use super::commands::Commands;
use super::console::Console;
use super::control::{Exit, FOLDER, RunDir};
use super::list::State;
use super::plan::{self, Ours};
use super::stdio::{Streams, say};
use super::{lock, sys};
use crate::backend::{Handle, Io, own_program};
use crate::console::Signals;
use crate::state::{Phase, ProcessId, StateDir};
use crate::{Error, Result, Signal};

/// Its command.
const COMMAND: &str = "zone-monitor";
/// Locked by it, in [`FOLDER`].
const LOCK: &str = "monitor";
/// Why it could not begin, for who has started it; in [`FOLDER`].
const REPORT: &str = "monitor-error";
/// Between two looks at what no event tells of, podinit's files: until it has begun, and from then on, when the end of the
/// pipes mostly tells as much.
const LOOK: (Timespec, Timespec) =
    (Timespec { tv_sec: 0, tv_nsec: 20_000_000 }, Timespec { tv_sec: 0, tv_nsec: 250_000_000 });
/// Between two looks at the zone, each a program that is run: at the end of all output, which is mostly that of the zone, and
/// at most, as it gets longer from one to the next.
const LOOK_AT_ZONE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a zone may take to halt by itself when its first process has ended: most do.
const GRACE: Duration = Duration::from_millis(200);
/// Between two attempts to send a signal on, each a program that is run.
const SEND_AGAIN: Duration = Duration::from_millis(500);
/// How long a new monitor may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take to end when its program has.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Between two looks at one that begins or ends.
const PAUSE: Duration = Duration::from_millis(2);

fn lock_of(dir: &Path) -> PathBuf {
    dir.join(FOLDER).join(LOCK)
}

fn report_of(dir: &Path) -> PathBuf {
    dir.join(FOLDER).join(REPORT)
}

/// Starts the monitor of a container. It has this process's standard streams, and nothing else of it.
pub(super) fn start(at: &Handle<'_>, io: &Io) -> Result<ProcessId> {
    let failed = |e: io::Error| Error::io("starting the zone's monitor", e);
    sys::close_on_exec().map_err(failed)?;
    let socket = io.console.as_ref().map(std::path::absolute).transpose().map_err(failed)?;
    let mut child = Command::new(own_program())
        .arg(COMMAND)
        .arg(at.dir)
        .args(socket)
        .env_clear()
        .current_dir("/")
        .spawn()
        .map_err(failed)?;
    let begun = Instant::now();
    loop {
        if holder(at.dir)?.is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == child.id()) {
            // What makes it the one it is, is the lock: no start time is needed.
            return Ok(ProcessId { pid: child.id().cast_signed(), start: 0 });
        }
        if let Some(status) = child.try_wait().map_err(failed)? {
            let why = std::fs::read_to_string(report_of(at.dir));
            let why = why.unwrap_or_else(|_| format!("it has ended at once: {status}"));
            return Err(failed(io::Error::other(why)));
        }
        if begun.elapsed() > PATIENCE {
            // It is not left behind; that it can't be killed would be another failure of the same.
            let _ = child.kill();
            let _: io::Result<ExitStatus> = child.wait();
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(PAUSE);
    }
}

/// The monitor of a container, if it lives.
pub(super) fn holder(dir: &Path) -> Result<Option<Pid>> {
    lock::holder(&lock_of(dir)).map_err(|e| Error::io(lock_of(dir).display().to_string(), e))
}

/// Sends it a signal.
pub(super) fn signal(dir: &Path, signal: Signal) -> Result<()> {
    if let (Some(pid), Some(named)) = (holder(dir)?, signal.named()) {
        match kill_process(pid, named) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(e) => return Err(Error::io(format!("signal {signal} to the monitor"), e.into())),
        }
    }
    Ok(())
}

/// Ends it. Where the program has ended, it is given time to pass on the last output, and to end the same way.
pub(super) fn end(dir: &Path, is_over: bool) -> Result<()> {
    let begun = Instant::now();
    while holder(dir)?.is_some() {
        if !is_over || begun.elapsed() > LAST_WORDS {
            signal(dir, Signal::KILL)?;
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::io("ending the zone's monitor", io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// The process itself. Returns the exit status, unless it ends by the signal that the program has ended by.
pub(super) fn run(dir: &Path, console: Option<&Path>) -> Result<i32> {
    attend(dir, console).inspect_err(|e| {
        // It is on standard error as well, which the caller may have nobody at.
        let _ = aurora_engine::fs::replace_private_file(&report_of(dir), e.to_string().as_bytes());
    })
}

fn attend(dir: &Path, console: Option<&Path>) -> Result<i32> {
    let failed = |e: io::Error| Error::io("monitor", e);
    // Apart from the caller's terminal: what is typed there is sent on by whoever has called.
    rustix::process::setsid().map_err(|e| failed(e.into()))?;
    let signals = Signals::watch().map_err(failed)?;
    let Some(ours) = plan::of_container(dir)? else {
        return Err(failed(io::Error::other("no zone is planned")));
    };
    let streams = match console {
        Some(socket) => Ends::Console(Console::open(ours.zone(), socket).map_err(failed)?),
        None => Ends::Pipes(Streams::open(&RunDir::of(dir).path()).map_err(failed)?),
    };
    let mut monitor = Monitor {
        dir: dir.to_owned(),
        run_dir: RunDir::of(dir),
        streams,
        host: Commands::new(),
        ours,
        has_begun: false,
        is_ending: false,
        unsent: Vec::new(),
        has_said: false,
    };
    let Some(_held) = lock::hold(&lock_of(dir)).map_err(failed)? else {
        return Err(failed(io::Error::other("there is one already")));
    };
    let end = monitor.watch(&signals);
    if let Some(signal) = end.signal() {
        die(signal);
    }
    Ok(i32::from(end.code))
}

/// Ends by a signal, as the program has: if it ends a process, for the name was read where the zone's root can write. A core
/// file would be of the wrong program.
pub(super) fn die(signal: Signal) {
    if !signal.ends_by_default() {
        return;
    }
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    // Where one of these fails, the exit status says it.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    if signal == Signal::KILL {
        let _ = kill_process(rustix::process::getpid(), Named::KILL);
    } else {
        let _ = signal_hook::low_level::emulate_default_handler(signal.number());
    }
}

/// What is between the caller and the zone's program.
enum Ends {
    Pipes(Streams),
    Console(Console),
}

impl Ends {
    fn serve(&mut self, other: BorrowedFd<'_>, limit: &Timespec) -> io::Result<()> {
        match self {
            Self::Pipes(streams) => streams.serve(other, limit),
            Self::Console(console) => console.serve(other, limit),
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Self::Pipes(streams) => streams.has_ended(),
            Self::Console(console) => console.has_ended(),
        }
    }

    /// podinit has its own.
    fn taken(&mut self) {
        if let Self::Pipes(streams) = self {
            streams.taken();
        }
    }

    /// No process of the zone is there any more.
    fn end(&mut self) {
        match self {
            Self::Pipes(streams) => streams.taken(),
            Self::Console(console) => console.end(),
        }
    }
}

struct Monitor {
    dir: PathBuf,
    run_dir: RunDir,
    streams: Ends,
    host: Commands,
    ours: Ours,
    /// Whether podinit has taken the pipes.
    has_begun: bool,
    /// Whether nothing but the zone's halt is waited for.
    is_ending: bool,
    /// Signals that podinit has not taken yet.
    unsent: Vec<Signal>,
    /// Whether it was said why.
    has_said: bool,
}

impl Monitor {
    fn watch(&mut self, signals: &Signals) -> Exit {
        let (soon, late) = LOOK_AT_ZONE;
        let (mut looked, mut pause) = (Instant::now(), late);
        let mut send_at = Instant::now();
        loop {
            let before = self.streams.has_ended();
            self.serve(signals);
            if !before && self.streams.has_ended() {
                pause = soon;
            }
            for signal in signals.came() {
                let signal = Signal::from(signal);
                if self.has_begun || self.is_started() {
                    self.unsent.extend((!self.unsent.contains(&signal)).then_some(signal));
                    send_at = Instant::now();
                } else if signal.ends_by_default() {
                    // No process is there: as one would, that has said nothing about signals.
                    self.halt_now();
                    return killed(signal);
                }
            }
            if !self.unsent.is_empty() && send_at <= Instant::now() {
                self.forward();
                send_at = Instant::now() + SEND_AGAIN;
            }
            if !self.has_begun && self.has_taken() {
                self.has_begun = true;
                self.streams.taken();
            }
            if let Some(exit) = self.exit() {
                self.halt(signals);
                return exit;
            }
            if looked.elapsed() >= pause {
                (looked, pause) = (Instant::now(), late.min(pause * 2));
                if !self.is_up() {
                    // It may have told of its end just before.
                    let exit = self.exit();
                    self.drain(signals);
                    return exit.unwrap_or_else(|| killed(Signal::KILL));
                }
            }
        }
    }

    fn serve(&mut self, signals: &Signals) {
        let look = if self.has_begun && !self.is_ending { &LOOK.1 } else { &LOOK.0 };
        let served = self.streams.serve(signals.as_fd(), look);
        signals.drain();
        if let Err(e) = served {
            // The zone goes on, and so does what stands for it.
            say(&format!("standard streams: {e}"));
            std::thread::sleep(SEND_AGAIN);
        }
    }

    /// How the program has ended; what nobody can read is said and waited for, as the zone's own root writes it.
    fn exit(&self) -> Option<Exit> {
        match self.run_dir.exit() {
            Ok(exit) => exit,
            Err(e) => Some(Exit { code: 1, signal: None, error: Some(e.to_string()) }),
        }
    }

    /// Whether podinit has taken its ends.
    fn has_taken(&self) -> bool {
        match self.streams {
            Ends::Pipes(_) => !self.run_dir.has_pipes(),
            Ends::Console(_) => self.run_dir.is_ready(),
        }
    }

    fn is_started(&self) -> bool {
        StateDir::peek(&self.dir).is_ok_and(|(record, _)| record.phase == Phase::Started)
    }

    /// What can't be found out is asked again.
    fn is_up(&self) -> bool {
        self.host.state(self.ours.zone()).map_or(true, |state| state.is_some_and(State::is_up))
    }

    /// Sends signals on. While the zone boots podinit is not there to take them, so they are kept.
    fn forward(&mut self) {
        let (host, zone) = (&self.host, self.ours.zone());
        let mut failure = None;
        self.unsent.retain(|signal| match host.signal(zone, None, &signal.to_string()) {
            Ok(()) => false,
            Err(e) => {
                failure = Some(format!("signal {signal}, to be sent again: {e}"));
                true
            }
        });
        // Before it has begun that is no news.
        if let Some(text) = failure.filter(|_| self.has_begun && !self.has_said) {
            self.has_said = true;
            say(&text);
        }
    }

    /// podinit has ended, or is about to. Where its brand would start it anew, the zone is halted.
    fn halt(&mut self, signals: &Signals) {
        self.is_ending = true;
        let begun = Instant::now();
        while self.is_up() {
            if begun.elapsed() >= GRACE {
                if !self.halt_now() {
                    // What it has told of its end is there, and `state` looks for it.
                    return;
                }
                break;
            }
            self.serve(signals);
        }
        self.drain(signals);
    }

    fn halt_now(&self) -> bool {
        let halted = self.host.halt(&self.ours.plan);
        if let Err(e) = &halted {
            say(&e.to_string());
        }
        halted.is_ok()
    }

    /// All of the zone's processes are gone: what they wrote is in the pipes, and then the pipes end.
    fn drain(&mut self, signals: &Signals) {
        self.is_ending = true;
        self.streams.end();
        while !self.streams.has_ended() {
            self.serve(signals);
        }
    }
}

pub(super) fn killed(signal: Signal) -> Exit {
    let code = u8::try_from(128 + signal.number()).unwrap_or(u8::MAX);
    Exit { code, signal: Some(signal.to_string()), error: None }
}
