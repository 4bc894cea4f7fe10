//! A stream of somebody else's under another name: its records go on as they are, with their checksums made anew.
//!
//! An increment upon a dataset that we have not written can't be written by us: the objects of the dataset have numbers
//! that only its own system knows. So the system's stream is passed on.

use std::io::{self, Read, Write};

use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::checksum::Fletcher4;
use aurora_formats::zfs::format::objset;
use aurora_formats::zfs::parse::{Parser, feature_names, features, refusal};
use aurora_formats::zfs::record::{Begin, End, Endian, Header, RECORD_LEN, TONAME_LEN, seal};

use super::output::Output;
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// Payloads are passed on in pieces of this size.
const PIECE: usize = 256 << 10;

/// Passes on the stream of one snapshot of a file system as `name` (`dataset@snapshot`). It must be an increment from
/// `from_guid` to `to_guid` and need no feature in `refused`.
pub(crate) fn relabel(
    mut stream: impl Read,
    name: &[u8],
    (from_guid, to_guid): (u64, u64),
    refused: &[&str],
    writer: &mut dyn Write,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let mut output = Output::over(writer, "stream", ctx);
    let (mut parser, mut running) = (Parser::new(), Fletcher4::new(Endian::Little));
    let (mut buffer, mut is_over) = (vec![0; PIECE], false);
    loop {
        ctx.check()?;
        let mut bytes = [0; RECORD_LEN];
        let offset = parser.offset();
        match fill(&mut stream, &mut bytes)? {
            0 => break,
            RECORD_LEN => {}
            actual => {
                let expected = RECORD_LEN as u64;
                return Err(ZfsError::Truncated {
                    offset,
                    record: "unknown",
                    expected,
                    actual: actual as u64,
                }
                .into());
            }
        }
        let record = parser.record(&bytes)?;
        if is_over || record.is_frame {
            return Err(unfit("it holds several snapshots"));
        }
        match &record.header {
            Header::Begin(begin) => {
                if parser.endian() != Endian::Little {
                    return Err(unfit("it is in big-endian order"));
                }
                if let Some(refusal) = refusal(begin, offset) {
                    return Err(refusal.into());
                }
                if begin.objset_type != objset::ZFS {
                    return Err(unfit("it is of a volume"));
                }
                if (begin.from_guid, begin.to_guid) != (from_guid, to_guid) {
                    let (got, to) = (begin.from_guid, begin.to_guid);
                    let text = format!("it leads from guid {got} to {to}, not from {from_guid} to {to_guid}");
                    return Err(unfit(&text));
                }
                if let Some(name) = feature_names(features(begin)).iter().find(|name| refused.contains(name))
                {
                    return Err(unfit(&format!("SmartOS takes no streams with the feature {name}")));
                }
                bytes = Header::Begin(Begin { to_name: padded(name)?, ..begin.clone() }).to_bytes();
                running.update(&bytes);
            }
            Header::End(end) => {
                is_over = true;
                bytes = Header::End(End { sum: running.sum(), to_guid: end.to_guid }).to_bytes();
                seal(&mut bytes, &mut running);
            }
            _ => seal(&mut bytes, &mut running),
        }
        output.put(&bytes)?;
        let mut left = record.payload;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let got = fill(&mut stream, &mut buffer[..want])?;
            if got < want {
                let (expected, actual) =
                    (RECORD_LEN as u64 + record.payload, RECORD_LEN as u64 + record.payload - left);
                let (offset, record) = (record.offset, record.header.name());
                return Err(
                    ZfsError::Truncated { offset, record, expected, actual: actual + got as u64 }.into()
                );
            }
            parser.payload(&buffer[..got]);
            running.update(&buffer[..got]);
            output.put(&buffer[..got])?;
            ctx.progress.count(Counter::BytesDecoded, got as u64);
            left -= got as u64;
        }
    }
    parser.finish()?;
    output.finish().map(drop)
}

/// Why a stream can't be passed on.
fn unfit(why: &str) -> Error {
    ErrorKind::Unsupported(format!("the stream that the system sends can't be passed on: {why}")).into()
}

fn padded(name: &[u8]) -> Result<[u8; TONAME_LEN]> {
    let mut to_name = [0; TONAME_LEN];
    match to_name.get_mut(..name.len()) {
        Some(place) if name.len() < TONAME_LEN => place.copy_from_slice(name),
        _ => return Err(unfit("its name is too long")),
    }
    Ok(to_name)
}

/// Reads until `buf` is full or the input ends.
fn fill(stream: &mut impl Read, buf: &mut [u8]) -> Result<usize> {
    let mut got = 0;
    while got < buf.len() {
        match stream.read(&mut buf[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("zfs send", e)),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use aurora_engine::codec;

    use super::*;
    use crate::{Cancel, NoProgress, Options};

    fn corpus(name: &str) -> Vec<u8> {
        let path = format!("{}/../corpus/zfs/{name}.zfs.gz", env!("CARGO_MANIFEST_DIR"));
        let mut bytes = Vec::new();
        let file = std::fs::read(path).unwrap();
        codec::reader(Box::new(io::Cursor::new(file)), 1 << 30, 1)
            .unwrap()
            .1
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    }

    fn begin(bytes: &[u8]) -> Begin {
        match Header::parse(bytes[..RECORD_LEN].try_into().unwrap(), Endian::Little) {
            Ok(Header::Begin(begin)) => begin,
            other => panic!("{other:?}"),
        }
    }

    fn run(bytes: &[u8], guids: (u64, u64), refused: &[&str]) -> Result<Vec<u8>> {
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
        let mut out = Vec::new();
        relabel(bytes, b"zones/x@final", guids, refused, &mut out, &ctx).map(|()| out)
    }

    #[test]
    fn only_name_and_sums_are_new() {
        let bytes = corpus("inc-i-a-b");
        let was = begin(&bytes);
        let out = run(&bytes, (was.from_guid, was.to_guid), &["zstd"]).unwrap();
        let mut want = Begin { to_name: [0; TONAME_LEN], ..was.clone() };
        want.to_name[..13].copy_from_slice(b"zones/x@final");
        assert_eq!((begin(&out), out.len()), (want, bytes.len()));
        // Its sums hold, and under its own name it would be itself again.
        let name: Vec<u8> = was.to_name.iter().copied().take_while(|&b| b != 0).collect();
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
        let mut again = Vec::new();
        relabel(&out[..], &name, (was.from_guid, was.to_guid), &[], &mut again, &ctx).unwrap();
        assert!(again == bytes, "the same bytes");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bytes = corpus("inc-i-a-b");
        let was = begin(&bytes);
        let guids = (was.from_guid, was.to_guid);
        let mut damaged = bytes.clone();
        let middle = bytes.len() / 2;
        damaged[middle] ^= 1;
        let (package, volume, zstd) = (corpus("repl-R-s2"), corpus("vol8k-i"), corpus("comp-zstd-c"));
        let of = |bytes: &[u8]| (begin(bytes).from_guid, begin(bytes).to_guid);
        let cases: [(&[u8], (u64, u64), &str); 9] = [
            (&bytes, (1, guids.1), "not from 1 to"),
            (&bytes[..bytes.len() - RECORD_LEN], guids, "END"),
            (&bytes[..bytes.len() - 400], guids, "cut off"),
            (&bytes[..bytes.len() - 5], guids, "cut off"),
            (&[&bytes[..], &bytes[..]].concat(), guids, "several snapshots"),
            (&damaged, guids, "checksum"),
            (&package, guids, "several snapshots"),
            (&volume, of(&volume), "a volume"),
            (&zstd, of(&zstd), "feature zstd"),
        ];
        for (bytes, guids, want) in cases {
            let error = run(bytes, guids, &["zstd"]).unwrap_err().to_string();
            assert!(error.contains(want), "{want}: {error}");
        }
    }
}
