//! Files mapped into memory. The only module with unsafe code, and one line of it.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::Mmap;

use crate::body::ReadAt;

/// Maps a whole file that is as long as `len` says; any other length is `InvalidData`.
///
/// A mapped file that somebody cuts short ends this process by SIGBUS when the lost part is touched: no error can be
/// made of it. So this is only for files that are never changed once they have their name: blobs of a store of ours,
/// which are written under another name, are read-only (0444), and are replaced or removed as a whole, which leaves
/// what is mapped intact. Everything else is read by `pread` ([`crate::body::FileBody`]).
pub fn map(file: &File, len: u64) -> io::Result<impl ReadAt + use<>> {
    if file.metadata()?.len() != len {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has changed its length"));
    }
    // SAFETY: the mapping is private to this module and read-only; its bytes only ever leave it by being copied in
    // `read_exact_at`, so no reference to them is held while anything else runs. The caller promises (above) that the
    // file is not written to or cut short while it has this name; its length was compared with the one promised.
    let map = unsafe { Mmap::map(file) }?;
    Ok(Mapped(map))
}

struct Mapped(Mmap);

impl ReadAt for Mapped {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let bytes = from.and_then(|at| self.0.get(at..)?.get(..buf.len()));
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn reads_anywhere_and_no_further() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        assert_eq!(map(&file, 99_999).err().unwrap().kind(), io::ErrorKind::InvalidData);
        let body = map(&file, 100_000).unwrap();
        let mut got = vec![0; 1000];
        body.read_exact_at(&mut got, 98_999).unwrap();
        assert!(got == bytes[98_999..99_999] && body.len() == 100_000);
        for offset in [99_001, 100_000, u64::MAX] {
            assert_eq!(
                body.read_exact_at(&mut got, offset).unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
        }
    }
}
