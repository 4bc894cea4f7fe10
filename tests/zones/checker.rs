//! Reads a command file whole, as zonecfg does: `tests/zonehost/host/language` is the reader. What a program writes has to be
//! better than what zonecfg takes: it begins with `create`, ends with `commit`, and says nothing twice.

use aurora_zones::Dialect;

use crate::language::{Configured, Keep, Session};

/// What was committed.
#[derive(Default)]
struct Committed(Option<Configured>);

impl Keep for Committed {
    fn commit(&mut self, configured: &Configured) -> Result<(), String> {
        self.0 = Some(configured.clone());
        Ok(())
    }

    fn delete(&mut self) -> Result<(), String> {
        Err("something is deleted".to_owned())
    }

    fn print(&mut self, text: &str) -> Result<(), String> {
        Err(format!("something is printed: {text}"))
    }
}

/// Reads a script to its end.
pub(crate) fn check(script: &str, dialect: Dialect) -> Result<Configured, String> {
    let mut committed = Committed::default();
    let mut session = Session::new("checked", None, false, dialect);
    for (number, line) in script.lines().enumerate() {
        let place = |why| format!("line {}: {why}: {line}", number + 1);
        if committed.0.is_some() {
            return Err(place("after the commit".to_owned()));
        }
        session.line(line, &mut committed).map_err(place)?;
    }
    if session.is_open() {
        return Err("a resource without its end".to_owned());
    }
    if session.is_changed() {
        return Err("something is not committed".to_owned());
    }
    committed.0.ok_or_else(|| "nothing is committed".to_owned())
}

#[test]
fn it_reads_what_the_manual_page_shows() {
    let script = "create -b\nset zonepath=/zones/my-zone\nset brand=ipkg\nset autoboot=true; set ip-type=exclusive\n\
        add fs\nset dir=/usr/local\nset special=/opt/local\nset type=lofs\nadd options [ro,nodevices]\nend\n\
        add net\nset physical=vnic0\nset allowed-address=\"192.168.0.1/24\"\nend\n# a comment\n\n\
        add attr\nset name=comment\nset type=string\nset value=\"It's my zone; isn't it?\"\nend\nverify\ncommit\n";
    let configured = check(script, Dialect::Gate).unwrap();
    assert_eq!(configured.all("fs", "options"), ["ro", "nodevices"]);
    assert_eq!(configured.all("attr", "value"), ["It's my zone; isn't it?"]);
}

#[test]
fn it_refuses_what_is_wrong() {
    let with = |lines: &str| format!("create -b\nset zonepath=/z\nset brand=ipkg\n{lines}\nverify\ncommit\n");
    for lines in [
        "set autoboot=yes",
        "set zonepath=/y",
        "set zonepath =",
        "set x=y",
        "set",
        "add",
        "add x",
        "end",
        "add fs\nend",
        "add fs\nset dir=x\nset special=/s\nset type=lofs\nend",
        "add fs\nset dir=/d\nset special=/s\nset type=lofs",
        "add fs\nset dir=/d\nset dir=/e\nset special=/s\nset type=lofs\nend",
        "add fs\nset dir=/d\nset special=/s\nset type=lofs\nadd options [ro\nend",
        "add fs\nset dir=/d\nset special=/s\nset type=lofs\nadd options [size=1]\nend",
        "add net\nset physical=v0\nset global-nic=auto\nend",
        "add net\nset physical=v0\nadd property (name=a,value=\"b\")\nend",
        "set ip-type=exclusive\nadd net\nset physical=v0\nset address=10.0.0.1\nend",
        "add net\nset physical=v0\nend",
        "add capped-memory\nset physical=1M\nset locked=2M\nend",
        "add rctl\nset name=zone.cpu-cap\nadd value (limit=1,priv=privileged,action=none)\nend",
        "remove net",
        "select attr name=a",
        "delete -F",
        "add capped-memory\nend",
        "add capped-memory\nset physical=5\nend",
        "add capped-cpu\nset ncpus=0.001\nend",
        "add attr\nset name=zone-x\nset type=string\nset value=v\nend",
        "add attr\nset name=a\nset type=string\nset value=\"v\nend",
        "commit",
        "verify now",
        "create -b",
    ] {
        check(&with(lines), Dialect::Gate).map(drop).expect_err(lines);
    }
    check("set zonepath=/z\n", Dialect::Gate).map(drop).unwrap_err();
    check("create -b\nset zonepath=/z\nset brand=x\n", Dialect::Gate).map(drop).unwrap_err();
}
