//! The files of a layout, be it a directory or an archive, as bodies.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use aurora_engine::body::{Body, FileBody, ReadAt, Sequential, Spool};
use aurora_engine::codec::{self, Codec, DETECT_LEN};
use aurora_engine::digest::Digest;
use aurora_engine::fs;
use aurora_engine::store::BlobFacts;
use aurora_formats::oci::{Descriptor, layout};

use crate::content::{BlockCache, Content};
use crate::names::FileName;
use crate::source::ingest;
use crate::store::Local;
use crate::tree::{self, Kind, Tree};
use crate::{Ctx, Error, Result};

/// Files by their path inside a layout or archive.
pub(super) trait Files: Send + Sync {
    /// A file; `None` if there is none of that name.
    fn file(&self, path: &str) -> Result<Option<Body>>;

    /// A blob, not verified; `None` if it is not there.
    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Body>> {
        self.file(&layout::blob_path(&descriptor.digest))
    }

    /// What a blob unpacks to, where it is kept so that this costs less than to unpack it; not verified.
    fn unpacked(&self, _descriptor: &Descriptor) -> Result<Option<Body>> {
        Ok(None)
    }

    /// What was noted of a layer by [`Files::note_changes`].
    fn changes(&self, _digest: &Digest) -> Option<Vec<u8>> {
        None
    }

    /// Keeps what a layer says, where such things are kept.
    fn note_changes(&self, _digest: &Digest, _changes: &dyn Fn() -> Option<Vec<u8>>) {}

    /// Whether blobs come from far away, so that a look at them is worth a thought.
    fn is_far(&self) -> bool {
        false
    }

    /// Keeps what was found out about a blob by reading it, where such things are kept. That is no part of reading: it
    /// may as well be found out again.
    fn note(&self, _digest: &Digest, _facts: &dyn Fn() -> Result<BlobFacts>) {}
}

/// A layout that is a directory. Asked for paths of fixed names and well-formed digests only, so none leads out.
pub(super) struct DirFiles(pub(super) PathBuf);

impl Files for DirFiles {
    fn file(&self, path: &str) -> Result<Option<Body>> {
        let path = self.0.join(path);
        let open = fs::open_regular(&path).and_then(FileBody::new);
        match open {
            Ok(body) => Ok(Some(Arc::new(body))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(path.display().to_string(), e)),
        }
    }
}

/// The local store: its large blobs are mapped.
pub(super) struct StoreFiles(pub(super) Arc<Local>);

impl Files for StoreFiles {
    fn file(&self, path: &str) -> Result<Option<Body>> {
        let digest = path.strip_prefix(layout::BLOBS).and_then(|rest| rest.strip_prefix('/'));
        match digest.and_then(|rest| rest.replacen('/', ":", 1).parse().ok()) {
            Some(digest) => Ok(self.0.blobs().body(&digest)?),
            None => Ok(None),
        }
    }

    fn unpacked(&self, descriptor: &Descriptor) -> Result<Option<Body>> {
        match descriptor.digest.parse() {
            Ok(digest) => Ok(self.0.blobs().unpacked(&digest)?),
            Err(_) => Ok(None),
        }
    }

    fn changes(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.0.blobs().changes(digest)
    }

    fn note_changes(&self, digest: &Digest, changes: &dyn Fn() -> Option<Vec<u8>>) {
        if self.0.blobs().is_ours() {
            // A store that can't be written to is read all the same.
            let _ = changes().map(|changes| self.0.blobs().note_changes(digest, &changes));
        }
    }

    fn note(&self, digest: &Digest, facts: &dyn Fn() -> Result<BlobFacts>) {
        let blobs = self.0.blobs();
        if blobs.is_ours() && blobs.facts(digest).is_none() {
            // A store that can't be written to is read all the same.
            let _ = facts().map(|facts| blobs.note_facts(digest, &facts));
        }
    }
}

/// A layout, or what `docker save` writes, in a tar: read as a tree whose files are slices of the archive, so that
/// links between its members mean what they say and nothing leads out.
pub(super) struct TreeFiles(Tree);

impl TreeFiles {
    /// Reads the list of members. What can't be read anywhere (a pipe, a compressed file) is spooled first.
    pub(super) fn open(file: &FileName, ctx: &Ctx<'_>) -> Result<Self> {
        let name = match file {
            FileName::Pipe => "standard input".to_owned(),
            FileName::Path(path) => path.display().to_string(),
        };
        let body = archive_body(file, ctx).map_err(|e| Error::io(name, e))?;
        ctx.check()?;
        let members = ingest::ingest_rootfs(&mut Sequential::new(body.clone()), Some(&body), ctx)?;
        Ok(Self(tree::apply(None, &members.changes)?))
    }
}

impl Files for TreeFiles {
    fn file(&self, path: &str) -> Result<Option<Body>> {
        let found = self.0.follow(path.as_bytes()).map(|id| &self.0.inode(id).kind);
        Ok(match found {
            Some(Kind::File(content)) => Some(Arc::new(ContentBody(content.clone()))),
            _ => None,
        })
    }
}

/// The uncompressed archive, readable anywhere.
fn archive_body(file: &FileName, ctx: &Ctx<'_>) -> io::Result<Body> {
    let input = match file {
        FileName::Pipe => fs::stdin()?,
        FileName::Path(path) => fs::open_input(path)?,
    };
    if !fs::is_regular(&input)? {
        return spool(Box::new(fs::Stoppable::new(input, ctx.cancel.flag())), ctx);
    }
    let body: Body = Arc::new(FileBody::new(input)?);
    let mut head = vec![0; body.len().min(DETECT_LEN as u64) as usize];
    body.read_exact_at(&mut head, 0)?;
    match codec::detect(&head) {
        Codec::None => Ok(body),
        _ => spool(Box::new(Sequential::new(body)), ctx),
    }
}

fn spool(input: Box<dyn Read + Send>, ctx: &Ctx<'_>) -> io::Result<Body> {
    let (_, mut plain) = codec::reader(input, ctx.options.max_decoded, 1)?;
    let mut spool = Spool::new(&ctx.spools);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n = plain.read(&mut buffer)?;
        if n == 0 || ctx.cancel.is_set() {
            return spool.finish();
        }
        spool.write_all(&buffer[..n])?;
    }
}

/// A member's content as a body.
struct ContentBody(Arc<Content>);

impl ReadAt for ContentBody {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.0.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.read_at(buf, offset, &mut BlockCache::default())
    }

    fn len(&self) -> u64 {
        self.0.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_engine::body::MemBody;
    use aurora_formats::model::Metadata;

    #[test]
    fn links_in_an_archive_are_followed_inside_it() {
        let mut tree = Tree::new(Metadata::default());
        let body: Body = Arc::new(MemBody(b"layer".to_vec()));
        let add = |tree: &mut Tree, dir, name: &[u8], kind| {
            let id = tree.add(Metadata::default(), kind);
            tree.link(dir, name, id);
            id
        };
        let link = |to: &str| Kind::Symlink(to.as_bytes().into());
        let one = add(&mut tree, Tree::ROOT, b"one", Kind::Dir(Arc::default()));
        add(&mut tree, one, b"layer.tar", Kind::File(Arc::new(Content::plain(&body, 0, 5))));
        let two = add(&mut tree, Tree::ROOT, b"two", Kind::Dir(Arc::default()));
        add(&mut tree, two, b"layer.tar", link("../one/layer.tar"));
        add(&mut tree, Tree::ROOT, b"abs", link("/../two"));
        add(&mut tree, Tree::ROOT, b"loop", link("loop"));
        let files = TreeFiles(tree);
        for (path, want) in [
            ("one/layer.tar", true),
            ("two/layer.tar", true),
            ("./abs//layer.tar", true),
            ("../../one/layer.tar", true),
            ("loop", false),
            ("one", false),
            ("three", false),
        ] {
            let found = files.file(path).unwrap();
            assert_eq!(found.is_some_and(|b| b.len() == 5), want, "{path}");
        }
    }
}
