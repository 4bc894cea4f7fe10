//! A host in a temporary folder.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// How a call has ended, and what it has written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// What is left of it ends with it.
pub(crate) struct Host {
    dir: TempDir,
}

impl Host {
    /// With two links, and a pool that is not mounted.
    pub(crate) fn new(dialect: &str) -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap() };
        host.ok(&format!("zonehost init -d {dialect} -l igb0 -l igb1 -p tank=none"));
        host
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ');
        let mut command = Command::new(env!("CARGO_BIN_EXE_zonehost"));
        command.arg0(format!("/usr/sbin/{}", words.next().unwrap())).args(words);
        command.env("ZONEHOST_STATE", self.dir.path().join("state")).stdin(Stdio::null());
        command
    }

    /// Calls a program, by words with one blank between them.
    pub(crate) fn call(&self, line: &str) -> Done {
        let done = self.command(line).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { status: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
    }

    /// The same, where nothing goes wrong and nothing is said; what it prints.
    pub(crate) fn ok(&self, line: &str) -> String {
        let done = self.call(line);
        assert_eq!((done.status, done.err.as_str()), (Some(0), ""), "{line}: {}", done.out);
        done.out
    }

    /// The same, where it does; what it says.
    pub(crate) fn refused(&self, line: &str, status: i32) -> String {
        let done = self.call(line);
        assert_eq!((done.status, done.out.as_str()), (Some(status), ""), "{line}: {}", done.err);
        done.err
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A zonepath as zoneadm wants it, with a root.
    pub(crate) fn zonepath(&self, name: &str) -> String {
        let path = self.path("zones").join(name);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(self.path("zones")).unwrap();
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        fs::create_dir(path.join("root")).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Has zonecfg read a command file.
    pub(crate) fn configure(&self, zone: &str, script: &str) -> Done {
        let file = self.path("script");
        fs::write(&file, script).unwrap();
        self.call(&format!("zonecfg -z {zone} -f {}", file.display()))
    }

    /// A zone that is installed.
    pub(crate) fn installed(&self, zone: &str, lines: &str) -> String {
        let path = self.zonepath(zone);
        // Of a brand that gate and OmniOS have.
        let script =
            format!("create -b\nset zonepath={path}\nset brand=ipkg\nset ip-type=exclusive\n{lines}");
        assert_eq!(self.configure(zone, &script).status, Some(0));
        self.ok(&format!("zoneadm -z {zone} attach -F"));
        path
    }

    /// What `zoneadm list -p` has in one of its fields.
    pub(crate) fn field(&self, zone: &str, field: usize) -> String {
        let line = self.ok(&format!("zoneadm -z {zone} list -p"));
        line.trim_end().split(':').nth(field).unwrap().to_owned()
    }

    pub(crate) fn state(&self, zone: &str) -> String {
        self.field(zone, 2)
    }

    pub(crate) fn dump(&self) -> Value {
        serde_json::from_str(&self.ok("zonehost dump")).unwrap()
    }

    /// Programs, arguments and ends of all calls but zonehost's own.
    pub(crate) fn calls(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("state/calls.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.command("zonehost inject -c").status();
        if let Ok(done) = self.command("zoneadm list -n").output() {
            for zone in String::from_utf8_lossy(&done.stdout).lines() {
                let _ = self.command(&format!("zoneadm -z {zone} halt")).status();
            }
        }
    }
}
