//! Takes layers, archives and streams apart into the contents of their files and what is only in them. Nothing is judged:
//! whoever follows the recipe compares the result.

use std::io::{self, Read};

use aurora_engine::store::thin::Pieces;
use aurora_formats::tar::{self, Event};
use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::record::{Endian, Header, RECORD_LEN};

use crate::{Ctx, Error, Result};

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// Gives all bytes of a container to `pieces`. What begins neither as a stream nor as an archive is one content: a disk.
pub(crate) fn split(container: &mut dyn Read, pieces: &mut dyn Pieces, ctx: &Ctx<'_>) -> Result<()> {
    let mut head = [0; tar::BLOCK];
    let got = fill(container, &mut head)?;
    let head = &head[..got];
    let mut whole = head.chain(container);
    if Endian::detect(head).is_some() {
        return stream(&mut whole, pieces, ctx);
    }
    // An archive that begins with its end has no contents, but a disk that begins with zeros has.
    let is_archive = head.iter().any(|&b| b != 0)
        && tar::Parser::new(tar::Limits::default()).parse(head, got < tar::BLOCK).is_ok();
    match is_archive {
        true => archive(&mut whole, pieces, ctx),
        false => opaque(&mut whole, pieces, ctx),
    }
}

fn archive(container: &mut dyn Read, pieces: &mut dyn Pieces, ctx: &Ctx<'_>) -> Result<()> {
    let mut parser = tar::Parser::new(tar::Limits::default());
    let mut buf = vec![0; BUFFER];
    let (mut from, mut to, mut is_last) = (0, 0, false);
    // In the file whose data comes.
    let mut offset = 0;
    loop {
        let step = parser.parse(&buf[from..to], is_last)?;
        let bytes = &buf[from..from + step.consumed];
        from += step.consumed;
        let taken = match step.event {
            Event::Data(data) => {
                let at = offset;
                offset += data.len() as u64;
                pieces.content(data, at)
            }
            // In the middle of a file as well.
            Event::More if bytes.is_empty() => Ok(()),
            _ => {
                offset = 0;
                pieces.inline(bytes)
            }
        };
        taken.map_err(failed)?;
        if matches!(step.event, Event::More) {
            if is_last {
                return Ok(());
            }
            ctx.check()?;
            buf.copy_within(from..to, 0);
            (from, to) = (0, to - from);
            let read = fill(container, &mut buf[to..])?;
            to += read;
            is_last = read == 0;
        }
    }
}

fn stream(container: &mut dyn Read, pieces: &mut dyn Pieces, ctx: &Ctx<'_>) -> Result<()> {
    let mut buf = vec![0; BUFFER];
    let (mut at, mut endian) = (0_u64, Endian::Little);
    loop {
        ctx.check()?;
        let mut head = [0; RECORD_LEN];
        let got = fill(container, &mut head)?;
        pieces.inline(&head[..got]).map_err(failed)?;
        if got < RECORD_LEN {
            return Ok(());
        }
        endian = Endian::detect(&head).unwrap_or(endian);
        let header = Header::parse(&head, endian)
            .map_err(|kind| Error::from(ZfsError::UnknownRecord { offset: at, kind }))?;
        let mut left = header.payload_len();
        at = at.saturating_add(RECORD_LEN as u64).saturating_add(left);
        // Where a block lies in its file, so that it is cut where an archive's file is.
        let mut offset = match &header {
            Header::Write(write) => Some(write.offset),
            _ => None,
        };
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let got = fill(container, &mut buf[..want])?;
            if got == 0 {
                return Ok(());
            }
            left -= got as u64;
            let taken = match &mut offset {
                Some(offset) => {
                    let at = *offset;
                    *offset = offset.saturating_add(got as u64);
                    pieces.content(&buf[..got], at)
                }
                None => pieces.inline(&buf[..got]),
            };
            taken.map_err(failed)?;
        }
    }
}

fn opaque(container: &mut dyn Read, pieces: &mut dyn Pieces, ctx: &Ctx<'_>) -> Result<()> {
    let mut buf = vec![0; BUFFER];
    let mut offset = 0;
    loop {
        ctx.check()?;
        let got = fill(container, &mut buf)?;
        if got == 0 {
            return Ok(());
        }
        pieces.content(&buf[..got], offset).map_err(failed)?;
        offset += got as u64;
    }
}

/// Reads until `buf` is full or the container ends.
fn fill(container: &mut dyn Read, buf: &mut [u8]) -> Result<usize> {
    let mut got = 0;
    while got < buf.len() {
        match container.read(&mut buf[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("reading the container", e)),
        }
    }
    Ok(got)
}

fn failed(e: io::Error) -> Error {
    Error::io("the local store", e)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use aurora_engine::codec;
    use aurora_engine::fs;
    use aurora_formats::model::Metadata;
    use aurora_formats::tar::build;

    use super::*;
    use crate::ctx::{Cancel, NoProgress, Options};

    /// What was given, and how much of it as contents.
    #[derive(Default)]
    struct Seen {
        all: Vec<u8>,
        contents: Vec<(u64, usize)>,
    }

    impl Pieces for Seen {
        fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.all.extend_from_slice(bytes);
            Ok(())
        }

        fn content(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.all.extend_from_slice(bytes);
            self.contents.push((offset, bytes.len()));
            Ok(())
        }
    }

    fn seen(bytes: &[u8]) -> Result<Seen> {
        let (dir, cancel) = (tempfile::tempdir().unwrap(), Cancel::default());
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let mut out = Seen::default();
        split(&mut &bytes[..], &mut out, &ctx).map(|()| out)
    }

    /// Layers and streams, all of them: nothing is left out or told twice, damaged or not.
    #[test]
    fn every_container_of_the_corpus_is_given_whole() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
        let (mut count, mut all, mut contents) = (0, 0, 0);
        for dir in ["oci/quirks/blobs/sha256", "zfs", "zfs/2.3"] {
            for path in fs::read_dir(&corpus.join(dir)).unwrap() {
                let is_stream = path.extension().is_some_and(|ext| ext == "gz");
                if fs::is_dir(&path) || (dir.starts_with("zfs") && !is_stream) {
                    continue;
                }
                let (stored, mut bytes) = (fs::read_limited(&path, 1 << 26).unwrap(), Vec::new());
                let (_, mut plain) = codec::reader(Box::new(io::Cursor::new(stored)), 1 << 30, 1).unwrap();
                plain.read_to_end(&mut bytes).unwrap();
                let seen = seen(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                assert!(seen.all == bytes, "{}", path.display());
                count += 1;
                all += bytes.len();
                contents += seen.contents.iter().map(|(_, len)| len).sum::<usize>();
            }
        }
        assert!(count > 200 && contents * 2 > all, "{contents} bytes of {all} in {count}");
    }

    #[test]
    fn files_begin_at_zero_and_disks_where_they_are() {
        let mut archive = Vec::new();
        let big = vec![b'x'; 3 << 20];
        for content in [&b"one"[..], &big] {
            let content_len = build::Content::File(content.len() as u64);
            build::header(b"a", content_len, &Metadata::default(), &mut archive).unwrap();
            archive.extend(content);
            archive.extend(build::padding_after(content.len() as u64));
        }
        archive.extend(build::END);
        let found = seen(&archive).unwrap();
        assert_eq!(found.contents[0], (0, 3));
        let mut at = 0;
        for (offset, len) in &found.contents[1..] {
            assert_eq!(*offset, at);
            at += *len as u64;
        }
        assert_eq!(at, big.len() as u64);
        assert!(seen(&archive[..514]).is_err(), "cut in a file");

        let disk: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        for disk in [&disk[..], &[&[0; 600], &disk[..]].concat(), b"short", b""] {
            let found = seen(disk).unwrap();
            assert!(found.all == disk);
            assert_eq!(found.contents.iter().map(|(_, len)| len).sum::<usize>(), disk.len());
        }
    }
}
