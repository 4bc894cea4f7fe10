//! An image in memory: a chain of trees whose contents stay where they are, or a block image.

use std::fmt;
use std::sync::Arc;

use aurora_engine::digest::Digest;
use aurora_formats::model::Timestamp;

use crate::content::Content;
use crate::image::Image;
use crate::source::oci::BaseLayer;
use crate::tree::Tree;

/// What a source has read.
pub enum Loaded {
    /// A root file system.
    Filesystem(Lineage),
    /// A disk.
    Volume(Volume),
}

/// How much of a chain is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layers {
    /// Only the last tree.
    #[default]
    Squash,
    /// Every step.
    Keep,
}

/// A root file system's history, base first. Never empty. Under [`Layers::Squash`] it has one step, the last.
pub struct Lineage {
    /// The description.
    pub image: Image,
    /// The trees.
    pub steps: Vec<Step>,
}

/// One layer or snapshot, applied.
#[derive(Clone)]
pub struct Step {
    /// The whole tree after this step.
    pub tree: Arc<Tree>,
    /// OCI chainID of the layers up to here, where they are layers; of a ZFS snapshot it is derived from its guid.
    pub chain_id: Digest,
    /// The snapshot that this step is, or is to become once more.
    pub snapshot: Option<Snapshot>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What made it: `history[].created_by` of an OCI config.
    pub created_by: Option<String>,
}

/// Identity of a ZFS snapshot. It survives a trip through OCI in annotations, so that the way back gives the same
/// stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// `drr_toname` of its stream: `dataset@snapshot`.
    pub name: Vec<u8>,
    /// Its guid, never 0.
    pub guid: u64,
    /// `drr_creation_time`: seconds since 1970.
    pub creation_time: u64,
}

impl Step {
    /// Another tree is another image, and no snapshot that there was. `how` says what was done to it.
    pub(crate) fn become_other(&mut self, how: fmt::Arguments<'_>) {
        self.chain_id = Digest::sha256(format!("aurora: {how} of {}", self.chain_id).as_bytes());
        self.snapshot = None;
    }
}

/// What the first layer that is written lies upon: it holds only what it changes of this.
#[derive(Clone)]
pub struct Base {
    /// The tree below.
    pub(crate) tree: Arc<Tree>,
    /// The layers that make it, which go into the image as they are. None where the image has only what lies upon them.
    pub(crate) layers: Vec<BaseLayer>,
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

/// A block image.
pub struct Volume {
    /// The description.
    pub image: Image,
    /// Size and data.
    pub content: Content,
    /// Block size of the volume it came from, if any.
    pub block_size: Option<u32>,
    /// The snapshot it was.
    pub snapshot: Option<Snapshot>,
    /// The state of the volume before an increment, to write an increment again.
    pub base: Option<Box<Volume>>,
}
