//! `zonehost` under its own name: what harnesses need.

use std::fs;

use aurora_zones::Dialect;

use super::calls;
use super::dump::dump;
use super::failure::{Failure, Result};
use super::init;
use super::injection::{self, Injection, Kind};
use super::keeper;
use super::options::Options;
use super::state::{Host, Place};
use super::zfs;
use super::zoneadm::Said;

const USAGE: &str = "usage: zonehost init -d gate|omnios|smartos [-l LINK]... [-p POOL[=MOUNTPOINT]]...
       zonehost inject [-n N] [-o OUTPUT] KIND PROGRAM [WORD...]
       zonehost inject -c
       zonehost receive DATASET PROPERTY VALUE
       zonehost dump
KINDs: fail, fail-after, hang, hang-after, garbage, kill, kill-after
PROGRAMs: zonecfg, zoneadm, zlogin, zfs, dladm; the WORDs are among a call's arguments, in this order

init makes a host, in $ZONEHOST_STATE or /run/zonehost; inject orders a failure at the Nth call that matches (the next, unless
told) or forgets all orders (-c); receive has a dataset's property come with a stream; dump
prints everything that exists as JSON. Calls are in calls.jsonl of the folder.";

/// What `garbage` prints: a line that has the shape of one of `list -p`, and what has no shape at all.
const GARBAGE: &str = "-:\u{1}:no state:/:::\n\u{fffd}\u{fffd}\n";

fn usage(_: Failure) -> Failure {
    Failure::usage(USAGE)
}

pub(crate) fn zonehost(place: &Place, args: &[String]) -> Result<Said> {
    let Some((command, rest)) = args.split_first() else { return Err(Failure::usage(USAGE)) };
    match command.as_str() {
        "init" => make(place, rest),
        "inject" => inject(place, rest),
        "dump" => dump(place).map(|all| Said::out(format!("{all:#}\n"))),
        "receive" => {
            let mut held = place.hold()?;
            zfs::receive(&mut held.host, rest)?;
            held.save().map(|()| Said::default())
        }
        "keep" => keeper::keep(place, rest).map(|()| Said::default()),
        "begin" => init::begin(rest).map(|()| Said::default()),
        _ => Err(Failure::usage(USAGE)),
    }
}

fn make(place: &Place, args: &[String]) -> Result<Said> {
    let options = Options::read(args, "d:l:p:").map_err(usage)?;
    let dialect = match options.get('d') {
        Some("gate") => Dialect::Gate,
        Some("omnios") => Dialect::OmniOs,
        Some("smartos") => Dialect::SmartOs,
        _ => return Err(Failure::usage(USAGE)),
    };
    let links = options.all('l').map(str::to_owned).collect();
    let mut held = place.make(Host::new(dialect, links))?;
    for pool in options.all('p') {
        zfs::make_pool(place, &mut held.host, pool)?;
    }
    held.save()?;
    // An empty log is one that can be read.
    let log = place.file(calls::FILE);
    fs::write(&log, "").map_err(|e| Failure::linux(&log.to_string_lossy(), &e))?;
    injection::clear(place)?;
    Ok(Said::default())
}

fn inject(place: &Place, args: &[String]) -> Result<Said> {
    let options = Options::read(args, "cn:o:").map_err(usage)?;
    if options.has('c') {
        return injection::clear(place).map(|()| Said::default());
    }
    let [kind, program, words @ ..] = options.operands else { return Err(Failure::usage(USAGE)) };
    let at = options.get('n').unwrap_or("1").parse().map_err(|_| Failure::usage(USAGE))?;
    let order = Injection {
        kind: Kind::parse(kind)?,
        program: program.clone(),
        words: words.to_vec(),
        at,
        output: options.get('o').unwrap_or(GARBAGE).to_owned(),
    };
    injection::order(place, order)?;
    Ok(Said::default())
}
