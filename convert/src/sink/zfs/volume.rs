//! Volumes: one object of data, one that says how large it is (`docs/zfs-send-stream.md` §7.4).

use aurora_formats::zfs::build::{begin, objects};
use aurora_formats::zfs::format::{
    BLOCK_MAX, BLOCK_MIN, VOLUME_DATA, VOLUME_PROPERTIES, object_type, objset,
};

use super::batch::{Batch, Shape};
use super::blocks::{Blocks, is_zero};
use super::identity::Identity;
use super::output::Output;
use super::record::StreamWriter;
use super::unsupported;
use crate::content::Content;
use crate::lineage::Volume;
use crate::{Ctx, ErrorKind, Loss, LossKind, Result};

/// Block size where the source has none: what illumos and older OpenZFS take by default, and all take.
const DEFAULT_BLOCK_SIZE: u32 = 8192;
/// Bytes of records that are written at a time.
const BATCH: usize = 512 << 10;

/// The block size of all states of a volume; it never changes in a volume's life. The last one decides.
pub(super) fn block_size(chain: &[&Volume], ctx: &Ctx<'_>) -> u32 {
    let wanted = chain.last().and_then(|volume| volume.block_size).unwrap_or(DEFAULT_BLOCK_SIZE);
    if wanted.is_power_of_two() && (BLOCK_MIN..=BLOCK_MAX).contains(&wanted) {
        return wanted;
    }
    let detail = format!("volblocksize {wanted} becomes {DEFAULT_BLOCK_SIZE}");
    ctx.lose(Loss { path: None, kind: LossKind::Property, detail });
    DEFAULT_BLOCK_SIZE
}

/// Writes the stream of a volume; with a state before and its guid, the increment from there.
pub(super) fn write(
    volume: &Volume,
    before: Option<(&Volume, u64)>,
    block_size: u32,
    flags: u32,
    identity: &Identity,
    output: &mut Output<'_>,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let size = volume_size(&volume.content, block_size, ctx)?;
    let mut opening = begin(&identity.name, identity.guid, objset::ZVOL, 0, flags).map_err(unsupported)?;
    opening.creation_time = identity.creation_time;
    opening.from_guid = before.map_or(0, |(_, guid)| guid);
    let mut stream = StreamWriter::begin(&opening, None, output)?;
    let mut batch = Batch::new(identity.guid, None);

    let data = Shape { object: VOLUME_DATA, object_type: object_type::ZVOL, block_size };
    batch.free_objects(0, VOLUME_DATA);
    batch.object(data, None, size / u64::from(block_size));
    let empty = Content::default();
    let old = before.map_or(&empty, |(base, _)| &base.content);
    write_data(&volume.content, old, data, &mut batch, &mut stream, ctx)?;

    let is_resized = match before {
        Some((base, _)) => volume_size(&base.content, block_size, ctx)? != size,
        None => true,
    };
    if is_resized {
        let zap = objects::volume_properties(size).map_err(unsupported)?;
        let properties = Shape {
            object: VOLUME_PROPERTIES,
            object_type: object_type::ZVOL_PROP,
            block_size: zap.block_size,
        };
        batch.object(properties, None, 1);
        batch.table(properties, &zap);
    }
    batch.free_objects(VOLUME_PROPERTIES + 1, 32);
    stream.put(&mut batch)?;
    stream.end()
}

/// The size rounded up to whole blocks.
fn volume_size(content: &Content, block_size: u32, ctx: &Ctx<'_>) -> Result<u64> {
    let size = content.size.checked_next_multiple_of(block_size.into()).filter(|size| *size < 1 << 63);
    let Some(size) = size.filter(|size| *size > 0) else {
        let text = format!("a volume is not of 1 to 2^63 bytes: {}", content.size);
        return Err(ErrorKind::Unsupported(text).into());
    };
    if size != content.size {
        let detail = format!("size {} is rounded up to whole blocks: {size}", content.size);
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
    Ok(size)
}

/// Blocks that differ from the old content; what became zero is freed, in runs. Where both are holes nothing is read.
fn write_data(
    new: &Content,
    old: &Content,
    shape: Shape,
    batch: &mut Batch,
    stream: &mut StreamWriter<'_, '_>,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let size = u64::from(shape.block_size);
    let (mut block, mut was) = (vec![0; shape.block_size as usize], vec![0; shape.block_size as usize]);
    let mut new = Blocks::of(new, shape.block_size);
    let mut old = Blocks::of(old, shape.block_size);
    let mut hole: Option<(u64, u64)> = None;
    let mut next = new.first_from(0).min(old.first_from(0));
    while next < new.end() {
        ctx.check()?;
        new.read(next, &mut block)?;
        old.read(next, &mut was)?;
        let becomes_hole = is_zero(&block) && !is_zero(&was);
        match &mut hole {
            Some((_, end)) if becomes_hole && *end == next => *end += size,
            _ => {
                if let Some((from, end)) = hole.take() {
                    batch.free(shape.object, from, end - from);
                }
                if becomes_hole {
                    hole = Some((next, next + size));
                } else if block != was {
                    batch.block(shape, next, &block);
                }
            }
        }
        if batch.len() >= BATCH {
            stream.put(batch)?;
        }
        next = new.first_from(next + size).min(old.first_from(next + size));
    }
    if let Some((from, end)) = hole {
        batch.free(shape.object, from, end - from);
    }
    Ok(())
}
