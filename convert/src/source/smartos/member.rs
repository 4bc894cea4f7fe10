//! One image of many: read upon what was read of its origin, which is read once for all that build on it.

use std::path::{Path, PathBuf};

use aurora_formats::smartos::{ImageFile, ImageType, Manifest};

use super::docker::Layered;
use super::library::{self, Entry};
use super::{describe, file, odd};
use crate::lineage::Loaded;
use crate::names::FileName;
use crate::source::zfs::{Input, Sequel};
use crate::{Ctx, Error, ErrorKind, Result};

/// The one snapshot of an installed image.
const FINAL: &str = "final";

/// A manifest and its file, wherever they are.
#[derive(Clone)]
pub(crate) struct Found(Entry);

impl Found {
    /// The image of a manifest in a folder, whose file is found beside it as everywhere.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        library::entry(path).map(Self)
    }

    /// An image whose file is known.
    pub(crate) fn new(manifest: Manifest, file: PathBuf) -> Self {
        Self(Entry { manifest, path: file.clone(), dataset: None, file: Some(file) })
    }

    /// What it says of itself.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// What it says of its file.
    pub(crate) fn promised(&self) -> Result<ImageFile> {
        file::promised(&self.0)
    }

    /// What the file is called behind the manifest's own name, as imgadm has it.
    pub(crate) fn extension(&self) -> Result<String> {
        let kind = match self.manifest().image_type()? {
            ImageType::Zvol => "zvol",
            ImageType::Docker => "tar",
            _ => "zfs",
        };
        Ok(format!("{kind}{}", self.promised()?.compression.map_or("", |c| c.extension())))
    }

    /// Where the file is.
    pub(crate) fn file(&self) -> Result<PathBuf> {
        file::locate(&self.0)
    }

    /// Whether it is installed on this host and has no file: its dataset is sent instead.
    pub(crate) fn is_installed(&self) -> bool {
        self.0.dataset.is_some() && self.file().is_err()
    }

    /// What is read: the file, or what `zfs send` makes of the dataset, upon that of the origin.
    fn input(&self) -> Result<Input> {
        let dataset = self.0.dataset.as_deref().filter(|_| self.is_installed());
        let Some(dataset) = dataset else { return Ok(Input::File(FileName::Path(self.file()?))) };
        let origin = self.manifest().origin()?;
        let pool = dataset.split('/').next().unwrap_or_default();
        Ok(Input::Sent {
            from: origin.map(|origin| format!("{pool}/{origin}@{FINAL}")),
            snapshot: format!("{dataset}@{FINAL}"),
        })
    }

    /// Whether the file is the one that is meant; where it is.
    pub(crate) fn verified(&self, ctx: &Ctx<'_>) -> Result<PathBuf> {
        file::verified(&self.0, ctx).map_err(|e| e.in_image(self.0.path.display().to_string()))
    }
}

/// All manifests of a folder, in the order of their paths. What is none is passed over.
pub(crate) fn all(folder: &Path) -> Result<Vec<(PathBuf, Manifest)>> {
    let library = library::Library::open(folder)?;
    Ok(library.entries().map(|entry| (entry.path.clone(), entry.manifest.clone())).collect())
}

/// An image that was read, with all that it builds on. It is never changed, so that several threads can go on from it.
pub(crate) enum Member {
    /// Streams.
    Streams(Sequel, Manifest),
    /// Layers as docker has them.
    Layers(Layered),
}

impl Member {
    /// Reads an image whose file has been found to be the right one.
    pub(crate) fn read(below: Option<&Self>, found: &Found, ctx: &Ctx<'_>) -> Result<Self> {
        let manifest = found.manifest();
        match (manifest.image_type()?, below) {
            (ImageType::Lxd, _) => {
                let text = "an LXD image; its root file system can be read by itself: tar:FILE".to_owned();
                Err(ErrorKind::Unsupported(text).into())
            }
            (ImageType::Docker, None) => Layered::upon(None, manifest, &found.file()?, ctx).map(Self::Layers),
            (ImageType::Docker, Some(Self::Layers(below))) => {
                Layered::upon(Some(below), manifest, &found.file()?, ctx).map(Self::Layers)
            }
            (ImageType::Docker, Some(Self::Streams(..))) | (_, Some(Self::Layers(_))) => {
                let text = "a docker layer builds on docker layers alone, and nothing else on them";
                Err(ErrorKind::Unsupported(text.to_owned()).into())
            }
            (_, below) => {
                let below = below.and_then(|below| match below {
                    Self::Streams(below, _) => Some(below),
                    Self::Layers(_) => None,
                });
                let input = found.input()?;
                let pick = match &input {
                    Input::File(FileName::Path(path)) => file::root_of_package(path, ctx)?,
                    _ => None,
                };
                if let Some(pick) = &pick {
                    odd(
                        format!("a package of several datasets, which imgadm refuses; read here: {pick}"),
                        ctx,
                    );
                }
                let read = Sequel::read(below, &input, pick.as_deref(), ctx)?;
                Ok(Self::Streams(read, manifest.clone()))
            }
        }
    }

    /// What was read, every step of it, as [`super::read`] has it.
    pub(crate) fn loaded(&self, ctx: &Ctx<'_>) -> Result<Loaded> {
        match self {
            Self::Layers(layers) => layers.lineage().map(Loaded::Filesystem),
            Self::Streams(streams, manifest) => {
                let mut loaded = streams.loaded()?;
                describe(&mut loaded, manifest, ctx).map_err(Error::without_image)?;
                Ok(loaded)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_engine::host::{Answer, Recorded};

    use super::*;
    use crate::{Cancel, NoProgress, Options};

    const BASE: &str = "a0000000-0000-4000-8000-000000000001";
    const TOP: &str = "b0000000-0000-4000-8000-000000000002";

    fn stream(name: &str) -> Vec<u8> {
        let path = format!("{}/../corpus/zfs/{name}.zfs.gz", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    }

    #[test]
    fn installed_images_are_sent_upon_their_origins() {
        let dir = tempfile::tempdir().unwrap();
        for (uuid, origin) in [(BASE, String::new()), (TOP, format!("\"origin\":\"{BASE}\","))] {
            let text = format!(
                r#"{{"zpool":"zones","manifest":{{"v":2,"uuid":"{uuid}","name":"x","version":"1",{origin}"type":"zone-dataset","os":"smartos"}}}}"#
            );
            std::fs::write(dir.path().join(format!("zones-{uuid}.json")), text).unwrap();
        }
        let host = Recorded::new(|line| match line {
            _ if line.contains("-i") => Answer::output(stream("inc-i-a-b")),
            _ => Answer::output(stream("inc-full-a")),
        });
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let ctx = ctx.with_programs(Arc::new(host.clone()));
        assert_eq!(all(dir.path()).unwrap().len(), 2);
        let open = |uuid: &str| Found::open(&dir.path().join(format!("zones-{uuid}.json"))).unwrap();
        assert!(open(BASE).is_installed());
        let base = Member::read(None, &open(BASE), &ctx).unwrap();
        let top = Member::read(Some(&base), &open(TOP), &ctx).unwrap();
        let steps = |member: &Member| match member.loaded(&ctx).unwrap() {
            Loaded::Filesystem(lineage) => lineage.steps.len(),
            Loaded::Volume(_) => 0,
        };
        assert_eq!((steps(&base), steps(&top)), (1, 2));
        let log = host.log();
        assert!(log[0].ends_with(&format!("send zones/{BASE}@final")), "{log:?}");
        let last = log.last().unwrap();
        assert!(
            last.ends_with(&format!("zones/{BASE}@final zones/{TOP}@final")) && last.contains("-i"),
            "{log:?}"
        );
        // Upon nothing there is no such increment.
        assert!(Member::read(None, &open(TOP), &ctx).is_err());
    }
}
