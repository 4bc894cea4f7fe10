//! Units without processes, hours without waiting.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Config, Kind};

/// A supervisor, a clock, and a log of what was done.
struct Sim {
    supervisor: Supervisor,
    start: Instant,
    now: Instant,
    next_pid: i32,
    /// Units whose program is not there.
    missing: Vec<&'static str>,
    log: Vec<String>,
}

impl Sim {
    fn new(document: Value) -> Self {
        let config = Config::of_value(document).unwrap();
        let now = Instant::now();
        let supervisor = Supervisor::new(config.units, config.main);
        Self { supervisor, start: now, now, next_pid: 100, missing: Vec::new(), log: Vec::new() }
    }

    /// Does what is to be done now.
    fn run(&mut self) -> &mut Self {
        loop {
            self.supervisor.step(self.now);
            let actions = self.supervisor.take_actions();
            if actions.is_empty() {
                return self;
            }
            for action in actions {
                let name = |unit: usize| self.supervisor.unit(unit).name.clone();
                match action {
                    Action::Start(unit)
                        if self.missing.contains(&self.supervisor.unit(unit).name.as_str()) =>
                    {
                        self.log.push(format!("no {}", name(unit)));
                        self.supervisor.ended(unit, End::NotRun(127), self.now);
                    }
                    Action::Start(unit) => {
                        self.log.push(format!("start {}", name(unit)));
                        self.next_pid += 1;
                        self.supervisor.started(unit, self.next_pid, self.now);
                    }
                    Action::Signal { unit, signal, .. } => self.log.push(format!("{signal} {}", name(unit))),
                    Action::Kill { unit, .. } => self.log.push(format!("kill {}", name(unit))),
                    Action::GiveUp(unit) => self.log.push(format!("give up {}", name(unit))),
                    Action::Finish(end) => self.log.push(format!("finish {}", end.code())),
                }
            }
        }
    }

    fn number(&self, name: &str) -> usize {
        self.supervisor.find(name).unwrap()
    }

    fn end(&mut self, name: &str, end: End) -> &mut Self {
        let unit = self.number(name);
        self.supervisor.ended(unit, end, self.now);
        self.run()
    }

    fn ready(&mut self, name: &str) -> &mut Self {
        let unit = self.number(name);
        self.supervisor.ready(unit);
        self.run()
    }

    fn wait(&mut self, milliseconds: u64) -> &mut Self {
        self.now += Duration::from_millis(milliseconds);
        self.run()
    }

    /// To the next deadline; how long that took.
    fn wait_for_deadline(&mut self) -> u128 {
        let before = self.now;
        self.now = self.supervisor.deadline().expect("something is due");
        self.run();
        (self.now - before).as_millis()
    }

    #[track_caller]
    fn did(&mut self, want: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.log), want, "after {:?}", self.now - self.start);
        self
    }

    fn phase(&self, name: &str) -> &'static str {
        self.supervisor.state(self.number(name)).phase.name()
    }
}

fn daemon(name: &str, more: Value) -> Value {
    let mut unit = json!({ "name": name, "type": "daemon", "args": ["x"] });
    unit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    unit
}

fn with_main(main: Value, units: Value) -> Value {
    json!({ "process": { "args": ["x"], "cwd": "/" }, "aurora": { "main": main, "units": units } })
}

fn pod(units: Value) -> Value {
    json!({ "aurora": { "units": units } })
}

const TERM: End = End::Signal(libc::SIGTERM);

#[test]
fn started_in_order_and_stopped_backwards() {
    let units = json!([
        daemon("db", json!({ "requires": ["setup"], "ready": { "notify": true } })),
        { "name": "setup", "type": "oneshot", "args": ["x"] },
        daemon("web", json!({ "after": ["main"] })),
    ]);
    let mut sim = Sim::new(with_main(json!({ "requires": ["db"] }), units));
    sim.run().did(&["start setup"]);
    sim.end("setup", End::SUCCESS).did(&["start db"]);
    sim.wait(1000).did(&[]);
    assert!(!sim.supervisor.is_all_ready());
    sim.ready("db").did(&["start main", "start web"]);
    assert!(sim.supervisor.is_all_ready());
    sim.end("main", End::Code(3)).did(&["TERM web"]);
    // The database is there until whatever comes after it, at whatever remove, has gone.
    sim.end("web", TERM).did(&["TERM db"]);
    sim.end("db", TERM).did(&["finish 3"]);
    sim.wait(100_000).did(&[]);
}

#[test]
fn what_requires_something_that_fails() {
    let units = json!([
        { "name": "setup", "type": "oneshot", "args": ["x"] },
        daemon("db", json!({ "requires": ["setup"] })),
        daemon("log", json!({ "after": ["setup"] })),
    ]);
    let mut sim = Sim::new(pod(units.clone()));
    sim.run().did(&["start setup"]);
    sim.end("setup", End::Code(1)).did(&["give up db", "start log"]);
    let mut sim = Sim::new(with_main(json!({ "requires": ["db"] }), units));
    sim.run().end("setup", End::Code(1)).did(&["start setup", "give up db", "give up main", "finish 126"]);
}

#[test]
fn a_hook_that_fails_is_the_end() {
    let document = |main: bool| {
        let mut document = pod(json!([daemon("d", json!({}))]));
        document["aurora"]["state"] = json!({});
        document["hooks"] = json!({ "startContainer": [{ "path": "/a", "timeout": 2 }, { "path": "/b" }] });
        if main {
            document["process"] = json!({ "args": ["x"], "cwd": "/" });
        }
        document
    };
    let mut sim = Sim::new(document(true));
    sim.run().did(&["start hook-0"]);
    sim.end("hook-0", End::SUCCESS).did(&["start hook-1"]);
    sim.end("hook-1", End::SUCCESS).did(&["start main", "start d"]);
    let mut sim = Sim::new(document(true));
    sim.run().end("hook-0", End::Code(1)).did(&["start hook-0", "finish 126"]);
    // In a pod, too. And one that takes too long.
    let mut sim = Sim::new(document(false));
    sim.run().wait(2000).did(&["start hook-0", "kill hook-0"]);
    sim.end("hook-0", End::Signal(9)).did(&["finish 126"]);
}

#[test]
fn crash_loops_back_off() {
    let mut sim = Sim::new(pod(json!([daemon("d", json!({}))])));
    sim.run().did(&["start d"]);
    let mut delays = Vec::new();
    for _ in 0..12 {
        sim.end("d", End::Code(1));
        delays.push(sim.wait_for_deadline());
        sim.did(&["start d"]);
    }
    assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
    // Not long enough to count.
    sim.wait(9_999).end("d", End::Code(1));
    assert_eq!(sim.wait_for_deadline(), 60000);
    sim.did(&["start d"]).wait(10_000).end("d", End::Code(1));
    assert_eq!(sim.wait_for_deadline(), 100);
    sim.did(&["start d"]);
    assert_eq!(sim.supervisor.state(0).starts, 15);
}

#[test]
fn a_program_that_is_not_there_backs_off_too() {
    let mut sim = Sim::new(pod(json!([daemon("d", json!({ "backoff": { "min": "1s", "max": "3s" } }))])));
    sim.missing = vec!["d"];
    sim.run().did(&["no d"]);
    let delays: Vec<u128> = (0..4).map(|_| sim.wait_for_deadline()).collect();
    assert_eq!(delays, [1000, 2000, 3000, 3000]);
    // However long it has waited: it has not run.
    sim.wait(1_000_000).did(&["no d"; 5]);
    assert_eq!(sim.wait_for_deadline(), 3000);
}

#[test]
fn restart_policies() {
    let cases = [
        ("never", End::Code(1), "failed"),
        ("never", End::SUCCESS, "ended"),
        ("on-failure", End::Code(1), "pausing"),
        ("on-failure", End::Signal(9), "pausing"),
        ("on-failure", End::SUCCESS, "ended"),
        ("always", End::SUCCESS, "pausing"),
    ];
    for (restart, end, phase) in cases {
        let mut sim = Sim::new(pod(json!([daemon("d", json!({ "restart": restart }))])));
        sim.run().end("d", end);
        assert_eq!(sim.phase("d"), phase, "{restart} {end:?}");
    }
    // Of the main unit: only its last end counts.
    let mut sim = Sim::new(with_main(json!({ "restart": "on-failure" }), json!([])));
    sim.run().end("main", End::Code(1)).did(&["start main"]);
    sim.wait(100).did(&["start main"]);
    sim.end("main", End::SUCCESS).did(&["finish 0"]);
    // Told to end, it is not started again however it does.
    let mut sim = Sim::new(with_main(json!({ "restart": "always" }), json!([])));
    sim.run().did(&["start main"]);
    sim.supervisor.signal("HUP".parse().unwrap());
    sim.run().end("main", End::Signal(1)).did(&["HUP main"]);
    sim.wait(100).did(&["start main"]);
    sim.supervisor.signal(Signal::TERM);
    sim.run().end("main", End::SUCCESS).did(&["TERM main", "finish 0"]);
}

#[test]
fn what_does_not_stop_is_killed() {
    let unit = daemon("d", json!({ "stop": { "signal": "INT", "timeout": "3s" } }));
    let mut sim = Sim::new(with_main(json!({}), json!([unit])));
    sim.run().did(&["start main", "start d"]);
    sim.end("main", End::Code(7)).did(&["INT d"]);
    sim.wait(2999).did(&[]);
    sim.wait(1).did(&["kill d"]);
    // Once.
    sim.wait(100_000).did(&[]);
    sim.end("d", End::Signal(9)).did(&["finish 7"]);
}

#[test]
fn what_is_not_ready_in_time_is_killed_and_tried_again() {
    let mut sim = Sim::new(pod(json!([daemon("d", json!({ "ready": { "file": "/x", "timeout": "5s" } }))])));
    sim.run().did(&["start d"]);
    sim.wait(5000).did(&["kill d"]);
    sim.wait(100_000).did(&[]);
    sim.end("d", End::Signal(9)).did(&[]);
    sim.wait(100).did(&["start d"]);
    sim.ready("d").wait(5000).did(&[]);
    assert_eq!(sim.phase("d"), "up");
}

#[test]
fn signals_go_to_the_main_unit() {
    let mut sim = Sim::new(with_main(json!({}), json!([daemon("d", json!({}))])));
    sim.run().did(&["start main", "start d"]);
    for signal in ["TERM", "HUP", "USR1", "RTMIN+1", "TTIN", "ABRT"] {
        sim.supervisor.signal(signal.parse().unwrap());
        sim.run().did(&[&format!("{signal} main")]);
    }
}

#[test]
fn signals_before_there_is_a_main_unit() {
    let document = || {
        with_main(
            json!({ "requires": ["db"] }),
            json!([daemon("db", json!({ "ready": { "notify": true } }))]),
        )
    };
    let mut sim = Sim::new(document());
    sim.run().did(&["start db"]);
    for signal in ["USR1", "HUP", "USR1"] {
        sim.supervisor.signal(signal.parse().unwrap());
    }
    sim.run().did(&[]);
    sim.ready("db").did(&["start main", "HUP main", "USR1 main"]);
    // One that asks to end is not kept for something that may never start.
    let mut sim = Sim::new(document());
    sim.run().did(&["start db"]);
    sim.supervisor.signal(Signal::TERM);
    sim.run().did(&["TERM db"]);
    sim.end("db", TERM).did(&["finish 143"]);
    // Nor while it waits to be started again.
    let mut sim = Sim::new(with_main(json!({ "restart": "always" }), json!([])));
    sim.run().end("main", End::Code(1)).did(&["start main"]);
    sim.supervisor.signal(Signal::INT);
    sim.run().did(&["finish 130"]);
}

#[test]
fn a_pod_ends_when_it_is_told_to() {
    let mut sim = Sim::new(pod(json!([
        daemon("a", json!({})),
        daemon("b", json!({ "after": ["a"], "restart": "never" }))
    ])));
    sim.run().did(&["start a", "start b"]);
    sim.end("b", End::Code(1)).did(&[]);
    sim.supervisor.signal("USR1".parse().unwrap());
    sim.run().did(&[]);
    sim.supervisor.signal(Signal::TERM);
    sim.run().did(&["TERM a"]);
    sim.end("a", End::SUCCESS).did(&["finish 0"]);
    let mut empty = Sim::new(json!({}));
    empty.run().did(&[]);
    empty.supervisor.signal(Signal::INT);
    empty.run().did(&["finish 0"]);
}

#[test]
fn asked_to_stop_start_and_restart() {
    let units = json!([
        { "name": "setup", "type": "oneshot", "args": ["x"] },
        daemon("db", json!({ "requires": ["setup"] })),
        daemon("web", json!({ "requires": ["db"] })),
        daemon("log", json!({ "after": ["db"] })),
    ]);
    let mut sim = Sim::new(pod(units));
    sim.run().end("setup", End::SUCCESS).did(&["start setup", "start db", "start web", "start log"]);
    let (db, web) = (sim.number("db"), sim.number("web"));
    // What requires it goes first; what only comes after it stays.
    sim.supervisor.unwant(db);
    sim.run().did(&["TERM web"]);
    sim.end("web", TERM).did(&["TERM db"]);
    sim.end("db", TERM).did(&[]);
    assert_eq!((sim.phase("web"), sim.phase("db"), sim.phase("log")), ("ended", "ended", "up"));
    // It comes back with what it requires; what has done its work does not do it again.
    sim.supervisor.want(web);
    sim.run().did(&["start db", "start web"]);
    sim.supervisor.restart(db);
    sim.run().did(&["TERM db"]);
    sim.end("db", TERM).did(&["start db"]);
    // Wanted again while it stops.
    sim.supervisor.unwant(web);
    sim.run().did(&["TERM web"]);
    sim.supervisor.want(web);
    sim.end("web", TERM).did(&["start web"]);
    // It ended by itself; asked for, it starts without a pause, and the delay begins anew.
    sim.end("web", End::Code(1)).did(&[]);
    sim.supervisor.restart(web);
    sim.run().did(&["start web"]);
    sim.end("web", End::Code(1));
    assert_eq!(sim.wait_for_deadline(), 100);
}

#[test]
fn the_main_units_end_counts_even_when_all_is_to_stop() {
    let mut sim = Sim::new(with_main(json!({}), json!([])));
    sim.run();
    sim.supervisor.shut_down(End::SUCCESS);
    sim.run().did(&["start main", "TERM main"]);
    sim.end("main", End::Code(9)).did(&["finish 9"]);
}

/// Units in a random order of dependence: each comes after some with smaller numbers.
fn random_units() -> impl Strategy<Value = Value> {
    let unit = (any::<u8>(), any::<u8>(), 0..3_usize, any::<bool>(), any::<bool>());
    proptest::collection::vec(unit, 1..8).prop_map(|units| {
        let name = |n: usize| format!("u{n}");
        let from = |bits: u8, n: usize| (0..n).filter(|m| bits >> m & 1 == 1).map(name).collect::<Vec<_>>();
        let unit =
            |(n, (after, requires, restart, oneshot, ready)): (usize, &(u8, u8, usize, bool, bool))| {
                let mut unit = json!({
                    "name": name(n), "type": if *oneshot { "oneshot" } else { "daemon" }, "args": ["x"],
                    "after": from(*after, n), "requires": from(*requires, n),
                    "restart": (["never", "on-failure", if *oneshot { "never" } else { "always" }][*restart]),
                });
                if *ready && !oneshot {
                    unit["ready"] = json!({ "notify": true });
                }
                unit
            };
        units.iter().enumerate().map(unit).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens: nothing starts before what it requires, nothing that others still need is stopped
    /// before them, and being told to stop leads to the end.
    #[test]
    fn rules_hold_whatever_happens(units in random_units(), events in proptest::collection::vec((0..6_u8, any::<u8>()), 0..60)) {
        let mut sim = Sim::new(pod(units));
        sim.run();
        for (what, which) in events {
            let unit = usize::from(which) % sim.supervisor.units().len();
            let runs = sim.supervisor.state(unit).phase.pid().is_some();
            match what {
                0 if runs => sim.supervisor.ended(unit, End::Code(which & 1), sim.now),
                1 => sim.supervisor.ready(unit),
                2 => sim.now += Duration::from_millis(u64::from(which) * 500),
                3 => sim.supervisor.want(unit),
                4 => sim.supervisor.unwant(unit),
                5 => sim.supervisor.restart(unit),
                _ => {}
            }
            step_checked(&mut sim)?;
        }
        sim.log.clear();
        sim.supervisor.shut_down(End::SUCCESS);
        for _ in 0..=sim.supervisor.units().len() {
            step_checked(&mut sim)?;
            for unit in 0..sim.supervisor.units().len() {
                if matches!(sim.supervisor.state(unit).phase, Phase::Stopping { .. }) {
                    sim.supervisor.ended(unit, TERM, sim.now);
                }
            }
        }
        step_checked(&mut sim)?;
        prop_assert_eq!(sim.log.iter().filter(|line| *line == "finish 0").count(), 1, "{:?}", sim.log);
    }
}

/// As [`Sim::run`], with a look at every action.
fn step_checked(sim: &mut Sim) -> Result<(), TestCaseError> {
    loop {
        sim.supervisor.step(sim.now);
        let actions = sim.supervisor.take_actions();
        if actions.is_empty() {
            return Ok(());
        }
        for action in actions {
            match action {
                Action::Start(unit) => {
                    for &needed in &sim.supervisor.unit(unit).requires {
                        let good = sim.supervisor.state(needed).is_good(sim.supervisor.unit(needed).kind);
                        prop_assert!(good, "unit {unit} starts before {needed}");
                    }
                    prop_assert!(!sim.supervisor.is_shutting_down());
                    sim.next_pid += 1;
                    sim.supervisor.started(unit, sim.next_pid, sim.now);
                }
                Action::Signal { unit, .. } if sim.supervisor.is_shutting_down() => {
                    for (number, other) in sim.supervisor.units().iter().enumerate() {
                        let runs = sim.supervisor.state(number).phase.pid().is_some();
                        prop_assert!(
                            !runs || !other.comes_after().any(|m| m == unit),
                            "{unit} stops before {number}"
                        );
                    }
                }
                Action::Finish(end) => sim.log.push(format!("finish {}", end.code())),
                Action::Signal { .. } | Action::Kill { .. } | Action::GiveUp(_) => {}
            }
        }
    }
}

#[test]
fn a_oneshot_is_no_daemon() {
    let mut sim = Sim::new(pod(json!([{ "name": "o", "type": "oneshot", "args": ["x"] }])));
    sim.run();
    assert_eq!((sim.supervisor.unit(0).kind, sim.phase("o")), (Kind::Oneshot, "starting"));
    sim.wait(1_000_000_000).did(&["start o"]);
    assert!(!sim.supervisor.is_all_ready());
    sim.end("o", End::SUCCESS);
    assert!(sim.supervisor.is_all_ready());
}
