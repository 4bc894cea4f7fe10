//! podinit: process 1 of a container or zone.
//!
//! It starts what it was told to, reaps whatever ends, passes signals on, and ends as its main program ends.
//! What it was told is a command line, as for other small inits, or a document with several units that depend
//! on one another ([docs/podinit.md](../../../docs/podinit.md)).
//!
//! One thread. `supervise` decides, and knows neither processes nor time; `event_loop` waits for signals,
//! deadlines and requests, tells it what has happened, and does what it says. `sys` holds all unsafe code.

mod args;
mod beneath;
#[cfg(target_os = "linux")]
mod capabilities;
mod config;
mod configmap;
mod control;
mod error;
mod event_loop;
#[doc(hidden)]
pub mod fuzzing;
mod messages;
mod notify;
mod private;
mod run_dir;
mod setup;
mod signal;
mod spawn;
mod supervise;
mod sys;
mod terminal;
mod user;

use std::io::Write;
use std::process::ExitCode;

use args::{Args, What};
use config::Config;
use error::Error;

/// Our own failure, as engines and shells' helpers have it: apart from any code of a program.
const FAILED: u8 = 125;

/// The program: its arguments in, its exit status out.
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => code.into(),
        Err(error) => {
            messages::say(&error.to_string());
            if let Some(hint) = error.hint() {
                messages::say(&format!("help: {hint}"));
            }
            FAILED.into()
        }
    }
}

fn run() -> error::Result<u8> {
    let run = match args::parse(std::env::args_os().skip(1))? {
        Args::Run(run) => run,
        Args::Ctl(ctl) => {
            return Ok(match control::ctl(&ctl, &mut std::io::stdout().lock())? {
                Ok(()) => 0,
                Err(why) => {
                    messages::say(&why);
                    1
                }
            });
        }
        Args::Help => return print(args::USAGE),
        Args::Version => return print(concat!("podinit ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    let is_init = setup::is_init(&run.what);
    supervise(run, is_init).inspect_err(|error| {
        if is_init {
            run_dir::tell_failure(run_dir::DEFAULT.as_ref(), FAILED, &error.to_string());
        }
    })
}

fn supervise(run: args::Run, is_init: bool) -> error::Result<u8> {
    // First of all: from here on no signal is lost, and none ends us.
    let (signals, mask) =
        sys::hold_signals().map_err(|source| Error::System { what: "hold back signals", source })?;
    let (config, document) = match run.what {
        What::Program(args) => (Config::of_command(args), None),
        What::Nothing => (Config::of_command(Vec::new()), None),
        What::Document(path) => (Config::read(&path)?, Some(path)),
    };
    setup::process(&config, run.subreaper)?;
    let options = event_loop::Options {
        group: run.group,
        verbose: run.verbose,
        document,
        mask,
        can_stop: !is_init && !setup::is_process_1(),
    };
    event_loop::run(config, signals, options)
}

fn print(text: &str) -> error::Result<u8> {
    // Nobody is left to tell when standard output is gone.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(0)
}
