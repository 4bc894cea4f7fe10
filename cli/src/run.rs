//! From arguments to exit status.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use aurora_convert::Cancel;
use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::session::{Session, Stop};
use crate::{
    convert, diff, errors, generate, inspect, ls, migrate, pack, registry, servers, signals, store, unpack,
    validate, verify,
};

/// `imageadm`.
pub fn main() -> ExitCode {
    // Wrong arguments end here with status 2; help and version with 0.
    let cli = Cli::parse();
    let cancel = Arc::new(Cancel::default());
    let caught = match signals::watch(Arc::clone(&cancel)) {
        Ok(caught) => caught,
        Err(e) => {
            errors::message("error", &format!("cannot watch for signals: {e}"), None);
            return Exit::Failed.into();
        }
    };
    let session = Session::new(cli.common, cancel);
    let threads = session.threads();
    if threads > 1 {
        // Fails only where a pool exists, and nothing before this line makes one.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
    let done = match &cli.command {
        Command::Convert(args) => convert::run(args, &session),
        Command::Unpack(args) => unpack::run(args, &session),
        Command::Pack(args) => pack::run(args, &session),
        Command::Ls(args) => ls::run(args, &session),
        Command::Inspect(args) => inspect::run(args, &session),
        Command::Verify(args) => verify::run(args, &session),
        Command::Validate(args) => validate::run(args, &session),
        Command::Diff(args) => diff::run(args, &session),
        Command::Avail(args) => servers::avail(args, &session),
        Command::Show(args) => servers::show(args, &session),
        Command::Ancestry(args) => servers::ancestry(args, &session),
        Command::Import(args) => servers::import(args, &session),
        Command::Sources(args) => servers::sources(args, &session),
        Command::Channels(args) => servers::channels(args, &session),
        Command::Get(args) => registry::get(args, &session),
        Command::Push(args) => registry::push(args, &session),
        Command::Copy(args) => registry::copy(args, &session),
        Command::Tags(args) => registry::tags(args, &session),
        Command::Login(args) => registry::login(args, &session),
        Command::Logout(args) => registry::logout(args, &session),
        Command::List(args) => store::list(args, &session),
        Command::Tag(args) => store::tag(args, &session),
        Command::Untag(args) => store::untag(args, &session),
        Command::Rm(args) => store::rm(args, &session),
        Command::Dedup(args) => store::dedup(args, &session),
        Command::Gc(args) => store::gc(args, &session),
        Command::Fsck(args) => store::fsck(args, &session),
        Command::Du(args) => store::du(args, &session),
        Command::Migrate(args) => migrate::run(args, &session),
        Command::Completions(args) => generate::completions(args),
        Command::Man(args) => generate::man(args),
    };
    let exit = match done {
        Ok(exit) => exit,
        // Whoever read the output has seen enough.
        Err(Stop::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(Stop::Output(e)) => {
            errors::message("error", &format!("cannot write to standard output: {e}"), None);
            Exit::Failed
        }
        Err(Stop::Failed(e)) => {
            session.watch.finish();
            // What fails after the signal fails because of it: its pipe was closed by the same key.
            if caught.is_set() || Exit::from(&e) == Exit::Interrupted {
                errors::note("interrupted");
                caught.reraise();
                return Exit::Interrupted.into();
            }
            errors::error(&e);
            Exit::from(&e)
        }
    };
    exit.into()
}
