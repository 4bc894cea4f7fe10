//! Ten thousand bundles with anything in every text: what is written can be read, and says what the bundle
//! says; all else is a refusal. And lines that are changed are not taken.

use std::cell::Cell;

use aurora_zones::{Dialect, Options, Refusal, Zone};
use oci_spec::runtime::Spec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::checker::check;
use crate::golden::options;

/// Bundles tried.
const CASES: u32 = 10_000;

fn config() -> Config {
    // What has failed is in the message, whole.
    Config { cases: CASES, failure_persistence: None, ..Config::default() }
}

/// Anything, mostly what someone could mean.
fn text(plausible: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        40 => select(plausible).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[ -~]{0,20}",
        1 => (select(plausible), select(&["\"", "\n", "\r", "\0", ";", "=", "#", "]", ")", ",", " ", "é"][..]), any::<u8>())
            .prop_map(|(text, odd, at)| {
                let at = text.char_indices().map(|(n, _)| n).nth(usize::from(at) % text.chars().count().max(1)).unwrap_or(0);
                format!("{}{odd}{}", &text[..at], &text[at..])
            }),
    ]
}

fn mounts() -> impl Strategy<Value = Value> {
    let destination =
        text(&["/a", "/a/b", "/data", "/my data", "/etc/hosts", "/x;y", "/tmp/", "/srv/1", "/srv/2", "/opt"]);
    let bind = (
        text(&["/tank/a", "/tank/a b", "hosts", "/tank/(x)", "/tank/#1"]),
        text(&["bind", "rbind"]),
        text(&["ro", "rw", "nodev", "nosuid", "noexec", "rprivate"]),
    );
    let bind = bind.prop_map(
        |(source, how, option)| json!({ "type": "bind", "source": source, "options": [how, option] }),
    );
    let tmpfs = text(&["size=64m", "mode=0755", "nosuid", "ro"])
        .prop_map(|o| json!({ "type": "tmpfs", "options": [o] }));
    let other = text(&["proc", "sysfs", "mqueue"]).prop_map(|kind| json!({ "type": kind }));
    let mount =
        (destination, prop_oneof![4 => bind, 2 => tmpfs, 1 => other]).prop_map(|(destination, mut mount)| {
            mount["destination"] = destination.into();
            mount
        });
    proptest::collection::vec(mount, 0..3).prop_map(Value::from)
}

fn anets() -> impl Strategy<Value = Value> {
    let anet = (
        text(&["net0", "net1", "net2", "vnic5", "web_0", "a1"]),
        text(&["igb0", "igb1", "admin0", "ixgbe12", "aggr1", "auto"]),
        proptest::option::of(text(&["10.0.0.5/24", "fe80::1", "10.0.0.9", "172.16.0.1/12", "10.0.0.5,10.0.0.6/8"])),
        proptest::option::weighted(0.1, text(&["10.0.0.1"])),
        proptest::option::of(text(&["auto", "02:08:20:00:00:01", "2:8:20:0:0:2"])),
    )
        .prop_map(|(name, lower, address, router, mac)| {
            json!({ "linkname": name, "lowerLink": lower, "allowedAddress": address, "defrouter": router, "macAddress": mac })
        });
    proptest::collection::vec(anet, 0..3).prop_map(Value::from)
}

fn specs() -> impl Strategy<Value = Value> {
    let solaris = (
        proptest::option::weighted(0.2, text(&["default", "default,!proc_fork"])),
        proptest::option::weighted(0.2, text(&["512m", "1G"])),
        proptest::option::weighted(0.2, text(&["1", "1.25", "0.5"])),
        anets(),
    );
    let linux = (
        proptest::option::weighted(0.3, any::<i64>()),
        proptest::option::weighted(0.3, any::<i64>()),
        proptest::option::weighted(0.3, any::<u64>()),
        proptest::option::weighted(0.3, any::<i64>()),
    );
    let annotations = (
        proptest::option::weighted(0.1, text(&["lx", "lipkg", "ipkg", "joyent"])),
        proptest::option::weighted(0.1, text(&["tank/data", "tank/a/b"])),
    );
    (mounts(), proptest::option::of(text(&["web", "web-1.example.com"])), solaris, linux, annotations).prop_map(
        |(mounts, hostname, (limitpriv, shm, ncpus, anet), (limit, quota, shares, pids), (brand, delegate))| {
            let mut spec = json!({
                "ociVersion": "1.0.2",
                "process": { "args": ["x"], "cwd": "/", "user": { "uid": 0, "gid": 0 } },
                "mounts": mounts,
                "hostname": hostname,
                "solaris": { "limitpriv": limitpriv, "maxShmMemory": shm, "anet": anet },
                "linux": { "resources": { "memory": { "limit": limit }, "cpu": { "quota": quota, "shares": shares } } },
                "annotations": {},
            });
            if let Some(ncpus) = ncpus {
                spec["solaris"]["cappedCPU"] = json!({ "ncpus": ncpus });
            }
            if let Some(pids) = pids {
                spec["linux"]["resources"]["pids"] = json!({ "limit": pids });
            }
            if let Some(brand) = brand {
                spec["annotations"]["dev.aurora.zone.brand"] = brand.into();
            }
            if let Some(delegate) = delegate {
                spec["annotations"]["dev.aurora.zone.delegate"] = delegate.into();
            }
            spec
        },
    )
}

fn random_options() -> impl Strategy<Value = (String, String)> {
    (text(&["web", "a.b_c+d"]), text(&["/tank/zones/web", "/zones/a b"]))
}

#[test]
fn what_is_written_can_be_read_and_says_the_same() {
    let (accepted, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    let mut runner = TestRunner::new(config());
    let done = runner.run(&(specs(), random_options()), |(spec, (id, zonepath))| {
        for dialect in Dialect::ALL {
            let options = Options { id: id.clone(), zonepath: zonepath.clone(), ..options(dialect) };
            match read_back(&spec, &options)? {
                true => accepted.set(accepted.get() + 1),
                false => refused.set(refused.get() + 1),
            }
        }
        Ok(())
    });
    done.unwrap_or_else(|e| panic!("{e}"));
    // Else this has tested nothing.
    let (accepted, refused) = (accepted.get(), refused.get());
    assert!(accepted > CASES && refused > CASES / 10, "{accepted} and {refused}");
}

/// Whether a bundle could be written; that what was written says what the bundle says.
fn read_back(spec: &Value, options: &Options) -> Result<bool, TestCaseError> {
    let parsed: Spec = serde_json::from_value(spec.clone()).unwrap();
    let zone = match Zone::of_bundle(&parsed, options) {
        Ok(zone) => zone,
        Err(refusal) => {
            let message = refusal.to_string();
            prop_assert!(!message.is_empty() && !message.contains('\n'), "{message}");
            return Ok(false);
        }
    };
    let script = zone.script(options.dialect);
    let read = check(&script, options.dialect).map_err(|e| TestCaseError::fail(format!("{e}\n{script}")))?;
    let property =
        |name: &str| read.properties.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    prop_assert_eq!(property("zonepath"), Some(options.zonepath.as_str()));
    prop_assert!(read.all("attr", "value").contains(&options.id.as_str()));
    for mount in spec["mounts"].as_array().unwrap() {
        let text = |name: &str| mount[name].as_str().unwrap();
        if text("type") == "bind" {
            prop_assert!(
                read.all("fs", "dir").contains(&text("destination").trim_end_matches('/')),
                "{}",
                script
            );
            let whole = |special: &&str| {
                **special == *text("source") || special.ends_with(&format!("/{}", text("source")))
            };
            prop_assert!(read.all("fs", "special").iter().any(whole), "{}", script);
        }
    }
    prop_assert_eq!(read.all("net", "physical").len(), spec["solaris"]["anet"].as_array().unwrap().len());
    Ok(true)
}

/// Ways to make a line wrong, whatever it is.
fn mutate(script: &str, how: usize, at: usize) -> Option<String> {
    let mut lines: Vec<String> = script.lines().map(str::to_owned).collect();
    let number = at % lines.len();
    let line = lines[number].clone();
    match how {
        // One quote more than there has to be.
        0 => {
            let place = line.char_indices().map(|(n, _)| n).nth(at / lines.len() % line.chars().count())?;
            lines[number].insert(place, '"');
        }
        // A word that is none of its words.
        1 => lines[number] = format!("x{line}"),
        // A word too many.
        2 => lines[number].push_str(" x"),
        // A line that ends early.
        3 => lines[number] = line.split_once(' ')?.0.to_owned(),
        // A value without its name.
        4 => lines[number] = line.starts_with("set ").then(|| line.replacen('=', " ", 1))?,
        // A resource that does not end, a script that is not committed.
        5 => drop(["end", "commit"].contains(&line.as_str()).then(|| lines.remove(number))?),
        // Something that is needed and not there.
        6 => {
            let needed = [
                "set zonepath",
                "set brand",
                "set dir",
                "set special",
                "set type",
                "set physical",
                "set ncpus",
                "set name",
                "set value",
            ];
            let needed = needed.iter().any(|start| line.starts_with(&format!("{start}=")));
            // A cap of memory needs one of three only.
            let needed = needed && (!line.starts_with("set physical=") || lines[number - 1] == "add net");
            drop(needed.then(|| lines.remove(number))?);
        }
        _ => unreachable!("there are seven"),
    }
    Some(lines.join("\n") + "\n")
}

#[test]
fn lines_that_are_changed_are_not_taken() {
    let refused = Cell::new([0_u32; 7]);
    let mut runner = TestRunner::new(config());
    let done = runner.run(
        &(specs(), select(&Dialect::ALL[..]), 0..7_usize, any::<usize>()),
        |(spec, dialect, how, at)| {
            let parsed: Spec = serde_json::from_value(spec).unwrap();
            let Ok(zone) = Zone::of_bundle(&parsed, &options(dialect)) else { return Ok(()) };
            let Some(script) = mutate(&zone.script(dialect), how, at) else { return Ok(()) };
            prop_assert!(check(&script, dialect).is_err(), "mutation {}:\n{}", how, script);
            let mut counts = refused.get();
            counts[how] += 1;
            refused.set(counts);
            Ok(())
        },
    );
    done.unwrap_or_else(|e| panic!("{e}"));
    assert!(refused.get().iter().all(|count| *count > 50), "{:?}", refused.get());
}

#[test]
fn quotes_and_line_breaks_are_refused_by_name() {
    for value in ["/tank/a\"b", "/tank/a\nb"] {
        let process = json!({ "args": ["x"], "cwd": "/", "user": { "uid": 0, "gid": 0 } });
        let spec = json!({ "ociVersion": "1.0.2", "process": process, "mounts": [{ "destination": "/d", "type": "bind", "source": value, "options": ["rbind"] }] });
        let spec: Spec = serde_json::from_value(spec).unwrap();
        for dialect in Dialect::ALL {
            let refusal = Zone::of_bundle(&spec, &options(dialect)).unwrap_err();
            assert!(
                matches!(&refusal, Refusal::Text { field, value: v, .. } if field == "mounts.source" && v == value),
                "{refusal}"
            );
        }
    }
}
