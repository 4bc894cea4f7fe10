//! The arguments of `zfs`, and what it prints. Names are the caller's to check: one that begins with a hyphen would
//! be an option.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{CommandError, CommandLine, Input, Programs, Property};

/// The program.
const ZFS: &str = "zfs";
/// What is asked of every dataset, in this order.
const COLUMNS: &str = "name,type,mountpoint,origin,guid";

/// The host's ZFS.
#[derive(Debug, Clone, Copy)]
pub struct Zfs<'a>(&'a dyn Programs);

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetKind {
    /// A file system.
    Filesystem,
    /// A volume.
    Volume,
    /// A snapshot of either.
    Snapshot,
}

/// A line of `zfs list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `POOL/NAME` or `POOL/NAME@SNAPSHOT`.
    pub name: String,
    /// What it is.
    pub kind: DatasetKind,
    /// Where it is mounted, or would be; `none` and `legacy` stand for themselves.
    pub mountpoint: Option<String>,
    /// The snapshot that it is a clone of.
    pub origin: Option<String>,
    /// Its guid.
    pub guid: u64,
}

/// A snapshot, and what somebody has set on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// `POOL/NAME@SNAPSHOT`.
    pub name: String,
    /// Its guid.
    pub guid: u64,
    /// The property that was asked for, where it is set.
    pub mark: Option<String>,
}

impl<'a> Zfs<'a> {
    /// The `zfs` of these programs.
    pub fn new(programs: &'a dyn Programs) -> Self {
        Self(programs)
    }

    /// A dataset, its children and its snapshots, as `zfs` sorts them.
    pub fn list(self, dataset: &str) -> Result<Vec<Listed>, CommandError> {
        let kinds = "filesystem,volume,snapshot";
        let line = line(&["list", "-H", "-p", "-d", "1", "-t", kinds, "-o", COLUMNS, dataset]);
        lines(&self.0.run(&line)?, &line, parse)
    }

    /// Takes a snapshot, `POOL/NAME@SNAPSHOT`.
    pub fn snapshot(self, name: &str) -> Result<(), CommandError> {
        self.run(&["snapshot", name])
    }

    /// Destroys one snapshot, and nothing where the name is no snapshot's.
    pub fn destroy_snapshot(self, dataset: &str, snapshot: &str) -> Result<(), CommandError> {
        self.run(&["destroy", &format!("{dataset}@{snapshot}")])
    }

    /// Destroys a dataset with its snapshots and children.
    pub fn destroy_tree(self, dataset: &str) -> Result<(), CommandError> {
        self.run(&["destroy", "-r", dataset])
    }

    /// Gives a dataset another name in its pool.
    pub fn rename(self, from: &str, to: &str) -> Result<(), CommandError> {
        self.run(&["rename", from, to])
    }

    /// Sets a property.
    pub fn set(self, dataset: &str, property: &str, value: &str) -> Result<(), CommandError> {
        self.run(&["set", &format!("{property}={value}"), dataset])
    }

    /// The plain stream of a snapshot: whole, or what changed since another one.
    pub fn send(self, from: Option<&str>, snapshot: &str) -> Result<Box<dyn Read + Send>, CommandError> {
        match from {
            None => self.0.read(&line(&["send", snapshot])),
            Some(from) => self.0.read(&line(&["send", "-i", from, snapshot])),
        }
    }

    /// Takes a stream, and does not mount the dataset: a whole one or, with the snapshot it goes on from as origin, an
    /// increment for a dataset that is not there yet; without, an increment for one that is. What was received of a
    /// stream that ends too early is kept where it is to be gone on with.
    pub fn receive(
        self,
        dataset: &str,
        origin: Option<&str>,
        properties: &[Property],
        keep: bool,
    ) -> Result<Box<dyn Input>, CommandError> {
        let origin = origin.map(|origin| format!("origin={origin}"));
        let mut args = vec!["receive"];
        args.extend(keep.then_some("-s"));
        args.push("-u");
        args.extend(origin.iter().flat_map(|origin| ["-o", origin]));
        self.0.write(&with_properties(&args, properties, &[dataset]))
    }

    /// Makes an empty file system, which is mounted if its properties say so.
    pub fn create(self, dataset: &str, properties: &[Property]) -> Result<(), CommandError> {
        self.0.run(&with_properties(&["create"], properties, &[dataset])).map(drop)
    }

    /// Mounts a file system.
    pub fn mount(self, dataset: &str) -> Result<(), CommandError> {
        self.run(&["mount", dataset])
    }

    /// Unmounts a file system.
    pub fn unmount(self, dataset: &str) -> Result<(), CommandError> {
        self.run(&["unmount", dataset])
    }

    /// Sets a property back to what it is by inheritance, or by itself.
    pub fn inherit(self, dataset: &str, property: &str) -> Result<(), CommandError> {
        self.run(&["inherit", property, dataset])
    }

    /// Gives up what was kept of a stream that ended too early.
    pub fn abort_receive(self, dataset: &str) -> Result<(), CommandError> {
        self.run(&["receive", "-A", dataset])
    }

    /// The token of a stream that ended too early, if what was received of it was kept.
    pub fn resume_token(self, dataset: &str) -> Result<Option<String>, CommandError> {
        self.property(dataset, "receive_resume_token")
    }

    /// What a property is, where it has a value.
    pub fn property(self, dataset: &str, property: &str) -> Result<Option<String>, CommandError> {
        let printed = self.0.run(&line(&["get", "-H", "-p", "-o", "value", property, dataset]))?;
        let printed = String::from_utf8_lossy(&printed);
        let value = printed.strip_suffix('\n').unwrap_or(&printed);
        Ok((value != "-" && !value.is_empty()).then(|| value.to_owned()))
    }

    /// All snapshots of a dataset and of what is below it, with their guids and a property of the user's.
    pub fn marked(self, dataset: &str, property: &str) -> Result<Vec<Marked>, CommandError> {
        let columns = format!("name,guid,{property}");
        let line = line(&["list", "-H", "-p", "-r", "-t", "snapshot", "-o", &columns, dataset]);
        lines(&self.0.run(&line)?, &line, |text| {
            let mut fields = text.split('\t');
            let (name, guid, value) = (fields.next()?, fields.next()?, fields.next()?);
            let mark = (value != "-").then(|| value.to_owned());
            Some(Marked { name: name.to_owned(), guid: guid.parse().ok()?, mark })
        })
    }

    /// Makes a dataset of a snapshot, and does not mount it. Where this fails it may be there all the same.
    pub fn clone_of(
        self,
        snapshot: &str,
        dataset: &str,
        properties: &[Property],
    ) -> Result<(), CommandError> {
        // Only a very new `clone` can be told not to mount.
        let (canmount, others): (Vec<Property>, Vec<Property>) =
            properties.iter().cloned().partition(|property| property.name() == "canmount");
        let before = ["clone", "-o", "canmount=noauto"];
        self.0.run(&with_properties(&before, &others, &[snapshot, dataset]))?;
        self.set(dataset, "canmount", canmount.first().map_or("on", Property::value))
    }

    /// Where a pool's mount points are mounted, if that is elsewhere (`altroot`).
    pub fn altroot(self, pool: &str) -> Result<Option<String>, CommandError> {
        let line = CommandLine::new("zpool", &["get", "-H", "-p", "-o", "value", "altroot", pool]);
        let printed = self.0.run(&line)?;
        let value = String::from_utf8_lossy(&printed).trim_end_matches('\n').to_owned();
        Ok((value != "-" && !value.is_empty()).then_some(value))
    }

    fn run(self, args: &[&str]) -> Result<(), CommandError> {
        self.0.run(&line(args)).map(drop)
    }
}

/// A word for a name that nothing else uses, now, on this host.
pub fn temporary_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("aurora-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn line(args: &[&str]) -> CommandLine {
    CommandLine::new(ZFS, args)
}

fn with_properties(before: &[&str], properties: &[Property], behind: &[&str]) -> CommandLine {
    let properties: Vec<String> = properties.iter().map(Property::to_string).collect();
    let options = properties.iter().flat_map(|property| ["-o", property]);
    line(&before.iter().copied().chain(options).chain(behind.iter().copied()).collect::<Vec<_>>())
}

/// What each line of an output says.
fn lines<T>(
    printed: &[u8],
    line: &CommandLine,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, CommandError> {
    let mut found = Vec::new();
    for text in printed.split(|&b| b == b'\n').filter(|text| !text.is_empty()) {
        let cut = || String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
        let parsed = std::str::from_utf8(text).ok().and_then(&parse);
        found.push(parsed.ok_or_else(|| CommandError::Output { line: line.clone(), text: cut() })?);
    }
    Ok(found)
}

fn parse(text: &str) -> Option<Listed> {
    let mut fields = text.split('\t');
    let mut field = || fields.next();
    let (name, kind) = (field()?.to_owned(), field()?);
    let value = |text: &str| (text != "-").then(|| text.to_owned());
    let (mountpoint, origin) = (value(field()?), value(field()?));
    let guid = field()?.parse().ok()?;
    let kind = match kind {
        "filesystem" => DatasetKind::Filesystem,
        "volume" => DatasetKind::Volume,
        "snapshot" => DatasetKind::Snapshot,
        _ => return None,
    };
    fields.next().is_none().then_some(Listed { name, kind, mountpoint, origin, guid })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::{Answer, Recorded};
    use super::*;

    #[test]
    fn every_verb_has_its_arguments() {
        let host = Recorded::new(|line| match line {
            "zfs list -H -p -d 1 -t filesystem,volume,snapshot -o name,type,mountpoint,origin,guid t/a b" => {
                Answer::output(
                    "t/a b\tfilesystem\t/t/a b\tt/x@final\t7\nt/a b@s\tsnapshot\t-\t-\t18446744073709551615\n",
                )
            }
            "zfs list -H -p -r -t snapshot -o name,guid,a:b t" => Answer::output("t@a\t1\tx\nt/b@c\t2\t-\n"),
            "zfs set canmount=on t/d" => Answer::failure("busy"),
            "zpool get -H -p -o value altroot t" => Answer::output("/mnt\n"),
            "zfs send -i t/x@final t/a@s" => Answer::output("stream"),
            "zfs get -H -p -o value receive_resume_token t/new" => Answer::output("1-a\n"),
            "zfs get -H -p -o value receive_resume_token t/b" => Answer::output("-\n"),
            "zfs rename t/a t/b" => Answer::failure("no"),
            _ => Answer::default(),
        });
        let zfs = Zfs::new(&host);
        let found = zfs.list("t/a b").unwrap();
        let want = Listed {
            name: "t/a b".into(),
            kind: DatasetKind::Filesystem,
            mountpoint: Some("/t/a b".into()),
            origin: Some("t/x@final".into()),
            guid: 7,
        };
        assert_eq!((found.len(), &found[0]), (2, &want));
        assert_eq!((found[1].kind, found[1].guid), (DatasetKind::Snapshot, u64::MAX));
        zfs.snapshot("t/a@s").unwrap();
        zfs.set("t/a", "readonly", "on").unwrap();
        let mut got = Vec::new();
        zfs.send(Some("t/x@final"), "t/a@s").unwrap().read_to_end(&mut got).unwrap();
        assert_eq!(got, b"stream");
        drop(zfs.send(None, "t/a@s").unwrap());
        let mut input = zfs.receive("t/new", None, &[], false).unwrap();
        input.write_all(b"bytes").unwrap();
        input.finish().unwrap();
        zfs.receive("t/new", Some("t/a@s"), &["a:b=x y".parse().unwrap()], true).unwrap().finish().unwrap();
        assert_eq!(zfs.resume_token("t/new").unwrap().as_deref(), Some("1-a"));
        assert_eq!(zfs.resume_token("t/b").unwrap(), None);
        zfs.abort_receive("t/new").unwrap();
        let marked = zfs.marked("t", "a:b").unwrap();
        let marks: Vec<_> = marked.iter().map(|m| (m.name.as_str(), m.guid, m.mark.as_deref())).collect();
        assert_eq!(marks, [("t@a", 1, Some("x")), ("t/b@c", 2, None)]);
        let properties = ["atime=off".parse().unwrap(), "canmount=off".parse().unwrap()];
        zfs.clone_of("t/a@s", "t/c", &properties).unwrap();
        assert!(zfs.clone_of("t/a@s", "t/d", &[]).unwrap_err().says("busy"));
        assert_eq!(zfs.altroot("t").unwrap().as_deref(), Some("/mnt"));
        zfs.create("t/e", &["mountpoint=/e".parse().unwrap()]).unwrap();
        zfs.mount("t/e").unwrap();
        zfs.unmount("t/e").unwrap();
        zfs.inherit("t/e", "mountpoint").unwrap();
        assert!(zfs.rename("t/a", "t/b").unwrap_err().says("no"));
        zfs.destroy_snapshot("t/a", "s").unwrap();
        zfs.destroy_tree("t/new").unwrap();
        assert_eq!(host.received(), b"bytes");
        assert_eq!(
            host.log()[1..],
            [
                "zfs snapshot t/a@s",
                "zfs set readonly=on t/a",
                "zfs send -i t/x@final t/a@s",
                "zfs send t/a@s",
                "killed: zfs send t/a@s",
                "zfs receive -u t/new",
                "zfs receive -s -u -o origin=t/a@s -o a:b=x y t/new",
                "zfs get -H -p -o value receive_resume_token t/new",
                "zfs get -H -p -o value receive_resume_token t/b",
                "zfs receive -A t/new",
                "zfs list -H -p -r -t snapshot -o name,guid,a:b t",
                "zfs clone -o canmount=noauto -o atime=off t/a@s t/c",
                "zfs set canmount=off t/c",
                "zfs clone -o canmount=noauto t/a@s t/d",
                "zfs set canmount=on t/d",
                "zpool get -H -p -o value altroot t",
                "zfs create -o mountpoint=/e t/e",
                "zfs mount t/e",
                "zfs unmount t/e",
                "zfs inherit mountpoint t/e",
                "zfs rename t/a t/b",
                "zfs destroy t/a@s",
                "zfs destroy -r t/new",
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for text in
            ["t\tfilesystem\t-\t-\tx\n", "t\tbookmark\t-\t-\t1\n", "t\tvolume\n", "t\tvolume\t-\t-\t1\t2\n"]
        {
            let host = Recorded::new(move |_| Answer::output(text));
            let error = Zfs::new(&host).list("t").unwrap_err();
            assert!(matches!(error, CommandError::Output { .. }), "{error}");
        }
        let host = Recorded::new(|_| Answer::failure("cannot open 't': dataset does not exist"));
        let error = Zfs::new(&host).list("t").unwrap_err();
        assert!(error.says("does not exist") && error.to_string().contains("(exit status: 1): cannot open"));
    }
}
