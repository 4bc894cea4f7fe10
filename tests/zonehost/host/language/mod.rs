//! zonecfg's language, by the grammar and the tables of zonecfg(8): an independent reader of what is written. Differences
//! between the systems are those that their manual pages tell.

mod configured;
mod print;
mod resources;
mod session;
mod tokens;

pub(crate) use configured::Configured;
pub(crate) use session::{Keep, Session};
