//! Zones as text: golden files, and an independent reader of zonecfg's language that reads what random
//! bundles give.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod bundles;
mod checker;
mod golden;
#[path = "../zonehost/host/language/mod.rs"]
mod language;
mod plan;
mod random;
