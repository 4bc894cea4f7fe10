//! What is typed after `runz`, with the names and the letters of runc.

use std::path::PathBuf;

use aurora_convert::names::{DatasetName, ImageName};
use aurora_runtime::backend::Kind;
use aurora_runtime::backend::zones::Dialect;
use aurora_runtime::{Id, parse_user};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::args::image_name;
use crate::units::parse_size;

/// Runs bundles: an OCI runtime
#[derive(Debug, Parser)]
#[command(name = "runz", version = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0"), disable_version_flag = true)]
pub(crate) struct Cli {
    /// Where containers are kept [default: /run/runz, or $XDG_RUNTIME_DIR/runz without root]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Write errors to a file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// How the file is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Have systemd make control groups; their path is SLICE:PREFIX:NAME then
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,
    /// What new containers are [default: this system's]
    #[arg(long, value_name = "BACKEND", value_enum)]
    pub(crate) backend: Option<BackendArg>,
    /// Whose zonecfg is told of zones [default: this system's]
    #[arg(long, value_name = "SYSTEM", value_enum)]
    pub(crate) zone_dialect: Option<DialectArg>,
    /// Process 1 of zones [default: podinit beside this program; for Linux programs on illumos, podinit-linux]
    #[arg(long, value_name = "FILE")]
    pub(crate) podinit: Option<PathBuf>,
    /// Below which dataset containers on zones have datasets of their own: images that are run, and all containers for what they
    /// tell runz [default: $RUNZ_DATASET; for images alone, the dataset that the state directory is in]
    #[arg(long, value_name = "DATASET", value_parser = parse_dataset)]
    pub(crate) dataset: Option<String>,
    /// Accepted, and found out by itself
    #[arg(long, value_name = "WHETHER", hide = true)]
    pub(crate) rootless: Option<String>,
    /// Accepted
    #[arg(long, hide = true)]
    pub(crate) debug: bool,
    /// Accepted: there are no checkpoints
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) criu: Option<PathBuf>,
    /// Print the version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How the file of `--log` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line of text for each error.
    Text,
    /// A JSON object in a line for each error.
    Json,
}

/// What containers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    /// Namespaces and control groups of Linux.
    Linux,
    /// Zones of illumos.
    Zones,
}

impl From<BackendArg> for Kind {
    fn from(arg: BackendArg) -> Self {
        match arg {
            BackendArg::Linux => Self::Linux,
            BackendArg::Zones => Self::Zones,
        }
    }
}

/// The three zonecfg that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectArg {
    /// OpenIndiana, Tribblix.
    Gate,
    /// OmniOS.
    Omnios,
    /// SmartOS.
    Smartos,
}

impl From<DialectArg> for Dialect {
    fn from(arg: DialectArg) -> Self {
        match arg {
            DialectArg::Gate => Self::Gate,
            DialectArg::Omnios => Self::OmniOs,
            DialectArg::Smartos => Self::SmartOs,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Create),
    Run(Run),
    Start(One),
    Exec(Box<Exec>),
    State(State),
    List(List),
    Kill(Kill),
    Delete(Delete),
    Pause(Pause),
    Resume(Resume),
    Ps(Ps),
    Events(Events),
    Update(Box<Update>),
    Spec(Spec),
    Features(Features),
    Completions(Completions),
    Man(Man),
    #[command(hide = true)]
    Hook(Hook),
    #[command(hide = true)]
    UnpackImage(UnpackImage),
    #[command(hide = true)]
    ZoneMonitor(ZoneMonitor),
    #[command(hide = true)]
    ZoneExec(ZoneExec),
}

/// How a container is made; `create` and `run` take the same.
#[derive(Debug, Args)]
pub(crate) struct Making {
    /// The bundle [default: the current directory]
    #[arg(long, short, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) bundle: PathBuf,
    /// A socket that gets the terminal's other end
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Write the number of the first process to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Enter the root without pivot_root: for roots on a RAM disk
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Leave the caller's session keyring to the container, which has one of its own otherwise
    #[arg(long)]
    pub(crate) no_new_keyring: bool,
    /// Open files beyond the first three that the container gets
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Make a container of a bundle; its program waits for `start`
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) making: Making,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// Make a container, run its program to the end, and remove it
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) making: Making,
    /// An image instead of a bundle: it is unpacked below the state directory, for zones to a dataset, and removed with the container
    #[arg(long, value_name = "NAME", conflicts_with = "bundle", value_parser = image_name())]
    pub(crate) image: Option<ImageName>,
    /// The local store, for --image [default: $AURORA_STORE, or aurora/store in the user's data directory]
    #[arg(long, value_name = "DIR", requires = "image")]
    pub(crate) store: Option<PathBuf>,
    /// Most that the image and what its container writes may take, for --image on zones, as in 10GiB
    #[arg(long, value_name = "SIZE", requires = "image", value_parser = parse_quota)]
    pub(crate) image_quota: Option<u64>,
    /// Do not wait for the end
    #[arg(long, short)]
    pub(crate) detach: bool,
    /// Do not remove the container at its end
    #[arg(long)]
    pub(crate) keep: bool,
    /// The container's name
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// Let the program of a container run
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// Run a process more in a container
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// A socket that gets the terminal's other end
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Write the number of the process to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Do not wait for its end
    #[arg(long, short)]
    pub(crate) detach: bool,
    /// A description of the process, as `process` of a config, instead of what follows
    #[arg(long, short, value_name = "FILE")]
    pub(crate) process: Option<PathBuf>,
    /// With a terminal
    #[arg(long, short)]
    pub(crate) tty: bool,
    /// A variable more; given once for each
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Where
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// As whom, in numbers
    #[arg(long, short, value_name = "UID[:GID]", value_parser = parse_user)]
    pub(crate) user: Option<(u32, Option<u32>)>,
    /// A group more; given once for each
    #[arg(long, short = 'g', value_name = "GID")]
    pub(crate) additional_gids: Vec<u32>,
    /// A capability more; given once for each
    #[arg(long, short, value_name = "CAP")]
    pub(crate) cap: Vec<String>,
    /// Without gaining privileges
    #[arg(long)]
    pub(crate) no_new_privs: bool,
    /// Under a profile of AppArmor
    #[arg(long, value_name = "PROFILE")]
    pub(crate) apparmor: Option<String>,
    /// Open files beyond the first three that it gets
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,
    /// Also in a container that is held
    #[arg(long)]
    pub(crate) ignore_paused: bool,
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

/// Print what a container does, as JSON
#[derive(Debug, Args)]
pub(crate) struct State {
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// List all containers
#[derive(Debug, Args)]
pub(crate) struct List {
    /// How
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// As --format json
    #[arg(long)]
    pub(crate) json: bool,
    /// Names only
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// How lists are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Send a signal to a container
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// To all its processes, also when the first one has ended
    #[arg(long, short)]
    pub(crate) all: bool,
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
    /// By name or number
    #[arg(value_name = "SIGNAL", default_value = "TERM")]
    pub(crate) signal: String,
}

/// Remove a container that has ended
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Whatever it does; that there is none is no failure
    #[arg(long, short)]
    pub(crate) force: bool,
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// Hold all processes of a container
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// Let the processes of a container go on
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// List the processes of a container
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// How; json has their numbers on the host
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// As --format json
    #[arg(long)]
    pub(crate) json: bool,
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// Print what a container uses, a JSON object a line
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Once, and no more
    #[arg(long)]
    pub(crate) stats: bool,
    /// Between two lines, as in 5s or 500ms
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_interval)]
    pub(crate) interval: std::time::Duration,
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// Change the limits of a container
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// `linux.resources` of a config in a file, `-` for standard input; other options go before it
    #[arg(long, short, value_name = "FILE")]
    pub(crate) resources: Option<PathBuf>,
    /// Bytes of memory, as in 64MiB; -1 for no limit
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, allow_hyphen_values = true)]
    pub(crate) memory: Option<i64>,
    /// Bytes of memory that are left to it
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, allow_hyphen_values = true)]
    pub(crate) memory_reservation: Option<i64>,
    /// Bytes of memory and swap
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, allow_hyphen_values = true)]
    pub(crate) memory_swap: Option<i64>,
    /// Microseconds of a period
    #[arg(long, value_name = "N")]
    pub(crate) cpu_period: Option<u64>,
    /// Microseconds of processor time in a period
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) cpu_quota: Option<i64>,
    /// Weight among others
    #[arg(long, value_name = "N", alias = "cpu-shares")]
    pub(crate) cpu_share: Option<u64>,
    /// Processors
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Memory nodes
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// Weight of its input and output
    #[arg(long, value_name = "N")]
    pub(crate) blkio_weight: Option<u16>,
    /// Processes
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) pids_limit: Option<i64>,
    /// The container
    #[arg(value_name = "ID")]
    pub(crate) id: Id,
}

/// Write a config to begin with
#[derive(Debug, Args)]
pub(crate) struct Spec {
    /// The bundle [default: the current directory]
    #[arg(long, short, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) bundle: PathBuf,
    /// For the calling user, without root
    #[arg(long)]
    pub(crate) rootless: bool,
}

/// Print what this build can do, as JSON
#[derive(Debug, Args)]
pub(crate) struct Features {}

/// Print a script that completes commands in a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Write manual pages
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where to
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// Run hooks: backends call this program for it
#[derive(Debug, Args)]
pub(crate) struct Hook {
    /// Of which kind; which they are is told with the state
    pub(crate) kind: String,
}

/// Stand for the program of a zone: the backend calls this program for it
#[derive(Debug, Args)]
pub(crate) struct ZoneMonitor {
    /// The container's directory
    pub(crate) dir: PathBuf,
    /// A socket that gets the terminal's other end
    pub(crate) console: Option<PathBuf>,
}

/// Stand for a process more of a zone: `exec` calls this program for it
#[derive(Debug, Args)]
pub(crate) struct ZoneExec {
    /// The container's directory
    pub(crate) dir: PathBuf,
    /// What the process is called in it
    pub(crate) name: String,
    /// A socket that gets the terminal's other end
    pub(crate) console: Option<PathBuf>,
}

/// Unpack an image: `run --image` calls this program for it
#[derive(Debug, Args)]
pub(crate) struct UnpackImage {
    /// The local store
    #[arg(long)]
    pub(crate) store: Option<PathBuf>,
    /// As the path of a zone
    #[arg(long)]
    pub(crate) zonepath: bool,
    /// The image
    #[arg(value_parser = image_name())]
    pub(crate) image: ImageName,
    /// Where to
    pub(crate) target: PathBuf,
}

/// A file system of ZFS.
pub(super) fn parse_dataset(text: &str) -> Result<String, String> {
    let name = DatasetName::parse(text.as_bytes()).map_err(|e| e.to_string())?;
    match name.snapshot() {
        None => Ok(text.to_owned()),
        Some(_) => Err(format!("a dataset is needed, not a snapshot: {text}")),
    }
}

fn parse_quota(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("ZFS takes a quota of 0 for none".to_owned()),
        size => Ok(size),
    }
}

fn parse_limit(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    i64::try_from(parse_size(text)?).map_err(|_| format!("too much: {text}"))
}

/// Whole numbers of Go's units.
fn parse_interval(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("not a time as in 5s or 500ms: {text}");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let millis = match &text[digits..] {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    match millis {
        Some(millis) if millis > 0 => Ok(std::time::Duration::from_millis(millis)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Cli {
        Cli::try_parse_from(args).unwrap()
    }

    #[test]
    fn what_clients_type_is_understood() {
        let log = ["--log-format=json", "--log", "/l"];
        let podman = ["runz"].into_iter().chain(log);
        let exec = [
            "exec",
            "--pid-file",
            "/p",
            "--process",
            "/f",
            "--detach",
            "--tty",
            "--console-socket",
            "/s",
            "c",
        ];
        let cli = parsed(&podman.chain(exec).collect::<Vec<_>>());
        let Command::Exec(args) = cli.command else { panic!("{cli:?}") };
        assert!(args.tty && args.detach && args.command.is_empty());
        let cli = parsed(&["runz", "--root", "/r", "--systemd-cgroup", "kill", "--all", "c", "9"]);
        let Command::Kill(args) = cli.command else { panic!("{cli:?}") };
        assert_eq!((args.all, args.signal.as_str()), (true, "9"));
        let Command::Kill(args) = parsed(&["runz", "kill", "c"]).command else { panic!() };
        assert_eq!(args.signal, "TERM");
        let cli = parsed(&["runz", "exec", "-e", "A=1", "-u", "5:6", "-t", "c", "ls", "-l", "--", "-x"]);
        let Command::Exec(args) = cli.command else { panic!("{cli:?}") };
        assert_eq!((args.user, args.command.join(" ")), (Some((5, Some(6))), "ls -l -- -x".to_owned()));
        let Command::Update(args) = parsed(&["runz", "update", "--resources=-", "c"]).command else {
            panic!()
        };
        assert_eq!(args.resources, Some(PathBuf::from("-")));
        let Command::Update(args) = parsed(&["runz", "update", "--memory", "-1", "c"]).command else {
            panic!()
        };
        assert_eq!(args.memory, Some(-1));
        parsed(&["runz", "create", "-b", "/b", "--no-pivot", "--no-new-keyring", "--preserve-fds", "2", "c"]);
    }

    #[test]
    fn datasets_are_file_systems() {
        for good in ["tank", "tank/c", "zones/a b/c"] {
            assert_eq!(parse_dataset(good).as_deref(), Ok(good));
        }
        for bad in ["", "-r", "/tank", "tank/", "tank@s", "tank/c@a..b", "tank/../x"] {
            assert!(parse_dataset(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn intervals_are_gos() {
        assert_eq!(parse_interval("500ms").unwrap().as_millis(), 500);
        assert_eq!(parse_interval("2m").unwrap().as_secs(), 120);
        for bad in ["", "5", "0s", "s", "1h", "99999999999999999999s"] {
            assert!(parse_interval(bad).is_err(), "{bad:?}");
        }
    }
}
