//! Makes a tree, by several threads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use aurora_engine::fs::Root;
use aurora_formats::model::EntryPath;

use super::entry::Maker;
use super::meta::{Sealer, Target};
use crate::fidelity::LossKind;
use crate::tree::{InodeId, Kind, Tree};
use crate::{Counter, Ctx, Error, Result};

/// Entries that a thread takes at a time: enough to stay in a directory, few enough to end together.
const BATCH: usize = 64;

/// Makes everything in an empty directory; how many names, and bytes of content. Directories first, then what is in them
/// by several threads, then further names; and last what all of that would have changed of the directories.
pub(super) fn write_tree(tree: &Tree, root: &Root, ctx: &Ctx<'_>) -> Result<(u64, u64)> {
    let names = tree.walk();
    let is_dir = |id: InodeId| matches!(tree.inode(id).kind, Kind::Dir(_));
    for (path, _) in names.iter().filter(|(path, id)| is_dir(*id) && !path.is_root()) {
        ctx.check()?;
        root.make_dir(path.as_bytes()).map_err(|e| Error::io("directory", e).at_entry(path))?;
        ctx.progress.count(Counter::Entries, 1);
    }
    // The first name of each other inode, and all further ones with that.
    let mut first = vec![None; tree.inode_count()];
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for (at, (_, id)) in names.iter().enumerate().filter(|(_, (_, id))| !is_dir(*id)) {
        match first[id.0 as usize] {
            Some(made) => links.push((at, made)),
            None => {
                first[id.0 as usize] = Some(at);
                files.push(at);
            }
        }
    }
    // Directory by directory, which the order of paths is not: `a`, `a-b`, `a/c`.
    files.sort_by(|a, b| parent(&names[*a].0).cmp(parent(&names[*b].0)));
    let job = Job {
        tree,
        root,
        names: &names,
        files: &files,
        next: AtomicUsize::new(0),
        failed: AtomicUsize::new(usize::MAX),
        error: Mutex::new(None),
        ctx,
    };
    let made = job.run_all()?;
    let sealer = Sealer::new(root, ctx);
    for (at, made_at) in links {
        ctx.check()?;
        let (path, existing) = (&names[at].0, &names[made_at].0);
        if made.lost.contains(&made_at) {
            sealer.lose(path, LossKind::Type, "a link to what could not be made".to_owned());
        } else {
            let linked = root.make_link(path.as_bytes(), existing.as_bytes());
            linked.map_err(|e| Error::io(format!("hard link to {existing}"), e).at_entry(path))?;
        }
        ctx.progress.count(Counter::Entries, 1);
    }
    // Backwards, so that a directory is sealed after all that is in it.
    for (path, id) in names.iter().rev().filter(|(_, id)| is_dir(*id)) {
        sealer.seal(&Target::Path(path), path, &tree.inode(*id).meta).map_err(|e| e.at_entry(path))?;
    }
    Ok((names.len() as u64, made.bytes))
}

/// The directory that a path is in.
fn parent(path: &EntryPath) -> &[u8] {
    let bytes = path.as_bytes();
    &bytes[..bytes.iter().rposition(|&b| b == b'/').unwrap_or(0)]
}

/// All that is to be made by threads.
struct Job<'a> {
    tree: &'a Tree,
    root: &'a Root,
    names: &'a [(EntryPath, InodeId)],
    /// Places in `names`.
    files: &'a [usize],
    next: AtomicUsize,
    /// The lowest place in `files` that failed, and why.
    failed: AtomicUsize,
    error: Mutex<Option<Error>>,
    ctx: &'a Ctx<'a>,
}

/// What was made.
#[derive(Default)]
struct Made {
    bytes: u64,
    /// Places in `names` of what could not be made.
    lost: BTreeSet<usize>,
}

impl Job<'_> {
    /// By all threads; the error is that of the first entry that fails, whatever their number.
    fn run_all(self) -> Result<Made> {
        let threads = self.ctx.options.threads.clamp(1, self.files.len().div_ceil(BATCH).max(1));
        let done = Mutex::new(Made::default());
        let run = || {
            let made = self.run();
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.bytes += made.bytes;
            done.lost.extend(made.lost);
        };
        thread::scope(|scope| {
            for n in 1..threads {
                // Fewer threads do the same work.
                if thread::Builder::new().name(format!("files-{n}")).spawn_scoped(scope, run).is_err() {
                    break;
                }
            }
            run();
        });
        match self.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(e) => Err(e),
            None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn run(&self) -> Made {
        // Its own: the directory used last is kept open.
        let root = self.root.again();
        let mut maker = Maker::new(&root, self.ctx);
        let mut lost = BTreeSet::new();
        loop {
            let begin = self.next.fetch_add(BATCH, Ordering::Relaxed);
            if begin >= self.files.len() {
                return Made { bytes: maker.bytes, lost };
            }
            for place in begin..self.files.len().min(begin + BATCH) {
                if place > self.failed.load(Ordering::Relaxed) {
                    return Made { bytes: maker.bytes, lost };
                }
                let at = self.files[place];
                let (path, id) = &self.names[at];
                let made = self.ctx.check().and_then(|()| maker.make(path, self.tree.inode(*id)));
                match made {
                    Ok(true) => {}
                    Ok(false) => {
                        lost.insert(at);
                    }
                    Err(e) => self.fail(place, e.at_entry(path)),
                }
                self.ctx.progress.count(Counter::Entries, 1);
            }
        }
    }

    /// Keeps an error, unless one further ahead is known.
    fn fail(&self, place: usize, e: Error) {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        if place < self.failed.load(Ordering::Relaxed) {
            self.failed.store(place, Ordering::Relaxed);
            *error = Some(e);
        }
    }
}
