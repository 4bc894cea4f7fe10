//! An opened layout or archive: its documents, verified, and the image chosen of it.

use std::io::{self, Read};
use std::sync::Arc;

use aurora_engine::body::{Body, MemBody, Sequential};
use aurora_engine::codec::Codec;
use aurora_engine::digest::{Digest, VerifyError, VerifyingReader};
use aurora_engine::fs;
use aurora_engine::store::BlobFacts;
use aurora_formats::oci::descriptor::Annotations;
use aurora_formats::oci::media::Packing;
use aurora_formats::oci::{Config, Descriptor, Index, Manifest, OciError, docker_archive, json, layout};

use super::files::{DirFiles, Files, StoreFiles, TreeFiles};
use super::remote::RegistryFiles;
use crate::image::select::{self, Documents, Wanted};
use crate::names::ImageName;
use crate::records::changeset;
use crate::source::ReadOptions;
use crate::source::ingest::Ingested;
use crate::store::{Local, StoredName};
use crate::{Ctx, Error, ErrorKind, Result};

/// A layout, archive or docker-archive.
pub(crate) struct Store {
    files: Box<dyn Files>,
    /// What lists the images.
    pub(super) form: Form,
}

/// Which document lists the images of a [`Store`].
pub(super) enum Form {
    /// `index.json`
    Layout(Index),
    /// `manifest.json`
    Docker(Vec<docker_archive::ArchiveImage>),
}

/// A layer to be read.
#[derive(Clone)]
pub(super) struct Layer {
    /// Its digest, or its path in a docker-archive: what errors call it.
    pub(super) name: String,
    /// How its media type says that it is packed; a docker-archive says nothing.
    pub(super) label: Option<Packing>,
    /// Its stored bytes.
    pub(super) body: Body,
    /// Its unpacked bytes, where they are at hand.
    pub(super) unpacked: Option<Body>,
    /// `body` is unpacked already; this is how it was packed.
    pub(super) was: Option<Codec>,
    /// What they are promised to be; the paths of old docker-archives promise nothing.
    pub(super) promise: Option<(Digest, u64)>,
    /// What they are promised to unpack to.
    pub(super) diff_id: Digest,
    /// The descriptor's.
    pub(super) annotations: Annotations,
}

/// The documents of one image.
pub(super) struct Picked {
    /// Of the manifest; none in a docker-archive.
    pub(super) manifest: Option<(Descriptor, Manifest)>,
    /// Digest of the config.
    pub(super) config_digest: Digest,
    /// The config.
    pub(super) config: Config,
    /// Paths of the layers in a docker-archive.
    paths: Vec<String>,
}

impl Store {
    /// Opens what a name names.
    pub(crate) fn open(name: &ImageName, ctx: &Ctx<'_>) -> Result<Self> {
        match name {
            ImageName::Oci { dir, .. } => {
                if !fs::is_dir(dir) {
                    return Err(ErrorKind::NoSuchImage(format!("no directory: {}", dir.display())).into());
                }
                Self::layout(Box::new(DirFiles(dir.clone())))
            }
            ImageName::OciArchive { file, .. } => Self::layout(Box::new(TreeFiles::open(file, ctx)?)),
            ImageName::DockerArchive { file, .. } => {
                let files = Box::new(TreeFiles::open(file, ctx)?);
                match whole_file(&*files, docker_archive::MANIFEST_FILE)? {
                    Some(bytes) => Ok(Self { files, form: Form::Docker(docker_archive::parse(&bytes)?) }),
                    None if files.file(layout::LAYOUT_FILE)?.is_some() => Self::layout(files),
                    None => Err(ErrorKind::NotAFilesystem(
                        "no manifest.json in the archive; what `docker export` writes is read as tar:FILE"
                            .into(),
                    )
                    .into()),
                }
            }
            ImageName::Stored(name) => Self::stored(name, ctx),
            ImageName::Docker { name } => {
                let (files, top) = RegistryFiles::open(name, ctx)?;
                let form = Form::Layout(Index { manifests: vec![top], ..Index::default() });
                Ok(Self { files: Box::new(files), form })
            }
            other => Err(Error::usage(format!("not an OCI image name: {other}"))),
        }
    }

    /// The images that a name in the local store means, and no others.
    fn stored(name: &StoredName, ctx: &Ctx<'_>) -> Result<Self> {
        let no_such = || ErrorKind::NoSuchImage("there is no local store".into());
        let local = Local::open_if_any(ctx)?.ok_or_else(no_such)?;
        Self::stored_in(Arc::new(local), name)
    }

    /// The same in a store that is open already.
    pub(crate) fn stored_in(local: Arc<Local>, name: &StoredName) -> Result<Self> {
        let refs = local.refs()?;
        let manifests = refs.find(name)?.into_iter().map(|entry| entry.descriptor.clone()).collect();
        let form = Form::Layout(Index { manifests, ..Index::default() });
        Ok(Self { files: Box::new(StoreFiles(local)), form })
    }

    fn layout(files: Box<dyn Files>) -> Result<Self> {
        let Some(mark) = whole_file(&*files, layout::LAYOUT_FILE)? else {
            if files.file(docker_archive::MANIFEST_FILE)?.is_some() {
                let text = "no oci-layout but a manifest.json: read it as docker-archive:FILE";
                return Err(ErrorKind::NotAFilesystem(text.into()).into());
            }
            return Err(OciError::MissingFile { path: layout::LAYOUT_FILE.into() }.into());
        };
        layout::check(&mark)?;
        let index = whole_file(&*files, layout::INDEX_FILE)?
            .ok_or_else(|| OciError::MissingFile { path: layout::INDEX_FILE.into() })?;
        let index = Index::parse_listing(layout::INDEX_FILE, &index)?;
        Ok(Self { files, form: Form::Layout(index.value) })
    }

    /// What its index lists, whole; nothing of a docker-archive.
    pub(crate) fn listed(&self) -> &[Descriptor] {
        match &self.form {
            Form::Layout(index) => &index.manifests,
            Form::Docker(_) => &[],
        }
    }

    /// Whether looking at blobs means to fetch them.
    pub(super) fn is_far(&self) -> bool {
        self.files.is_far()
    }

    /// Chooses an image and reads its documents.
    pub(super) fn pick(&self, reference: Option<&str>, options: &ReadOptions) -> Result<Picked> {
        match &self.form {
            Form::Layout(index) => {
                let wanted = Wanted { reference, platform: options.platform.as_ref() };
                let chosen = select::select(index, wanted, self)?;
                self.picked(chosen.descriptor)
            }
            Form::Docker(images) => self.picked_docker(super::docker::choose(images, reference)?),
        }
    }

    /// Reads the documents behind a manifest's descriptor.
    pub(super) fn picked(&self, descriptor: Descriptor) -> Result<Picked> {
        let bytes = self.document(&descriptor)?;
        let manifest = Manifest::parse(&descriptor.digest, Some(&descriptor.media_type), &bytes)?.value;
        if let Some(kind) = manifest.artifact() {
            let text = format!("an OCI artifact of type {}", kind.escape_default());
            return Err(ErrorKind::NotAFilesystem(text).into());
        }
        let config = self.document(&manifest.config)?;
        let config = Config::parse(&manifest.config.digest, &config)?.value;
        let config_digest = digest(&manifest.config.digest)?;
        Ok(Picked { manifest: Some((descriptor, manifest)), config_digest, config, paths: Vec::new() })
    }

    /// Reads the documents of an image of a docker-archive.
    pub(super) fn picked_docker(&self, image: &docker_archive::ArchiveImage) -> Result<Picked> {
        let bytes = whole_file(&*self.files, &image.config)?
            .ok_or_else(|| OciError::MissingFile { path: image.config.clone() })?;
        let config_digest = Digest::sha256(&bytes);
        if let Some(expected) = super::docker::digest_in_path(&image.config)
            && expected != config_digest
        {
            return Err(VerifyError::Mismatch { expected, actual: config_digest }.into());
        }
        let config = Config::parse(&image.config, &bytes)?.value;
        Ok(Picked { manifest: None, config_digest, config, paths: image.layers.clone() })
    }

    /// The layers of an image, base first, none of them read yet.
    pub(super) fn layers(&self, picked: &Picked) -> Result<Vec<Layer>> {
        let count = picked.count();
        if picked.config.diff_ids.len() != count {
            let diff_ids = picked.config.diff_ids.len();
            return Err(OciError::DiffIdCount { layers: count, diff_ids }.into());
        }
        if let Some((_, manifest)) = &picked.manifest {
            manifest.layer_types()?;
        }
        let layer = |n| self.layer(picked, n).map_err(|e| e.in_layer(n + 1, count, picked.layer_name(n)));
        (0..count).map(layer).collect()
    }

    /// One layer, counted from 0.
    pub(super) fn layer(&self, picked: &Picked, n: usize) -> Result<Layer> {
        let diff_ids = &picked.config.diff_ids;
        let missing = || OciError::DiffIdCount { layers: picked.count(), diff_ids: diff_ids.len() };
        let diff_id = digest(diff_ids.get(n).ok_or_else(missing)?)?;
        let name = picked.layer_name(n);
        let Some((_, manifest)) = &picked.manifest else {
            let body = self.files.file(&name)?.ok_or_else(|| OciError::MissingFile { path: name.clone() })?;
            let promise = super::docker::digest_in_path(&name).map(|digest| (digest, body.len()));
            let annotations = Annotations::new();
            return Ok(Layer {
                name,
                label: None,
                body,
                unpacked: None,
                was: None,
                promise,
                diff_id,
                annotations,
            });
        };
        let layer = &manifest.layers[n];
        let (body, digest) = self.blob(layer)?;
        check_size(&digest, layer.size, body.len())?;
        Ok(Layer {
            name,
            label: aurora_formats::oci::media::layer(&layer.media_type).map(|l| l.packing),
            body,
            unpacked: self.files.unpacked(layer)?,
            was: None,
            promise: Some((digest, layer.size)),
            diff_id,
            annotations: layer.annotations.clone(),
        })
    }

    /// Keeps what reading a layer has proved.
    pub(super) fn note(&self, layer: &Layer, decoded_size: u64) {
        let Some((digest, size)) = &layer.promise else { return };
        let facts = || {
            Ok(BlobFacts {
                size: *size,
                codec: super::survey::content_of(layer)?.name().to_owned(),
                decoded_digest: layer.diff_id.to_string(),
                decoded_size,
            })
        };
        self.files.note(digest, &facts);
    }

    /// What a layer says, as it was read before; `None` if that is not known.
    pub(super) fn changes(&self, layer: &Layer, ctx: &Ctx<'_>) -> Option<Ingested> {
        let (digest, _) = layer.promise.as_ref()?;
        let record = self.files.changes(digest)?;
        // What this image says wrongly of the layer has to be told.
        let codec = super::survey::content_of(layer).ok()?;
        if super::layers::label_lies(layer.label, codec).is_some() {
            return None;
        }
        changeset::decode(&record, &layer.diff_id, ctx.options.max_decoded)
    }

    /// Keeps what a layer says.
    pub(super) fn note_changes(&self, layer: &Layer, taken: &Ingested) {
        if let Some((digest, _)) = &layer.promise {
            self.files.note_changes(digest, &|| changeset::encode(taken, &layer.diff_id));
        }
    }

    /// A blob, not yet verified: the file, or the copy within the descriptor.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<(Body, Digest)> {
        let digest = digest(&descriptor.digest)?;
        let path = layout::blob_path(&descriptor.digest);
        match (self.files.blob(descriptor)?, &descriptor.data) {
            (Some(body), _) => Ok((body, digest)),
            (None, Some(data)) => Ok((Arc::new(MemBody(data.clone())), digest)),
            (None, None) => Err(OciError::MissingFile { path }.into()),
        }
    }

    /// Reads a blob of any size for nothing but its digest.
    pub(crate) fn verify_blob(&self, descriptor: &Descriptor) -> Result<()> {
        let (body, digest) = self.blob(descriptor)?;
        check_size(&digest, descriptor.size, body.len())?;
        let mut reader = VerifyingReader::new(Sequential::new(body), digest, descriptor.size);
        io::copy(&mut reader, &mut io::sink())
            .map_err(|e| Error::io(layout::blob_path(&descriptor.digest), e))?;
        Ok(())
    }
}

impl Documents for Store {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        json::check_size(&descriptor.digest, descriptor.size)?;
        let (body, digest) = self.blob(descriptor)?;
        check_size(&digest, descriptor.size, body.len())?;
        let mut bytes = Vec::new();
        VerifyingReader::new(Sequential::new(body), digest, descriptor.size)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io(layout::blob_path(&descriptor.digest), e))?;
        Ok(bytes)
    }
}

impl Picked {
    /// How many layers there are.
    pub(super) fn count(&self) -> usize {
        self.manifest.as_ref().map_or(self.paths.len(), |(_, m)| m.layers.len())
    }

    /// What errors call a layer, counted from 0.
    pub(super) fn layer_name(&self, n: usize) -> String {
        let name = match &self.manifest {
            Some((_, manifest)) => manifest.layers.get(n).map(|l| &l.digest),
            None => self.paths.get(n),
        };
        name.cloned().unwrap_or_default()
    }
}

/// The size is looked at before anything is hashed.
pub(crate) fn check_size(digest: &Digest, expected: u64, actual: u64) -> Result<()> {
    let digest = digest.clone();
    match actual.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(VerifyError::TooShort { digest, expected, actual }.into()),
        std::cmp::Ordering::Greater => Err(VerifyError::TooLong { digest, expected }.into()),
    }
}

/// A digest that can be checked.
pub(crate) fn digest(text: &str) -> Result<Digest> {
    Ok(text.parse().map_err(|_| OciError::DigestAlgorithm { text: text.to_owned() })?)
}

/// A small file as a whole.
fn whole_file(files: &dyn Files, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(body) = files.file(path)? else { return Ok(None) };
    match path {
        layout::INDEX_FILE => json::check_listing(path, body.len())?,
        _ => json::check_size(path, body.len())?,
    }
    let mut bytes = vec![0; usize::try_from(body.len()).expect("documents are limited to 64 MiB")];
    body.read_exact_at(&mut bytes, 0).map_err(|e| Error::io(path, e))?;
    Ok(Some(bytes))
}
