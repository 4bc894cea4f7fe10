//! dladm.

use crate::helpers::Host;

#[test]
fn made_shown_deleted() {
    let host = Host::new("gate");
    host.ok("dladm create-vnic -t -l igb0 -m 02:08:20:00:01:0a web0");
    host.ok("dladm create-vnic -t -l igb1 web1");
    assert_eq!(
        host.ok("dladm show-vnic -p -o link,over,macaddress"),
        "web0:igb0:2\\:8\\:20\\:0\\:1\\:a\nweb1:igb1:2\\:8\\:20\\:0\\:0\\:0\n"
    );
    assert_eq!(host.ok("dladm show-vnic -p -o LINK -l igb1"), "web1\n");
    assert_eq!(host.ok("dladm show-vnic -p -o macaddress web0"), "2:8:20:0:1:a\n");
    assert!(host.ok("dladm show-vnic").starts_with("LINK         OVER "));
    host.ok("dladm set-linkprop -t -p protection=mac-nospoof,ip-nospoof web0");
    assert!(host.ok("dladm show-linkprop web0").contains("mac-nospoof,ip-nospoof"));
    host.ok("dladm delete-vnic -t web0");
    assert_eq!(host.refused("dladm delete-vnic -t web0", 1), "dladm: invalid link name 'web0'\n");
    assert_eq!(
        host.refused("dladm show-vnic web0", 1),
        "dladm: invalid vnic name 'web0': object not found\n"
    );
}

#[test]
fn refusals() {
    let host = Host::new("gate");
    host.ok("dladm create-vnic -t -l igb0 web0");
    for (line, says) in [
        ("dladm", "usage"),
        ("dladm frobnicate", "unrecognized subcommand: 'frobnicate'"),
        ("dladm create-vnic -t -l igb0 web0", "object already exists"),
        ("dladm create-vnic -t -l igb7 web7", "vnic creation over igb7 failed: object not found"),
        ("dladm create-vnic -t -l igb0 web", "invalid link name 'web'"),
        ("dladm create-vnic -t -l igb0 web01", "invalid link name"),
        ("dladm create-vnic -t -l igb0 w.b1", "invalid link name"),
        ("dladm create-vnic -t -l igb0 web4294967295", "invalid link name"),
        ("dladm create-vnic -t -l igb0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "invalid link name"),
        ("dladm create-vnic -t -l igb0 -m 2:8:20 web8", "invalid MAC address"),
        ("dladm create-vnic -t -l igb0 -p colour=red web9", "invalid link property 'colour'"),
        ("dladm set-linkprop -t -p protection=everything web0", "invalid argument"),
        ("dladm show-vnic -p", "-p requires -o"),
        ("dladm show-vnic -p -o colour", "invalid output field 'colour'"),
    ] {
        let said = host.call(line);
        assert!(said.err.contains(says), "{line}: {}", said.err);
        assert_ne!(said.status, Some(0), "{line}");
    }
    assert_eq!(host.ok("dladm show-vnic -p -o link"), "web0\n");
}

#[test]
fn a_zone_has_its_links_while_it_is_up() {
    let host = Host::new("gate");
    for zone in ["web", "other"] {
        host.installed(zone, "add net\nset physical=web0\nend\n");
    }
    assert!(
        host.refused("zoneadm -z web ready", 1)
            .contains("failed to add network device web0: object not found")
    );
    assert_eq!(host.state("web"), "installed");
    host.ok("dladm create-vnic -t -l igb0 web0");
    host.ok("zoneadm -z web ready");
    assert_eq!(host.ok("dladm show-vnic -p -o zone web0"), "web\n");
    assert!(host.refused("dladm delete-vnic -t web0", 1).contains("link still in use"));
    assert!(host.refused("zoneadm -z other ready", 1).contains("in use by zone web"));
    assert_eq!(host.ok("dladm show-vnic -p -o zone web0"), "web\n");
    host.ok("zoneadm -z web halt");
    host.ok("dladm delete-vnic -t web0");
}
