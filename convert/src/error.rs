//! What went wrong, and where.

use std::fmt;
use std::io;

use aurora_formats::model::EntryPath;

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in an image something is: as much as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// The image's name as the user gave it.
    pub image: Option<String>,
    /// Layer or snapshot: number from 1, of how many, and its digest or name.
    pub layer: Option<(usize, usize, String)>,
    /// The entry.
    pub entry: Option<EntryPath>,
    /// Byte offset in the uncompressed layer or stream.
    pub offset: Option<u64>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.image.clone());
        if let Some((n, of, name)) = &self.layer {
            parts.push(format!("layer {n} of {of} ({name})"));
        }
        parts.extend(self.entry.as_ref().map(EntryPath::to_string));
        let mut text = parts.join(", ");
        if let Some(offset) = self.offset {
            text.push_str(&format!("{}at {offset:#x}", if text.is_empty() { "" } else { " " }));
        }
        f.write_str(&text)
    }
}

/// A failed operation: its kind, and where.
#[derive(Debug)]
pub struct Error(Box<(ErrorKind, Location)>);

/// Every way to fail. The kind decides the exit code and the hint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name or options can't be used so.
    #[error("{0}")]
    Usage(String),
    /// No image of that name.
    #[error("no such image: {0}")]
    NoSuchImage(String),
    /// Several images where one is wanted.
    #[error("{name} means several images: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What there is.
        candidates: Vec<String>,
    },
    /// An OCI artifact, a listing of other things, a form that holds no root file system.
    #[error("not a root file system: {0}")]
    NotAFilesystem(String),
    /// A tar stream is damaged.
    #[error(transparent)]
    Tar(#[from] aurora_formats::tar::TarError),
    /// A layer's entry that looks like a whiteout and can be none.
    #[error(transparent)]
    Whiteout(#[from] aurora_formats::oci::whiteout::WhiteoutError),
    /// An OCI document is damaged or contradicts itself.
    #[error(transparent)]
    Oci(#[from] aurora_formats::oci::OciError),
    /// A ZFS stream is damaged, or of a kind that holds no readable files.
    #[error(transparent)]
    Zfs(#[from] aurora_formats::zfs::ZfsError),
    /// A SmartOS manifest is damaged or says what it can't mean.
    #[error(transparent)]
    Smartos(#[from] aurora_formats::smartos::SmartosError),
    /// The file of a SmartOS image is not the one its manifest means.
    #[error(transparent)]
    ImageFile(#[from] aurora_engine::digest::Sha1Error),
    /// A qcow2 disk is damaged, or needs what is not in it.
    #[error(transparent)]
    Qcow2(#[from] aurora_formats::disk::qcow2::Qcow2Error),
    /// A compressed block of a ZFS stream is damaged.
    #[error(transparent)]
    Block(#[from] aurora_formats::zfs::block::BlockError),
    /// A program of this host did not do what it was run for.
    #[error(transparent)]
    Command(#[from] aurora_engine::host::CommandError),
    /// Compressed bytes are damaged.
    #[error(transparent)]
    Codec(#[from] aurora_engine::codec::CodecError),
    /// Content is not what its digest and size promise.
    #[error(transparent)]
    Verify(#[from] aurora_engine::digest::VerifyError),
    /// The local store can't be used, or lacks something.
    #[error(transparent)]
    Store(#[from] aurora_engine::store::StoreError),
    /// Garbage can't be told from what is needed.
    #[error("nothing was removed, as it can't be told what this image needs: {0}")]
    NotCollected(String),
    /// A layer's uncompressed bytes are not those of the config's `diff_ids`.
    #[error("diffID does not match: config says {expected}, layer is {actual}")]
    DiffId {
        /// From the config.
        expected: String,
        /// Of the bytes.
        actual: String,
    },
    /// Changes of a layer that can't be applied to what lies below.
    #[error(transparent)]
    Tree(#[from] crate::tree::TreeError),
    /// The destination can't hold this.
    #[error("the target can't hold this: {0}")]
    Unsupported(String),
    /// `--strict` and something would be lost.
    #[error("would be lost in the target: {0}")]
    Lossy(String),
    /// The destination exists.
    #[error("already exists: {0}")]
    Exists(String),
    /// A limit against hostile input.
    #[error("over the limit of {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// The operating system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was done to which file.
        what: String,
        /// Its word.
        #[source]
        source: io::Error,
    },
    /// A server could not be reached, or gave not what was asked for.
    #[error(transparent)]
    Remote(aurora_engine::remote::RemoteError),
    /// An image server does not keep to its protocol, or refuses.
    #[error(transparent)]
    Imgapi(#[from] crate::imgapi::ImgapiError),
    /// A registry refuses, or does not keep to its protocol.
    #[error(transparent)]
    Registry(#[from] crate::registry::RegistryError),
    /// The plan of a migration can't be read, or contradicts itself.
    #[error("not a plan that can be run: {0}")]
    Plan(String),
    /// The journal of a migration is damaged, or in use.
    #[error(transparent)]
    Journal(#[from] crate::migrate::JournalError),
    /// A queue can't be used.
    #[error(transparent)]
    Queue(aurora_engine::remote::nats::NatsError),
    /// What was to be read meanwhile could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Stopped by the user.
    #[error("interrupted")]
    Interrupted,
}

/// The failure of a download that several readers wait for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub(crate) std::sync::Arc<Error>);

impl Error {
    /// Why.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.0
    }

    /// Where.
    pub fn location(&self) -> &Location {
        &self.0.1
    }

    /// An operating system's error, unless it carries one of ours inside.
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        use aurora_engine::codec::CodecError;
        use aurora_engine::digest::{Sha1Error, VerifyError};
        use aurora_engine::host::CommandError;
        use aurora_formats::zfs::block::BlockError;
        if let Some(e) = source.get_ref().and_then(|e| e.downcast_ref::<VerifyError>()) {
            return ErrorKind::Verify(e.clone()).into();
        }
        if let Some(e) = source.get_ref().and_then(|e| e.downcast_ref::<Sha1Error>()) {
            return ErrorKind::ImageFile(*e).into();
        }
        if let Some(e) = source.get_ref().and_then(|e| e.downcast_ref::<BlockError>()) {
            return ErrorKind::Block(e.clone()).into();
        }
        if let Some(e) = source.get_ref().and_then(|e| e.downcast_ref::<CommandError>()) {
            return ErrorKind::Command(e.clone()).into();
        }
        if let Some(e) = source.get_ref().and_then(|e| e.downcast_ref::<FetchError>()) {
            return ErrorKind::Fetch(e.clone()).into();
        }
        match source.downcast::<CodecError>() {
            Ok(e) => ErrorKind::Codec(e).into(),
            Err(source) => ErrorKind::Io { what: what.into(), source }.into(),
        }
    }

    /// A usage error.
    pub fn usage(text: impl Into<String>) -> Self {
        ErrorKind::Usage(text.into()).into()
    }

    /// Says which image it is about, unless that is known already.
    #[must_use]
    pub fn in_image(mut self, image: impl Into<String>) -> Self {
        self.0.1.image.get_or_insert_with(|| image.into());
        self
    }

    /// The error alone, for where the image is named already.
    #[must_use]
    pub fn without_image(mut self) -> Self {
        self.0.1.image = None;
        self
    }

    /// Says which layer or snapshot it is about (numbered from 1), unless that is known already.
    #[must_use]
    pub fn in_layer(mut self, number: usize, of: usize, name: impl Into<String>) -> Self {
        self.0.1.layer.get_or_insert_with(|| (number, of, name.into()));
        self
    }

    /// Says which entry it is about, unless that is known already.
    #[must_use]
    pub fn at_entry(mut self, path: &EntryPath) -> Self {
        self.0.1.entry.get_or_insert_with(|| path.clone());
        self
    }

    /// Says at which byte of the uncompressed layer or stream, unless that is known already.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.0.1.offset.get_or_insert(offset);
        self
    }

    /// Whether there is nothing of the name that was given, be it image or snapshot.
    pub fn is_no_such_image(&self) -> bool {
        use aurora_formats::zfs::ZfsError::NoSuchSnapshot;
        match self.kind() {
            ErrorKind::NoSuchImage(_) | ErrorKind::Zfs(NoSuchSnapshot { .. }) => true,
            ErrorKind::Fetch(e) => e.0.is_no_such_image(),
            _ => false,
        }
    }

    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self.kind() {
            ErrorKind::Zfs(e) => e.hint(),
            ErrorKind::Command(e) if e.is_missing_program() => Some(
                "dataset: names need this host's zfs; streams of other hosts go through zfs:FILE or zfs:-",
            ),
            ErrorKind::Command(e) if e.says("ermission denied") => {
                Some("become root, or have the rights delegated (zfs allow)")
            }
            ErrorKind::Ambiguous { .. } => Some(
                "choose one by its tag or with --platform OS/ARCH[/VARIANT], or copy them --all; in a folder of SmartOS images name the manifest",
            ),
            ErrorKind::Remote(e) => e.hint(),
            ErrorKind::Imgapi(e) => e.hint(),
            ErrorKind::Registry(e) => e.hint(),
            ErrorKind::Fetch(e) => e.0.hint(),
            ErrorKind::Store(e) => e.hint(),
            ErrorKind::Tar(_)
            | ErrorKind::Block(_)
            | ErrorKind::Codec(_)
            | ErrorKind::Verify(_)
            | ErrorKind::ImageFile(_)
            | ErrorKind::DiffId { .. } => {
                Some("the image is damaged or hostile; `imageadm verify` lists every problem it has")
            }
            ErrorKind::Plan(_) => {
                Some("`imageadm migrate plan` makes one; docs/migrate.md says what is in it")
            }
            ErrorKind::Journal(e) => e.hint(),
            ErrorKind::Queue(e) => e.hint(),
            ErrorKind::NotCollected(_) => Some("bring the image in again, or take it out with `imageadm rm`"),
            ErrorKind::Lossy(_) => Some("leave out --strict to convert all the same"),
            _ => None,
        }
    }
}

/// What was stopped is interrupted, whoever asked for it.
impl From<aurora_engine::remote::RemoteError> for ErrorKind {
    fn from(e: aurora_engine::remote::RemoteError) -> Self {
        match e {
            aurora_engine::remote::RemoteError::Stopped => Self::Interrupted,
            e => Self::Remote(e),
        }
    }
}

impl From<aurora_engine::remote::nats::NatsError> for ErrorKind {
    fn from(e: aurora_engine::remote::nats::NatsError) -> Self {
        match e {
            aurora_engine::remote::nats::NatsError::Stopped => Self::Interrupted,
            e => Self::Queue(e),
        }
    }
}

impl<E: Into<ErrorKind>> From<E> for Error {
    fn from(kind: E) -> Self {
        let kind = kind.into();
        let offset = match &kind {
            ErrorKind::Tar(e) => Some(e.offset()),
            _ => None,
        };
        Self(Box::new((kind, Location { offset, ..Location::default() })))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.location().to_string();
        if at.is_empty() { self.kind().fmt(f) } else { write!(f, "{at}: {}", self.kind()) }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.kind())
    }
}
