//! Failures on order, and the log of calls.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use serde_json::json;

use crate::helpers::Host;

#[test]
fn at_the_call_that_is_meant() {
    let host = Host::new("omnios");
    host.ok("zonehost inject -n 2 fail zfs create");
    host.ok("zfs create tank/a");
    host.ok("zfs list");
    assert_eq!(host.refused("zfs create tank/b", 1), "zfs: injected failure\n");
    // Once.
    host.ok("zfs create tank/b");
    assert_eq!(
        host.calls(),
        [
            json!({ "program": "zfs", "args": ["create", "tank/a"], "status": 0 }),
            json!({ "program": "zfs", "args": ["list"], "status": 0 }),
            json!({ "program": "zfs", "args": ["create", "tank/b"], "status": 1 }),
            json!({ "program": "zfs", "args": ["create", "tank/b"], "status": 0 }),
        ]
    );
}

#[test]
fn what_is_done_and_what_is_not() {
    let host = Host::new("omnios");
    let there = |name: &str| host.call(&format!("zfs list {name}")).status == Some(0);
    for (kind, name, done) in
        [("fail", "tank/a", false), ("fail-after", "tank/b", true), ("garbage", "tank/c", false)]
    {
        host.ok(&format!("zonehost inject {kind} zfs create {name}"));
        let ended = host.call(&format!("zfs create {name}"));
        assert_eq!(ended.status, Some(i32::from(kind != "garbage")), "{kind}");
        assert_eq!(there(name), done, "{kind}");
    }
    for (kind, name, done) in [("kill", "tank/d", false), ("kill-after", "tank/e", true)] {
        host.ok(&format!("zonehost inject {kind} zfs create"));
        let ended = host.command(&format!("zfs create {name}")).status().unwrap();
        assert_eq!(ended.signal(), Some(9), "{kind}");
        assert_eq!(there(name), done, "{kind}");
    }
    for (kind, name, done) in [("hang", "tank/f", false), ("hang-after", "tank/g", true)] {
        host.ok(&format!("zonehost inject {kind} zfs create"));
        let mut running = host.command(&format!("zfs create {name}")).spawn().unwrap();
        // It is in the log once it hangs.
        let hangs = || host.calls().iter().any(|call| call["status"] == "hangs" && call["args"][1] == name);
        while !hangs() {
            assert!(running.try_wait().unwrap().is_none(), "{kind}");
            std::thread::sleep(Duration::from_millis(10));
        }
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(there(name), done, "{kind}");
    }
}

#[test]
fn garbage_and_orders_that_are_taken_back() {
    let host = Host::new("omnios");
    host.ok("zonehost inject -o what? garbage zoneadm list -p");
    assert_eq!(host.ok("zoneadm list"), "global\n");
    assert_eq!(host.ok("zoneadm list -p"), "what?");
    host.ok("zonehost inject garbage zoneadm list");
    assert_ne!(host.ok("zoneadm list -p"), host.ok("zoneadm list -p"));
    host.ok("zonehost inject fail zfs");
    host.ok("zonehost inject -c");
    host.ok("zfs list");
    host.refused("zonehost inject explode zfs", 2);
    host.refused("zonehost inject", 2);
    host.refused("zonehost", 2);
}

#[test]
fn without_a_host() {
    let host = Host::new("omnios");
    std::fs::remove_file(host.path("state/host.json")).unwrap();
    assert!(host.refused("zoneadm list", 1).contains("zonehost init makes a host"));
}
