//! All snapshots that have been read, and how streams build on each other.

use std::collections::{BTreeMap, BTreeSet};

use aurora_engine::body::Body;
use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::format::feature;
use aurora_formats::zfs::nvlist::{self, NvList};
use aurora_formats::zfs::parse::{self, Record};
use aurora_formats::zfs::record::{Begin, Header};

use super::apply::{Applier, Referred};
use super::input::{Input, Records};
use super::objects::{Object, ObjectSet};
use super::pick::{Pick, split};
use crate::{Ctx, Loss, LossKind, Result};

/// Names listed when the one wanted is not there.
const MAX_PRESENT: usize = 50;

/// One snapshot.
#[derive(Clone)]
pub(super) struct Snapshot {
    /// `dataset@snapshot`.
    pub(super) name: Vec<u8>,
    /// Its guid.
    pub(super) guid: u64,
    /// When it was made.
    pub(super) creation_time: u64,
    /// `objset::*`.
    pub(super) kind: u32,
    /// Its objects; `None` once they have become those of the next snapshot.
    pub(super) objects: Option<ObjectSet>,
    /// The snapshot below, an earlier one of the list.
    pub(super) base: Option<usize>,
}

/// What was read of a snapshot.
type Known = Result<usize, ZfsError>;

/// All snapshots. A copy shares what they hold.
#[derive(Clone, Default)]
pub(super) struct History {
    /// In the order they came.
    pub(super) snapshots: Vec<Snapshot>,
    /// Payloads, by input.
    pub(super) bodies: Vec<Body>,
    by_guid: BTreeMap<u64, Known>,
    /// Headers of packages.
    packages: Vec<NvList>,
    /// Keep the objects of every step.
    keeps_all: bool,
    copied: usize,
}

impl Referred for History {
    fn find(&self, guid: u64, object: u64) -> Option<&Object> {
        let index = *self.by_guid.get(&guid)?.as_ref().ok()?;
        self.snapshots.get(index)?.objects.as_ref()?.get(object).map(AsRef::as_ref)
    }
}

/// What is going on while one input is read.
struct Reading<'a> {
    pick: &'a Pick,
    first: Vec<u8>,
    /// Every name with what became of it.
    names: Vec<(Vec<u8>, Option<Known>)>,
    is_found: bool,
}

impl History {
    /// Nothing yet.
    pub(super) fn new(keeps_all: bool) -> Self {
        Self { keeps_all, ..Self::default() }
    }

    /// Reads one input to its end. The snapshot that was picked; the last one of all for [`Pick::All`].
    pub(super) fn load(&mut self, input: &Input, pick: &Pick, ctx: &Ctx<'_>) -> Result<usize> {
        let mut records = Records::open(input, ctx)?;
        let mut reading = Reading { pick, first: Vec::new(), names: Vec::new(), is_found: false };
        while let Some(record) = records.next()? {
            match &record.header {
                Header::Begin(_) if record.is_frame => {
                    let bytes = records.bytes(&record)?;
                    if !bytes.is_empty() {
                        let offset = record.offset;
                        let list = nvlist::unpack(&bytes);
                        let list = list.map_err(|source| ZfsError::Header { offset, source })?;
                        self.packages.push(list);
                    }
                }
                Header::Begin(begin) => self.stream(begin, &record, &mut records, &mut reading, ctx)?,
                _ => records.skip(&record)?,
            }
        }
        self.bodies.push(records.finish()?);
        reading.tell_others(ctx);
        reading.result()
    }

    /// Reads the stream of one snapshot, from its BEGIN.
    fn stream(
        &mut self,
        begin: &Begin,
        record: &Record,
        records: &mut Records<'_, '_>,
        reading: &mut Reading<'_>,
        ctx: &Ctx<'_>,
    ) -> Result<()> {
        records.skip(record)?;
        let name: Vec<u8> = begin.to_name.iter().copied().take_while(|&b| b != 0).collect();
        if reading.names.is_empty() {
            reading.first = split(&name).0.to_vec();
        }
        let is_meant = reading.pick.matches(&name, &reading.first);
        let is_useless = match reading.pick {
            Pick::All => false,
            Pick::First => !is_meant,
            // Anything before it may be its origin.
            Pick::Named { .. } => reading.is_found && (reading.pick.is_exact() || !is_meant),
        };
        if is_useless {
            reading.names.push((name, None));
            return Self::pass(records);
        }
        let base = match (parse::refusal(begin, record.offset), begin.from_guid) {
            (Some(refusal), _) => Err(refusal),
            (None, 0) => Ok(None),
            (None, guid) => self.base(guid, begin, record.offset).map(Some),
        };
        let base = match base {
            Ok(base) => base,
            // Others of the package may be what is wanted.
            Err(e) if !is_meant => {
                self.by_guid.insert(begin.to_guid, Err(e.clone()));
                reading.names.push((name, Some(Err(e))));
                return Self::pass(records);
            }
            Err(e) => return Err(e.into()),
        };
        ctx.progress.phase(&format!("reading {}", name.escape_ascii()));
        let objects = self.start(base, begin, reading.pick);
        let input = u32::try_from(self.bodies.len()).unwrap_or(u32::MAX);
        let mut applier = Applier::new(objects, begin, records.endian(), input, self.copied);
        loop {
            // The parser reports an input that ends before END.
            let Some(record) = records.next()? else { return Ok(()) };
            applier.apply(&record, records, self)?;
            if let Header::End(_) = record.header {
                break;
            }
        }
        let (objects, copied, unsummed) = applier.finish();
        if unsummed > 0 {
            let detail = format!("{}: {unsummed} records carry no checksum", name.escape_ascii());
            ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
        }
        self.copied = copied;
        let index = self.snapshots.len();
        self.snapshots.push(Snapshot {
            name: name.clone(),
            guid: begin.to_guid,
            creation_time: begin.creation_time,
            kind: begin.objset_type,
            objects: Some(objects),
            base,
        });
        self.by_guid.insert(begin.to_guid, Ok(index));
        reading.is_found |= is_meant;
        reading.names.push((name, Some(Ok(index))));
        Ok(())
    }

    fn base(&self, guid: u64, begin: &Begin, offset: u64) -> Known {
        let missing = ZfsError::MissingBase { offset, guid };
        let index = self.by_guid.get(&guid).ok_or(missing.clone())?.clone()?;
        match self.snapshots.get(index) {
            Some(base) if base.kind != begin.objset_type => Err(ZfsError::WrongBase { offset, guid }),
            Some(base) if base.objects.is_some() => Ok(index),
            _ => Err(missing),
        }
    }

    /// The objects to begin with. Those of the base itself, when nothing else can need them any more.
    fn start(&mut self, base: Option<usize>, begin: &Begin, pick: &Pick) -> ObjectSet {
        let Some(base) = base.and_then(|index| self.snapshots.get_mut(index)) else {
            return ObjectSet::default();
        };
        let refers_back = parse::features(begin) & feature::DEDUP != 0;
        if *pick == Pick::First && !self.keeps_all && !refers_back {
            return base.objects.take().unwrap_or_default();
        }
        let objects = base.objects.clone().unwrap_or_default();
        self.copied += objects.width();
        objects
    }

    /// Passes over the rest of a stream; it is checked all the same.
    fn pass(records: &mut Records<'_, '_>) -> Result<()> {
        while let Some(record) = records.next()? {
            records.skip(&record)?;
            if let Header::End(_) = record.header {
                break;
            }
        }
        Ok(())
    }

    /// The snapshots from the bottom up to this one.
    pub(super) fn chain(&self, top: usize) -> Vec<&Snapshot> {
        let mut chain = Vec::new();
        let mut next = Some(top);
        while let Some(snapshot) = next.and_then(|index| self.snapshots.get(index)) {
            chain.push(snapshot);
            // A base always came before, so this ends.
            next = snapshot.base;
        }
        chain.reverse();
        chain
    }

    /// What a package says of a snapshot beside its content: all of it is lost.
    pub(super) fn lose_properties(&self, guid: u64, ctx: &Ctx<'_>) {
        let datasets = self.packages.iter().filter_map(|p| p.get_list(b"fss")).flat_map(|fss| &fss.pairs);
        for (_, value) in datasets {
            let nvlist::Value::List(dataset) = value else { continue };
            let Some(snaps) = dataset.get_list(b"snaps") else { continue };
            let snap = snaps.pairs.iter().find(|(_, v)| *v == nvlist::Value::U64(guid));
            let Some((snap, _)) = snap else { continue };
            let of_snap = |key: &[u8]| dataset.get_list(key).and_then(|all| all.get_list(snap));
            let lists = [
                ("", dataset.get_list(b"props")),
                ("of the snapshot: ", of_snap(b"snapprops")),
                ("hold ", of_snap(b"snapholds")),
            ];
            for (what, list) in lists {
                for (name, _) in list.iter().flat_map(|l| &l.pairs) {
                    let detail = format!("{what}{}", name.escape_ascii());
                    ctx.lose(Loss { path: None, kind: LossKind::Property, detail });
                }
            }
        }
    }
}

impl Reading<'_> {
    /// A package holds more than the dataset that is read, and nobody has said which one is wanted.
    fn tell_others(&self, ctx: &Ctx<'_>) {
        let datasets: BTreeSet<&[u8]> = self.names.iter().map(|(name, _)| split(name).0).collect();
        if *self.pick == Pick::First && datasets.len() > 1 {
            let others = datasets.iter().filter(|name| **name != self.first.as_slice());
            let others: Vec<String> =
                others.take(MAX_PRESENT).map(|d| d.escape_ascii().to_string()).collect();
            let detail = format!(
                "the package holds {} datasets, and the first of them is read; `#` picks another: {}",
                datasets.len(),
                others.join(", ")
            );
            ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
        }
    }

    fn result(self) -> Result<usize> {
        let chosen = match self.pick {
            Pick::All => {
                // An origin of which nothing could be read says why here, not when its guid is missed.
                let read = self.names.iter().rev().find(|(_, known)| matches!(known, Some(Ok(_))));
                read.or(self.names.first())
            }
            pick if pick.is_exact() => self.names.iter().find(|(name, _)| pick.matches(name, &self.first)),
            pick => self.names.iter().rev().find(|(name, _)| pick.matches(name, &self.first)),
        };
        match (chosen, self.pick) {
            (Some((_, Some(known))), _) => Ok(known.clone()?),
            (None, Pick::Named { dataset, snapshot }) => {
                let text = |part: &Option<Vec<u8>>| {
                    part.as_deref().map_or(String::new(), |p| p.escape_ascii().to_string())
                };
                let at = if snapshot.is_some() { "@" } else { "" };
                let wanted = format!("{}{at}{}", text(dataset), text(snapshot));
                let names = self.names.iter().take(MAX_PRESENT);
                let present = names.map(|(name, _)| name.escape_ascii().to_string()).collect();
                Err(ZfsError::NoSuchSnapshot { wanted, present }.into())
            }
            _ => Err(ZfsError::EmptyPackage.into()),
        }
    }
}
