//! zlogin, up to the zone.

use std::io::Read;
use std::process::Stdio;

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
        ("zlogin -i -n web true", 2, "-i may not be specified with -n"),
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

/// One is connected at a time. He hears of the zone's end, and goes with it if he wants to.
#[test]
fn consoles() {
    let host = Host::new("omnios");
    host.installed("web", "");
    host.ok("zoneadm -z web ready");
    let mut connected = host.command("zlogin -C -d web").stdout(Stdio::piped()).spawn().unwrap();
    // It says so once it is.
    let mut out = connected.stdout.take().unwrap();
    let hello = "[Connected to zone 'web' console]\n";
    let mut line = vec![0; hello.len()];
    out.read_exact(&mut line).unwrap();
    assert_eq!(line, hello.as_bytes());
    let other = host.refused("zlogin -C web", 1);
    assert_eq!(other, format!("zlogin: Console is already in use by process ID {}.\n", connected.id()));
    host.ok("zoneadm -z web halt");
    let rest = std::io::read_to_string(out).unwrap();
    let goodbye = "\n[Connection to zone 'web' console closed]\n";
    assert_eq!(rest, format!("\r\n[NOTICE: Zone halted.  Disconnecting...]\r\n{goodbye}"));
    assert_eq!(connected.wait().unwrap().code(), Some(0));
    assert_eq!(host.dump()["keepers"], serde_json::json!([]));
}

/// Who does not want to go hears of the next life of the zone, too.
#[test]
fn a_console_from_life_to_life() {
    let host = Host::new("omnios");
    host.installed("web", "");
    let mut connected = host.command("zlogin -C web").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = connected.stdout.take().unwrap();
    let mut heard = |text: &str| {
        let mut line = vec![0; text.len()];
        out.read_exact(&mut line).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), text);
    };
    // Nothing is heard before that.
    heard("[Connected to zone 'web' console]\n");
    for _ in 0..2 {
        host.ok("zoneadm -z web ready");
        heard("\r\n[NOTICE: Zone readied]\r\n");
        host.ok("zoneadm -z web halt");
        heard("\r\n[NOTICE: Zone halted]\r\n");
    }
    connected.kill().unwrap();
    connected.wait().unwrap();
    while host.dump()["keepers"] != serde_json::json!([]) {}
}
