//! Proves blobs against their names, and records against themselves.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::record::Kind;
use super::thin::ThinRecord;
use super::{Result, Store, StoreError};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::fs;

/// Where damaged things are moved.
const QUARANTINE: &str = "quarantine";
/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// What is wrong with a file between the blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobFault {
    /// Its content is that of another name.
    Content {
        /// What the bytes hash to.
        actual: Digest,
    },
    /// Its name is no digest, or it is no regular file.
    Strange,
    /// It could not be read.
    Unreadable {
        /// Why.
        why: String,
    },
    /// It stands for a thin blob, and does not make it.
    Thin {
        /// Why.
        why: String,
        /// Whether it is what is written there, and not the machine that has to follow it.
        lasting: bool,
    },
}

/// All that is wrong with the files of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blobs that were read.
    pub blobs: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Files between the blobs that are wrong, by path below the store.
    pub faults: Vec<(PathBuf, BlobFault)>,
    /// Records that are damaged, or about blobs that are not there, by path below the store.
    pub records: Vec<PathBuf>,
}

impl Store {
    /// Reads all there is. `may_go_on` is asked before each blob.
    pub fn check(&self, may_go_on: &(dyn Fn(u64) -> bool + Sync)) -> Result<Checked> {
        let mut out = Checked::default();
        let mut files = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for path in self.files_in(&self.blobs_dir(algorithm))? {
                files.push((algorithm, path));
            }
        }
        let found: Vec<(u64, Option<BlobFault>)> = files
            .par_iter()
            .map(|(algorithm, path)| match may_go_on(0) {
                true => check_blob(*algorithm, path, may_go_on),
                false => (0, None),
            })
            .collect();
        for ((_, path), (size, fault)) in files.into_iter().zip(found) {
            out.blobs += 1;
            out.bytes = out.bytes.saturating_add(size);
            out.faults.extend(fault.map(|fault| (self.below(&path), fault)));
        }
        self.check_thin_blobs(&mut out, may_go_on)?;
        for kind in Kind::DERIVED {
            for (path, id) in self.records(kind)? {
                let is_good = id.is_some_and(|id| {
                    // A step whose results were removed may be done again: that is no fault.
                    self.is_whole(kind, &id) && (kind == Kind::Memo || matches!(self.size(&id), Ok(Some(_))))
                });
                if !is_good {
                    out.records.push(self.below(&path));
                }
            }
        }
        Ok(out)
    }

    /// Makes all thin blobs again, and looks at what else is kept for them.
    fn check_thin_blobs(&self, out: &mut Checked, may_go_on: &(dyn Fn(u64) -> bool + Sync)) -> Result<()> {
        let records = self.records(Kind::Thin)?;
        let found: Vec<(u64, Option<BlobFault>)> = records
            .par_iter()
            .map(|(_, id)| {
                let is_fat = |id: &Digest| matches!(self.is_fat(id), Ok(true));
                let Some(id) = id else { return (0, Some(BlobFault::Strange)) };
                match self.thin_record(id) {
                    // Of a blob that is there it is of no use.
                    _ if is_fat(id) => (0, None),
                    Some(record) if may_go_on(0) => {
                        let fault = self.check_thin(id, &record);
                        may_go_on(record.size);
                        (record.size, fault.map(|(why, lasting)| BlobFault::Thin { why, lasting }))
                    }
                    Some(_) => (0, None),
                    None => {
                        let read = self.load_needed::<ThinRecord>(Kind::Thin, id);
                        let lasting = matches!(read, Err(StoreError::Record { .. }));
                        let why = read.err().map_or_else(|| "it was removed".to_owned(), |e| e.to_string());
                        (0, Some(BlobFault::Thin { why, lasting }))
                    }
                }
            })
            .collect();
        for ((path, _), (size, fault)) in records.into_iter().zip(found) {
            out.blobs += usize::from(size > 0);
            out.bytes = out.bytes.saturating_add(size);
            out.faults.extend(fault.map(|fault| (self.below(&path), fault)));
        }
        for (path, id) in self.records(Kind::Contents)? {
            if !id.is_some_and(|id| self.is_whole(Kind::Contents, &id)) {
                out.records.push(self.below(&path));
            }
        }
        Ok(())
    }

    /// All records of a kind, with what their names say that they are about.
    pub(super) fn records(&self, kind: Kind) -> Result<Vec<(PathBuf, Option<Digest>)>> {
        let mut out = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for dir in self.files_in(&self.side().join(kind.dir()).join(algorithm.name()))? {
                let files = if fs::is_dir(&dir) { self.files_in(&dir)? } else { vec![dir] };
                for path in files {
                    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                    let id: Option<Digest> = format!("{}:{name}", algorithm.name()).parse().ok();
                    let id = id.filter(|id| self.record_path(kind, id) == path);
                    out.push((path, id));
                }
            }
        }
        Ok(out)
    }

    /// Moves a file of the store, by its path below it, to where damaged things are kept; where that is.
    pub fn quarantine(&self, path: &Path) -> Result<PathBuf> {
        let from = self.dir().join(path);
        let dir = self.side().join(QUARANTINE);
        fs::create_dir_all(&dir).map_err(StoreError::io(&dir))?;
        let name = path.to_string_lossy().replace('/', "-");
        let mut to = dir.join(&name);
        let mut number = 1;
        while fs::exists(&to).map_err(StoreError::io(&to))? {
            number += 1;
            to = dir.join(format!("{name}.{number}"));
        }
        fs::rename(&from, &to).map_err(StoreError::io(&from))?;
        Ok(self.below(&to))
    }

    /// Removes a record, by its path below the store.
    pub fn forget(&self, path: &Path) -> Result<()> {
        let path = self.dir().join(path);
        fs::remove_file(&path).map_err(StoreError::io(&path))
    }

    fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.dir()).unwrap_or(path).to_owned()
    }
}

/// The size of a file, and what is wrong with it.
fn check_blob(
    algorithm: Algorithm,
    path: &Path,
    may_go_on: &dyn Fn(u64) -> bool,
) -> (u64, Option<BlobFault>) {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let Ok(expected) = format!("{}:{name}", algorithm.name()).parse::<Digest>() else {
        return (0, Some(BlobFault::Strange));
    };
    if !matches!(fs::size_of(path), Ok(Some(_))) {
        return (0, Some(BlobFault::Strange));
    }
    let hash = || -> io::Result<(u64, Option<Digest>)> {
        let mut file = fs::open_regular(path)?;
        let mut hasher = Hasher::new(algorithm);
        let mut buf = vec![0; CHUNK];
        let mut size = 0;
        loop {
            let n = file.read(&mut buf)?;
            if n == 0 {
                return Ok((size, Some(hasher.finish())));
            }
            hasher.update(&buf[..n]);
            size += n as u64;
            if !may_go_on(n as u64) {
                return Ok((size, None));
            }
        }
    };
    match hash() {
        Ok((size, Some(actual))) if actual != expected => (size, Some(BlobFault::Content { actual })),
        Ok((size, _)) => (size, None),
        Err(e) => (0, Some(BlobFault::Unreadable { why: e.to_string() })),
    }
}
