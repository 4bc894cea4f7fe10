//! zonecfg.

use crate::helpers::Host;

const WHOLE: &str = "create -b\nset zonepath=/zones/web\nset brand=lipkg\nset autoboot=false\nset ip-type=exclusive\n\
    set bootargs=\"-i /.aurora/podinit\"\nadd fs\nset dir=/data\nset special=\"/tank/a b\"\nset type=lofs\n\
    add options [ro,nodevices]\nend\nadd net\nset physical=net0\nset global-nic=igb0\n\
    add property (name=ips,value=\"10.0.0.5/24,10.0.0.6/24\")\nend\nadd attr\nset name=aurora-id\nset type=string\n\
    set value=web\nend\nverify\ncommit\n";

#[test]
fn what_is_exported_makes_the_same_again() {
    let host = Host::new("omnios");
    assert_eq!(host.configure("web", WHOLE).status, Some(0));
    let text = host.ok("zonecfg -z web export");
    assert!(text.contains("set special=\"/tank/a b\"\n"), "{text}");
    assert!(text.contains("add property (name=ips,value=\"10.0.0.5/24,10.0.0.6/24\")\n"), "{text}");
    assert_eq!(host.configure("copy", &text).status, Some(0));
    assert_eq!(host.ok("zonecfg -z copy export"), text);
    assert_eq!(host.ok("zonecfg -z web info zonepath"), "zonepath: /zones/web\n");
    assert!(host.ok("zonecfg -z web info net").starts_with("net:\n\tphysical: net0\n"));
    host.ok("zonecfg -z copy delete -F");
    assert_eq!(host.refused("zonecfg -z copy export", 1), "copy: No such zone configured\n");
    assert_eq!(host.refused("zonecfg -z copy delete -F", 1), "copy: No such zone configured\n");
}

#[test]
fn refusals() {
    let host = Host::new("gate");
    let begin = "create -b\nset zonepath=/zones/web\nset brand=ipkg\nset ip-type=exclusive\n";
    for (lines, says) in [
        ("add fs\nset dir=/d\nset type=lofs\nend", "fs: special not specified"),
        ("add fs\nset dir=/d\nset special=/s\nset type=lofs", "Resource incomplete."),
        ("add thing", "no such resource: thing"),
        ("set colour=red", "no such property: colour"),
        ("set brand=lx", "brand can't be \"lx\""),
        ("add net\nset physical=v0\nset global-nic=igb0\nend", "net has no global-nic"),
        (
            "add net\nset physical=v0\nadd property (name=a,value=\"b\")\nend",
            "a quoted word within parentheses",
        ),
        ("add attr\nset name=a\nset type=string\nset value=\"b\nend", "a quote without its end"),
        (
            "add capped-memory\nset physical=1M\nset locked=2M\nend",
            "The locked cap must be less than or equal",
        ),
        ("delete", "input not from terminal and -F not specified"),
    ] {
        let done = host.configure("web", &format!("{begin}{lines}\n"));
        assert_eq!(done.status, Some(1), "{lines}");
        assert!(done.err.contains(says), "{lines}: {}", done.err);
        let _ = host.call("zonecfg -z web delete -F");
    }
    for name in ["-web", "a/b", "é", &"a".repeat(64)] {
        assert_eq!(host.configure(name, begin).status, Some(2), "{name}");
    }
    host.refused("zonecfg", 2);
    host.refused("zonecfg -z web", 2);
    host.refused("zonecfg -x", 2);
    assert!(host.refused("zonecfg -z web -f /nosuch", 1).starts_with("could not open file /nosuch"));
}

#[test]
fn what_exists_is_not_made_again() {
    let host = Host::new("omnios");
    assert_eq!(host.configure("web", WHOLE).status, Some(0));
    let done = host.configure("web", WHOLE);
    assert_eq!(done.status, Some(1));
    assert!(done.err.contains("Zone exists, input not from terminal"), "{}", done.err);
    assert_eq!(host.configure("web", &WHOLE.replace("create -b", "create -b -F")).status, Some(0));
    host.installed("other", "");
    let done = host.configure("other", &WHOLE.replace("create -b", "create -b -F"));
    assert!(done.err.contains("Zone other already installed; create not allowed."), "{}", done.err);
}

#[test]
fn a_script_that_fails_leaves_what_was_right() {
    let host = Host::new("omnios");
    let done = host.configure("web", &WHOLE.replace("verify", "verify now"));
    assert_eq!(done.status, Some(1));
    assert!(done.err.starts_with("On line 23 of "), "{}", done.err);
    assert_eq!(host.state("web"), "configured");
    // Not within a resource, though, and not without a brand.
    for (zone, script) in [
        ("a", WHOLE.replace("set value=web\n", "set value=\n")),
        ("b", WHOLE.replace("set brand=lipkg\n", "")),
    ] {
        assert_eq!(host.configure(zone, &script).status, Some(1));
        host.refused(&format!("zoneadm -z {zone} list -p"), 1);
    }
}

#[test]
fn one_command_at_a_time() {
    let host = Host::new("smartos");
    host.ok("zonecfg -z web create -b; set zonepath=/zones/web; set brand=joyent-minimal");
    host.ok("zonecfg -z web add attr; set name=a; set type=uint; set value=1; end");
    host.ok("zonecfg -z web select attr name=a; set value=2; end");
    assert_eq!(host.ok("zonecfg -z web info attr"), "attr:\n\tname: a\n\ttype: uint\n\tvalue: 2\n");
    host.ok("zonecfg -z web set cpu-shares=5; clear cpu-shares; remove attr name=a");
    assert_eq!(host.refused("zonecfg -z web info attr", 1), "No such attr resource.\n");
    assert_eq!(host.refused("zonecfg -z web remove attr", 1), "remove attr: No such entry\n");
    host.ok("zonecfg -z web remove -F attr");
    host.refused("zonecfg -z none set cpu-shares=5", 1);
}
