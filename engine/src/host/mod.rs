//! Programs of this host: run with exact arguments and never by a shell, their output bounded, what they say of a
//! failure kept, and ended when nobody waits for them any more.
//!
//! [`Programs`] is what the rest sees; [`HostPrograms`] starts processes, [`Recorded`] answers from memory and
//! remembers what it was asked, for tests. [`Zfs`] knows the arguments of `zfs`.

mod command;
mod limited;
mod process;
mod property;
mod recorded;
mod zfs;

pub use command::{CommandError, CommandLine};
pub use process::HostPrograms;
pub use property::Property;
pub use recorded::{Answer, Recorded};
pub use zfs::{DatasetKind, Listed, Marked, Zfs, temporary_name};

use std::fmt;
use std::io::{Read, Write};

/// Runs programs.
pub trait Programs: fmt::Debug + Send + Sync {
    /// Runs a program to its end; what it printed, which is an error beyond [`MAX_OUTPUT`] bytes.
    fn run(&self, line: &CommandLine) -> Result<Vec<u8>, CommandError>;

    /// Runs a program that is told something small on its standard input; what it printed.
    fn ask(&self, line: &CommandLine, input: &[u8]) -> Result<Vec<u8>, CommandError>;

    /// Starts a program whose output is read. The end of the output is an error, with a [`CommandError`] inside, where
    /// the program failed; dropped before that, the program is killed.
    fn read(&self, line: &CommandLine) -> Result<Box<dyn Read + Send>, CommandError>;

    /// Starts a program that is written to.
    fn write(&self, line: &CommandLine) -> Result<Box<dyn Input>, CommandError>;
}

/// The standard input of a running program. Dropped before [`Input::finish`], the program is killed. A write that
/// fails because the program has ended is an error with a [`CommandError`] inside.
pub trait Input: Write + Send {
    /// Ends the input and waits for the program, which must succeed.
    fn finish(self: Box<Self>) -> Result<(), CommandError>;
}

/// Most bytes that a program may print to [`Programs::run`]: the snapshots of a hundred thousand datasets.
pub const MAX_OUTPUT: u64 = 16 << 20;

/// Bytes of standard error that are kept, the last ones.
pub const MAX_STDERR: usize = 4 << 10;
