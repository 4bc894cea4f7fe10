//! The journal of a migration: what became of each image, a line each, on disk before anybody is told (`docs/migrate.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aurora_engine::fs::{self, AppendFile};
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::{Error, Result};

/// The file in the folder of a migration.
const NAME: &str = "journal.jsonl";
/// Largest journal: a record has about half a KiB, and a hundred thousand images may be tried many times.
const MAX_JOURNAL: u64 = 1 << 30;
/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Why a journal can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process goes through the same migration.
    #[error("another process is at this migration: {}", path.display())]
    Busy {
        /// The journal.
        path: PathBuf,
    },
    /// A line that is none of ours, with others behind it: it was not torn, but changed.
    #[error("{}: line {line} at byte {offset:#x} is no record: {reason}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Where it begins.
        offset: u64,
        /// Why.
        reason: String,
    },
    /// Of a later release.
    #[error("{}: version {known} is read, and this is version {found}", path.display())]
    Version {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
}

impl JournalError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Busy { .. } => Some("wait for it; `imageadm migrate status` tells how far it is"),
            Self::Damaged { .. } => {
                Some("move the journal away: the next run finds what is done at the target by itself")
            }
            Self::Version { .. } => None,
        }
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "event")]
enum Record {
    /// A run has begun.
    Run {
        v: u32,
        at: String,
        /// Digest of the plan.
        plan: String,
        images: usize,
    },
    /// A conversion begins whose result does not tell whose it is. What bears its name from then on is it, and whole.
    Begun { at: String, id: String },
    /// An image is done with.
    Image {
        at: String,
        #[serde(flatten)]
        outcome: Box<Outcome>,
    },
}

/// What a journal tells: the last word on each image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// By image.
    pub outcomes: BTreeMap<String, Outcome>,
    /// Images whose conversion has begun.
    pub begun: BTreeSet<String>,
    /// Runs that were begun.
    pub runs: usize,
    /// When the first one was, and when the last record was written.
    pub span: Option<(String, String)>,
}

impl History {
    /// Reads a journal that somebody may be writing; nothing where there is none.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(NAME);
        match fs::read_limited(&path, MAX_JOURNAL) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(Error::io(path.display().to_string(), e)),
            Ok(bytes) => Ok(Self::parse(&path, &bytes)?.0),
        }
    }

    /// What the bytes say, and how many of them are whole lines: what is behind the last line's end was torn.
    fn parse(path: &Path, bytes: &[u8]) -> Result<(Self, u64), JournalError> {
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let mut history = Self::default();
        let mut offset = 0;
        for (number, line) in bytes[..whole].split_inclusive(|b| *b == b'\n').enumerate() {
            let record = serde_json::from_slice(line).map_err(|e| JournalError::Damaged {
                path: path.to_owned(),
                line: number + 1,
                offset,
                reason: e.to_string(),
            })?;
            offset += line.len() as u64;
            if let Record::Run { v, .. } = &record
                && *v != VERSION
            {
                return Err(JournalError::Version { path: path.to_owned(), found: *v, known: VERSION });
            }
            history.add(record);
        }
        Ok((history, whole as u64))
    }

    fn add(&mut self, record: Record) {
        let at = match record {
            Record::Run { at, .. } => {
                self.runs += 1;
                at
            }
            Record::Begun { at, id } => {
                self.begun.insert(id);
                at
            }
            Record::Image { at, outcome } => {
                // What was found there does not know what it had cost to bring it there.
                match self.outcomes.get_mut(&outcome.id) {
                    Some(old) if old.is_done() && outcome.is_done() && old.digest == outcome.digest => {}
                    _ => drop(self.outcomes.insert(outcome.id.clone(), *outcome)),
                }
                at
            }
        };
        match &mut self.span {
            Some((_, last)) => *last = at,
            None => self.span = Some((at.clone(), at)),
        }
    }
}

/// A journal that is written.
pub struct Journal {
    path: PathBuf,
    file: Mutex<AppendFile>,
}

impl Journal {
    /// Opens the journal in a folder, which is made if it is not there; and what it tells. A torn last line goes.
    pub fn open(dir: &Path) -> Result<(Self, History)> {
        fs::create_dir_all(dir).map_err(|e| Error::io(dir.display().to_string(), e))?;
        let path = dir.join(NAME);
        let (mut file, bytes) = AppendFile::open(&path, MAX_JOURNAL).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => Error::from(JournalError::Busy { path: path.clone() }),
            _ => Error::io(path.display().to_string(), e),
        })?;
        let (history, whole) = History::parse(&path, &bytes)?;
        if whole < bytes.len() as u64 {
            file.cut(whole).map_err(|e| Error::io(path.display().to_string(), e))?;
        }
        Ok((Self { path, file: Mutex::new(file) }, history))
    }

    /// Notes that a run begins.
    pub fn begin(&self, plan: &str, images: usize, at: String) -> Result<()> {
        self.append(&Record::Run { v: VERSION, at, plan: plan.to_owned(), images })
    }

    /// Notes that something is about to get its name.
    pub fn begin_image(&self, id: &str, at: String) -> Result<()> {
        self.append(&Record::Begun { at, id: id.to_owned() })
    }

    /// Notes what became of an image. Once this returns, it is known for good.
    pub fn commit(&self, outcome: &Outcome, at: String) -> Result<()> {
        self.append(&Record::Image { at, outcome: Box::new(outcome.clone()) })
    }

    fn append(&self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record).expect("texts and numbers always have a JSON form");
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.append(&line).map_err(|e| Error::io(self.path.display().to_string(), e))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cause, Ended, How};
    use super::*;

    fn outcome(id: &str, result: Ended) -> Outcome {
        Outcome {
            id: id.to_owned(),
            name: format!("{id}-1"),
            to: "oci:out:a".to_owned(),
            how: How::Layers,
            result,
            digest: Some("sha256:00".to_owned()),
            of: None,
            before: 7,
            after: 9,
            sent: 9,
            seconds: 0.5,
            losses: Vec::new(),
            lost: 0,
        }
    }

    fn failed() -> Ended {
        Ended::Failed { cause: Cause::Damaged, message: "x".into(), hint: None }
    }

    #[test]
    fn the_last_word_counts_and_torn_lines_go() {
        let dir = tempfile::tempdir().unwrap();
        let at = || "2026-01-01T00:00:00Z".to_owned();
        assert_eq!(History::read(dir.path()).unwrap(), History::default());
        let (journal, found) = Journal::open(dir.path()).unwrap();
        assert_eq!(found, History::default());
        journal.begin("sha256:11", 2, at()).unwrap();
        journal.commit(&outcome("a", failed()), at()).unwrap();
        journal.commit(&outcome("a", Ended::Done), at()).unwrap();
        journal.commit(&outcome("b", failed()), at()).unwrap();
        let busy = Journal::open(dir.path()).map(drop).unwrap_err();
        assert!(busy.to_string().contains("another process"), "{busy}");
        drop(journal);

        let path = dir.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for torn in [&b"{\"event\":\"im"[..], b"\0\0\0", b"x"] {
            std::fs::write(&path, [&whole, torn].concat()).unwrap();
            assert_eq!(History::read(dir.path()).unwrap().outcomes.len(), 2);
            let (journal, found) = Journal::open(dir.path()).unwrap();
            assert!(found.outcomes["a"].is_done() && found.outcomes["b"].cause() == Some(Cause::Damaged));
            assert_eq!(found.runs, 1);
            drop(journal);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn every_cut_of_a_journal_can_be_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(dir.path()).unwrap();
        journal.begin("sha256:11", 2, "t".into()).unwrap();
        journal.commit(&outcome("a", Ended::Done), "t".into()).unwrap();
        drop(journal);
        let path = dir.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for len in 0..=whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let (journal, found) = Journal::open(dir.path()).unwrap();
            assert_eq!(found.outcomes.len(), usize::from(len == whole.len()), "{len}");
            journal.commit(&outcome("z", Ended::Done), "t".into()).unwrap();
            drop(journal);
            assert!(History::read(dir.path()).unwrap().outcomes.contains_key("z"));
        }
    }

    #[test]
    fn damage_in_the_middle_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        std::fs::write(
            &path,
            "{\"event\":\"run\",\"v\":1,\"at\":\"t\",\"plan\":\"p\",\"images\":0}\nrubbish\n",
        )
        .unwrap();
        let error = Journal::open(dir.path()).map(drop).unwrap_err();
        assert!(error.to_string().contains("line 2 at byte 0x35 is no record"), "{error}");
        std::fs::write(&path, "{\"event\":\"run\",\"v\":2,\"at\":\"t\",\"plan\":\"p\",\"images\":0}\n")
            .unwrap();
        let error = History::read(dir.path()).unwrap_err();
        assert!(error.to_string().contains("version 1 is read, and this is version 2"), "{error}");
    }

    #[test]
    fn what_is_found_again_keeps_what_it_has_cost() {
        let mut history = History::default();
        let image = |outcome| Record::Image { at: "t".into(), outcome: Box::new(outcome) };
        history.add(image(outcome("a", Ended::Done)));
        history.add(image(Outcome { sent: 0, ..outcome("a", Ended::There) }));
        assert_eq!(history.outcomes["a"].sent, 9);
        history.add(image(Outcome { digest: None, sent: 0, ..outcome("a", Ended::There) }));
        assert_eq!(history.outcomes["a"].sent, 0, "another one");
    }
}
