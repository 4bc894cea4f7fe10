//! `imageadm unpack`.

use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, UnpackOptions};
use aurora_convert::tree::owners::{IdRange, OwnerMap};
use clap::Args;

use crate::args::{LayersArg, Losses, NAMES, PlacementArg, Selected, image_name, image_or_dir_name};
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
    /// Each layer a snapshot of the dataset, or one for all
    #[arg(long, value_name = "HOW", value_enum, default_value_t = LayersArg::Squash)]
    layers: LayersArg,
    #[command(flatten)]
    selected: Selected,
    /// Where in a dataset the root file system is: below root/ as SmartOS zones have it, or at the top
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = PlacementArg::Auto)]
    placement: PlacementArg,
    /// Users that are others on this host; given once for each range
    #[arg(long = "uid-map", value_name = "IMAGE:HOST[:SIZE]")]
    users: Vec<IdRange>,
    /// Groups that are others on this host; given once for each range
    #[arg(long = "gid-map", value_name = "IMAGE:HOST[:SIZE]")]
    groups: Vec<IdRange>,
    /// All is the caller's, who stands for root
    #[arg(long, conflicts_with_all = ["users", "groups"])]
    rootless: bool,
    #[command(flatten)]
    losses: Losses,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Unpack, session: &Session) -> Result<Exit, Stop> {
    let owners = match (args.rootless, args.users.is_empty() && args.groups.is_empty()) {
        (true, _) => {
            let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
            OwnerMap::All(uid.as_raw(), gid.as_raw())
        }
        (false, true) => OwnerMap::Same,
        (false, false) => OwnerMap::Ranges { users: args.users.clone(), groups: args.groups.clone() },
    };
    let options = UnpackOptions {
        selection: selection(&args.selected),
        layers: args.layers.into(),
        placement: args.placement.into(),
        owners,
        bundle: args.bundle,
        strict: args.losses.are_errors(),
    };
    let ctx = session.ctx();
    let unpacked = ops::unpack(&args.src, &args.dst, &options, &ctx);
    Report { src: &args.src, dst: &args.dst, strict: args.losses.strict, json: args.json }
        .tell(unpacked, &ctx, session)
}
