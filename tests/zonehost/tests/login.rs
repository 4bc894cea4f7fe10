//! zlogin, up to the zone.

use crate::helpers::Host;

#[test]
fn refusals() {
    let host = Host::new("omnios");
    host.installed("web", "");
    for (line, status, says) in [
        ("zlogin", 2, "usage: zlogin"),
        ("zlogin -x web true", 2, "usage: zlogin"),
        ("zlogin -S -l daemon web true", 2, "-l may not be specified with -S"),
        ("zlogin -C web true", 2, "Commands may not be specified for console login."),
        ("zlogin -C -n web", 2, "-n may not be specified with -C"),
        ("zlogin -d web true", 2, "-d may only be specified with console login"),
        ("zlogin -Q none true", 1, "zlogin: zone 'none' unknown\n"),
        ("zlogin -Q global true", 1, "not applicable to the global zone"),
        ("zlogin -Q web true", 1, "login allowed only to running zones (web is 'installed').\n"),
        ("zlogin -I web", 1, "'zlog-mode' is not configured on the zone"),
    ] {
        let said = host.refused(line, status);
        assert!(said.contains(says), "{line}: {said}");
    }
    host.ok("zoneadm -z web ready");
    assert!(host.refused("zlogin -S web true", 1).contains("(web is 'ready')"));
    host.ok("zoneadm -z web halt");
    host.ok("zoneadm -z web detach");
    assert!(host.refused("zlogin web true", 1).contains("cannot login to a zone which is 'configured'"));
}

/// Whoever is connected to the console hears of the zone's end, and goes with it if that is wanted.
#[test]
fn consoles() {
    let host = Host::new("omnios");
    host.installed("web", "");
    host.ok("zoneadm -z web ready");
    let mut connected = host.command("zlogin -C -d web");
    let connected = connected.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // It says so once it is.
    let mut out = connected.stdout.unwrap();
    let mut line = [0; 32];
    std::io::Read::read_exact(&mut out, &mut line[..30]).unwrap();
    assert_eq!(&line[..30], b"[Connected to zone 'web' conso");
    host.ok("zoneadm -z web halt");
    let rest = std::io::read_to_string(out).unwrap();
    assert!(rest.starts_with("le]\n\r\n[NOTICE: Zone halted]\r\n"), "{rest:?}");
    assert!(rest.ends_with("[Connection to zone 'web' console closed]\n"), "{rest:?}");
    assert_eq!(host.dump()["keepers"], serde_json::json!([]));
}
