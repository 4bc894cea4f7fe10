//! What an OCI bundle is as an illumos zone, as text and lists of words: nothing here runs anything.
//!
//! [`Zone::of_bundle`] maps a runtime configuration to a [`Zone`], or refuses it with a typed [`Refusal`]
//! that names the member and the value. [`Zone::script`] writes the zone as commands for `zonecfg -f`, in the
//! [`Dialect`] of the system that is to read them. [`Plan`] is the list of host commands that make, start,
//! stop and remove it, each step with what undoes it.
//!
//! What decides here is documented in zonecfg(8), zoneadm(8), dladm(8), zfs(8) and brands(7), and in the
//! runtime specification.
#![forbid(unsafe_code)]

mod bundle;
mod dataset;
mod dialect;
mod error;
mod linux;
mod mounts;
mod network;
mod plan;
mod podinit;
mod resources;
mod script;
mod word;
mod zone;

pub use bundle::Options;
pub use dataset::OwnDataset;
pub use dialect::Dialect;
pub use error::{Refusal, Result};
pub use plan::{Action, Control, Dataset, Plan, Readonly, Step, StepKind};
pub use podinit::exec_document;
pub use zone::{Fs, Net, Note, Zone, zone_name};
