//! Where fuzz targets enter (tests/fuzz): no part of the program.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::configmap;
use crate::control::request::{self, Goal, Outcome};
use crate::signal::Signal;
use crate::supervise::{Action, End, Supervisor};

/// What has to be done at one moment comes to an end: with the most units there are, each is started, asked to end, and
/// killed a few times.
const MAX_STEPS: usize = 10_000;

/// A document: what is accepted of it can be rendered, or not, in words.
pub fn document(bytes: &[u8]) {
    if let Ok(config) = Config::parse(bytes, Path::new("document")) {
        let _ = configmap::render(&config.config_maps);
    }
}

/// A document in the first line, and then what happens: a number is the seconds that pass, `end N C` a unit's process that ends
/// with a code, `ready N` a unit that says that it is; all else is a request. In the end everything is shut down, and has to
/// end.
pub fn requests(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Ok(config) = Config::parse(lines.next().unwrap_or_default(), Path::new("document")) else { return };
    let mut world = World {
        supervisor: Supervisor::new(config.units, config.main),
        now: Instant::now(),
        pid: 1,
        waiting: Vec::new(),
        finished: false,
    };
    world.settle();
    for line in lines {
        if world.finished {
            return;
        }
        world.happens(line);
        world.settle();
    }
    world.supervisor.shut_down(End::SUCCESS);
    // Each unit may take its time to end, and those after it come first.
    for _ in 0..=2 * world.supervisor.units().len() {
        world.settle();
        world.now += Duration::from_secs(25 * 60 * 60);
    }
    assert!(world.finished, "it does not end");
    assert!(
        world.waiting.iter().all(|goal| request::answer(*goal, &world.supervisor).is_some()),
        "no answer"
    );
}

/// Processes that do what they are told, and a clock.
struct World {
    supervisor: Supervisor,
    now: Instant,
    pid: i32,
    waiting: Vec<Goal>,
    finished: bool,
}

impl World {
    fn happens(&mut self, line: &[u8]) {
        let words: Vec<&str> = std::str::from_utf8(line).unwrap_or_default().split(' ').collect();
        let unit = |text: &str| text.parse().ok().filter(|n: &usize| *n < self.supervisor.units().len());
        match words[..] {
            [seconds] if seconds.parse::<u16>().is_ok() => {
                self.now += Duration::from_secs(seconds.parse::<u16>().unwrap_or(0).into());
            }
            ["ready", number] => {
                if let Some(unit) = unit(number) {
                    self.supervisor.ready(unit);
                }
            }
            ["end", number, code] => {
                let Some(unit) = unit(number) else { return };
                if self.supervisor.state(unit).phase.pid().is_some() {
                    let end = code.parse().map_or(End::Signal(9), End::Code);
                    self.supervisor.ended(unit, end, self.now);
                }
            }
            _ => match request::handle(line, &mut self.supervisor, &mut || Ok(())) {
                Outcome::Answer(answer) => assert!(answer["ok"].is_boolean(), "{answer}"),
                Outcome::Later(goal) => self.waiting.push(goal),
            },
        }
    }

    fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            self.supervisor.step(self.now);
            let actions = self.supervisor.take_actions();
            if actions.is_empty() {
                let Self { supervisor, waiting, .. } = self;
                waiting.retain(|goal| request::answer(*goal, supervisor).is_none());
                return;
            }
            for action in actions {
                match action {
                    Action::Start(unit) => {
                        self.pid += 1;
                        self.supervisor.started(unit, self.pid, self.now);
                    }
                    Action::Kill { unit, pid } | Action::Signal { unit, pid, signal: Signal::KILL } => {
                        if self.supervisor.state(unit).phase.pid() == Some(pid) {
                            self.supervisor.ended(unit, End::Signal(9), self.now);
                        }
                    }
                    // Those that are asked to end take their time, or do not: that is said by a line.
                    Action::Signal { .. } | Action::GiveUp(_) => {}
                    Action::Finish(_) => self.finished = true,
                }
            }
        }
        panic!("there is always something more to do");
    }
}
