//! zoneadm: which commands in which states, and `list`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::helpers::Host;

#[test]
fn a_life_without_a_process() {
    let host = Host::new("omnios");
    let before = host.dump();
    let path = host.zonepath("web");
    let script = format!(
        "create -b\nset zonepath={path}\nset brand=lipkg\nset ip-type=exclusive\nadd net\nset physical=net0\nset global-nic=igb0\nend\n"
    );
    assert_eq!(host.configure("web", &script).status, Some(0));
    assert_eq!(host.ok("zoneadm -z web list -p"), format!("-:web:configured:{path}::lipkg:excl\n"));
    host.ok("zoneadm -z web attach -F");
    assert_eq!((host.state("web").as_str(), host.field("web", 4).len()), ("installed", 36));
    host.ok("zoneadm -z web ready");
    assert_eq!((host.state("web").as_str(), host.field("web", 0).as_str()), ("ready", "1"));
    assert_eq!(host.dump()["vnics"], serde_json::json!(["web/net0"]));
    assert_eq!(host.dump()["keepers"], serde_json::json!(["web"]));
    host.ok("zoneadm -z web halt");
    assert_eq!(host.state("web"), "installed");
    host.ok("zoneadm -z web detach -F");
    assert_eq!(host.state("web"), "configured");
    host.ok("zonecfg -z web delete -F");
    assert_eq!(host.dump(), before);
    assert!(fs::exists(format!("{path}/root")).unwrap());
}

/// Commands that are not possible, by state.
#[test]
fn transitions_that_there_are_not() {
    let host = Host::new("omnios");
    let refused = |command: &str, says: &str| {
        let said = host.refused(&format!("zoneadm -z web {command}"), 1);
        assert_eq!(said, format!("zoneadm: zone 'web': {says}\n"), "{command}");
    };
    host.installed("web", "");
    host.ok("zoneadm -z web detach");
    refused("ready", "must be installed before ready.");
    refused("boot", "must be installed before boot.");
    refused("detach -F", "must be installed before detach.");
    refused("halt", "halt operation is invalid for zones in state 'configured'");
    refused("uninstall -F", "is already in state 'configured'.");
    refused("shutdown", "not running");
    host.ok("zoneadm -z web attach -F");
    refused("attach -F", "is already installed.");
    refused("install", "is already installed.");
    refused("uninstall", "Input not from terminal and -F not specified: uninstall cancelled.");
    let halted = host.call("zoneadm -z web halt");
    assert_eq!(
        (halted.status, halted.err.as_str()),
        (Some(0), "zoneadm: zone 'web': zone is already halted\n")
    );
    host.ok("zoneadm -z web ready");
    let ready = host.call("zoneadm -z web ready");
    assert_eq!((ready.status, ready.err.as_str()), (Some(0), "zoneadm: zone 'web': zone is already ready\n"));
    refused("attach -F", "attach operation is invalid for ready zones.");
    refused("detach -F", "detach operation is invalid for ready zones.");
    refused("uninstall -F", "uninstall operation is invalid for ready zones.");
    assert!(host.refused("zonecfg -z web delete -F", 1).contains("in state ready"));
    host.ok("zoneadm -z web halt");
    host.ok("zoneadm -z web mark incomplete");
    refused("boot", "must be installed before boot.");
    refused("attach -F", "zone is incomplete; uninstall required.");
    host.ok("zoneadm -z web uninstall -F");
    assert_eq!(host.state("web"), "configured");
    assert!(!fs::exists(host.path("zones/web")).unwrap());
}

#[test]
fn words_that_mean_nothing() {
    let host = Host::new("gate");
    host.installed("web", "");
    for line in [
        "zoneadm",
        "zoneadm -x",
        "zoneadm -z web frobnicate",
        "zoneadm list -x",
        "zoneadm -z web list -c",
        "zoneadm -z web ready x",
    ] {
        host.refused(line, 2);
    }
    assert_eq!(host.refused("zoneadm -z none list -p", 1), "zoneadm: none: No such zone configured\n");
    assert_eq!(host.refused("zoneadm -z none halt", 1), "zoneadm: none: No such zone configured\n");
    assert!(host.refused("zoneadm list -pv", 1).contains("mutually exclusive"));
    assert!(host.refused("zoneadm -z global halt", 1).contains("global zone"));
}

#[test]
fn lists() {
    let host = Host::new("omnios");
    let path = host.zonepath("a:b");
    let script = format!("create -b\nset zonepath={path}\nset brand=lx\n");
    assert_eq!(host.configure("colon", &script).status, Some(0));
    host.installed("ready", "");
    host.ok("zoneadm -z ready ready");
    host.installed("web", "");
    assert_eq!(host.ok("zoneadm list"), "global\nready\n");
    assert_eq!(host.ok("zoneadm list -in"), "ready\nweb\n");
    assert_eq!(host.ok("zoneadm list -c"), "global\nready\ncolon\nweb\n");
    let all = host.ok("zoneadm list -pc");
    let lines: Vec<_> = all.lines().collect();
    assert_eq!(lines[0], "0:global:running:/::ipkg:shared");
    assert_eq!(lines[2], format!("-:colon:configured:{}::lx:shared", path.replace(':', "\\:")));
    assert!(host.ok("zoneadm list -cv").starts_with("  ID NAME             STATUS     PATH "));
}

#[test]
fn zonepaths_that_are_not_right() {
    let host = Host::new("omnios");
    let path = host.zonepath("web");
    let script = |path: &str| format!("create -b\nset zonepath={path}\nset brand=lipkg\n");
    assert_eq!(host.configure("web", &script(&path)).status, Some(0));
    let refused = |says: &str| {
        let said = host.refused("zoneadm -z web attach -F", 1);
        assert!(said.contains(says) && said.ends_with("zoneadm: zone web failed to verify\n"), "{said}");
        assert_eq!(host.state("web"), "configured");
    };
    let mode = |path: &str, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&path, 0o750);
    refused(&format!("{path} must not be group readable.\n{path} must not be group executable.\n"));
    mode(&path, 0o700);
    let parent = host.path("zones").to_str().unwrap().to_owned();
    mode(&parent, 0o775);
    refused(&format!("{parent} must not be group writable.\n"));
    mode(&parent, 0o755);
    host.ok("zoneadm -z web attach -F");
    // Nothing within another zone, no link, no zone without a root.
    let inner = format!("{path}/inner");
    assert_eq!(host.configure("inner", &script(&inner)).status, Some(0));
    fs::create_dir(&inner).unwrap();
    mode(&inner, 0o700);
    assert!(host.refused("zoneadm -z inner attach -F", 1).contains("overlap"));
    let link = host.path("zones/link");
    symlink(&path, &link).unwrap();
    assert_eq!(host.configure("link", &script(link.to_str().unwrap())).status, Some(0));
    assert!(host.refused("zoneadm -z link attach -F", 1).contains("fully resolved"));
    let empty = host.zonepath("empty");
    fs::remove_dir(format!("{empty}/root")).unwrap();
    assert_eq!(host.configure("empty", &script(&empty)).status, Some(0));
    assert!(host.refused("zoneadm -z empty attach -F", 1).contains("/root: No such file"));
}

#[test]
fn file_systems_that_are_not_there() {
    let host = Host::new("omnios");
    let fs = |special: &str, kind: &str| {
        format!("add fs\nset dir=/d\nset special={special}\nset type={kind}\nend\n")
    };
    let path = host.zonepath("web");
    for (lines, says) in [
        (
            fs("/no/such", "lofs"),
            "could not verify fs /d: could not access /no/such: No such file or directory",
        ),
        (fs("swap", "tmpfs"), "could not verify fs /d: could not access swap: No such file or directory"),
        (fs("/proc", "proc"), "cannot verify fs /d: type proc is not allowed."),
        (fs("/dev/x", "ext4"), "could not verify fs /d: could not access /usr/lib/fs/ext4/mount"),
    ] {
        let script = format!("create -b -F\nset zonepath={path}\nset brand=lipkg\n{lines}");
        assert_eq!(host.configure("web", &script).status, Some(0));
        assert!(host.refused("zoneadm -z web attach -F", 1).contains(says), "{says}");
    }
}
