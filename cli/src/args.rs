//! What is typed.

use std::ffi::OsString;
use std::path::PathBuf;

use aurora_convert::Layers;
use aurora_convert::image::Platform;
use aurora_convert::image::smartos::{ImageOs, ImageType, SmartosOptions, Uuid};
use aurora_convert::names::{FileName, ImageName, NameError};
use aurora_convert::ops::Profile;
use aurora_convert::sink::Compression;
use aurora_convert::sink::Target;
use aurora_convert::tree::place::Placement;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

mod owners;
mod settings;

pub(crate) use owners::Owners;
pub(crate) use settings::SettingsArgs;

use crate::migrate::args::Migrate;
use crate::pack::Pack;
use crate::registry::{Copy, Get, Login, Logout, Push, Registries, Tags};
use crate::servers::args::{Ancestry, Avail, Channels, Import, Show, SourcesArgs};
use crate::store;
use crate::units::{parse_compression, parse_size};
use crate::unpack::Unpack;

/// Converts images: OCI, ZFS send streams, tar, directories, disks.
#[derive(Debug, Parser)]
#[command(name = "imageadm", version, after_long_help = NAMES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Shown below the long help of every command that takes names.
pub(crate) const NAMES: &str = "\
Image names:
  NAME[:TAG]                 an image of the local store
  oci:DIR[:REF]              OCI image layout
  oci-archive:FILE[:REF]     the same as a tar
  docker-archive:FILE[:REF]  what docker save writes
  zfs:FILE[#DATASET@SNAP]    ZFS send stream, # picks one of a package
  tar:FILE                   a root file system as one tar
  dir:PATH                   a root directory
  raw:FILE                   a disk
  qcow2:FILE                 a disk in QEMU's form
  smartos:PATH               SmartOS image: its manifest, or the folder of manifest and file
  dataset:POOL/NAME[@SNAP]   a dataset of this host; @A..B is B upon A
  imgapi:URL/UUID            an image of a SmartOS image server, to read
  docker://HOST/NAME[:TAG]   an image of a registry; @DIGEST names it by that

FILE may be - for standard input or output. In DIR and FILE a colon is written
\\: and a # is written \\#.

Exit status: 0 done; 1 failed, or differences or faults were found; 2 usage;
3 no such image; 4 done with losses under --strict=report; 130 interrupted.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Convert(Convert),
    Unpack(Unpack),
    Pack(Box<Pack>),
    Ls(Ls),
    Inspect(Inspect),
    Verify(Verify),
    Validate(Validate),
    Diff(Diff),
    Avail(Avail),
    Show(Show),
    Ancestry(Ancestry),
    Import(Import),
    Sources(SourcesArgs),
    Channels(Channels),
    Get(Get),
    Push(Push),
    Copy(Copy),
    Tags(Tags),
    Login(Login),
    Logout(Logout),
    List(store::List),
    Tag(store::Tag),
    Untag(store::Untag),
    Rm(store::Rm),
    Gc(store::Gc),
    Dedup(store::Dedup),
    Fsck(store::Fsck),
    Du(store::Du),
    Migrate(Migrate),
    Completions(Completions),
    Man(Man),
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Print errors only
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Common options")]
    pub(crate) quiet: bool,
    /// Tell what is being done
    #[arg(long, short, global = true, help_heading = "Common options")]
    pub(crate) verbose: bool,
    /// Threads to use; the result is the same with any number [default: one a core]
    #[arg(long, value_name = "N", global = true, value_parser = parse_threads, help_heading = "Common options")]
    pub(crate) threads: Option<usize>,
    /// Memory for content before it goes to temporary files, as in 256MiB or 1G
    #[arg(
        long,
        value_name = "SIZE",
        global = true,
        default_value = "256MiB",
        value_parser = parse_size,
        help_heading = "Common options"
    )]
    pub(crate) memory: u64,
    /// Most bytes that a layer, a stream or a disk may unpack to; more is taken for an attack
    #[arg(
        long,
        value_name = "SIZE",
        global = true,
        default_value = "256GiB",
        value_parser = parse_size,
        help_heading = "Common options"
    )]
    pub(crate) max_decoded: u64,
    /// The local store, an OCI layout [default: AURORA_STORE, else aurora/store in the user's data directory]
    #[arg(long, value_name = "DIR", global = true, help_heading = "Common options")]
    pub(crate) store: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registries: Registries,
}

/// More threads than any machine has are a slip of the finger.
const MAX_THREADS: usize = 1024;

fn parse_threads(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=MAX_THREADS).contains(n));
    number.ok_or_else(|| format!("a number from 1 to {MAX_THREADS} is needed"))
}

/// Which image a name means.
#[derive(Debug, Clone, Args)]
pub(crate) struct Selected {
    /// Which image of several: OS/ARCH[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// For an incremental image, one below it; given once for each, base first
    #[arg(long = "origin", value_name = "IMAGE", value_parser = image_name())]
    pub(crate) origins: Vec<ImageName>,
}

/// Convert any image to any form
#[derive(Debug, Args)]
#[command(after_long_help = NAMES, disable_version_flag = true)]
pub(crate) struct Convert {
    /// The image to read
    #[arg(value_name = "SRC", value_parser = image_name())]
    pub(crate) src: ImageName,
    /// The image to write
    #[arg(value_name = "DST", value_parser = image_name())]
    pub(crate) dst: ImageName,
    /// One tree, or each layer or snapshot as one of the result [default: squash; keep in the local store]
    #[arg(long, value_name = "HOW", value_enum)]
    pub(crate) layers: Option<LayersArg>,
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// How the result is packed: none, gzip, zstd, bzip2 or xz, and a level [default: the form's own]
    #[arg(long, value_name = "CODEC[:LEVEL]", value_parser = parse_compression)]
    pub(crate) compress: Option<Compression>,
    /// Where in a dataset the root file system is: below root/ as SmartOS zones have it, or at the top
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = PlacementArg::Auto)]
    pub(crate) placement: PlacementArg,
    /// Who is to receive a ZFS stream [default: openzfs]
    #[arg(long, value_name = "SYSTEM", value_enum)]
    pub(crate) target: Option<TargetArg>,
    #[command(flatten)]
    pub(crate) losses: Losses,
    #[command(flatten)]
    pub(crate) smartos: SmartosArgs,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a SmartOS manifest is to say.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "SmartOS images written")]
pub(crate) struct SmartosArgs {
    /// The image's uuid [default: the one it has, or one made from what it holds]
    #[arg(long, value_name = "UUID")]
    uuid: Option<Uuid>,
    /// Its name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its version
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Whose it is
    #[arg(long, value_name = "UUID")]
    owner: Option<Uuid>,
    /// Where to read about it
    #[arg(long, value_name = "URL")]
    homepage: Option<String>,
    /// What it is, in a few words
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What runs in it: smartos, linux, windows, bsd, illumos or other [default: told by the platform]
    #[arg(long, value_name = "OS", value_parser = parse_os)]
    os: Option<ImageOs>,
    /// What its file is: zone-dataset, lx-dataset, zvol or other [default: told by --os and the source]
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    image_type: Option<ImageType>,
    /// A tag; given once for each
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "KEY=VALUE is needed".into())
}

fn parse_os(text: &str) -> Result<ImageOs, String> {
    text.parse().map_err(|()| "smartos, linux, windows, bsd, illumos or other is needed".into())
}

fn parse_type(text: &str) -> Result<ImageType, String> {
    text.parse().map_err(|()| "zone-dataset, lx-dataset, zvol or other is needed".into())
}

impl From<SmartosArgs> for SmartosOptions {
    fn from(args: SmartosArgs) -> Self {
        let SmartosArgs { uuid, name, version, owner, homepage, description, os, image_type, tags } = args;
        Self { uuid, name, version, owner, homepage, description, os, image_type, tags }
    }
}

/// List what an image holds
#[derive(Debug, Args)]
#[command(after_long_help = NAMES)]
pub(crate) struct Ls {
    /// The image
    #[arg(value_name = "SRC", value_parser = image_name())]
    pub(crate) src: ImageName,
    /// Only what this layer or snapshot changes, numbered from 1
    #[arg(long, value_name = "N")]
    pub(crate) layer: Option<usize>,
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// Where in a dataset the root file system is: below root/ as SmartOS zones have it, or at the top
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = PlacementArg::Auto)]
    pub(crate) placement: PlacementArg,
    /// Print the canonical listing: one JSON object an entry
    #[arg(long, conflicts_with = "json")]
    pub(crate) jsonl: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// List POSIX ACLs among the extended attributes
    #[arg(long)]
    pub(crate) acl: bool,
    /// Do not read the files; leaves sha256 out
    #[arg(long)]
    pub(crate) no_hash: bool,
}

/// Tell what an image is
#[derive(Debug, Args)]
#[command(after_long_help = NAMES)]
pub(crate) struct Inspect {
    /// The image
    #[arg(value_name = "SRC", value_parser = image_name())]
    pub(crate) src: ImageName,
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// Look at documents and headers alone; tells no contents and no losses
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check every digest, checksum, size and reference
#[derive(Debug, Args)]
#[command(after_long_help = NAMES)]
pub(crate) struct Verify {
    /// The image
    #[arg(value_name = "SRC", value_parser = image_name())]
    pub(crate) src: ImageName,
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check a SmartOS manifest
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// The manifest, or an installed image's record; - is standard input
    #[arg(value_name = "MANIFEST")]
    manifest: PathBuf,
    /// Who is to take it: minimal (imgadm), dc, public or private (servers)
    #[arg(
        long,
        value_name = "PROFILE",
        default_value_t = Profile::Minimal,
        value_parser = PossibleValuesParser::new(Profile::ALL.iter().map(|p| p.name()))
            .map(|name| name.parse::<Profile>().expect("it is one of their names")),
        hide_possible_values = true
    )]
    pub(crate) profile: Profile,
    /// Print one JSON array of field, code and message
    #[arg(long)]
    pub(crate) json: bool,
}

impl Validate {
    /// The file to read.
    pub(crate) fn manifest(&self) -> FileName {
        if self.manifest.as_os_str() == "-" { FileName::Pipe } else { FileName::Path(self.manifest.clone()) }
    }
}

/// Compare the trees of two images
#[derive(Debug, Args)]
#[command(after_long_help = NAMES)]
pub(crate) struct Diff {
    /// One image
    #[arg(value_name = "A", value_parser = image_name())]
    pub(crate) a: ImageName,
    /// The other
    #[arg(value_name = "B", value_parser = image_name())]
    pub(crate) b: ImageName,
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// Where in a dataset the root file system is: below root/ as SmartOS zones have it, or at the top
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = PlacementArg::Auto)]
    pub(crate) placement: PlacementArg,
    /// Keys to leave out; also dir_mtime (of directories alone) and root (the entry .)
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Print one JSON document
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) json: bool,
    /// Print one JSON object a difference
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// Compare POSIX ACLs too
    #[arg(long)]
    pub(crate) acl: bool,
    /// Do not read the files
    #[arg(long)]
    pub(crate) no_hash: bool,
}

/// Print completions for a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Write the manual pages to a directory
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where; made if it is not there
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// See [`Layers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayersArg {
    /// One tree
    Squash,
    /// Each layer a snapshot, each snapshot a layer
    Keep,
}

impl From<LayersArg> for Layers {
    fn from(arg: LayersArg) -> Self {
        match arg {
            LayersArg::Squash => Self::Squash,
            LayersArg::Keep => Self::Keep,
        }
    }
}

/// See [`Placement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlacementArg {
    /// Below root/
    Root,
    /// At the top
    Top,
    /// At the top of streams written; told by its looks in streams read
    Auto,
}

impl From<PlacementArg> for Option<Placement> {
    fn from(arg: PlacementArg) -> Self {
        match arg {
            PlacementArg::Root => Some(Placement::Root),
            PlacementArg::Top => Some(Placement::Top),
            PlacementArg::Auto => None,
        }
    }
}

/// See [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetArg {
    /// Linux and FreeBSD
    Openzfs,
    /// illumos and SmartOS
    Illumos,
}

impl From<TargetArg> for Target {
    fn from(arg: TargetArg) -> Self {
        match arg {
            TargetArg::Openzfs => Self::OpenZfs,
            TargetArg::Illumos => Self::Illumos,
        }
    }
}

/// What is to become of losses.
#[derive(Debug, Clone, Args)]
pub(crate) struct Losses {
    /// Fail rather than lose anything; with =report exit with status 4 instead
    #[arg(
        long,
        value_name = "report",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "fail",
        hide_possible_values = true
    )]
    pub(crate) strict: Option<Strict>,
}

impl Losses {
    /// Whether there is no result then.
    pub(crate) fn are_errors(&self) -> bool {
        self.strict == Some(Strict::Fail)
    }
}

/// What `--strict` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strict {
    /// No result where something would be lost
    Fail,
    /// A result, and an exit status that tells
    Report,
}

/// Names may hold any bytes that paths may.
pub(crate) fn image_name() -> impl TypedValueParser<Value = ImageName> {
    OsStringValueParser::new()
        .try_map(|raw: OsString| -> Result<ImageName, NameError> { ImageName::parse(&raw) })
}

/// As [`image_name`], and a bare path is a directory.
pub(crate) fn image_or_dir_name() -> impl TypedValueParser<Value = ImageName> {
    OsStringValueParser::new()
        .try_map(|raw: OsString| -> Result<ImageName, NameError> { ImageName::parse_or_dir(&raw) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn strict_takes_its_value_behind_an_equals_sign_only() {
        let strict = |args: &[&str]| {
            let cli = Cli::try_parse_from(["imageadm", "convert"].iter().chain(args)).ok()?;
            match cli.command {
                Command::Convert(convert) => Some(convert.losses.strict),
                _ => None,
            }
        };
        assert_eq!(strict(&["oci:a", "zfs:b"]), Some(None));
        assert_eq!(strict(&["--strict", "oci:a", "zfs:b"]), Some(Some(Strict::Fail)));
        assert_eq!(strict(&["--strict=report", "oci:a", "zfs:b"]), Some(Some(Strict::Report)));
        assert_eq!(strict(&["--strict=what", "oci:a", "zfs:b"]), None);
    }
}
