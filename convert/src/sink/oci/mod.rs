//! Writes OCI layouts, archives of them, and docker-archive.
//!
//! Each step of the lineage is one layer: the first holds its whole tree, every other what it changes, be that
//! nothing, so that a chain keeps its length. All bytes are a function of the lineage and the options: no clock, no
//! machine, no number of threads is in them.

pub(crate) mod archive;
mod build;
mod layout;
mod registry;
mod store;
mod stored;

use aurora_engine::codec::{Codec, Compression};
use aurora_formats::oci::reference;

use crate::image::Platform;
use crate::lineage::Lineage;
use crate::names::ImageName;
use crate::sink::{Outcome, WriteOptions};
use crate::{Ctx, Error, ErrorKind, Result};

/// Writes an image.
pub fn write(lineage: &Lineage, name: &ImageName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    match name {
        ImageName::Oci { dir, reference } => {
            let request = Request::new(lineage, reference.as_deref(), options, Codec::Gzip)?;
            layout::write(&request, dir, ctx)
        }
        ImageName::OciArchive { file, reference } => {
            let request = Request::new(lineage, reference.as_deref(), options, Codec::Gzip)?;
            archive::write(&request, file, archive::Form::Oci, options.force, ctx)
        }
        ImageName::DockerArchive { file, reference } => {
            // Docker reads packed layers too, but writes them plain, and old ones expect no other.
            let request = Request::new(lineage, reference.as_deref(), options, Codec::None)?;
            archive::write(&request, file, archive::Form::Docker, options.force, ctx)
        }
        ImageName::Docker { name } => {
            let request = Request::new(lineage, None, options, Codec::Gzip)?;
            registry::write(&request, name, ctx)
        }
        ImageName::Stored(name) => {
            let request = Request::new(lineage, None, options, Codec::Gzip)?;
            stored::write(&request, name, ctx)
        }
        other => Err(Error::usage(format!("not an OCI image name: {other}"))),
    }
}

/// What is to be written, checked.
struct Request<'a> {
    lineage: &'a Lineage,
    reference: Option<&'a str>,
    options: &'a WriteOptions,
    platform: Platform,
    compression: Compression,
}

impl<'a> Request<'a> {
    fn new(
        lineage: &'a Lineage,
        reference: Option<&'a str>,
        options: &'a WriteOptions,
        default: Codec,
    ) -> Result<Self> {
        if let Some(name) = reference {
            reference::check_ref_name(name)?;
        }
        let compression = options.compression.unwrap_or(Compression { codec: default, level: None });
        if !matches!(compression.codec, Codec::None | Codec::Gzip | Codec::Zstd) {
            let text =
                format!("layers are packed with gzip, zstd or not at all, not with {}", compression.codec);
            return Err(ErrorKind::Unsupported(text).into());
        }
        let platform = options.platform.clone().or(lineage.image.platform.clone()).unwrap_or_default();
        Ok(Self { lineage, reference, options, platform, compression })
    }
}
