//! `run --image`: a bundle of an image of the local store, or of any other name that images have.

use std::path::{Path, PathBuf};

use aurora_convert::Ctx;
use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, UnpackOptions};

use crate::{Error, Id, Result, Runtime};

/// Which image, and what of it.
#[derive(Debug, Clone)]
pub struct ImageRequest {
    /// Its name.
    pub name: ImageName,
    /// How it is read.
    pub options: UnpackOptions,
}

/// Unpacks an image as a bundle. Starts threads, so that no container can be made by this process afterwards.
pub fn unpack_image(request: &ImageRequest, target: &Path, ctx: &Ctx<'_>) -> Result<()> {
    let target = ImageName::Dir { path: target.to_owned() };
    let options = UnpackOptions { bundle: true, ..request.options.clone() };
    ops::unpack(&request.name, &target, &options, ctx)?;
    Ok(())
}

/// Beside the containers; no container has this name, as ids have no colon.
const BUNDLES: &str = ":bundles";

impl Runtime {
    /// Where the bundle of a container's image goes: removed with the container.
    pub fn place_for_image(&self, id: &Id) -> Result<PathBuf> {
        if self.root.join(id.as_str()).exists() {
            return Err(Error::Exists);
        }
        let path = self.image_bundle(id);
        let parent = path.parent().expect("it is below the state directory");
        std::fs::create_dir_all(parent).map_err(|e| Error::io(parent.display().to_string(), e))?;
        Ok(path)
    }

    pub(crate) fn image_bundle(&self, id: &Id) -> PathBuf {
        self.root.join(BUNDLES).join(id.as_str())
    }

    /// Removes what `run --image` has unpacked for a container that is gone.
    pub fn remove_image(&self, id: &Id) -> Result<()> {
        let path = self.image_bundle(id);
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(path.display().to_string(), e))
            }
            _ => {
                // The last one takes the folder along; it is not empty otherwise.
                let _ = std::fs::remove_dir(self.root.join(BUNDLES));
                Ok(())
            }
        }
    }
}
