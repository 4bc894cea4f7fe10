//! Directories made for a result, which go again if there is none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory and those above it that were not there. Dropped, it removes those that it made, if nothing is in them.
pub struct NewDirs {
    /// The deepest first.
    made: Vec<PathBuf>,
}

impl NewDirs {
    /// Makes what is missing.
    pub fn create(path: &Path) -> io::Result<Self> {
        let missing = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        let mut new = Self { made: missing.map(Path::to_owned).collect() };
        if let Err(e) = fs::create_dir_all(path) {
            new.made.retain(|dir| dir.exists());
            return Err(e);
        }
        Ok(new)
    }

    /// There is a result: they stay.
    pub fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for NewDirs {
    fn drop(&mut self) {
        for dir in &self.made {
            // One that holds something is somebody's by now.
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_goes_unless_it_is_kept_or_used() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a/b");
        drop(NewDirs::create(&path).unwrap());
        assert!(!top.path().join("a").exists());
        NewDirs::create(&path).unwrap().keep();
        assert!(path.is_dir());
        let deeper = NewDirs::create(&path.join("c/d")).unwrap();
        fs::write(path.join("c/file"), "x").unwrap();
        drop(deeper);
        assert!(path.join("c/file").is_file() && !path.join("c/d").exists());
        assert!(top.path().is_dir(), "it was there before");
    }
}
