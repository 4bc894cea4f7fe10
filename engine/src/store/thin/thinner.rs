//! Makes blobs thin.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use super::Encoding;
use super::contents::{self, Contents, Listed, Place};
use super::record::{BodyKind, BodyRef, ThinRecord};
use super::restore::is_of_the_content;
use crate::body::{Body, Sequential};
use crate::codec::{self, Codec, Compression};
use crate::digest::{Algorithm, Digest, HashingWriter};
use crate::fs::{self, LockedFile};
use crate::recipe::{self, Builder};
use crate::store::record::Kind;
use crate::store::{Result, Store, StoreError};

/// Packs are written once and read often; what packs better takes many times as long.
const PACK_LEVEL: u32 = 9;
/// A blob stays as it is unless that many percent of it are saved: each one that is thin costs time when it is read.
const LEAST_GAIN: u64 = 10;

/// Takes a container apart: all its bytes, in order.
pub trait Pieces {
    /// Bytes that are in this container only: headers, padding.
    fn inline(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// A content that may be in others as well, from its start on: a file. Cut by whoever takes it.
    fn content(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is thin as soon as the blob is removed; so many bytes are saved then.
    Thin {
        /// Bytes of the blob, less those of what was written for it.
        saved: u64,
    },
    /// What would have to be written for it is not much smaller.
    NoGain,
    /// The encoding or the recipe does not make its bytes again.
    NotTheSame,
}

/// How what is read is taken apart.
pub(super) type Split<'a, E> = &'a dyn Fn(&mut dyn Read, &mut dyn Pieces) -> Result<(), E>;

impl Store {
    /// Finds out which contents are in a blob that stays as it is, and writes that down.
    pub fn list_contents<E: From<StoreError>>(
        &self,
        digest: &Digest,
        max_decoded: u64,
        contents: &mut Contents,
        split: Split<'_, E>,
    ) -> Result<(), E> {
        let blob = self.fat(digest)?;
        let mut container = unpacked(&blob, max_decoded).map_err(self.failed(digest))?;
        let mut cutter = Cutter::new(Lister::default());
        split(&mut container, &mut cutter)?;
        let lister = cutter.finish().map_err(self.failed(digest))?;
        let body = BodyRef::new(BodyKind::Blob, digest, lister.at);
        self.note_contents(&body, &lister.list)?;
        contents.add(body, &lister.list);
        Ok(())
    }

    /// Writes what makes a blob again without it: contents that are nowhere yet into a pack, a recipe for the rest. All is
    /// proved by making the blob from it. The blob itself is not touched.
    pub fn thin_out<E: From<StoreError>>(
        &self,
        digest: &Digest,
        encoding: Encoding,
        max_decoded: u64,
        contents: &mut Contents,
        threads: usize,
        split: Split<'_, E>,
    ) -> Result<Outcome, E> {
        let failed = self.failed(digest);
        let blob = self.body(digest)?.ok_or_else(|| StoreError::NoBlob { digest: digest.clone() })?;
        let mut container = unpacked(&blob, max_decoded).map_err(&failed)?;
        let thinner = Thinner::new(self, contents, threads).map_err(&failed)?;
        let mut cutter = Cutter::new(thinner);
        split(&mut container, &mut cutter)?;
        let made = cutter.finish().and_then(Thinner::finish).map_err(&failed)?;
        let Made { recipe, bodies, pack, list } = made;
        let mut cost = 0;
        let mut new = None;
        if let Some(Pack { file, digest: name, stored, len }) = pack {
            let path = self.pack_path(&name);
            let is_new = fs::size_of(&path).map_err(StoreError::io(&path))?.is_none();
            file.commit(&path).map_err(StoreError::io(&path))?;
            let body = BodyRef::new(BodyKind::Pack, &name, len);
            cost += stored + self.note_contents(&body, &list)?;
            new = Some((body, is_new));
        }
        let maker = env!("CARGO_PKG_VERSION").to_owned();
        let recipe = recipe::encode(&recipe);
        let pack = new.as_ref().map(|(body, _)| body);
        let bodies = bodies.into_iter().filter_map(|body| body.or_else(|| pack.cloned())).collect();
        let mut head = vec![0; blob.len().min(codec::DETECT_LEN as u64) as usize];
        blob.read_exact_at(&mut head, 0).map_err(&failed)?;
        let record = ThinRecord { size: blob.len(), maker, head, encoding, bodies, recipe };
        if record.bodies.iter().any(|body| body.kind == BodyKind::Blob && body.is(&digest.to_string())) {
            let fault = format!("a blob can't be made from itself: {digest}");
            return Err(StoreError::Thin { fault }.into());
        }
        let outcome = match self.makes(&record, digest, threads)? {
            true => match self.save(Kind::Thin, digest, &record)? {
                Some(size) if (cost + size) * 100 <= record.size * (100 - LEAST_GAIN) => {
                    Outcome::Thin { saved: record.size - cost - size }
                }
                _ => Outcome::NoGain,
            },
            false => Outcome::NotTheSame,
        };
        match (outcome, new) {
            (Outcome::Thin { .. }, Some((body, _))) => contents.add(body, &list),
            (Outcome::Thin { .. }, None) => {}
            (_, new) => {
                self.remove_if_any(&self.record_path(Kind::Thin, digest))?;
                if let Some((body, true)) = new {
                    self.drop_body(&body)?;
                }
            }
        }
        Ok(outcome)
    }

    /// Whether a record makes the blob of this name.
    fn makes(&self, record: &ThinRecord, digest: &Digest, threads: usize) -> Result<bool> {
        let mut out = HashingWriter::new(io::sink(), digest.algorithm());
        match self.make(record, threads, &mut out) {
            Ok(()) => {
                let (_, actual, size) = out.finish();
                Ok(actual == *digest && size == record.size)
            }
            Err(e) if is_of_the_content(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn failed(&self, digest: &Digest) -> impl Fn(io::Error) -> StoreError + use<> {
        let path = self.blob_path(digest);
        move |source| StoreError::Io { path: path.clone(), source }
    }
}

/// What a blob unpacks to.
fn unpacked(blob: &Body, max_decoded: u64) -> io::Result<Box<dyn Read + Send>> {
    Ok(codec::reader(Box::new(Sequential::new(blob.clone())), max_decoded, 1)?.1)
}

/// Takes contents that are cut.
trait Takes {
    fn inline(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn content(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Cuts contents where all of them are cut, and zeros off their ends: a stream pads what an archive does not.
struct Cutter<T> {
    to: T,
    /// The content that is being gathered.
    held: Vec<u8>,
}

impl<T: Takes> Cutter<T> {
    fn new(to: T) -> Self {
        Self { to, held: Vec::with_capacity(contents::MAX) }
    }

    fn release(&mut self) -> io::Result<()> {
        let end = self.held.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
        let (content, zeros) = self.held.split_at(end);
        match content.len() < contents::MIN {
            true => self.to.inline(content)?,
            false => self.to.content(content)?,
        }
        self.to.inline(zeros)?;
        self.held.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<T> {
        self.release()?;
        Ok(self.to)
    }
}

impl<T: Takes> Pieces for Cutter<T> {
    fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.release()?;
        self.to.inline(bytes)
    }

    fn content(&mut self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let within = (offset % contents::MAX as u64) as usize;
            if within == 0 {
                self.release()?;
            }
            let n = bytes.len().min(contents::MAX - within);
            self.held.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            offset += n as u64;
        }
        Ok(())
    }
}

/// Only looks where contents are.
#[derive(Default)]
struct Lister {
    at: u64,
    list: Vec<Listed>,
}

impl Takes for Lister {
    fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.list.push(Listed { key: contents::key(bytes), offset: self.at, len: bytes.len() as u32 });
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// A pack that is written but has no name.
struct Pack {
    file: LockedFile,
    digest: Digest,
    stored: u64,
    len: u64,
}

/// What was found out about a container.
struct Made {
    recipe: recipe::Recipe,
    /// What the recipe names, in its order; `None` is the pack.
    bodies: Vec<Option<BodyRef>>,
    pack: Option<Pack>,
    list: Vec<Listed>,
}

/// Makes a recipe, and a pack of what is nowhere yet.
struct Thinner<'a> {
    known: &'a Contents,
    recipe: Builder,
    /// As in [`Made`].
    bodies: Vec<Option<BodyRef>>,
    /// The place in `bodies` of each of the known ones that is used.
    numbers: BTreeMap<u32, u32>,
    /// What is in the pack, and its place in `bodies`.
    new: Contents,
    new_number: Option<u32>,
    list: Vec<Listed>,
    pack: codec::Encoder<HashingWriter<LockedFile>>,
    len: u64,
}

impl<'a> Thinner<'a> {
    fn new(store: &Store, known: &'a Contents, threads: usize) -> io::Result<Self> {
        let file = HashingWriter::new(LockedFile::create(&store.partial_dir())?, Algorithm::Sha256);
        let compression = Compression { codec: Codec::Zstd, level: Some(PACK_LEVEL) };
        Ok(Self {
            known,
            recipe: Builder::new()?,
            bodies: Vec::new(),
            numbers: BTreeMap::new(),
            new: Contents::default(),
            new_number: None,
            list: Vec::new(),
            pack: codec::writer(file, compression, threads)?,
            len: 0,
        })
    }

    /// Where a content is in the pack; it is put there if it is in no other body.
    fn pack(&mut self, key: u64, bytes: &[u8]) -> io::Result<Place> {
        if let Some(place) = self.new.find(key, bytes.len()) {
            return Ok(place);
        }
        let number = match self.new_number {
            Some(number) => number,
            None => {
                self.bodies.push(None);
                *self.new_number.insert(self.bodies.len() as u32 - 1)
            }
        };
        let place = Place { body: number, offset: self.len, len: bytes.len() as u32 };
        self.pack.write_all(bytes)?;
        self.len += bytes.len() as u64;
        self.list.push(Listed { key, offset: place.offset, len: place.len });
        self.new.insert(key, place);
        Ok(place)
    }

    fn finish(self) -> io::Result<Made> {
        let pack = match self.new_number {
            Some(_) => {
                let (file, digest, stored) = self.pack.finish()?.finish();
                Some(Pack { file, digest, stored, len: self.len })
            }
            None => None,
        };
        Ok(Made { recipe: self.recipe.finish()?, bodies: self.bodies, pack, list: self.list })
    }
}

impl Takes for Thinner<'_> {
    fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.recipe.inline(bytes)
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        let key = contents::key(bytes);
        let (body, place) = match self.known.find(key, bytes.len()) {
            Some(place) => {
                let bodies = &mut self.bodies;
                let number = self.numbers.entry(place.body).or_insert_with(|| {
                    bodies.push(Some(self.known.bodies[place.body as usize].clone()));
                    bodies.len() as u32 - 1
                });
                (*number, place)
            }
            None => {
                let place = self.pack(key, bytes)?;
                (place.body, place)
            }
        };
        self.recipe.slice(body, place.offset, place.len.into())
    }
}
