//! Why a bundle can't be a zone.

/// A member of the configuration, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// zonecfg has no escapes: what can't stand in quotes can't be written.
    #[error("{field}: zonecfg can't express {what}: {value:?}")]
    Text {
        /// The member.
        field: String,
        /// What of it.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// A value that is none.
    #[error("{field}: {problem}: {value:?}")]
    Value {
        /// The member.
        field: String,
        /// What is wrong.
        problem: &'static str,
        /// The value.
        value: String,
    },
    /// A member that a zone has nothing for.
    #[error("{field}: a zone has nothing for it")]
    Unsupported {
        /// The member.
        field: String,
    },
    /// A member that this system's zonecfg has nothing for.
    #[error("{field}: zonecfg of {dialect} has nothing for it: {value:?}")]
    Dialect {
        /// The member.
        field: String,
        /// Whose zonecfg.
        dialect: &'static str,
        /// The value.
        value: String,
    },
    /// Two members that say different things about the same.
    #[error("{field}: {first:?} here, and {second:?} in {other}")]
    Conflict {
        /// One member.
        field: String,
        /// The other.
        other: &'static str,
        /// The one's value.
        first: String,
        /// The other's.
        second: String,
    },
    /// zonecfg mounts in the order of paths, whatever order they are written in.
    #[error("mounts: {later:?} comes after {earlier:?}, which it would hide, but a zone mounts it first")]
    MountOrder {
        /// The deeper one.
        earlier: String,
        /// The one above it.
        later: String,
    },
}

/// What is here returns this.
pub type Result<T> = std::result::Result<T, Refusal>;
