//! `imageadm pack`.

use std::path::PathBuf;

use aurora_convert::Error;
use aurora_convert::image::time::Timestamp;
use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, ConvertOptions, PackOptions};
use aurora_convert::sink::Compression;
use aurora_convert::tree::exclude::Pattern;
use clap::Args;

use crate::args::{
    LayersArg, Losses, NAMES, Owners, Selected, SettingsArgs, SmartosArgs, image_name, image_or_dir_name,
};
use crate::convert::{Report, check_output};
use crate::exit::Exit;
use crate::session::{Session, Stop, selection};
use crate::units::parse_compression;

/// Make an image of a directory, a tar, a dataset or a disk
#[derive(Debug, Args)]
#[command(after_long_help = NAMES, disable_version_flag = true)]
pub(crate) struct Pack {
    /// What the image is made of; a path without a form is a directory
    #[arg(value_name = "SRC", value_parser = image_or_dir_name())]
    src: ImageName,
    /// The image to write
    #[arg(value_name = "DST", value_parser = image_name())]
    dst: ImageName,
    /// An OCI image to build upon: its layers stay, and what SRC changes of them is one more
    #[arg(long, value_name = "IMAGE", value_parser = image_name())]
    base: Option<ImageName>,
    /// A manifest to begin with; the options below change it
    #[arg(long, short, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Leave out what has this name or path, with all in it; given once for each
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<Pattern>,
    /// An OCI image config to begin with, in place of the base's; the options below change it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write what changed since the image that the dataset is a clone of
    #[arg(long, short, conflicts_with_all = ["exclude", "base", "config", "SettingsArgs", "Owners"])]
    incremental: bool,
    /// Fail where more images than this are below an incremental one
    #[arg(long, value_name = "N", requires = "incremental")]
    max_origin_depth: Option<u64>,
    /// One tree, or each snapshot as one of the result
    #[arg(long, value_name = "HOW", value_enum, default_value_t = LayersArg::Squash)]
    layers: LayersArg,
    #[command(flatten)]
    selected: Selected,
    /// How the result is packed: none, gzip, zstd, bzip2 or xz, and a level [default: the form's own]
    #[arg(long, short, value_name = "CODEC[:LEVEL]", value_parser = parse_compression)]
    compress: Option<Compression>,
    #[command(flatten)]
    owners: Owners,
    #[command(flatten)]
    losses: Losses,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    smartos: SmartosArgs,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Pack, session: &Session) -> Result<Exit, Stop> {
    check_output(&args.dst, args.json)?;
    let options = PackOptions {
        convert: ConvertOptions {
            selection: selection(&args.selected),
            layers: args.layers.into(),
            compression: args.compress,
            strict: args.losses.are_errors(),
            smartos: args.smartos.clone().into(),
            ..ConvertOptions::default()
        },
        base: args.base.clone(),
        manifest: args.manifest.clone(),
        config: args.config.clone(),
        settings: args.settings.settings(),
        owners: args.owners.map()?,
        source_date: source_date()?,
        exclude: args.exclude.clone(),
        incremental: args.incremental,
        max_origin_depth: args.max_origin_depth,
    };
    let ctx = session.ctx();
    let packed = ops::pack(&args.src, &args.dst, &options, &ctx);
    Report { src: &args.src, dst: &args.dst, strict: args.losses.strict, json: args.json }
        .tell(packed, &ctx, session)
}

/// What `SOURCE_DATE_EPOCH` says: seconds since 1970.
fn source_date() -> Result<Option<Timestamp>, Stop> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let secs = text.to_str().and_then(|text| text.parse::<u32>().ok());
    let usage = || Error::usage("SOURCE_DATE_EPOCH is to be seconds since 1970");
    Ok(Some(Timestamp::from_secs(i64::from(secs.ok_or_else(usage)?))))
}
