//! Maps of sparse files: GNU's old form in the header, and its three PAX forms (GNU tar manual, "Storing Sparse
//! Files").

use super::error::TarError;
use super::format;
use super::number;

/// Data of a sparse file; what no run covers is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    /// First byte in the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// What `GNU.sparse.*` keys say of a member.
#[derive(Debug, Clone, Default)]
pub(super) struct PaxSparse {
    major: Option<u64>,
    minor: Option<u64>,
    pub(super) name: Option<Box<[u8]>>,
    /// `realsize` (0.1 and 1.0) or `size` (0.0).
    pub(super) size: Option<u64>,
    blocks: Option<u64>,
    /// Offsets and lengths in turn: from `map` (0.1), or from pairs of `offset` and `numbytes` (0.0).
    numbers: Vec<u64>,
}

/// Longest map in PAX keys, in numbers; the extended header's own limit holds first in practice.
const MAX_NUMBERS: usize = 1 << 20;

impl PaxSparse {
    /// A key behind `GNU.sparse.`; `None` if its value is impossible.
    pub(super) fn say(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"major" => self.major = Some(number::decimal(value)?),
            b"minor" => self.minor = Some(number::decimal(value)?),
            b"name" => self.name = (!value.contains(&0)).then(|| Some(value.into()))?,
            b"realsize" | b"size" => self.size = Some(number::decimal(value)?),
            b"numblocks" => self.blocks = Some(number::decimal(value)?),
            b"offset" | b"numbytes" => {
                // They come in pairs, so an offset stands at an even place.
                let expected: &[u8] =
                    if self.numbers.len().is_multiple_of(2) { b"offset" } else { b"numbytes" };
                if key != expected || self.numbers.len() >= MAX_NUMBERS {
                    return None;
                }
                self.numbers.push(number::decimal(value)?);
            }
            b"map" => {
                self.numbers.clear();
                if value.is_empty() {
                    return Some(());
                }
                for text in value.split(|&b| b == b',') {
                    if self.numbers.len() >= MAX_NUMBERS {
                        return None;
                    }
                    self.numbers.push(number::decimal(text)?);
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Whether the map stands before the data (version 1.0).
    pub(super) fn is_in_data(&self) -> bool {
        self.major == Some(1)
    }

    /// Whether the keys hold a map (versions 0.0 and 0.1).
    pub(super) fn is_in_keys(&self) -> bool {
        !self.is_in_data() && (self.blocks.is_some() || !self.numbers.is_empty())
    }

    /// Whether these keys are of a version that is known.
    pub(super) fn is_known(&self) -> bool {
        matches!((self.major, self.minor), (None, _) | (Some(0), _) | (Some(1), Some(0)))
    }

    /// The map in the keys.
    pub(super) fn runs(&self, offset: u64) -> Result<Vec<Run>, TarError> {
        let pairs = self.numbers.chunks_exact(2);
        let count = (self.numbers.len() / 2) as u64;
        if !pairs.remainder().is_empty() || self.blocks.is_some_and(|blocks| blocks != count) {
            return Err(TarError::Sparse { offset, fault: "has another number of regions than it says" });
        }
        Ok(pairs.map(|pair| Run { offset: pair[0], len: pair[1] }).collect())
    }
}

/// Checks a map against the size of the file and the bytes stored; drops empty regions.
pub(super) fn check(mut runs: Vec<Run>, size: u64, stored: u64, offset: u64) -> Result<Vec<Run>, TarError> {
    let fault = |fault| TarError::Sparse { offset, fault };
    let (mut end, mut sum) = (0, 0u64);
    for run in &runs {
        if run.offset < end {
            return Err(fault("has regions that overlap or are out of order"));
        }
        end = run.offset.checked_add(run.len).ok_or_else(|| fault("reaches beyond the end of the file"))?;
        sum = sum.saturating_add(run.len);
    }
    if end > size {
        return Err(fault("reaches beyond the end of the file"));
    }
    if sum != stored {
        return Err(fault("does not add up to the bytes stored"));
    }
    runs.retain(|run| run.len > 0);
    Ok(runs)
}

/// Appends the regions of an old GNU header or of a block after it: 12 bytes of offset and 12 of length each, up
/// to the first empty one.
pub(super) fn read_gnu(
    regions: &[u8],
    runs: &mut Vec<Run>,
    limit: usize,
    offset: u64,
) -> Result<(), TarError> {
    for region in regions.chunks_exact(24) {
        if region[0] == 0 {
            break;
        }
        let (at, len) = region.split_at(12);
        let number = |field| number::parse(field).and_then(|n| u64::try_from(n).ok());
        let run = number(at).zip(number(len)).map(|(offset, len)| Run { offset, len });
        push(
            runs,
            run.ok_or(TarError::Sparse { offset, fault: "has a region that is no number" })?,
            limit,
            offset,
        )?;
    }
    Ok(())
}

fn push(runs: &mut Vec<Run>, run: Run, limit: usize, offset: u64) -> Result<(), TarError> {
    if runs.len() >= limit {
        return Err(TarError::Sparse { offset, fault: "has more regions than the limit" });
    }
    runs.push(run);
    Ok(())
}

/// Reads a map of version 1.0: decimal numbers, each with a line end; the first is how many pairs follow. The map
/// fills whole blocks.
#[derive(Debug, Clone, Default)]
pub(super) struct MapReader {
    left: Option<u64>,
    pending: Option<u64>,
    digits: Option<u64>,
    runs: Vec<Run>,
}

impl MapReader {
    /// One block; the map when it was the last.
    pub(super) fn block(
        &mut self,
        block: &[u8],
        limit: usize,
        offset: u64,
    ) -> Result<Option<Vec<Run>>, TarError> {
        let fault = |fault| TarError::Sparse { offset, fault };
        for &byte in block {
            if byte != b'\n' {
                let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
                let number = self.digits.unwrap_or(0).checked_mul(10).zip(digit);
                let number = number.and_then(|(number, digit)| number.checked_add(digit));
                self.digits = Some(number.ok_or_else(|| fault("has a region that is no number"))?);
                continue;
            }
            let number = self.digits.take().ok_or_else(|| fault("has a region that is no number"))?;
            match (self.left, self.pending.take()) {
                (None, _) => self.left = Some(number),
                (Some(_), None) => self.pending = Some(number),
                (Some(left), Some(at)) => {
                    push(&mut self.runs, Run { offset: at, len: number }, limit, offset)?;
                    self.left = Some(left - 1);
                }
            }
            if self.left == Some(0) {
                return Ok(Some(std::mem::take(&mut self.runs)));
            }
        }
        Ok(None)
    }
}

/// A map of version 1.0, filled up to whole blocks.
pub(super) fn map(runs: &[Run]) -> Vec<u8> {
    let mut out = format!("{}\n", runs.len()).into_bytes();
    for run in runs {
        out.extend(format!("{}\n{}\n", run.offset, run.len).as_bytes());
    }
    let filled = out.len() + format::padding(out.len() as u64) as usize;
    out.resize(filled, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_checked() {
        let run = |offset, len| Run { offset, len };
        let cases: &[(&[Run], u64, u64, &str)] = &[
            (&[], 100, 0, ""),
            (&[run(0, 10), run(10, 0), run(50, 50)], 100, 60, ""),
            (&[run(0, 512), run(64, 512)], 2048, 1024, "overlap"),
            (&[run(50, 10), run(0, 10)], 100, 20, "overlap"),
            (&[run(u64::MAX, 2)], 100, 2, "beyond"),
            (&[run(99, 2)], 100, 2, "beyond"),
            (&[run(0, 2)], 100, 3, "add up"),
        ];
        for (runs, size, stored, want) in cases {
            match check(runs.to_vec(), *size, *stored, 0) {
                Ok(kept) => assert!(want.is_empty() && kept.iter().all(|r| r.len > 0)),
                Err(e) => assert!(!want.is_empty() && e.to_string().contains(want), "{e}"),
            }
        }
    }

    #[test]
    fn maps_in_data_there_and_back() {
        for count in [0, 1, 30, 200] {
            let runs: Vec<Run> = (0..count).map(|i| Run { offset: i << 33, len: i + 1 }).collect();
            let bytes = map(&runs);
            let (mut reader, mut got) = (MapReader::default(), None);
            for block in bytes.chunks(format::BLOCK) {
                assert_eq!(got, None, "the map ends in its last block");
                got = reader.block(block, 1000, 0).unwrap();
            }
            assert_eq!(got, Some(runs));
        }
        for bad in ["x\n", "\n", "1\n-5\n3\n", "99999999999999999999999\n", "2\n0\n1\n5\n1\n"] {
            assert!(MapReader::default().block(bad.as_bytes(), 1, 0).is_err(), "{bad:?}");
        }
    }
}
