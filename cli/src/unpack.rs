//! `imageadm unpack`.

use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, UnpackOptions};
use aurora_convert::tree::volumes::{Property, VolumeSpec};
use clap::{Args, ValueEnum};

use crate::args::{LayersArg, Losses, NAMES, Owners, PlacementArg, Selected, image_name, image_or_dir_name};
use crate::convert::Report;
use crate::exit::Exit;
use crate::session::{Session, Stop, selection};

/// Unpack an image into a directory, a bundle for a runtime, or a dataset
#[derive(Debug, Args)]
#[command(after_long_help = NAMES)]
pub(crate) struct Unpack {
    /// The image
    #[arg(value_name = "SRC", value_parser = image_name())]
    src: ImageName,
    /// Where to: dir:PATH (dir: may be left out) or dataset:POOL/NAME
    #[arg(value_name = "DST", value_parser = image_or_dir_name())]
    dst: ImageName,
    /// Make a bundle: the root file system in rootfs/, and config.json for a runtime
    #[arg(long)]
    bundle: bool,
    /// A bundle that is also a zone's path, in the mountpoint of a dataset: the root file system in root/
    #[arg(long, requires = "bundle")]
    zonepath: bool,
    /// Each layer a snapshot of the dataset, or one for all
    #[arg(long, value_name = "HOW", value_enum, default_value_t = LayersArg::Squash)]
    layers: LayersArg,
    #[command(flatten)]
    selected: Selected,
    /// Where in a dataset the root file system is: below root/ as SmartOS zones have it, or at the top
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = PlacementArg::Auto)]
    placement: PlacementArg,
    #[command(flatten)]
    owners: Owners,
    /// A directory that becomes a dataset of its own, below that of the image; given once for each
    #[arg(long = "volume", value_name = "PATH[:PROP=VALUE,…]")]
    volumes: Vec<VolumeSpec>,
    /// The volumes that the image names become datasets of their own, too
    #[arg(long)]
    image_volumes: bool,
    /// A property of the dataset; given once for each
    #[arg(long = "property", short = 'o', value_name = "PROP=VALUE")]
    properties: Vec<Property>,
    /// How a dataset is written: as a stream into `zfs receive`, or as files while it is mounted
    #[arg(long, value_name = "WAY", value_enum, default_value_t = Way::Stream)]
    via: Way,
    #[command(flatten)]
    losses: Losses,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// How a dataset is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// `zfs receive`
    Stream,
    /// The file system.
    Files,
}

pub(crate) fn run(args: &Unpack, session: &Session) -> Result<Exit, Stop> {
    let options = UnpackOptions {
        selection: selection(&args.selected),
        layers: args.layers.into(),
        placement: args.placement.into(),
        owners: args.owners.map()?,
        volumes: args.volumes.clone(),
        image_volumes: args.image_volumes,
        properties: args.properties.clone(),
        via_files: args.via == Way::Files,
        bundle: args.bundle,
        zonepath: args.zonepath,
        strict: args.losses.are_errors(),
    };
    let ctx = session.ctx();
    let unpacked = ops::unpack(&args.src, &args.dst, &options, &ctx);
    Report { src: &args.src, dst: &args.dst, strict: args.losses.strict, json: args.json }
        .tell(unpacked, &ctx, session)
}
