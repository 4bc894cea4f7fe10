//! Any bytes as a send stream: no panic, no hang. They are read once as they are, and once with right checksums, so that
//! damage gets beyond them and into the objects.
#![no_main]

use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use aurora_convert::names::{FileName, ImageName};
use aurora_convert::source::{self, ReadOptions};
use aurora_convert::tree::{ListOptions, rows};
use aurora_convert::{Cancel, Ctx, Layers, Loaded, NoProgress, Options};
use aurora_formats::zfs::checksum::Fletcher4;
use aurora_formats::zfs::record::{Endian, Header, RECORD_LEN, seal};
use libfuzzer_sys::fuzz_target;

/// Decoded bytes of one input: streams can say that a small block is a large one.
const MAX_DECODED: u64 = 64 << 20;

/// A file of this process that no other reads.
fn scratch() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let shm = PathBuf::from("/dev/shm");
        let folder = if shm.is_dir() { shm } else { std::env::temp_dir() };
        folder.join(format!("aurora-fuzz-stream-{}.zfs", std::process::id()))
    })
}

/// The same stream with the checksums of all records made right, as far as its records can be told.
fn sealed(input: &[u8]) -> Option<Vec<u8>> {
    if Endian::detect(input)? != Endian::Little {
        return None;
    }
    let (mut out, mut at) = (input.to_vec(), 0);
    let mut running = Fletcher4::new(Endian::Little);
    while let Some(slot) = out.get_mut(at..at + RECORD_LEN) {
        let bytes: &mut [u8; RECORD_LEN] = slot.try_into().ok()?;
        let Ok(mut header) = Header::parse(bytes, Endian::Little) else { break };
        match &mut header {
            Header::Begin(_) => {
                running = Fletcher4::new(Endian::Little);
                running.update(bytes);
            }
            Header::End(end) => {
                end.sum = running.sum();
                *bytes = header.to_bytes();
                seal(bytes, &mut running);
            }
            _ => seal(bytes, &mut running),
        }
        at += RECORD_LEN;
        let payload = usize::try_from(header.payload_len()).ok()?.min(out.len() - at);
        running.update(&out[at..at + payload]);
        at += payload;
    }
    Some(out)
}

fn read(bytes: &[u8], layers: Layers) {
    let path = scratch();
    let mut file = std::fs::File::create(path).expect("the scratch file can be made");
    file.write_all(bytes).expect("the scratch file can be written");
    let cancel = Cancel::default();
    let mut options = Options::new(std::env::temp_dir());
    options.max_decoded = MAX_DECODED;
    let ctx = Ctx::new(options, &NoProgress, &cancel);
    let name = ImageName::Zfs { file: FileName::Path(path.clone()), pick: None };
    let options = ReadOptions { layers, ..ReadOptions::default() };
    if let Ok(Loaded::Filesystem(lineage)) = source::read(&name, &options, &ctx) {
        for step in &lineage.steps {
            // Files may say that they are huge; only their names are of interest.
            let list = ListOptions { no_hash: true, acl: true };
            rows(&step.tree, list, &ctx).expect("a tree can be listed");
        }
    }
}

fuzz_target!(|input: &[u8]| {
    read(input, Layers::Squash);
    if let Some(sealed) = sealed(input) {
        read(&sealed, Layers::Keep);
    }
});
