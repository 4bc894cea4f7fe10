//! Names of users and groups, looked up in the root file system's own files: no name service, which is the
//! host's affair and which a static program does not have.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::beneath;
use crate::sys::Ids;

/// Far above any real file of accounts.
const MAX_FILE: u64 = 4 << 20;

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) ids: Ids,
    pub(crate) home: Option<String>,
}

/// `USER` or `USER:GROUP`, each a name or a number, in the files of `root`. Groups that list the user are his
/// where a name was given and no group.
pub(crate) fn resolve(root: &Path, text: &str) -> Result<User, String> {
    let (user, group) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
    let passwd = read(root, "etc/passwd")?;
    let number = user.parse::<u32>().ok();
    let line = lines(&passwd).find(|fields| match number {
        Some(uid) => fields.get(2).and_then(|f| f.parse().ok()) == Some(uid),
        None => fields[0] == user && fields.len() > 3,
    });
    let field = |n: usize| line.as_ref().and_then(|fields| fields.get(n)).copied();
    let uid = number
        .or_else(|| field(2)?.parse().ok())
        .ok_or_else(|| format!("no such user in etc/passwd: {user:?}"))?;
    let home = field(5).filter(|home| !home.is_empty()).map(str::to_owned);
    let groups = read(root, "etc/group")?;
    let gid = match group {
        None => field(3).and_then(|f| f.parse().ok()).unwrap_or(0),
        Some(group) => match group.parse() {
            Ok(gid) => gid,
            Err(_) => lines(&groups)
                .find(|fields| fields[0] == group)
                .and_then(|fields| fields.get(2)?.parse().ok())
                .ok_or_else(|| format!("no such group in etc/group: {group:?}"))?,
        },
    };
    let mut member = Vec::new();
    if number.is_none() && group.is_none() {
        let of =
            |fields: &Vec<&str>| fields.get(3).is_some_and(|list| list.split(',').any(|name| name == user));
        member.extend(lines(&groups).filter(of).filter_map(|fields| fields.get(2)?.parse::<u32>().ok()));
    }
    Ok(User { ids: Ids { uid, gid, groups: member }, home })
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

/// One of the two files. None there is an empty one. Links are not followed: below a unit's root they would
/// lead out of it.
fn read(root: &Path, name: &str) -> Result<String, String> {
    let path = root.join(name);
    let problem = |error: io::Error| format!("can't read {}: {error}", path.display());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = beneath::open_parent(&path)
        .and_then(|(dir, name)| rustix::fs::openat(&dir, name, flags, Mode::empty()));
    let fd = match opened {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(String::new()),
        Err(error) => return Err(problem(error.into())),
    };
    let status = rustix::fs::fstat(&fd).map_err(|e| problem(e.into()))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(format!("{}: not a regular file", path.display()));
    }
    let mut bytes = Vec::new();
    File::from(fd).take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(problem)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{}: larger than {MAX_FILE} bytes", path.display()));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:201::/srv:/bin/false\nbroken\n";
        std::fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(root.path().join("etc/group"), "web:x:201:\nlog:x:300:root,web\nodd:x:y:web\n")
            .unwrap();
        let user = |uid, gid, groups: &[u32], home: Option<&str>| {
            Ok(User { ids: Ids { uid, gid, groups: groups.to_vec() }, home: home.map(str::to_owned) })
        };
        let cases = [
            ("web", user(101, 201, &[300], Some("/srv"))),
            ("web:log", user(101, 300, &[], Some("/srv"))),
            ("101", user(101, 201, &[], Some("/srv"))),
            ("101:7", user(101, 7, &[], Some("/srv"))),
            ("77", user(77, 0, &[], None)),
            ("77:log", user(77, 300, &[], None)),
            ("nobody", Err("no such user in etc/passwd: \"nobody\"".to_owned())),
            ("broken", Err("no such user in etc/passwd: \"broken\"".to_owned())),
            ("web:odd", Err("no such group in etc/group: \"odd\"".to_owned())),
            ("", Err("no such user in etc/passwd: \"\"".to_owned())),
        ];
        for (text, want) in cases {
            assert_eq!(resolve(root.path(), text), want, "{text}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("etc/passwd")).unwrap();
        assert!(resolve(root.path(), "root").unwrap_err().contains("can't read"));
    }
}
