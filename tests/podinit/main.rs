//! podinit as a process: process 1 of a pid namespace of its own, wherever the machine lets the tests make
//! one; elsewhere it adopts orphans as a subreaper.
#![allow(clippy::unwrap_used)]

mod control;
mod exits;
mod helpers;
mod hostile;
mod orphans;
mod run;
mod signals;
mod units;
