//! `imageadm pack`.

use std::path::PathBuf;

use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, ConvertOptions, PackOptions};
use aurora_convert::sink::Compression;
use aurora_convert::tree::exclude::Pattern;
use clap::Args;

use crate::args::{LayersArg, Losses, NAMES, Selected, SmartosArgs, image_name, image_or_dir_name};
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
    /// A manifest to begin with; the options below change it
    #[arg(long, short, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Leave out what has this name or path, with all in it; given once for each
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<Pattern>,
    /// Write what changed since the image that the dataset is a clone of
    #[arg(long, short, conflicts_with = "exclude")]
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
    losses: Losses,
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
        manifest: args.manifest.clone(),
        exclude: args.exclude.clone(),
        incremental: args.incremental,
        max_origin_depth: args.max_origin_depth,
    };
    let ctx = session.ctx();
    let packed = ops::pack(&args.src, &args.dst, &options, &ctx);
    Report { src: &args.src, dst: &args.dst, strict: args.losses.strict, json: args.json }
        .tell(packed, &ctx, session)
}
