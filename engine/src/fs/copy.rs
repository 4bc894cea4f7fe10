//! Copying within the kernel, which shares blocks where the file system can: `copy_file_range(2)`.

use std::fs::File;
use std::io;

/// Copies as much of a range as the kernel can. How many bytes it was: fewer than asked for, perhaps none, where the file
/// systems are others or know no such thing. What is left is to be read and written.
#[cfg(target_os = "linux")]
pub(crate) fn copy_range(from: &File, at: u64, to: &File, to_at: u64, len: u64) -> io::Result<u64> {
    use rustix::io::Errno;

    let mut done = 0;
    while done < len {
        let (mut source, mut target) = (at + done, to_at + done);
        let wanted = usize::try_from(len - done).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), wanted) {
            Ok(0) => break,
            Ok(n) => done += n as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::BADF) => {
                break;
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(done)
}

/// Copies nothing: this system has no such call.
#[cfg(not(target_os = "linux"))]
pub(crate) fn copy_range(_from: &File, _at: u64, _to: &File, _to_at: u64, _len: u64) -> io::Result<u64> {
    Ok(0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_range_is_copied_or_left_to_others() {
        let mut from = tempfile::tempfile().unwrap();
        from.write_all(b"0123456789").unwrap();
        let mut to = tempfile::tempfile().unwrap();
        let copied = copy_range(&from, 2, &to, 1, 5).unwrap();
        let mut got = Vec::new();
        to.read_to_end(&mut got).unwrap();
        // Some file systems can't.
        assert!(copied == 0 && got.is_empty() || copied == 5 && got == b"\x0023456", "{copied} {got:?}");
        // Beyond the end there is nothing.
        assert!(copy_range(&from, 8, &to, 0, 100).unwrap() <= 2);
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(copy_range(&File::from(std::os::fd::OwnedFd::from(reader)), 0, &to, 0, 1).unwrap_or(0), 0);
    }
}
