//! What a target cannot express is reported, never dropped in silence.

use std::fmt;

use aurora_formats::model::EntryPath;

/// Something that the result does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// The entry it belonged to; `None` for the image as a whole.
    pub path: Option<EntryPath>,
    /// What kind of thing.
    pub kind: LossKind,
    /// Which one, or why.
    pub detail: String,
}

/// Kinds of losses; their names are part of `--json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LossKind {
    /// An extended attribute.
    Xattr,
    /// An access control list beyond the mode bits.
    Acl,
    /// A DOS or BSD file flag.
    Flag,
    /// An owner that has no plain number, or could not be set.
    Owner,
    /// A time finer or farther than the target keeps.
    Time,
    /// A project id.
    Project,
    /// A file type that the target has not.
    Type,
    /// The image's configuration or names.
    Config,
    /// A ZFS property.
    Property,
    /// Something in the source that is odd but does no harm.
    Oddity,
}

impl Loss {
    /// Whether `--strict` minds: oddities of the source are told, and take nothing away.
    pub fn is_serious(&self) -> bool {
        self.kind != LossKind::Oddity
    }
}

impl LossKind {
    /// As it stands in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xattr => "xattr",
            Self::Acl => "acl",
            Self::Flag => "flag",
            Self::Owner => "owner",
            Self::Time => "time",
            Self::Project => "project",
            Self::Type => "type",
            Self::Config => "config",
            Self::Property => "property",
            Self::Oddity => "oddity",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}
