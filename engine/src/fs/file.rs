//! Files that are read, pipes of this process, and small helpers.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub use std::fs::{create_dir_all, remove_dir_all, remove_file, rename};

/// Opens a file to be read. A directory is an error here, not at the first read.
pub fn open_input(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Opens a file that must be a regular one: a pipe of that name is an error and not waited for.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("open's flags are an int");
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    match () {
        () if kind.is_file() => Ok(file),
        () if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        () => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Whether a regular file, symbolic links followed, has this name.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Standard input, unbuffered. A terminal is an error: nobody types images.
pub fn stdin() -> io::Result<File> {
    if io::stdin().is_terminal() {
        let text = "it is a terminal; pipe something into it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Standard output, unbuffered.
pub fn stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Whether the file can be read anywhere, any number of times: neither pipe nor terminal.
pub fn is_regular(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.is_file())
}

/// A small file as a whole; one of more than `max` bytes is an error of kind `FileTooLarge`.
pub fn read_limited(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_input(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let text = format!("{} has more than {max} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// The paths in a directory, sorted by the bytes of their names.
pub fn read_dir(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<_>>()?;
    found.sort_unstable_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(found)
}

/// Whether anything, a dangling symbolic link included, has this name.
pub fn exists(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Bytes of a regular file, no symbolic link followed; `None` if nothing has this name. Anything else of that name is
/// an error.
pub fn size_of(path: &Path) -> io::Result<Option<u64>> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(Some(found.len())),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether this is a directory, symbolic links followed; what does not exist is none.
pub fn is_dir(path: &Path) -> bool {
    path.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_bounded_and_lists_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["b", "a", "C"] {
            std::fs::write(path(name), name.repeat(5)).unwrap();
        }
        assert_eq!(read_dir(dir.path()).unwrap(), [path("C"), path("a"), path("b")]);
        assert_eq!(read_limited(&path("a"), 5).unwrap(), b"aaaaa");
        assert_eq!(read_limited(&path("a"), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(open_input(dir.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert!(open_regular(&path("a")).is_ok() && is_file(&path("a")));
        assert_eq!(open_regular(dir.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(open_regular(Path::new("/dev/null")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        assert!(exists(&path("link")).unwrap() && !exists(&path("none")).unwrap());
    }
}
