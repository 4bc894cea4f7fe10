//! Names of images: `TRANSPORT:REST`, as the command line has them (docs/cli.md, "Image names").

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::registry::{RegistryName, RegistryNameError};
use crate::store::{StoredName, StoredNameError};
use aurora_engine::remote::{Url, UrlError};
use aurora_formats::smartos::Uuid;

mod dataset;

pub use dataset::DatasetName;

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
    /// `qcow2:FILE`
    Qcow2 {
        /// A disk.
        file: FileName,
    },
    /// `smartos:PATH`
    Smartos {
        /// The manifest, or the folder that holds manifest and file.
        path: PathBuf,
    },
    /// `dataset:POOL/NAME[@SNAP]`
    Dataset {
        /// A dataset of this host.
        name: DatasetName,
    },
    /// `imgapi:URL/UUID`
    Imgapi {
        /// The image server.
        url: Url,
        /// The image.
        uuid: Uuid,
    },
    /// `docker://HOST/NAME[:TAG][@DIGEST]`
    Docker {
        /// The image, or where it goes.
        name: RegistryName,
    },
    /// `NAME[:TAG]`: in the local store.
    Stored(StoredName),
}

/// Why a text is no [`ImageName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing behind the colon.
    #[error("{transport}: needs a path behind the colon: {form}")]
    NoPath {
        /// The word before the colon.
        transport: &'static str,
        /// How the name should look.
        form: &'static str,
    },
    /// `:` or `#` with nothing behind it.
    #[error("nothing behind the `{separator}`; one that belongs to the path is written `\\{separator}`")]
    EmptyPart {
        /// `:` or `#`.
        separator: char,
    },
    /// A reference that is not UTF-8.
    #[error("a reference must be UTF-8: {0}")]
    NotUtf8(String),
    /// `-` where a directory is wanted.
    #[error("a directory can't be standard input or output; one of this name is written {transport}:./-")]
    PipeForDirectory {
        /// The word before the colon.
        transport: &'static str,
    },
    /// Behind `dataset:`, what no dataset is called.
    #[error(
        "not a dataset's name: {0:?}; dataset:POOL/NAME, dataset:POOL/NAME@SNAP or dataset:POOL/NAME@A..B"
    )]
    NotADataset(String),
    /// `imgapi:` without the uuid of an image at the end.
    #[error("an image of a server is imgapi:URL/UUID, as in imgapi:https://images.smartos.org/UUID")]
    NoUuid,
    /// The URL before the uuid is none.
    #[error("imgapi: {0}")]
    Url(#[from] UrlError),
    /// Behind `docker:`, what no image of a registry is called.
    #[error(
        "an image of a registry is docker://HOST/NAME[:TAG][@DIGEST], as in docker://registry.example/web:1"
    )]
    NoSlashes,
    /// The same, with what is wrong.
    #[error(transparent)]
    Registry(#[from] RegistryNameError),
    /// A path without a transport.
    #[error("a path needs its form in front of it, as in dir:{0} (or one of {FORMS})")]
    BarePath(String),
    /// A name in the local store that is malformed.
    #[error(transparent)]
    Stored(#[from] StoredNameError),
    /// The word of a form, alone.
    #[error("{0} is a form and needs a path behind a colon; no image of the local store has this name")]
    FormAlone(String),
    /// No transport that is known, and no name of a store's image either.
    #[error("not an image name: {0}; use one of {FORMS}")]
    Unknown(String),
}

/// All usable forms, for messages.
const FORMS: &str = "NAME[:TAG] in the local store, oci:DIR[:REF], oci-archive:FILE[:REF], docker-archive:FILE[:REF], \
                     zfs:FILE[#DATASET@SNAP], smartos:PATH, imgapi:URL/UUID, docker://HOST/NAME[:TAG], \
                     dataset:POOL/NAME[@SNAP], tar:FILE, dir:PATH, raw:FILE, qcow2:FILE";

/// Words before a colon.
const FORM_WORDS: [&str; 12] = [
    "oci",
    "oci-archive",
    "docker-archive",
    "zfs",
    "tar",
    "dir",
    "raw",
    "qcow2",
    "smartos",
    "docker",
    "imgapi",
    "dataset",
];

impl ImageName {
    /// Reads a name whose path may hold any bytes.
    ///
    /// The path ends at the first `:` (`oci:` and the archives) or `#` (`zfs:`) that has no backslash before
    /// it. `\:`, `\#` and `\\` stand for the second character; any other backslash for itself.
    pub fn parse(raw: &OsStr) -> Result<Self, NameError> {
        let raw = raw.as_bytes();
        let shown = || String::from_utf8_lossy(raw).into_owned();
        let colon = raw.iter().position(|&b| b == b':');
        let (word, rest) = match colon {
            Some(at) => (&raw[..at], &raw[at + 1..]),
            None => (&raw[..0], raw),
        };
        Ok(match word {
            b"oci" => {
                let (path, reference) = split("oci", "oci:DIR[:REF]", rest, b':')?;
                Self::Oci { dir: directory("oci", path)?, reference }
            }
            b"oci-archive" => {
                let (path, reference) = split("oci-archive", "oci-archive:FILE[:REF]", rest, b':')?;
                Self::OciArchive { file: file(path), reference }
            }
            b"docker-archive" => {
                let (path, reference) = split("docker-archive", "docker-archive:FILE[:REF]", rest, b':')?;
                Self::DockerArchive { file: file(path), reference }
            }
            b"zfs" => {
                let (path, pick) = split("zfs", "zfs:FILE[#DATASET@SNAP]", rest, b'#')?;
                Self::Zfs { file: file(path), pick }
            }
            b"tar" => Self::Tar { file: file(whole("tar", "tar:FILE", rest)?) },
            b"raw" => Self::Raw { file: file(whole("raw", "raw:FILE", rest)?) },
            b"qcow2" => Self::Qcow2 { file: file(whole("qcow2", "qcow2:FILE", rest)?) },
            b"smartos" => {
                Self::Smartos { path: directory("smartos", whole("smartos", "smartos:PATH", rest)?)? }
            }
            b"dataset" => Self::Dataset { name: DatasetName::parse(rest)? },
            b"imgapi" => imgapi(rest)?,
            b"docker" => Self::Docker { name: docker(rest)? },
            b"dir" => Self::Dir { path: directory("dir", whole("dir", "dir:PATH", rest)?)? },
            _ if raw.is_empty() || raw == b"-" => return Err(NameError::Unknown(shown())),
            _ if matches!(raw[0], b'.' | b'/' | b'~') => return Err(NameError::BarePath(shown())),
            _ if FORM_WORDS.contains(&shown().as_str()) => return Err(NameError::FormAlone(shown())),
            _ if is_store_name(raw) => Self::Stored(shown().parse()?),
            _ => return Err(NameError::Unknown(shown())),
        })
    }

    /// As [`ImageName::parse`], where a path without a form is a directory.
    pub fn parse_or_dir(raw: &OsStr) -> Result<Self, NameError> {
        let bytes = raw.as_bytes();
        let is_path = matches!(bytes.first(), Some(b'.' | b'/' | b'~')) || !bytes.contains(&b':');
        match bytes {
            b"" | b"-" => Self::parse(raw),
            _ if is_path => Ok(Self::Dir { path: PathBuf::from(raw) }),
            _ => Self::parse(raw),
        }
    }

    /// The word before the colon; `store` for names that have none.
    pub fn transport(&self) -> &'static str {
        match self {
            Self::Stored(_) => "store",
            Self::Oci { .. } => "oci",
            Self::OciArchive { .. } => "oci-archive",
            Self::DockerArchive { .. } => "docker-archive",
            Self::Zfs { .. } => "zfs",
            Self::Tar { .. } => "tar",
            Self::Dir { .. } => "dir",
            Self::Raw { .. } => "raw",
            Self::Qcow2 { .. } => "qcow2",
            Self::Smartos { .. } => "smartos",
            Self::Dataset { .. } => "dataset",
            Self::Imgapi { .. } => "imgapi",
            Self::Docker { .. } => "docker",
        }
    }

    /// The file or directory, if it is one: no pipe, no dataset, nothing in the local store or on a server.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stored(_) | Self::Imgapi { .. } | Self::Docker { .. } => None,
            Self::Oci { dir: path, .. } | Self::Dir { path } | Self::Smartos { path } => Some(path),
            Self::OciArchive { file, .. }
            | Self::DockerArchive { file, .. }
            | Self::Zfs { file, .. }
            | Self::Tar { file }
            | Self::Raw { file }
            | Self::Qcow2 { file } => match file {
                FileName::Pipe => None,
                FileName::Path(path) => Some(path),
            },
            Self::Dataset { .. } => None,
        }
    }

    /// Whether it is standard input or output.
    pub fn is_pipe(&self) -> bool {
        let is_elsewhere =
            self.is_dataset() || matches!(self, Self::Imgapi { .. } | Self::Docker { .. } | Self::Stored(_));
        self.path().is_none() && !is_elsewhere
    }

    /// Whether it is a dataset of this host.
    pub fn is_dataset(&self) -> bool {
        matches!(self, Self::Dataset { .. })
    }

    /// Whether it is of one of the forms that hold OCI or Docker images.
    pub fn is_oci(&self) -> bool {
        use ImageName::{Docker, DockerArchive, Oci, OciArchive, Stored};
        matches!(self, Oci { .. } | OciArchive { .. } | DockerArchive { .. } | Docker { .. } | Stored(_))
    }

    /// Whether it holds a ZFS dataset, whose root file system may be below `root/`.
    pub fn is_zfs(&self) -> bool {
        matches!(self, Self::Zfs { .. } | Self::Smartos { .. } | Self::Dataset { .. } | Self::Imgapi { .. })
    }

    /// Behind the separator: the reference, or the pick.
    fn suffix(&self) -> Option<(char, &str)> {
        match self {
            Self::Oci { reference, .. }
            | Self::OciArchive { reference, .. }
            | Self::DockerArchive { reference, .. } => reference.as_deref().map(|text| (':', text)),
            Self::Zfs { pick, .. } => pick.as_deref().map(|text| ('#', text)),
            _ => None,
        }
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(OsStr::new(text))
    }
}

/// The name as it was given, but for needless escapes; what is not UTF-8 in the path is replaced.
impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Stored(name) = self {
            return name.fmt(f);
        }
        write!(f, "{}:", self.transport())?;
        if let Self::Dataset { name } = self {
            return name.fmt(f);
        }
        if let Self::Docker { name } = self {
            return name.fmt(f);
        }
        if let Self::Imgapi { url, uuid } = self {
            // Without user and password, which no message is to tell.
            return write!(f, "{}", url.join(&[&uuid.to_string()], &[]));
        }
        // The character that would end the path; the other forms have none.
        let end = match self {
            Self::Oci { .. } | Self::OciArchive { .. } | Self::DockerArchive { .. } => Some(':'),
            Self::Zfs { .. } => Some('#'),
            _ => None,
        };
        match self.path() {
            None => f.write_str("-")?,
            Some(path) => {
                let text = path.to_string_lossy();
                let mut chars = text.chars().peekable();
                while let Some(c) = chars.next() {
                    let before_escapable =
                        c == '\\' && chars.peek().is_none_or(|n| matches!(n, '\\' | ':' | '#'));
                    if before_escapable || Some(c) == end {
                        f.write_str("\\")?;
                    }
                    write!(f, "{c}")?;
                }
            }
        }
        match self.suffix() {
            Some((separator, text)) => write!(f, "{separator}{text}"),
            None => Ok(()),
        }
    }
}

/// The path up to the first bare separator, and what is behind it.
fn split(
    transport: &'static str,
    form: &'static str,
    rest: &[u8],
    separator: u8,
) -> Result<(PathBuf, Option<String>), NameError> {
    let mut at = 0;
    let end = loop {
        match rest.get(at) {
            None => break None,
            Some(b'\\') => at += 2,
            Some(&b) if b == separator => break Some(at),
            Some(_) => at += 1,
        }
    };
    let (path, suffix) = match end {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let suffix = match suffix {
        None => None,
        Some(b"") => return Err(NameError::EmptyPart { separator: char::from(separator) }),
        Some(raw) => {
            let text = std::str::from_utf8(raw)
                .map_err(|_| NameError::NotUtf8(String::from_utf8_lossy(raw).into_owned()))?;
            Some(text.to_owned())
        }
    };
    Ok((whole(transport, form, path)?, suffix))
}

/// The path alone.
fn whole(transport: &'static str, form: &'static str, raw: &[u8]) -> Result<PathBuf, NameError> {
    if raw.is_empty() {
        return Err(NameError::NoPath { transport, form });
    }
    Ok(PathBuf::from(OsString::from_vec(unescape(raw))))
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        let escaped = (b == b'\\').then(|| bytes.next_if(|n| matches!(n, b':' | b'#' | b'\\'))).flatten();
        out.push(escaped.unwrap_or(b));
    }
    out
}

/// The last part of the path is the image; a query stays with the server.
fn imgapi(rest: &[u8]) -> Result<ImageName, NameError> {
    let text = std::str::from_utf8(rest).map_err(|_| NameError::NoUuid)?;
    let (text, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    let (server, uuid) = text.trim_end_matches('/').rsplit_once('/').ok_or(NameError::NoUuid)?;
    let uuid = uuid.to_ascii_lowercase().parse().map_err(|_| NameError::NoUuid)?;
    Ok(ImageName::Imgapi { url: format!("{server}{query}").parse()?, uuid })
}

/// A registry's images have `//` in front, as in every other program.
fn docker(rest: &[u8]) -> Result<RegistryName, NameError> {
    let text = std::str::from_utf8(rest).ok().filter(|text| text.starts_with("//"));
    Ok(text.ok_or(NameError::NoSlashes)?.parse()?)
}

fn file(path: PathBuf) -> FileName {
    if path.as_os_str() == "-" { FileName::Pipe } else { FileName::Path(path) }
}

fn directory(transport: &'static str, path: PathBuf) -> Result<PathBuf, NameError> {
    if path.as_os_str() == "-" { Err(NameError::PipeForDirectory { transport }) } else { Ok(path) }
}

/// `NAME[:TAG]` with the letters that image names have.
fn is_store_name(raw: &[u8]) -> bool {
    raw.first().is_some_and(u8::is_ascii_alphanumeric)
        && raw.iter().all(|b| b.is_ascii_alphanumeric() || b"._-/:@+".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> FileName {
        FileName::Path(text.into())
    }

    #[test]
    fn names_are_read_and_printed_back() {
        let oci = |dir: &str, reference: Option<&str>| ImageName::Oci {
            dir: dir.into(),
            reference: reference.map(str::to_owned),
        };
        let zfs = |file, pick: Option<&str>| ImageName::Zfs { file, pick: pick.map(str::to_owned) };
        let cases: Vec<(&str, ImageName)> = vec![
            ("oci:web", oci("web", None)),
            ("oci:./web:1.4", oci("./web", Some("1.4"))),
            (
                "oci:web:registry.example/x:1.4@sha256:ab",
                oci("web", Some("registry.example/x:1.4@sha256:ab")),
            ),
            ("oci:a\\:b:c", oci("a:b", Some("c"))),
            ("oci:a#b", oci("a#b", None)),
            ("oci-archive:-:x", ImageName::OciArchive { file: FileName::Pipe, reference: Some("x".into()) }),
            ("docker-archive:x.tar", ImageName::DockerArchive { file: path("x.tar"), reference: None }),
            ("zfs:-", zfs(FileName::Pipe, None)),
            ("zfs:a.zfs#tank/a@b", zfs(path("a.zfs"), Some("tank/a@b"))),
            ("zfs:a\\#b:c#t@s", zfs(path("a#b:c"), Some("t@s"))),
            ("zfs:./-", zfs(path("./-"), None)),
            ("tar:a:b#c", ImageName::Tar { file: path("a:b#c") }),
            ("tar:a\\b", ImageName::Tar { file: path("a\\b") }),
            ("tar:a\\\\", ImageName::Tar { file: path("a\\") }),
            ("dir:/srv/x y", ImageName::Dir { path: "/srv/x y".into() }),
            ("raw:-", ImageName::Raw { file: FileName::Pipe }),
            ("qcow2:a:b", ImageName::Qcow2 { file: path("a:b") }),
            ("smartos:/i/x.imgmanifest", ImageName::Smartos { path: "/i/x.imgmanifest".into() }),
            (
                "dataset:zones/x@a..b",
                ImageName::Dataset { name: DatasetName::parse(b"zones/x@a..b").unwrap() },
            ),
            ("alpine", ImageName::Stored("alpine".parse().unwrap())),
            ("alpine:3.20", ImageName::Stored("alpine:3.20".parse().unwrap())),
            ("ghcr.io/a/b:1", ImageName::Stored("ghcr.io/a/b:1".parse().unwrap())),
        ];
        for (text, want) in cases {
            let got: ImageName = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(got, want, "{text}");
            assert_eq!(got.to_string(), text);
        }
        let uuid = "1f9b7958-289e-4ea3-8f88-5486a40d6823";
        let name: ImageName = format!("imgapi:https://u:p@h:443/b/{uuid}?channel=dev").parse().unwrap();
        assert!(!name.is_pipe() && name.path().is_none());
        assert_eq!(name.to_string(), format!("imgapi:https://h/b/{uuid}?channel=dev"), "without its secret");
        let name: ImageName = "docker://h.example:5000/a/b".parse().unwrap();
        assert_eq!(name.to_string(), "docker://h.example:5000/a/b:latest");
        assert!(!name.is_pipe() && name.path().is_none() && name.is_oci());
        // Needless escapes are read, not printed.
        assert_eq!("tar:a\\:b".parse::<ImageName>().unwrap().to_string(), "tar:a:b");
        let odd = ImageName::Oci { dir: "a\\:b\\".into(), reference: Some("r".into()) };
        assert_eq!(odd.to_string().parse::<ImageName>().unwrap(), odd, "{odd}");
    }

    #[test]
    fn paths_need_not_be_utf8() {
        let name = ImageName::parse(OsStr::from_bytes(b"dir:/srv/l\xe4tin")).unwrap();
        assert_eq!(name.path().unwrap().as_os_str().as_bytes(), b"/srv/l\xe4tin");
        assert!(matches!(ImageName::parse(OsStr::from_bytes(b"oci:a:\xff")), Err(NameError::NotUtf8(_))));
    }

    #[test]
    fn bare_paths_are_directories_where_that_is_meant() {
        let dir = |path: &str| Some(ImageName::Dir { path: path.into() });
        let cases = [
            ("tree", dir("tree")),
            ("./a:b", dir("./a:b")),
            ("/srv/x", dir("/srv/x")),
            ("dir:tree", dir("tree")),
            ("tar:x", "tar:x".parse().ok()),
            ("alpine:3.20", "alpine:3.20".parse().ok()),
            ("", None),
            ("-", None),
        ];
        for (text, want) in cases {
            assert_eq!(ImageName::parse_or_dir(OsStr::new(text)).ok(), want, "{text}");
        }
    }

    #[test]
    fn refusals_say_what_can_be_used() {
        let cases = [
            ("docker:alpine:3.20", "docker://HOST/NAME"),
            ("docker://h.example/UPPER", "lower-case"),
            ("imgapi:https://x/y", "imgapi:URL/UUID"),
            ("imgapi:ftp://x/1f9b7958-289e-4ea3-8f88-5486a40d6823", "another scheme"),
            ("smartos:-", "smartos:./-"),
            ("dataset:zones/x@", "not a dataset's name"),
            ("dataset:-r", "not a dataset's name"),
            ("alpine:", "NAME[:TAG]"),
            ("a--/b", "NAME[:TAG]"),
            ("dir", "dir is a form"),
            ("./x", "dir:./x"),
            ("/x", "dir:/x"),
            ("", "not an image name"),
            ("-", "not an image name"),
            ("a b", "not an image name"),
            ("oci:", "oci:DIR[:REF]"),
            ("zfs:", "zfs:FILE[#DATASET@SNAP]"),
            ("oci::x", "needs a path"),
            ("oci:a:", "nothing behind the `:`"),
            ("zfs:a#", "nothing behind the `#`"),
            ("oci:-", "oci:./-"),
            ("dir:-", "dir:./-"),
        ];
        for (text, want) in cases {
            let e = text.parse::<ImageName>().expect_err(text).to_string();
            assert!(e.contains(want), "{text}: {e}");
        }
    }
}
