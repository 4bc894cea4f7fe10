//! One noun a file. [`programs`] is where it begins.

mod calls;
mod console;
mod dladm;
mod door;
mod dump;
mod failure;
mod harness;
mod init;
mod injection;
mod interactive;
mod keeper;
mod language;
mod list;
mod mounts;
mod options;
mod processes;
mod programs;
mod state;
mod transition;
mod verify;
mod zfs;
mod zlogin;
mod zone;
mod zoneadm;
mod zonecfg;

pub(crate) use programs::main;
