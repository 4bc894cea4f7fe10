//! `User` of an image: numbers, or names that its own `/etc/passwd` and `/etc/group` explain.

use std::io::Read;

use serde_json::{Value, json};

use crate::tree::{Kind, Tree};
use crate::{Error, ErrorKind, Result};

/// Such files have some KiB.
const MAX_FILE: u64 = 4 << 20;

/// `user` of the runtime's process. Of a user without a group, the groups are those that the files give him.
pub(super) fn user(text: &str, tree: &Tree) -> Result<Value> {
    let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
    let passwd = lines(tree, b"etc/passwd")?;
    let groups = lines(tree, b"etc/group")?;
    let of_user = |line: &&Vec<String>| line.first().is_some_and(|n| n == name);
    let number = |line: &Vec<String>, n: usize| line.get(n).and_then(|text| text.parse::<u32>().ok());
    let found = passwd.iter().find(of_user);
    let (uid, line) = match (found.and_then(|line| number(line, 2)), name.parse::<u32>()) {
        _ if name.is_empty() => (0, passwd.iter().find(|line| number(line, 2) == Some(0))),
        (Some(uid), _) => (uid, found),
        (None, Ok(uid)) => (uid, passwd.iter().find(|line| number(line, 2) == Some(uid))),
        (None, Err(_)) => return Err(unknown("user", name, "etc/passwd")),
    };
    if let Some(group) = group.filter(|group| !group.is_empty()) {
        let found = groups.iter().find(|line| line.first().is_some_and(|n| n == group));
        let gid = found.and_then(|line| number(line, 2)).or_else(|| group.parse().ok());
        let gid = gid.ok_or_else(|| unknown("group", group, "etc/group"))?;
        return Ok(json!({"uid": uid, "gid": gid}));
    }
    let gid = line.and_then(|line| number(line, 3)).unwrap_or(0);
    let login = line.and_then(|line| line.first());
    let is_member = |line: &&Vec<String>| {
        let members = line.get(3).map(String::as_str).unwrap_or_default();
        login.is_some_and(|login| members.split(',').any(|member| member == login))
    };
    let mut more: Vec<u32> = groups.iter().filter(is_member).filter_map(|line| number(line, 2)).collect();
    more.retain(|other| *other != gid);
    more.sort_unstable();
    more.dedup();
    match more.is_empty() {
        true => Ok(json!({"uid": uid, "gid": gid})),
        false => Ok(json!({"uid": uid, "gid": gid, "additionalGids": more})),
    }
}

fn unknown(what: &str, name: &str, file: &str) -> Error {
    let name: String = name.chars().take(80).collect();
    ErrorKind::Unsupported(format!("the image runs as {what} {name:?}, which is not in its {file}")).into()
}

/// The lines of a file of the image, split at colons; none where there is no such file. Links are followed inside.
fn lines(tree: &Tree, path: &[u8]) -> Result<Vec<Vec<String>>> {
    let Some(Kind::File(content)) = tree.follow(path).map(|id| &tree.inode(id).kind) else {
        return Ok(Vec::new());
    };
    let shown = String::from_utf8_lossy(path).into_owned();
    let mut bytes = Vec::new();
    let read = content.reader().take(MAX_FILE).read_to_end(&mut bytes);
    read.map_err(|e| Error::io(shown, e))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().map(|line| line.trim().split(':').map(str::to_owned).collect()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_engine::body::{Body, MemBody};
    use aurora_formats::model::Metadata;

    use super::*;
    use crate::content::Content;

    fn tree() -> Tree {
        let mut tree = Tree::new(Metadata::default());
        let mut add = |dir, name: &str, kind| {
            let id = tree.add(Metadata::default(), kind);
            tree.link(dir, name.as_bytes(), id);
            id
        };
        let file = |text: &str| {
            let body: Body = Arc::new(MemBody(text.as_bytes().to_vec()));
            Kind::File(Arc::new(Content::plain(&body, 0, text.len() as u64)))
        };
        let etc = add(Tree::ROOT, "etc", Kind::Dir(Arc::default()));
        let real = add(Tree::ROOT, "real", Kind::Dir(Arc::default()));
        add(etc, "passwd", Kind::Symlink(b"/../real/passwd".as_slice().into()));
        add(real, "passwd", file("root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:\n7:x:70:71::/:\nbroken\n"));
        add(etc, "group", file("root:x:0:\nweb:x:34:\nlogs:x:40:other,web\nmore:x:39:web\n"));
        tree
    }

    #[test]
    fn names_are_those_of_the_image() {
        let tree = tree();
        let cases = [
            ("", json!({"uid": 0, "gid": 0})),
            ("root", json!({"uid": 0, "gid": 0})),
            ("web", json!({"uid": 33, "gid": 34, "additionalGids": [39, 40]})),
            ("33", json!({"uid": 33, "gid": 34, "additionalGids": [39, 40]})),
            ("web:logs", json!({"uid": 33, "gid": 40})),
            ("web:9", json!({"uid": 33, "gid": 9})),
            ("1000", json!({"uid": 1000, "gid": 0})),
            ("1000:1001", json!({"uid": 1000, "gid": 1001})),
            // A name of digits is a name first.
            ("7", json!({"uid": 70, "gid": 71})),
        ];
        for (text, want) in cases {
            assert_eq!(user(text, &tree).unwrap(), want, "{text:?}");
        }
        for text in ["nobody", "web:none", "-1", "4294967296"] {
            let e = user(text, &tree).unwrap_err();
            assert!(e.to_string().contains("is not in its etc/"), "{text}: {e}");
        }
        let empty = Tree::new(Metadata::default());
        assert_eq!(user("5", &empty).unwrap(), json!({"uid": 5, "gid": 0}));
        assert!(user("web", &empty).is_err());
    }
}
