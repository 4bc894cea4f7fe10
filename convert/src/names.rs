//! Names of images: `TRANSPORT:REST`, as the command line has them (README, "Image names").

use std::path::PathBuf;

/// A file, or a pipe of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileName {
    /// `-`: standard input or output.
    Pipe,
    /// A path.
    Path(PathBuf),
}

/// Where an image is, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageName {
    /// `oci:DIR[:REF]`
    Oci {
        /// The layout.
        dir: PathBuf,
        /// `org.opencontainers.image.ref.name`.
        reference: Option<String>,
    },
    /// `oci-archive:FILE[:REF]`
    OciArchive {
        /// The tar of a layout.
        file: FileName,
        /// `org.opencontainers.image.ref.name`.
        reference: Option<String>,
    },
    /// `docker-archive:FILE[:REF]`
    DockerArchive {
        /// What `docker save` writes.
        file: FileName,
        /// One of its `RepoTags`.
        reference: Option<String>,
    },
    /// `zfs:FILE[#DATASET@SNAP]`
    Zfs {
        /// The stream, or a package of streams.
        file: FileName,
        /// One snapshot of a package.
        pick: Option<String>,
    },
    /// `tar:FILE`
    Tar {
        /// A root file system as one tar.
        file: FileName,
    },
    /// `dir:PATH`
    Dir {
        /// A root directory.
        path: PathBuf,
    },
    /// `raw:FILE`
    Raw {
        /// A disk.
        file: FileName,
    },
}

impl std::fmt::Display for ImageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
