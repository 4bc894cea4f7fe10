//! What is typed.

use aurora_convert::names::ImageName;
use clap::Args;

use crate::args::image_name;

/// List the images of the local store
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Give an image of the local store another name
#[derive(Debug, Args)]
pub(crate) struct Tag {
    /// The image: NAME[:TAG] or a digest
    #[arg(value_name = "SRC", value_parser = image_name())]
    pub(crate) src: ImageName,
    /// The new name, which no other image has afterwards
    #[arg(value_name = "NAME[:TAG]", value_parser = image_name())]
    pub(crate) dst: ImageName,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Take names away from images of the local store, which stay there
#[derive(Debug, Args)]
pub(crate) struct Untag {
    /// The names
    #[arg(value_name = "NAME[:TAG]", value_parser = image_name(), required = true)]
    pub(crate) names: Vec<ImageName>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Take images out of the local store; gc then frees their room
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// The images: NAME[:TAG], or a digest for all its names
    #[arg(value_name = "IMAGE", value_parser = image_name(), required = true)]
    pub(crate) names: Vec<ImageName>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Remove what no image of the local store needs
#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Tell what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Keep what the blobs of the local store have in common once; other programs can't read such blobs
#[derive(Debug, Args)]
pub(crate) struct Dedup {
    /// Only the blobs of these images: NAME[:TAG] or a digest
    #[arg(value_name = "IMAGE", value_parser = image_name())]
    pub(crate) names: Vec<ImageName>,
    /// Make all blobs files of their own again
    #[arg(long)]
    pub(crate) undo: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check all blobs, names and records of the local store
#[derive(Debug, Args)]
pub(crate) struct Fsck {
    /// Move damaged blobs aside and remove damaged records
    #[arg(long)]
    pub(crate) repair: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Tell the room that the images of the local store take
#[derive(Debug, Args)]
pub(crate) struct Du {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}
