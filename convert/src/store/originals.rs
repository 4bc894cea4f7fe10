//! SmartOS images as they came: manifest and file, kept beside the image that was made of them. An increment speaks about
//! the numbers of objects, which an OCI image does not have; with the stream in the store it finds what it builds on.
//!
//! Each is an OCI artifact named `smartos/UUID`, so that it is listed, removed and collected as everything else.

use std::cell::OnceCell;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use aurora_engine::digest::{Algorithm, Digest, Sha1Reader};
use aurora_engine::fs;
use aurora_formats::oci::{self, Descriptor, media};
use aurora_formats::smartos::{ImageFile, Manifest, Uuid};

use super::{Local, StoredName};
use crate::image::select::Documents;
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// What kind of artifact it is.
const ARTIFACT: &str = "application/vnd.aurora.smartos.image.v1";
/// Its first blob: the manifest, byte for byte.
const MANIFEST: &str = "application/vnd.aurora.smartos.manifest.v1+json";
/// Its second blob: the file, byte for byte.
const FILE: &str = "application/vnd.aurora.smartos.file.v1";
/// An artifact without a configuration has this one (OCI image-spec, manifest.md, "Guidance for an Empty Descriptor").
pub(crate) const NO_CONFIG: &[u8] = b"{}";

/// The artifact of an image: which blobs it has, and what they are. `config` is [`NO_CONFIG`].
pub(crate) fn artifact(manifest: (&Digest, u64), file: (&Digest, u64)) -> oci::Manifest {
    let blob =
        |media_type: &str, digest: &Digest, size: u64| Descriptor::new(media_type, digest.to_string(), size);
    oci::Manifest {
        config: blob(media::EMPTY, &Digest::sha256(NO_CONFIG), NO_CONFIG.len() as u64),
        layers: vec![blob(MANIFEST, manifest.0, manifest.1), blob(FILE, file.0, file.1)],
        artifact_type: Some(ARTIFACT.to_owned()),
        ..oci::Manifest::default()
    }
}

/// A SmartOS image that is kept in the store.
pub(crate) struct Original {
    /// What it says of itself.
    pub(crate) manifest: Manifest,
    /// Where the manifest is.
    pub(crate) path: PathBuf,
    /// Where the file is. It is what the manifest promises only if its size and SHA-1 say so.
    pub(crate) file: PathBuf,
}

/// The originals in the store of a command, which is opened when the first is asked for, and then stays locked against
/// removals until this is dropped.
pub(crate) struct Originals<'a> {
    ctx: &'a Ctx<'a>,
    local: OnceCell<Option<Local>>,
}

impl<'a> Originals<'a> {
    pub(crate) fn new(ctx: &'a Ctx<'a>) -> Self {
        Self { ctx, local: OnceCell::new() }
    }

    /// The image of that uuid, if it is there. Without a store nothing is.
    pub(crate) fn find(&self, uuid: Uuid) -> Result<Option<Original>> {
        if self.local.get().is_none() {
            let is_possible = self.ctx.options.store.is_some();
            let opened = if is_possible { Local::open_if_any(self.ctx)? } else { None };
            // Nobody else can have set it: this is not shared between threads.
            let _ = self.local.set(opened);
        }
        match self.local.get() {
            Some(Some(local)) => local.original(uuid),
            _ => Ok(None),
        }
    }
}

impl Local {
    fn original(&self, uuid: Uuid) -> Result<Option<Original>> {
        let refs = self.refs()?;
        let name = name(uuid);
        let Some(entry) = refs.entries().iter().find(|entry| entry.shown() == full(&name)) else {
            return Ok(None);
        };
        let named = |e: Error| e.in_image(name.to_string());
        let bytes = self.document(&entry.descriptor).map_err(named)?;
        let artifact = oci::Manifest::parse(&entry.descriptor.digest, None, &bytes);
        let artifact = artifact.map_err(|e| named(e.into()))?.value;
        let (Some(ARTIFACT), [manifest, file]) = (artifact.artifact(), &artifact.layers[..]) else {
            let text = format!("not a SmartOS image kept as it came: {}", entry.descriptor.digest);
            return Err(named(ErrorKind::Unsupported(text).into()));
        };
        let bytes = self.document(manifest).map_err(named)?;
        let place =
            |descriptor: &Descriptor| -> Result<PathBuf> {
                let digest: Digest = descriptor.digest.parse().map_err(|_| {
                    let text = descriptor.digest.clone();
                    Error::from(oci::OciError::DigestAlgorithm { text })
                })?;
                match self.blobs().size(&digest)? {
                    Some(size) if size == descriptor.size => {
                        // Whoever reads it wants a file.
                        self.blobs().fatten(&digest, self.threads)?;
                        Ok(self.blobs().blob_path(&digest))
                    }
                    _ => Err(oci::OciError::MissingFile { path: oci::layout::blob_path(&descriptor.digest) }
                        .into()),
                }
            };
        let read = || -> Result<Original> {
            Ok(Original { manifest: Manifest::parse(&bytes)?, path: place(manifest)?, file: place(file)? })
        };
        let original = read().map_err(named)?;
        match original.manifest.uuid()? == uuid {
            true => Ok(Some(original)),
            false => Err(named(ErrorKind::Unsupported(format!("holds another image than {uuid}")).into())),
        }
    }

    /// Keeps an image as it is, unless that has been done; its name. The file is compared with what is promised of it.
    pub(crate) fn keep_original(
        &self,
        manifest: &Manifest,
        path: &Path,
        promised: &ImageFile,
        ctx: &Ctx<'_>,
    ) -> Result<String> {
        let name = full(&name(manifest.uuid()?));
        let bytes = manifest.to_bytes();
        // What is there and damaged is brought in again.
        if let Ok(Some(original)) = self.original(manifest.uuid()?)
            && original.manifest.to_bytes() == bytes
        {
            return Ok(name);
        }
        let (file, size) = self.take(path, promised, ctx)?;
        self.blobs().put(NO_CONFIG)?;
        let manifest = self.blobs().put(&bytes)?;
        let artifact = artifact((&manifest, bytes.len() as u64), (&file, size)).to_bytes();
        let digest = self.blobs().put(&artifact)?.to_string();
        let descriptor = Descriptor::new(media::MANIFEST, digest, artifact.len() as u64);
        self.edit(|refs| Ok(refs.set(descriptor, &name)))?;
        Ok(name)
    }

    fn take(&self, path: &Path, promised: &ImageFile, ctx: &Ctx<'_>) -> Result<(Digest, u64)> {
        let failed = |e| Error::io(path.display().to_string(), e);
        let file = fs::open_input(path).map_err(failed)?;
        let sha1 = promised.sha1.as_ref().and_then(|s| s.parse().ok());
        let mut reader = Sha1Reader::new(file, sha1, promised.size.filter(|size| *size > 0));
        let mut upload = self.blobs().begin(Algorithm::Sha256)?;
        let mut buf = vec![0; 1 << 18];
        loop {
            ctx.check()?;
            match reader.read(&mut buf) {
                Ok(0) => break,
                Ok(n) => {
                    ctx.progress.count(Counter::BytesRead, n as u64);
                    upload.write_all(&buf[..n]).map_err(|e| Error::io("the local store", e))?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(upload.commit()?)
    }
}

/// What an original is called.
fn name(uuid: Uuid) -> StoredName {
    StoredName::Tagged { name: format!("smartos/{uuid}"), tag: None }
}

fn full(name: &StoredName) -> String {
    name.full().expect("it is no digest")
}
