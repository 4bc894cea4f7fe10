//! What is typed behind `imageadm migrate`.

use std::path::PathBuf;

use aurora_convert::imgapi::Filter;
use aurora_convert::migrate::shared::Address;
use aurora_convert::migrate::{DEFAULT_TEMPLATE, Date, Source, Target, Template};
use aurora_convert::sink::Compression;
use clap::{Args, Subcommand};

use crate::servers::args::parse_jobs;
use crate::units::{parse_compression, parse_size};

/// Shown below the help of `plan`.
const PLACES: &str = "\
Sources:
  imgapi:URL                 an image server
  smartos:DIR                a folder of SmartOS images: manifests and files
  imgadm:[DIR]               what imgadm has installed on this host [default: /var/imgadm/images]
  list:FILE                  names of images: JSON, CSV with a column `image`, or one a line
  oci:DIR                    all that an OCI image layout names
  docker://HOST[/PREFIX]     all that a registry has below a prefix

Targets:
  docker://HOST[/PREFIX]     repositories of a registry
  oci:DIR                    one OCI image layout
  smartos:DIR                a folder of SmartOS images
  zfs:DIR                    a folder of send streams
  dataset:POOL[/NAME]        datasets below this one";

/// Bring many images from one place to another
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Plan(Box<Plan>),
    Run(Run),
    Retry(Retry),
    Status(Status),
    Report(Report),
    Submit(Submit),
    Worker(Worker),
}

/// Write down what is to be done: only manifests and other documents are read
#[derive(Debug, Args)]
#[command(after_long_help = PLACES)]
pub(crate) struct Plan {
    /// Where the images are
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Source,
    /// Where they go
    #[arg(value_name = "TARGET")]
    pub(crate) target: Target,
    /// The file of the plan; - is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Which images: name, version, type, os, owner, tag.KEY or any other field of the manifest, as FIELD=VALUE,
    /// FIELD=~PART or FIELD=!VALUE; given once for each, and all must fit
    #[arg(long = "filter", short, value_name = "FILTER")]
    pub(crate) filters: Vec<Filter>,
    /// Only images published on that day or later
    #[arg(long, value_name = "DATE")]
    pub(crate) since: Option<Date>,
    /// Only images published on that day or earlier
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<Date>,
    /// What the images are called, of {name}, {version}, {uuid}, {short}, {type}, {os}, {owner} and {date}
    #[arg(long = "as", value_name = "NAME:TAG", default_value = DEFAULT_TEMPLATE)]
    pub(crate) template: Template,
    /// How what is written is packed: none, gzip, zstd, bzip2 or xz, and a level [default: the form's own]
    #[arg(long, value_name = "CODEC[:LEVEL]", value_parser = parse_compression)]
    pub(crate) compress: Option<Compression>,
    /// Fail rather than lose anything
    #[arg(long)]
    pub(crate) strict: bool,
    /// Questions to the target at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = parse_jobs)]
    pub(crate) jobs: usize,
}

/// Which plan, and where its journal is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Planned {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// The folder of the journal [default: aurora/migrate/… in the local store, the same for every plan from this source to
    /// this target]
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: Option<PathBuf>,
}

/// How a plan is gone through.
#[derive(Debug, Clone, Args)]
pub(crate) struct Running {
    /// Images at once [default: one for each two threads]
    #[arg(long, value_name = "N", value_parser = parse_jobs)]
    pub(crate) jobs: Option<usize>,
    /// Begin nothing more after the first failure
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Bytes a second over the wire at most, all images together, as in 10MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    pub(crate) limit_rate: Option<u64>,
    /// Print one JSON document
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) json: bool,
    /// Print one JSON object an image, as soon as it is done
    #[arg(long)]
    pub(crate) jsonl: bool,
}

/// Do what a plan says and is not done yet; what was interrupted is gone on with
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) planned: Planned,
    #[command(flatten)]
    pub(crate) running: Running,
    /// Only tell what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// As run, and try again what has failed for a reason that lasts
#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) planned: Planned,
    #[command(flatten)]
    pub(crate) running: Running,
}

/// Tell how far a plan is, by its journal or its queue
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) planned: Planned,
    /// The queue that the plan was submitted to: nats://[USER[:PASSWORD]@]HOST[:PORT]
    #[arg(long, value_name = "URL", conflicts_with = "journal")]
    pub(crate) nats: Option<Address>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Tell what became of each image of a plan, by its journal or its queue
#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) planned: Planned,
    /// The queue that the plan was submitted to: nats://[USER[:PASSWORD]@]HOST[:PORT]
    #[arg(long, value_name = "URL", conflicts_with = "journal")]
    pub(crate) nats: Option<Address>,
    /// Write a page with plots to this file; a browser opens it as it is
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Put the images of a plan into a queue, for workers on any machines
#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// The queue, a nats-server with JetStream: nats://[USER[:PASSWORD]@]HOST[:PORT]
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Address,
    /// Seconds without a word from its worker after which an image is given to another one
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..=3600))]
    pub(crate) ack_wait: u64,
    /// Also what has failed for a reason that lasts
    #[arg(long)]
    pub(crate) retry: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Take images from a queue until there are none
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Which migration: what `submit` has printed
    #[arg(value_name = "KEY", value_parser = parse_key)]
    pub(crate) key: String,
    /// The queue: nats://[USER[:PASSWORD]@]HOST[:PORT]
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Address,
    /// What the worker is called, as no other one of this migration [default: by host and process]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Tries after which an image is given up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) tries: u64,
    /// Wait for more when the queue is empty
    #[arg(long)]
    pub(crate) stay: bool,
    /// Where files on their way are, this worker's alone [default: below aurora/migrate in the
    /// local store, by its name]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
    /// Bytes a second over the wire at most, as in 10MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    pub(crate) limit_rate: Option<u64>,
    /// Print one JSON object an image, as soon as it is done
    #[arg(long)]
    pub(crate) jsonl: bool,
}

fn parse_key(text: &str) -> Result<String, String> {
    let is_key = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_key {
        Ok(text.to_owned())
    } else {
        Err("sixteen hex digits are needed, as `submit` prints them".into())
    }
}

fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("nothing would ever move at 0 bytes a second".to_owned()),
        rate => Ok(rate),
    }
}
