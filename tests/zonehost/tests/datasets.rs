//! zfs, in a pool that is not mounted anywhere.

use std::fs;

use crate::helpers::Host;

#[test]
fn made_cloned_destroyed() {
    let host = Host::new("omnios");
    host.ok("zfs create -p tank/images/web");
    let folder = host.path("state/datasets/tank%2fimages%2fweb");
    fs::write(folder.join("file"), "content").unwrap();
    host.ok("zfs snapshot tank/images/web@final");
    fs::write(folder.join("file"), "changed").unwrap();
    host.ok("zfs clone -o readonly=on -o dev.aurora:id=x tank/images/web@final tank/web");
    let clone = host.path("state/datasets/tank%2fweb/file");
    assert_eq!(fs::read_to_string(clone).unwrap(), "content");
    assert_eq!(
        host.ok("zfs list -H -o name,origin -t filesystem tank/web"),
        "tank/web\ttank/images/web@final\n"
    );
    assert_eq!(
        host.ok("zfs list -H -o name -t all -r tank/images"),
        "tank/images\ntank/images/web\ntank/images/web@final\n"
    );
    let busy = host.refused("zfs destroy -r tank/images", 1);
    assert!(busy.contains("filesystem has dependent clones") && busy.ends_with("tank/web\n"), "{busy}");
    host.ok("zfs destroy tank/web");
    assert!(host.refused("zfs destroy tank/images", 1).contains("filesystem has children"));
    host.ok("zfs destroy -r tank/images");
    assert_eq!(
        host.refused("zfs list tank/images", 1),
        "cannot open 'tank/images': dataset does not exist\n"
    );
    assert_eq!(
        host.refused("zfs destroy -r tank/images", 1),
        "cannot open 'tank/images': dataset does not exist\n"
    );
    assert_eq!(host.dump()["datasets"], serde_json::json!(["tank"]));
    assert_eq!(fs::read_dir(host.path("state/datasets")).unwrap().count(), 1);
}

#[test]
fn properties() {
    let host = Host::new("omnios");
    host.ok("zfs create -o mountpoint=legacy tank/a");
    host.ok("zfs create tank/a/b");
    assert_eq!(host.ok("zfs get -H -o value mountpoint tank/a/b"), "legacy\n");
    assert_eq!(host.ok("zfs get -Hp readonly tank/a"), "tank/a\treadonly\toff\tdefault\n");
    host.ok("zfs set readonly=on dev.aurora:id=7 tank/a");
    assert_eq!(
        host.ok("zfs get -H -o property,value,source readonly,dev.aurora:id,mounted tank/a/b"),
        "readonly\ton\tinherited from tank/a\ndev.aurora:id\t7\tinherited from tank/a\nmounted\tno\t-\n"
    );
    assert_eq!(host.ok("zfs get -H -o value nosuch:property tank/a"), "-\n");
    assert_eq!(host.ok("zfs list -o name,readonly tank/a"), "NAME    READONLY\ntank/a  on\n");
    let all = host.ok("zfs get -H -o property all tank/a");
    assert_eq!(all, "type\norigin\nmounted\nmountpoint\ncanmount\nreadonly\ndev.aurora:id\n");
    host.ok("zfs inherit readonly tank/a");
    assert_eq!(host.ok("zfs get -H -o value,source readonly tank/a"), "off\tdefault\n");
    // What came with a stream is there again after -S, and not without.
    for (restores, want) in [("inherit -S", "off\treceived\n"), ("inherit", "on\tinherited from tank/a\n")] {
        host.ok("zfs set readonly=on tank/a");
        host.ok("zonehost receive tank/a/b readonly off");
        host.ok("zfs set readonly=on tank/a/b");
        assert_eq!(host.ok("zfs get -H -o value,source readonly tank/a/b"), "on\tlocal\n");
        host.ok(&format!("zfs {restores} readonly tank/a/b"));
        assert_eq!(host.ok("zfs get -H -o value,source readonly tank/a/b"), want);
    }
    host.refused("zfs set readonly=maybe tank/a", 1);
    host.refused("zfs set colour=red tank/a", 1);
    host.refused("zfs set readonly tank/a", 2);
    assert!(host.refused("zfs mount tank/a", 1).contains("no mountpoint set"));
}

#[test]
fn refusals() {
    let host = Host::new("omnios");
    host.ok("zfs create tank/a");
    host.ok("zfs snapshot tank/a@1");
    for (line, status, says) in [
        ("zfs", 2, "usage"),
        ("zfs frobnicate", 2, "unrecognized command 'frobnicate'"),
        ("zfs create tank/a", 1, "cannot create 'tank/a': dataset already exists"),
        ("zfs create tank/x/y", 1, "cannot create 'tank/x/y': parent does not exist"),
        ("zfs create pool", 1, "no such pool"),
        ("zfs create tank/b@1", 1, "snapshot delimiter"),
        ("zfs create tank/b$", 1, "invalid dataset name"),
        ("zfs snapshot tank/a@1", 1, "dataset already exists"),
        ("zfs snapshot tank/a", 1, "missing '@' delimiter"),
        ("zfs clone tank/a@2 tank/c", 1, "cannot open 'tank/a@2': dataset does not exist"),
        ("zfs clone tank/a@1 tank/a", 1, "dataset already exists"),
        ("zfs clone tank/a@1", 2, "usage"),
        ("zfs get", 2, "usage"),
    ] {
        let said = host.refused(line, status);
        assert!(said.contains(says), "{line}: {said}");
    }
}
