//! One uncompressed layer, or one plain archive, into a changeset: names normalised, whiteouts understood, contents
//! in a body. Streams with a buffer of fixed size; only the entries themselves are kept in memory.

use std::io::{Read, Write as _};
use std::sync::Arc;

use aurora_engine::body::{Body, Spool};
use aurora_engine::fs::{Nursery, NurseryFile};
use aurora_formats::model::{Entry, EntryPath, Node};
use aurora_formats::oci::whiteout::{self, Marker};
use aurora_formats::tar::{Ending, Event, Kind, Limits, Member, Note, Parser, Run, TarError};

use crate::content::{Content, Extent, Slice};
use crate::tree::{Changeset, FileChange};
use crate::{Counter, Ctx, Error, Loss, LossKind, Result};

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;
/// From so many bytes a file is worth one of its own, where files are wanted: copying it would take longer than giving it
/// its name.
const LARGE: u64 = 64 << 10;

/// What was taken in.
pub struct Ingested {
    /// What the layer says.
    pub changes: Changeset,
    /// Bytes of the layer, with what follows its end marker.
    pub bytes: u64,
    /// Where the contents are: what was given as being in place, or a new body.
    pub body: Body,
}

/// Reads a layer to its end: also what follows the end marker, which counts for the diffID. Contents go to a spool,
/// or stay in `in_place`, a body that holds the very bytes that `reader` gives.
///
/// Counts entries; whoever made the reader counts bytes.
pub fn ingest(reader: &mut dyn Read, in_place: Option<&Body>, ctx: &Ctx<'_>) -> Result<Ingested> {
    ingest_with(reader, in_place, true, ctx)
}

/// As [`ingest`], for an archive of a root file system: `.wh.` means nothing in it.
pub fn ingest_rootfs(reader: &mut dyn Read, in_place: Option<&Body>, ctx: &Ctx<'_>) -> Result<Ingested> {
    ingest_with(reader, in_place, false, ctx)
}

/// With `whiteouts`, `.wh.` names are those of a layer; else they are ordinary names.
fn ingest_with(
    reader: &mut dyn Read,
    in_place: Option<&Body>,
    whiteouts: bool,
    ctx: &Ctx<'_>,
) -> Result<Ingested> {
    let mut parser = Parser::new(Limits::default());
    let mut intake = Intake::new(in_place, whiteouts, ctx);
    let mut buf = vec![0; BUFFER];
    let (mut from, mut to, mut is_last) = (0, 0, false);
    loop {
        let step = parser.parse(&buf[from..to], is_last)?;
        from += step.consumed;
        match step.event {
            Event::Member(member) => intake.member(*member, parser.offset())?,
            Event::Data(data) => intake.data(data)?,
            Event::End(ending) => intake.end(ending),
            Event::More if is_last => break,
            Event::More => {
                ctx.check()?;
                buf.copy_within(from..to, 0);
                (from, to) = (0, to - from);
                let read = read_some(reader, &mut buf[to..], ctx)?;
                to += read;
                is_last = read == 0;
            }
        }
    }
    let (changes, body) = intake.finish()?;
    Ok(Ingested { changes, bytes: parser.offset(), body })
}

fn read_some(reader: &mut dyn Read, buf: &mut [u8], ctx: &Ctx<'_>) -> Result<usize> {
    loop {
        match reader.read(buf) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => {
                // Readers stop in their own ways when the user does.
                ctx.check()?;
                return Err(Error::io("reading the archive", e));
            }
            Ok(n) => return Ok(n),
        }
    }
}

/// Where contents go.
enum Place<'a> {
    Spool(Spool),
    InPlace(&'a Body),
}

/// What has been taken in so far.
struct Intake<'a> {
    ctx: &'a Ctx<'a>,
    whiteouts: bool,
    place: Place<'a>,
    /// Whether large contents may go where they are wanted.
    may_grow: bool,
    /// The one that is growing there: that of the file last met.
    large: Option<(Arc<Nursery>, NurseryFile)>,
    changes: Vec<FileChange>,
    /// Files, whose content can be told only when the body is complete.
    files: Vec<File>,
}

/// A file and its place in the body.
struct File {
    /// Its place in the changes.
    change: usize,
    at: u64,
    size: u64,
    sparse: Option<Vec<Run>>,
}

impl<'a> Intake<'a> {
    fn new(in_place: Option<&'a Body>, whiteouts: bool, ctx: &'a Ctx<'a>) -> Self {
        let place = in_place.map_or_else(|| Place::Spool(Spool::new(&ctx.spools)), Place::InPlace);
        Self {
            ctx,
            whiteouts,
            place,
            may_grow: in_place.is_none(),
            large: None,
            changes: Vec::new(),
            files: Vec::new(),
        }
    }

    /// A member whose data begins at `data` of the archive.
    fn member(&mut self, member: Member, data: u64) -> Result<()> {
        self.settle();
        let offset = member.offset;
        let path = rooted(&member.path).map_err(|source| TarError::Path { offset, source })?;
        self.ctx.progress.count(Counter::Entries, 1);
        if self.whiteouts {
            let is_dir = member.kind == Kind::Dir;
            let marker = whiteout::marker(&path, is_dir).map_err(|e| Error::from(e).at_offset(offset))?;
            match marker {
                None => {}
                Some(Marker::Remove(gone)) => return self.mark(FileChange::Remove(gone)),
                Some(Marker::Opaque(dir)) => return self.mark(FileChange::Opaque(dir)),
                Some(Marker::Ignored) => {
                    let detail = "one of aufs's own files, which are no part of an image".into();
                    self.ctx.lose(Loss { path: Some(path), kind: LossKind::Oddity, detail });
                    return Ok(());
                }
            }
        }
        for note in &member.notes {
            self.ctx.lose(loss(&path, note));
        }
        let Member { kind, link, mut meta, size, sparse, .. } = member;
        let node = match kind {
            Kind::Dir => Node::Dir,
            Kind::File => Node::File { size },
            Kind::Symlink => {
                // No system keeps a mode of its own for a symbolic link.
                meta.mode = 0o777;
                Node::Symlink(link)
            }
            Kind::Hardlink => Node::Hardlink(
                rooted(&link)
                    .map_err(|source| Error::from(TarError::Path { offset, source }).at_entry(&path))?,
            ),
            Kind::Char(device) => Node::Char(device),
            Kind::Block(device) => Node::Block(device),
            Kind::Fifo => Node::Fifo,
        };
        let is_large = kind == Kind::File && size >= LARGE && sparse.is_none();
        if is_large && self.may_grow {
            // Where no file can be made there, it goes the way of all others.
            self.large = self.ctx.nursery().and_then(|nursery| {
                let file = nursery.file().ok()?;
                Some((nursery, file))
            });
        }
        if kind == Kind::File && self.large.is_none() {
            let at = match &self.place {
                Place::Spool(spool) => spool.position(),
                Place::InPlace(_) => data,
            };
            self.files.push(File { change: self.changes.len(), at, size, sparse });
        }
        self.changes.push(FileChange::Add { entry: Entry { path, node, meta }, content: None, offset });
        Ok(())
    }

    fn mark(&mut self, change: FileChange) -> Result<()> {
        self.changes.push(change);
        Ok(())
    }

    /// The last file has all of its content.
    fn settle(&mut self) {
        if let Some((nursery, file)) = self.large.take()
            && let Some(FileChange::Add { content, .. }) = self.changes.last_mut()
        {
            let body = nursery.grown(file);
            *content = Some(Arc::new(Content::plain(&body, 0, body.len())));
        }
    }

    /// There is no room for it where it is wanted, perhaps as files are there that the image has not in the end: it goes the way
    /// of all others, like all that follow.
    fn give_up(&mut self, nursery: &Nursery, file: NurseryFile) -> std::io::Result<()> {
        self.may_grow = false;
        if let (Place::Spool(spool), Some(change)) = (&mut self.place, self.changes.len().checked_sub(1))
            && let Some(FileChange::Add { entry: Entry { node: Node::File { size }, .. }, .. }) =
                self.changes.last()
        {
            self.files.push(File { change, at: spool.position(), size: *size, sparse: None });
            std::io::copy(&mut nursery.give_up(file)?, spool)?;
        }
        Ok(())
    }

    /// Data of the last member. That of whiteouts is kept as well: nobody writes much of it.
    fn data(&mut self, mut data: &[u8]) -> Result<()> {
        while let Some((nursery, mut file)) = self.large.take() {
            match file.write(data) {
                Ok(n) => {
                    data = &data[n..];
                    self.large = Some((nursery, file));
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => self.large = Some((nursery, file)),
                Err(_) => self.give_up(&nursery, file).map_err(|e| Error::io("temporary file", e))?,
            }
            if data.is_empty() {
                return Ok(());
            }
        }
        let Place::Spool(spool) = &mut self.place else { return Ok(()) };
        spool.append(data).map(drop).map_err(|e| Error::io("temporary file", e))
    }

    fn end(&self, ending: Ending) {
        let detail = match ending {
            Ending::Marker => return,
            Ending::HalfMarker => "the archive ends with less than two blocks of zeros",
            Ending::Missing => "the archive has no end marker",
        };
        self.ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail: detail.into() });
    }

    fn finish(mut self) -> Result<(Changeset, Body)> {
        self.settle();
        let body = match self.place {
            Place::Spool(spool) => spool.finish().map_err(|e| Error::io("temporary file", e))?,
            Place::InPlace(body) => body.clone(),
        };
        for file in self.files {
            if let Some(FileChange::Add { content, .. }) = self.changes.get_mut(file.change) {
                *content = Some(Arc::new(file.content(&body)));
            }
        }
        Ok((Changeset { changes: self.changes }, body))
    }
}

impl File {
    fn content(&self, body: &Body) -> Content {
        let Some(runs) = &self.sparse else { return Content::plain(body, self.at, self.size) };
        let mut at = self.at;
        let extents = runs.iter().map(|run| {
            let data = Slice::plain(body.clone(), at, run.len);
            at += run.len;
            Extent { offset: run.offset, len: run.len, data }
        });
        Content { size: self.size, extents: extents.collect() }
    }
}

/// A name as every unpacker takes it: as if the archive's root were the root of the system, whose `..` is itself.
fn rooted(raw: &[u8]) -> Result<EntryPath, aurora_formats::model::PathError> {
    if !raw.split(|&b| b == b'/').any(|part| part == b"..") {
        return EntryPath::parse(raw);
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in raw.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    EntryPath::parse(&parts.join(&b'/'))
}

fn loss(path: &EntryPath, note: &Note) -> Loss {
    let (kind, detail) = match note {
        Note::Acl(text) => (LossKind::Acl, format!("not all of it has numbers: {text}")),
        Note::AclNfs4 => (LossKind::Acl, "an NFSv4 ACL".into()),
        Note::Flags(flags) => (LossKind::Flag, flags.clone()),
        Note::VendorType(kind) => {
            let kind = kind.escape_ascii();
            (LossKind::Oddity, format!("of a vendor's own type, taken for a file: {kind}"))
        }
        _ => (LossKind::Oddity, format!("{note:?}")),
    };
    Loss { path: Some(path.clone()), kind, detail }
}

#[cfg(test)]
mod tests;
