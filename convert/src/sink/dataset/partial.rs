//! A dataset being received.

use std::io::{self, BufWriter, Write};

use aurora_engine::host::{CommandError, DatasetKind, Input, Listed, Property, temporary_name};
use aurora_formats::zfs::resume::ResumeToken;

use super::is_there;
use crate::sink::zfs::{Link, There};
use crate::source::dataset::is_absent;
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;
/// In the names of datasets that are being received.
pub(super) const PARTIAL: &str = "-partial-";

/// A dataset being received, under a name of its own. Unless it gets the final one it is destroyed; but one that can be
/// gone on with is kept where `zfs receive` was cut.
pub(super) struct Partial<'a> {
    pub(super) name: String,
    input: Option<Box<dyn Input>>,
    /// Whether there is something of this process to destroy.
    is_begun: bool,
    /// Whether somebody else seems to be at it.
    is_others: bool,
    /// What children it may have, as `/NAME`.
    children: Vec<String>,
    can_go_on: bool,
    is_cut: bool,
    pub(super) bytes: u64,
    ctx: &'a Ctx<'a>,
}

impl<'a> Partial<'a> {
    /// One that nothing else has begun, nor goes on with: this process's number is in its name.
    pub(super) fn new(dataset: &str, ctx: &'a Ctx<'_>) -> Result<Self> {
        let mut name = format!("{dataset}{PARTIAL}{}", temporary_name());
        // Left by a process of the same number that was killed.
        while is_there(&name, ctx)? {
            name = format!("{dataset}{PARTIAL}{}", temporary_name());
        }
        Ok(Self::named(name, false, ctx))
    }

    /// One that can be gone on with: what it is to become is in its name.
    pub(super) fn of(dataset: &str, id: u64, ctx: &'a Ctx<'_>) -> Self {
        let name = format!("{dataset}{PARTIAL}aurora-{id:016x}");
        Self::named(name, true, ctx)
    }

    fn named(name: String, can_go_on: bool, ctx: &'a Ctx<'_>) -> Self {
        let (is_begun, is_others, is_cut) = (false, false, false);
        Self {
            name,
            input: None,
            is_begun,
            is_others,
            children: Vec::new(),
            can_go_on,
            is_cut,
            bytes: 0,
            ctx,
        }
    }

    /// What there is of it already, or of a child. What can't be gone on with is destroyed.
    pub(super) fn there(&mut self, below: &str, links: &[Link<'_>]) -> Result<There> {
        self.know(below);
        let dataset = format!("{}{below}", self.name);
        match self.find(&dataset, links)? {
            Found::Nothing => Ok(There::default()),
            Found::Part(there) => Ok(there),
            Found::Other => {
                self.remove(&dataset)?;
                Ok(There::default())
            }
        }
    }

    /// Makes it a clone, or a child of it. One that is there is one.
    pub(super) fn clone_of(&mut self, origin: &str, below: &str, properties: &[Property]) -> Result<()> {
        self.know(below);
        let dataset = format!("{}{below}", self.name);
        let there = match self.ctx.zfs().list(&dataset) {
            Err(e) if is_absent(&e) => None,
            listed => listed?.into_iter().find(|one| one.name == dataset),
        };
        match there {
            Some(one) if one.origin.as_deref() == Some(origin) => return Ok(()),
            Some(_) => self.remove(&dataset)?,
            None => {}
        }
        self.is_begun = true;
        let cloned = self.ctx.zfs().clone_of(origin, &dataset, properties);
        self.is_others = cloned.as_ref().is_err_and(is_others);
        Ok(cloned?)
    }

    fn know(&mut self, below: &str) {
        if !below.is_empty() && self.children.iter().all(|child| child != below) {
            self.children.push(below.to_owned());
        }
    }

    /// Whether all of it is there, as far as names tell: it is asked before it gets its own.
    fn is_whole(&self) -> Result<bool> {
        for child in &self.children {
            if !is_there(&format!("{}{child}", self.name), self.ctx)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes it as an empty file system.
    pub(super) fn create(&mut self, properties: &[Property]) -> Result<()> {
        self.ctx.zfs().create(&self.name, properties)?;
        self.is_begun = true;
        Ok(())
    }

    fn find(&self, dataset: &str, links: &[Link<'_>]) -> Result<Found> {
        let listed = match self.ctx.zfs().list(dataset) {
            Err(e) if is_absent(&e) => return Ok(Found::Nothing),
            listed => listed?,
        };
        let snapshots: Vec<_> = listed.iter().filter(|one| one.kind == DatasetKind::Snapshot).collect();
        let is_link = |(snapshot, link): (&&Listed, &Link<'_>)| {
            snapshot.guid == link.guid && snapshot.name == format!("{dataset}@{}", link.name)
        };
        let whole = snapshots.len();
        if whole > links.len() || !snapshots.iter().zip(links).all(is_link) {
            return Ok(Found::Other);
        }
        let token = self.ctx.zfs().resume_token(dataset)?;
        let token = token.and_then(|token| ResumeToken::parse(&token).ok());
        Ok(match (token, links.get(whole)) {
            (Some(token), Some(next)) if token.to_guid == next.guid => {
                Found::Part(There { whole, resume: Some(token.point) })
            }
            (None, _) if whole > 0 => Found::Part(There { whole, resume: None }),
            _ => Found::Other,
        })
    }

    /// Receives one stream, for it or for a child of it: a whole one, or an increment upon an origin, or upon what was
    /// received last.
    pub(super) fn receive<T>(
        &mut self,
        below: &str,
        origin: Option<&str>,
        properties: &[Property],
        write: impl FnOnce(&mut dyn Write) -> Result<T>,
    ) -> Result<T> {
        let dataset = format!("{}{below}", self.name);
        let input = self.ctx.zfs().receive(&dataset, origin, properties, self.can_go_on)?;
        let received = self.feed(input, write);
        if let Err(e) = &received
            && let ErrorKind::Command(e) = e.kind()
        {
            (self.is_cut, self.is_others) = (e.was_killed(), is_others(e));
        }
        received
    }

    fn feed<T>(
        &mut self,
        input: Box<dyn Input>,
        write: impl FnOnce(&mut dyn Write) -> Result<T>,
    ) -> Result<T> {
        self.input = Some(input);
        self.is_begun = true;
        let mut buffered = BufWriter::with_capacity(BUFFER, &mut *self);
        let done = write(&mut buffered)?;
        buffered.flush().map_err(|e| Error::io("zfs receive", e))?;
        drop(buffered);
        if let Some(input) = self.input.take() {
            input.finish()?;
        }
        Ok(done)
    }

    /// All was received: gives it its name.
    pub(super) fn commit(mut self, dataset: &str) -> Result<()> {
        if !self.is_whole()? {
            let text = format!("{} lacks what was put there: two processes write it", self.name);
            return Err(ErrorKind::Unsupported(text).into());
        }
        self.ctx.zfs().rename(&self.name, dataset)?;
        self.is_begun = false;
        Ok(())
    }

    fn destroy(&self) {
        match self.remove(&self.name) {
            Err(e) if !is_absent(&e) => self.tell(format!("is still there: {e}")),
            _ => {}
        }
    }

    /// Destroys a dataset with all below. Part of an increment, which may be kept in any of them, is in the way.
    fn remove(&self, dataset: &str) -> std::result::Result<(), CommandError> {
        let zfs = self.ctx.zfs();
        let destroyed = zfs.destroy_tree(dataset);
        if !self.can_go_on || destroyed.as_ref().is_ok() || destroyed.as_ref().is_err_and(is_absent) {
            return destroyed;
        }
        for name in
            self.children.iter().map(|child| format!("{}{child}", self.name)).chain([self.name.clone()])
        {
            if name.starts_with(dataset) {
                let _ = zfs.abort_receive(&name);
            }
        }
        zfs.destroy_tree(dataset)
    }

    fn tell(&self, what: String) {
        let detail = format!("the unfinished dataset {} {what}", self.name);
        self.ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
}

/// Whether somebody else has made it, or is at it.
fn is_others(error: &CommandError) -> bool {
    ["busy", "exists", "been modified"].iter().any(|text| error.says(text))
}

enum Found {
    Nothing,
    /// Ours.
    Part(There),
    /// What can't be gone on with.
    Other,
}

impl Write for Partial<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(input) = &mut self.input else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let written = input.write(buf)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), |input| input.flush())
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        // `zfs receive` is ended first, or it would hold what it has made.
        drop(self.input.take());
        if self.is_others {
            self.tell("is another process's, and left alone".to_owned());
            return;
        }
        if !self.is_begun {
            return;
        }
        // Of what was cut at once there is nothing.
        if self.can_go_on && self.is_cut && is_there(&self.name, self.ctx).unwrap_or(true) {
            let name = &self.name;
            self.tell(format!(
                "is kept: the same command goes on from there, `zfs destroy -r {name}` gives it up"
            ));
        } else {
            self.destroy();
        }
    }
}
