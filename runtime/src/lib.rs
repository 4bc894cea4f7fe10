//! Running what was unpacked.
//!
//! A [`Runtime`] keeps containers in a state directory and leads them through the life that the OCI runtime
//! specification gives them. What is special about an operating system is behind [`backend::Backend`]: whatever a
//! caller can see (state, ids, locks, hooks, what may not happen when) is above it, the same for all, and tested once.

pub mod backend;
pub mod bundle;
mod console;
mod create;
mod error;
mod exec;
mod fail;
mod features;
mod hooks;
mod id;
mod image;
mod life;
mod preserved;
mod process;
mod signal;
mod spec;
mod state;
mod unpack;

pub use console::Foreground;
pub use create::CreateOptions;
pub use error::{Error, Result};
pub use exec::{ExecOptions, Executed};
pub use features::features;
pub use hooks::{HookCall, HookKind};
pub use id::Id;
pub use image::ImagePlace;
pub use life::{Container, Runtime};
pub use preserved::check_preserved_fds;
pub use process::{ProcessChange, parse_user};
pub use signal::Signal;
pub use spec::spec;
pub use state::{Seen, Status, default_root};
pub use unpack::{ImageRequest, unpack_image};

/// The version of the runtime specification that is spoken.
pub const OCI_VERSION: &str = "1.3.0";
