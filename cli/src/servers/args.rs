//! What is typed behind the commands about image servers. Names and letters are imgadm's.

use std::path::PathBuf;

use aurora_convert::image::smartos::Uuid;
use aurora_convert::imgapi::{AVAIL_COLUMNS, Columns, Filter, Url};
use aurora_convert::names::ImageName;
use clap::Args;

/// Who is asked.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Image servers")]
pub(crate) struct Servers {
    /// Ask this server instead of those of the sources file; given once for each
    #[arg(long = "source", short = 'S', value_name = "URL")]
    pub(crate) given: Vec<Url>,
    /// The sources file [default: aurora/sources.json in XDG_CONFIG_HOME or ~/.config]
    #[arg(long = "sources", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The channel of the servers
    #[arg(long, short = 'C', value_name = "NAME")]
    pub(crate) channel: Option<String>,
}

/// How a table is printed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Table")]
pub(crate) struct Table {
    /// Print no headings
    #[arg(short = 'H', long)]
    pub(crate) no_header: bool,
    /// Columns to print: fields of the manifest, pub, published, source, size, tags.NAME
    #[arg(short = 'o', long = "columns", value_name = "COLUMNS")]
    pub(crate) columns: Option<Columns>,
    /// Print one JSON document
    #[arg(short = 'j', long)]
    pub(crate) json: bool,
}

/// List the images of image servers
#[derive(Debug, Args)]
pub(crate) struct Avail {
    /// Which: FIELD=VALUE, FIELD=~PART, FIELD=true or false; all must fit
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<Filter>,
    #[command(flatten)]
    pub(crate) table: Table,
    /// Columns to sort by; a - before one turns it round
    #[arg(
        short = 's',
        long = "sort",
        value_name = "COLUMNS",
        default_value = "pub,name",
        allow_hyphen_values = true
    )]
    pub(crate) sort: Columns,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// Print the manifest of an image on an image server
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The image
    #[arg(value_name = "UUID")]
    pub(crate) uuid: Uuid,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// List an image and all that it builds on
#[derive(Debug, Args)]
pub(crate) struct Ancestry {
    /// The image: its uuid on the servers, imgapi:URL/UUID or smartos:PATH
    #[arg(value_name = "IMAGE")]
    pub(crate) image: Whose,
    #[command(flatten)]
    pub(crate) table: Table,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// Fetch an image and all that it builds on into a folder
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The image
    #[arg(value_name = "UUID")]
    pub(crate) uuid: Uuid,
    /// Where manifests and files go; made if it is not there
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Files to fetch at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = parse_jobs)]
    pub(crate) jobs: usize,
    /// Print one JSON document
    #[arg(short = 'j', long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// List, add and remove the image servers that are asked
#[derive(Debug, Args)]
pub(crate) struct SourcesArgs {
    /// Add this server behind the others, if it answers
    #[arg(short = 'a', long = "add", value_name = "URL")]
    pub(crate) add: Vec<Url>,
    /// Remove this server
    #[arg(short = 'd', long = "delete", value_name = "URL")]
    pub(crate) delete: Vec<Url>,
    /// Ask each server whether it is there
    #[arg(short = 'c', long, conflicts_with_all = ["add", "delete"])]
    pub(crate) check: bool,
    /// Add servers without asking them
    #[arg(short = 'f', long = "no-check", visible_alias = "force", requires = "add")]
    pub(crate) no_check: bool,
    /// Print one JSON document
    #[arg(short = 'j', long)]
    pub(crate) json: bool,
    /// The sources file [default: aurora/sources.json in XDG_CONFIG_HOME or ~/.config]
    #[arg(long = "sources", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// List the channels of the image servers
#[derive(Debug, Args)]
pub(crate) struct Channels {
    /// Print no headings
    #[arg(short = 'H', long)]
    pub(crate) no_header: bool,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// An image on the configured servers, or one that has a name.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    Uuid(Uuid),
    Named(Box<ImageName>),
}

impl std::str::FromStr for Whose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(uuid) = text.parse() {
            return Ok(Self::Uuid(uuid));
        }
        match text.parse::<ImageName>() {
            Ok(name @ (ImageName::Smartos { .. } | ImageName::Imgapi { .. })) => {
                Ok(Self::Named(Box::new(name)))
            }
            _ => Err("a uuid, imgapi:URL/UUID or smartos:PATH is needed".to_owned()),
        }
    }
}

impl Table {
    /// What is asked for, or else this.
    pub(crate) fn columns_or(&self, default: &str) -> Columns {
        self.columns
            .clone()
            .unwrap_or_else(|| default.parse().expect("defaults are columns and tests read them"))
    }
}

impl Avail {
    pub(crate) fn columns(&self) -> Columns {
        self.table.columns_or(AVAIL_COLUMNS)
    }
}

/// More files at once help nobody and annoy servers.
const MAX_JOBS: usize = 32;

pub(crate) fn parse_jobs(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=MAX_JOBS).contains(n));
    number.ok_or_else(|| format!("a number from 1 to {MAX_JOBS} is needed"))
}
