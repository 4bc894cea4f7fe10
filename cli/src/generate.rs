//! `imageadm completions` and `imageadm man`: made from the definition of the arguments.

use aurora_convert::Error;
use clap::CommandFactory;

use crate::args::{Cli, Completions, Man};
use crate::exit::Exit;
use crate::output::Output;
use crate::session::Stop;

pub(crate) fn completions(args: &Completions) -> Result<Exit, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "imageadm", &mut script);
    let mut out = Output::new();
    out.raw(&script)?;
    out.finish()?;
    Ok(Exit::Done)
}

pub(crate) fn man(args: &Man) -> Result<Exit, Stop> {
    let failed = |e| Error::io(format!("cannot write to {}", args.dir.display()), e);
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(failed)?;
    Ok(Exit::Done)
}
