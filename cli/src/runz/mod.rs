//! `runz`: the command line of OCI runtimes, as podman, buildah and containerd call it (docs/runz.md).

mod args;
mod commands;
mod image;
mod log;
mod report;

use std::ffi::OsString;
use std::process::ExitCode;

use aurora_runtime::backend::zones::{StandIn, ZoneOptions, stand_in};
use aurora_runtime::{Error, Runtime, backend, check_preserved_fds, default_root};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use log::Log;

/// runc's answers: whatever fails is 1, but for `exec`.
const FAILED: u8 = 1;
/// `exec`, whose other numbers are the program's.
const EXEC_FAILED: u8 = 255;
/// No such command.
const UNKNOWN: u8 = 3;

/// `runz`.
pub fn runz() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    // Callers read the reason of a failure there, also that of arguments that nobody understands.
    let log = Log::of_args(&args);
    let cli = match Cli::command().try_get_matches_from(&args).and_then(|found| Cli::from_arg_matches(&found))
    {
        Ok(cli) => cli,
        Err(e) if !e.use_stderr() => {
            let _ = e.print();
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            let text = e.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            log.record(first.strip_prefix("error: ").unwrap_or(first));
            let _ = e.print();
            let code = if e.kind() == ErrorKind::InvalidSubcommand { UNKNOWN } else { FAILED };
            return code.into();
        }
    };
    match run(&cli, &args, &log) {
        Ok(code) => u8::try_from(code).unwrap_or(FAILED).into(),
        Err(e) => {
            let text = match &cli.command {
                Command::Create(_) => format!("runz create failed: {e}"),
                Command::Run(_) => format!("runz run failed: {e}"),
                Command::Exec(_) => format!("exec failed: {e}"),
                _ => e.to_string(),
            };
            log.error(&text, e.hint());
            let code = if matches!(cli.command, Command::Exec(_)) { EXEC_FAILED } else { FAILED };
            code.into()
        }
    }
}

/// What variable has the dataset of `--dataset`.
const DATASET: &str = "RUNZ_DATASET";

fn dataset(cli: &Cli) -> Result<Option<String>, Error> {
    let of_variable = || std::env::var_os(DATASET).filter(|text| !text.is_empty());
    let checked = |text: OsString| {
        args::parse_dataset(&text.to_string_lossy()).map_err(|e| Error::Usage(format!("{DATASET}: {e}")))
    };
    // A variable that is wrong keeps nobody from ending what there is.
    let makes = matches!(cli.command, Command::Create(_) | Command::Run(_));
    match &cli.dataset {
        None if !makes => Ok(None),
        Some(named) => Ok(Some(named.clone())),
        None => of_variable().map(checked).transpose(),
    }
}

fn run(cli: &Cli, args: &[OsString], log: &Log) -> Result<i32, Error> {
    // What needs no container and no backend.
    match &cli.command {
        Command::Spec(args) => return commands::spec(args),
        Command::Features(args) => return commands::features(args),
        Command::Hook(args) => return commands::hook(args),
        Command::Completions(args) => return commands::completions(args),
        Command::Man(args) => return commands::man(args),
        Command::UnpackImage(args) => return image::unpack(args),
        Command::ZoneMonitor(args) => {
            return stand_in(&StandIn::Monitor { dir: args.dir.clone(), console: args.console.clone() });
        }
        Command::ZoneExec(args) => {
            let (dir, name, console) = (args.dir.clone(), args.name.clone(), args.console.clone());
            return stand_in(&StandIn::Exec { dir, name, console });
        }
        _ => {}
    }
    let preserved = match &cli.command {
        Command::Create(args) => Some(args.making.preserve_fds),
        Command::Run(args) => Some(args.making.preserve_fds),
        Command::Exec(args) => Some(args.preserve_fds),
        _ => None,
    };
    if let Some(count) = preserved {
        check_preserved_fds(count)?;
        backend::shield(args)?;
    }
    let root = cli.root.clone().unwrap_or_else(default_root);
    let warned = log.clone();
    let zones = ZoneOptions {
        dialect: cli.zone_dialect.map(Into::into),
        podinit: cli.podinit.clone(),
        dataset: dataset(cli)?,
    };
    let backends = backend::all(cli.backend.map(Into::into), zones)?;
    let runtime = Runtime::new(root, backends, move |text| warned.warn(text));
    match &cli.command {
        Command::Create(args) => commands::create(&runtime, args, cli),
        Command::Run(args) => commands::run(&runtime, args, cli),
        Command::Start(args) => commands::start(&runtime, args),
        Command::Exec(args) => commands::exec(&runtime, args),
        Command::State(args) => report::state(&runtime, args),
        Command::List(args) => report::list(&runtime, args),
        Command::Kill(args) => commands::kill(&runtime, args),
        Command::Delete(args) => commands::delete(&runtime, args),
        Command::Pause(args) => commands::pause(&runtime, args),
        Command::Resume(args) => commands::resume(&runtime, args),
        Command::Ps(args) => report::ps(&runtime, args),
        Command::Events(args) => report::events(&runtime, args),
        Command::Update(args) => commands::update(&runtime, args),
        Command::Spec(_)
        | Command::Features(_)
        | Command::Hook(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::UnpackImage(_)
        | Command::ZoneMonitor(_)
        | Command::ZoneExec(_) => unreachable!("answered above"),
    }
}
