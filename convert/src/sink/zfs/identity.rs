//! Names and guids of the snapshots. Names are kept where an image has them. Guids are made from what it holds, so that
//! the same image always becomes the same snapshot and children can name their parent.
//!
//! A guid stands for object numbers too: an increment speaks of nothing else, and a receiver takes it wherever the guid
//! fits. The streams written here have numbers of their own, so the guid of a snapshot that somebody else made must not
//! be on them, nor one of ours in another place of a chain. Hence a guid made here has a mark that only fits its place:
//! what has it is the same snapshot, written once more, and keeps it (there and back again gives the same bytes); for
//! anything else a new one is made.

use aurora_engine::digest::{Algorithm, Digest, Hasher};
use aurora_formats::model::Timestamp;

use super::blocks::{Blocks, is_zero};
use crate::lineage::{Lineage, Snapshot, Volume};
use crate::sink::Target;
use crate::{Ctx, Result};

/// Domains of the hashes below: no other use of SHA-256 gives the same guids.
const LABEL: &str = "aurora zfs snapshot guid 2";
const MARK_LABEL: &str = "aurora zfs snapshot guid mark 1";
/// The lower bits of a guid, which are its mark.
const MARK: u64 = 0xffff;
const VOLUME_LABEL: &str = "aurora zfs volume content 1";
/// Blocks in which volumes are hashed; not their block size, which does not change what they hold.
const HASH_BLOCK: u32 = 131_072;

/// A snapshot to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// `dataset@snapshot`.
    pub(super) name: Vec<u8>,
    /// Never 0.
    pub(super) guid: u64,
    /// Seconds since 1970.
    pub(super) creation_time: u64,
}

impl Identity {
    fn at(&self) -> usize {
        self.name.iter().position(|&b| b == b'@').unwrap_or(self.name.len())
    }

    /// Before the `@`.
    pub(super) fn dataset(&self) -> &[u8] {
        &self.name[..self.at()]
    }

    /// Behind it.
    pub(super) fn snapshot(&self) -> &[u8] {
        self.name.get(self.at() + 1..).unwrap_or_default()
    }
}

/// What is known of a snapshot before it has a name.
struct Member<'a> {
    chain_id: &'a Digest,
    snapshot: Option<&'a Snapshot>,
    created: Option<Timestamp>,
}

/// Of every step.
pub(super) fn of_lineage(lineage: &Lineage, target: Target) -> Vec<Identity> {
    let created = lineage.image.created;
    let members = lineage.steps.iter().map(|step| Member {
        chain_id: &step.chain_id,
        snapshot: step.snapshot.as_ref(),
        created: step.created.or(created),
    });
    let form = match target {
        Target::OpenZfs => "openzfs",
        Target::Illumos => "illumos",
    };
    identities(&members.collect::<Vec<_>>(), form)
}

/// Of every state of a volume. One without a snapshot is named by its content, which has to be read for that.
pub(super) fn of_volumes(chain: &[&Volume], ctx: &Ctx<'_>) -> Result<Vec<Identity>> {
    let mut digests = Vec::new();
    for volume in chain {
        digests.push(match &volume.snapshot {
            Some(snapshot) => Digest::sha256(&snapshot.guid.to_le_bytes()),
            None => content_digest(volume, ctx)?,
        });
    }
    let members: Vec<_> = chain
        .iter()
        .zip(&digests)
        .map(|(volume, chain_id)| Member {
            chain_id,
            snapshot: volume.snapshot.as_ref(),
            created: volume.image.created,
        })
        .collect();
    Ok(identities(&members, "volume"))
}

/// Of every step, when each becomes a dataset of its own under a given name.
pub(super) fn of_apart(lineage: &Lineage, names: &[Vec<u8>]) -> Vec<Identity> {
    let created = lineage.image.created;
    let members = lineage.steps.iter().map(|step| (&step.chain_id, step.created.or(created)));
    apart(members, names, "apart")
}

/// Of every state of a volume, when each becomes a dataset of its own under a given name.
pub(super) fn of_volumes_apart(chain: &[&Volume], names: &[Vec<u8>], ctx: &Ctx<'_>) -> Result<Vec<Identity>> {
    let digests = chain.iter().map(|volume| content_digest(volume, ctx)).collect::<Result<Vec<_>>>()?;
    let created = chain.iter().map(|volume| volume.image.created);
    Ok(apart(digests.iter().zip(created), names, "volume apart"))
}

fn apart<'a>(
    members: impl Iterator<Item = (&'a Digest, Option<Timestamp>)>,
    names: &[Vec<u8>],
    form: &str,
) -> Vec<Identity> {
    let mut found: Vec<Identity> = Vec::new();
    for ((chain_id, created), name) in members.zip(names) {
        let guid = derive(found.last(), chain_id, form);
        let creation_time = created.and_then(|time| u64::try_from(time.secs).ok()).unwrap_or(0);
        found.push(Identity { name: name.clone(), guid, creation_time });
    }
    found
}

/// Of a volume's size and of its blocks that are not all zero, with their places: holes make no difference.
fn content_digest(volume: &Volume, ctx: &Ctx<'_>) -> Result<Digest> {
    ctx.progress.phase("hashing volume");
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(VOLUME_LABEL.as_bytes());
    hasher.update(&volume.content.size.to_le_bytes());
    let mut blocks = Blocks::of(&volume.content, HASH_BLOCK);
    let mut block = vec![0; HASH_BLOCK as usize];
    let mut offset = blocks.first_from(0);
    while offset < blocks.end() {
        ctx.check()?;
        blocks.read(offset, &mut block)?;
        if !is_zero(&block) {
            hasher.update(&offset.to_le_bytes());
            hasher.update(&block);
        }
        offset = blocks.first_from(offset + u64::from(HASH_BLOCK));
    }
    Ok(hasher.finish())
}

fn identities(members: &[Member<'_>], form: &str) -> Vec<Identity> {
    let Some(last) = members.last() else { return Vec::new() };
    // Receivers want all streams of a package to be of one dataset: that of the last.
    let own = || format!("aurora/{}", &last.chain_id.hex()[..12]).into_bytes();
    let dataset =
        last.snapshot.and_then(|s| split(&s.name)).map_or_else(own, |(dataset, _)| dataset.to_vec());
    let given: Vec<Option<&[u8]>> =
        members.iter().map(|m| m.snapshot.and_then(|s| split(&s.name)).map(|(_, name)| name)).collect();
    let mut found: Vec<Identity> = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let is_last = at + 1 == members.len();
        // A name given twice could not be received.
        let is_unique = |name: &&[u8]| given.iter().filter(|other| **other == Some(*name)).count() == 1;
        let snapshot = match given[at].filter(is_unique) {
            Some(name) => name.to_vec(),
            None if is_last => b"final".to_vec(),
            None => format!("layer-{}", at + 1).into_bytes(),
        };
        let guid = match member.snapshot {
            Some(old) if is_of_place(old.guid, found.last(), form) => old.guid,
            Some(old) => derive(found.last(), &Digest::sha256(&old.guid.to_le_bytes()), form),
            None => derive(found.last(), member.chain_id, form),
        };
        let creation_time = member
            .snapshot
            .map(|s| s.creation_time)
            .or(member.created.and_then(|time| u64::try_from(time.secs).ok()))
            .unwrap_or(0);
        found.push(Identity { name: [&dataset, &b"@"[..], &snapshot].concat(), guid, creation_time });
    }
    found
}

/// The two parts of a snapshot's name, if both are there and it fits a stream.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = name.iter().position(|&b| b == b'@')?;
    let (dataset, snapshot) = (&name[..at], &name[at + 1..]);
    (!dataset.is_empty() && !snapshot.is_empty() && name.len() <= 255 && !name.contains(&0))
        .then_some((dataset, snapshot))
}

/// A guid from what the snapshot holds and what it goes on from: the object numbers inside a stream depend on the
/// whole chain, so the same tree after other steps, or after none, is another snapshot.
fn derive(before: Option<&Identity>, chain_id: &Digest, form: &str) -> u64 {
    let guid = of_hash(LABEL, form, before, &chain_id.to_string()) & !MARK;
    guid | mark(guid, before, form)
}

/// Whether the guid was made here, for a snapshot in the same place of its chain.
fn is_of_place(guid: u64, before: Option<&Identity>, form: &str) -> bool {
    guid & MARK == mark(guid, before, form)
}

/// Never 0, and so is no guid: that means "no snapshot".
fn mark(guid: u64, before: Option<&Identity>, form: &str) -> u64 {
    (of_hash(MARK_LABEL, form, before, &format!("{:012x}", guid >> 16)) & MARK).max(1)
}

fn of_hash(label: &str, form: &str, before: Option<&Identity>, what: &str) -> u64 {
    let before = before.map_or(0, |id| id.guid);
    let digest = Digest::sha256(format!("{label}\n{form}\n{before:016x}\n{what}\n").as_bytes());
    let first = digest.hex().get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    first.expect("SHA-256 has 64 digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member<'a>(chain_id: &'a Digest, snapshot: Option<&'a Snapshot>) -> Member<'a> {
        Member { chain_id, snapshot, created: Some(Timestamp::from_secs(5)) }
    }

    #[test]
    fn snapshots_are_named_by_what_they_hold() {
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let chain = identities(&[member(&a, None), member(&b, None)], "openzfs");
        let alone = identities(&[member(&b, None)], "openzfs");
        let name = |id: &Identity| String::from_utf8(id.name.clone()).unwrap();
        assert_eq!(name(&chain[0]), format!("aurora/{}@layer-1", &b.hex()[..12]));
        assert_eq!(name(&chain[1]), format!("aurora/{}@final", &b.hex()[..12]));
        assert_eq!(chain[1].creation_time, 5);
        assert_ne!(chain[1].guid, alone[0].guid, "squashed, it is another snapshot");
        assert_ne!(alone[0].guid, identities(&[member(&b, None)], "illumos")[0].guid);
        assert_eq!(alone, identities(&[member(&b, None)], "openzfs"));
    }

    #[test]
    fn what_was_made_here_becomes_the_same_again_and_nothing_else_does() {
        let id = Digest::sha256(b"a");
        let was = |name: &[u8], guid| Snapshot { name: name.to_vec(), guid, creation_time: 7 };
        let (one, two) = (was(b"tank/old@one", 11), was(b"tank/x@two", 12));
        let chain = identities(&[member(&id, Some(&one)), member(&id, Some(&two))], "openzfs");
        let names: Vec<_> = chain.iter().map(|i| (i.name.as_slice(), i.creation_time)).collect();
        assert_eq!(names, [(&b"tank/x@one"[..], 7), (b"tank/x@two", 7)]);
        let guids = |chain: &[Identity]| chain.iter().map(|i| i.guid).collect::<Vec<_>>();
        assert!(
            !guids(&chain).contains(&11) && !guids(&chain).contains(&12),
            "their objects had other numbers"
        );
        let again: Vec<_> = chain.iter().map(|i| was(&i.name, i.guid)).collect();
        let members = [member(&id, Some(&again[0])), member(&id, Some(&again[1]))];
        assert_eq!(identities(&members, "openzfs"), chain);
        assert_ne!(
            identities(&members[1..], "openzfs")[0].guid,
            chain[1].guid,
            "its objects are counted anew"
        );
        assert_ne!(guids(&identities(&members, "illumos")), guids(&chain), "it has other objects");
        let chain = identities(&[member(&id, Some(&one)), member(&id, Some(&one))], "openzfs");
        assert_eq!(chain[0].name, b"tank/old@layer-1");
        assert_eq!(chain[1].name, b"tank/old@final");
    }
}
