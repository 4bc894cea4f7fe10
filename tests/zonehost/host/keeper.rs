//! The stand-in for zoneadmd: a process of its own for each zone that is ready or runs. It has the console, starts process 1,
//! and waits for it: what has started a zone may end.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, setsid};

use super::console::Console;
use super::door;
use super::failure::{Failure, Result};
use super::init;
use super::processes::{MOMENT, Process};
use super::state::Place;
use super::transition;
use super::zone::State;

/// Between an end of process 1 and its next start, where the brand starts it again.
const PAUSE: Duration = Duration::from_millis(200);

/// So many moments a keeper waits for the one before it to leave.
const PATIENCE: u32 = 500;

/// reboot(2): within a pid namespace, process 1 ends by INT where the system would be halted, and by HUP where it would be
/// restarted. That is uadmin(2) of a zone.
const HALT: i32 = Signal::INT.as_raw();
const RESTART: i32 = Signal::HUP.as_raw();

#[derive(Clone)]
struct Keeper {
    place: Place,
    zone: String,
    console: Console,
}

/// `zonehost keep ZONE`.
pub(crate) fn keep(place: &Place, args: &[String]) -> Result<()> {
    let [zone] = args else { return Err(Failure::usage("keep ZONE")) };
    // Apart from whoever has started it. It can only fail where that is so.
    let _ = setsid();
    // One for each zone; the one before may just be leaving.
    let lock = place.file(&format!("zones/{zone}/keeper.lock"));
    let lock = File::create(&lock).map_err(|e| Failure::linux(&lock.to_string_lossy(), &e))?;
    let mut moments = 0;
    while lock.try_lock().is_err() {
        if moments == PATIENCE {
            return Ok(());
        }
        moments += 1;
        thread::sleep(MOMENT);
    }
    let path = door::path(place, zone)?;
    let _ = std::fs::remove_file(&path);
    let console = Console::open(&place.of_zone(zone)?.join("console.log"))?;
    let door = UnixListener::bind(&path).map_err(|e| Failure::linux("door", &e))?;
    let keeper = Keeper { place: place.clone(), zone: zone.clone(), console };
    for stream in door.incoming().flatten() {
        let keeper = keeper.clone();
        // A request that can't be read is one of somebody who has gone.
        thread::spawn(move || keeper.serve(stream));
    }
    Ok(())
}

impl Keeper {
    fn serve(&self, mut stream: UnixStream) -> Option<()> {
        let request = door::request(&mut stream).ok()?;
        let (word, rest) = request.split_once(' ').unwrap_or((&request, ""));
        let answer = match word {
            "boot" => self.boot(rest),
            "ready" => {
                self.console.notice("Zone readied");
                Ok(String::new())
            }
            "console" => {
                let (pid, leaves) = rest.split_once(' ').unwrap_or((rest, ""));
                self.console.connect(stream, pid, leaves == "-d").ok()?;
                return self.leave_if_down().ok();
            }
            // The zone's lock is held by the caller, who has halted it.
            "halted" | "failed" => {
                let stays =
                    self.console.is_down(if word == "halted" { "Zone halted" } else { "Zone boot failed" });
                // Nothing depends on the answer's arrival: who asks sees whether the door is gone.
                let _ = writeln!(stream, "ok {}", if stays { "stays" } else { "goes" });
                if !stays {
                    self.leave();
                }
                return Some(());
            }
            other => Err(Failure::error(format!("no such request: {other}"))),
        };
        let answer = match answer {
            Ok(text) => format!("ok {text}"),
            Err(failure) => format!("error {}", failure.message.replace('\n', "; ")),
        };
        writeln!(stream, "{answer}").ok()
    }

    /// Nobody is connected any more: without a zone there is nothing to be here for.
    fn leave_if_down(&self) -> Result<()> {
        let _lock = self.place.lock_zone(&self.zone)?;
        let held = self.place.hold()?;
        let is_down = held.host.zones.get(&self.zone).is_none_or(|zone| zone.state <= State::Installed);
        if is_down && !self.console.is_connected() {
            self.leave();
        }
        Ok(())
    }

    /// Ends, and takes the door along.
    fn leave(&self) -> ! {
        door::remove(&self.place, &self.zone);
        std::process::exit(0)
    }

    /// Starts process 1 of a zone that is ready, by these boot arguments. The caller holds the zone's lock.
    fn boot(&self, bootargs: &str) -> Result<String> {
        let arguments =
            if bootargs.is_empty() { String::new() } else { format!(" with arguments: {bootargs}") };
        self.console.notice(&format!("Zone booting up{arguments}"));
        let (zone, dialect) = {
            let held = self.place.hold()?;
            (transition::zone(&held.host, &self.zone)?.clone(), held.host.dialect())
        };
        let command = init::of_zone(&zone, dialect, bootargs)?;
        init::check(&zone.root(), &command.path)?;
        let (child, process) = init::start(&self.zone, &zone, &command, &self.console.name)?;
        let recorded = (|| -> Result<()> {
            let mut held = self.place.hold()?;
            let zone = transition::zone_mut(&mut held.host, &self.zone)?;
            zone.state = State::Running;
            zone.init = Some(process);
            held.save()
        })();
        if let Err(failure) = recorded {
            process.kill()?;
            return Err(failure);
        }
        let keeper = self.clone();
        let bootargs = bootargs.to_owned();
        thread::spawn(move || keeper.wait(child, process, &bootargs));
        Ok(process.pid.to_string())
    }

    /// Waits for process 1 to end, and for what this means for the zone.
    fn wait(&self, mut child: Child, process: Process, bootargs: &str) {
        let Ok(status) = child.wait() else { self.leave() };
        // Whoever holds it now may be halting the zone; then there is nothing left to do.
        let Ok(_lock) = self.place.lock_zone(&self.zone) else { self.leave() };
        if self.ended(status, process, bootargs).is_err() {
            // Nobody listens. The zone stays as it is, and whoever halts it is told what is wrong.
            self.leave();
        }
    }

    fn ended(&self, status: ExitStatus, process: Process, bootargs: &str) -> Result<()> {
        let restarts = {
            let held = self.place.hold()?;
            let Ok(zone) = transition::zone(&held.host, &self.zone) else { return Ok(()) };
            if zone.state != State::Running || zone.init != Some(process) {
                return Ok(());
            }
            match status.signal() {
                Some(HALT) => false,
                Some(RESTART) => true,
                _ => init::is_restarted(zone, held.host.dialect()),
            }
        };
        if restarts {
            thread::sleep(PAUSE);
            if self.boot(bootargs).is_ok() {
                return Ok(());
            }
        }
        transition::tear_down(&self.place, &self.zone)?;
        if !self.console.is_down("Zone halted") {
            self.leave();
        }
        Ok(())
    }
}

/// Tells the keeper, if there is one, that its zone is down (`halted`, or `failed`), and waits until it has gone, unless somebody
/// is connected to the console.
pub(crate) fn tell(place: &Place, zone: &str, what: &str) {
    let Some(stream) = door::connect(place, zone) else { return };
    if door::ask(stream, what).is_ok_and(|text| text == "stays") {
        return;
    }
    super::processes::until(|| door::connect(place, zone).is_none());
}
