//! What a layout or archive holds, told without reading its layers.

use aurora_engine::codec::{self, Codec, DETECT_LEN};
use aurora_engine::digest::Digest;
use aurora_formats::oci::Descriptor;
use aurora_formats::oci::media::{self, Packing};

use super::layers::label_lies;
use super::store::{Form, Layer, Picked, Store};
use super::{next_chain, reference, snapshot_of};
use crate::image::select::{self, Candidate};
use crate::image::{Image, Platform, oci};
use crate::names::ImageName;
use crate::source::ReadOptions;
use crate::{Ctx, Error, Result, Snapshot};

/// What there is.
#[derive(Debug, Default)]
pub struct Survey {
    /// Whether it is what `docker save` writes, without an OCI layout being asked for.
    pub is_docker: bool,
    /// The entries of `index.json`, or those that bear the reference asked for; none in a docker-archive.
    pub entries: Vec<Descriptor>,
    /// The images that these lead to, in order.
    pub images: Vec<ImageSurvey>,
}

/// One image.
#[derive(Debug)]
pub struct ImageSurvey {
    /// Its name.
    pub name: Option<String>,
    /// All its names in a docker-archive.
    pub tags: Vec<String>,
    /// Of its manifest; none in a docker-archive.
    pub manifest: Option<Descriptor>,
    /// What it runs on.
    pub platform: Option<Platform>,
    /// Digest of its config, which is the image's id.
    pub config: Option<Digest>,
    /// Its description.
    pub image: Image,
    /// Its layers, base first.
    pub layers: Vec<LayerSurvey>,
    /// Why there is no more of it to tell: an artifact, or documents that are damaged.
    pub problem: Option<Error>,
}

/// One layer.
#[derive(Debug)]
pub struct LayerSurvey {
    /// Digest, or path in a docker-archive.
    pub name: String,
    /// What it is said to be.
    pub media_type: Option<String>,
    /// Stored bytes.
    pub size: u64,
    /// What its content is.
    pub codec: Option<Codec>,
    /// What is odd about it, a label that lies for example.
    pub note: Option<String>,
    /// Of the uncompressed bytes, as the config says.
    pub diff_id: Option<Digest>,
    /// Of this layer and all below.
    pub chain_id: Option<Digest>,
    /// The ZFS snapshot it was made of.
    pub snapshot: Option<Snapshot>,
}

/// Tells what there is. Damage within an image is told with it; only what hides all images is an error.
pub fn survey(name: &ImageName, ctx: &Ctx<'_>) -> Result<Survey> {
    let store = Store::open(name, ctx)?;
    let mut survey = Survey::default();
    for (image, picked) in images(&store, reference(name), &mut survey)? {
        survey.images.push(of_image(&store, image, picked, ctx));
    }
    Ok(survey)
}

/// Tells of the one image that reading takes.
pub fn survey_one(name: &ImageName, platform: Option<&Platform>, ctx: &Ctx<'_>) -> Result<ImageSurvey> {
    let store = Store::open(name, ctx)?;
    let (found, picked) = chosen(&store, reference(name), platform)?;
    Ok(of_image(&store, found, picked, ctx))
}

/// The one image that reading takes.
pub(super) fn chosen(
    store: &Store,
    reference: Option<&str>,
    platform: Option<&Platform>,
) -> Result<(Found, Result<Picked>)> {
    let options = ReadOptions { platform: platform.cloned(), ..ReadOptions::default() };
    let picked = store.pick(reference, &options)?;
    let manifest = picked.manifest.as_ref().map(|(descriptor, _)| descriptor.clone());
    let name = manifest.as_ref().and_then(|d| d.ref_name().map(str::to_owned));
    let name = name.or_else(|| reference.map(str::to_owned));
    Ok((Found { name, tags: Vec::new(), manifest }, Ok(picked)))
}

/// An image before its documents are read.
pub(super) struct Found {
    pub(super) name: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) manifest: Option<Descriptor>,
}

/// All images of a store, each with its documents or with what is wrong with them.
pub(super) fn images(
    store: &Store,
    wanted: Option<&str>,
    survey: &mut Survey,
) -> Result<Vec<(Found, Result<Picked>)>> {
    let mut out = Vec::new();
    match &store.form {
        Form::Docker(images) => {
            survey.is_docker = true;
            let images = match wanted {
                Some(_) => vec![super::docker::choose(images, wanted)?],
                None => images.iter().collect(),
            };
            for image in images {
                let (name, tags) = (image.repo_tags.first().cloned(), image.repo_tags.clone());
                out.push((Found { name, tags, manifest: None }, store.picked_docker(image)));
            }
        }
        Form::Layout(index) => {
            let listed = select::listed(index, wanted);
            if let (true, Some(wanted)) = (listed.is_empty(), wanted) {
                return Err(crate::ErrorKind::NoSuchImage(wanted.to_owned()).into());
            }
            for entry in listed {
                survey.entries.push(entry.clone());
                let name = entry.ref_name().map(str::to_owned);
                match select::images_of(entry, store) {
                    Ok(found) => {
                        for Candidate { name, descriptor } in found {
                            let manifest = Some(descriptor.clone());
                            let found = Found { name, tags: Vec::new(), manifest };
                            out.push((found, store.picked(descriptor)));
                        }
                    }
                    Err(e) => out.push((Found { name, tags: Vec::new(), manifest: None }, Err(e))),
                }
            }
        }
    }
    Ok(out)
}

fn of_image(store: &Store, found: Found, picked: Result<Picked>, ctx: &Ctx<'_>) -> ImageSurvey {
    let said = found.manifest.as_ref().and_then(|d| d.platform.as_ref());
    let platform = said.filter(|p| !p.os.is_empty() && !p.architecture.is_empty()).map(|p| Platform {
        os: p.os.clone(),
        architecture: p.architecture.clone(),
        variant: p.variant.clone(),
    });
    let mut out = ImageSurvey {
        name: found.name,
        tags: found.tags,
        manifest: found.manifest,
        platform,
        config: None,
        image: Image::default(),
        layers: Vec::new(),
        problem: None,
    };
    match picked {
        Err(problem) => out.problem = Some(problem),
        Ok(picked) => {
            let none = Default::default();
            let annotations = picked.manifest.as_ref().map_or(&none, |(_, m)| &m.annotations);
            out.image = oci::from_config(&picked.config, annotations);
            out.platform = out.platform.take().or(out.image.platform.clone());
            out.layers = of_layers(store, &picked, ctx);
            out.config = Some(picked.config_digest.clone());
            // Of layers that are far away, only what the documents say.
            out.problem = if store.is_far() { None } else { store.layers(&picked).err() };
        }
    }
    out
}

fn of_layers(store: &Store, picked: &Picked, ctx: &Ctx<'_>) -> Vec<LayerSurvey> {
    let mut chain: Option<Digest> = None;
    let mut out = Vec::new();
    for n in 0..picked.count() {
        let mut layer = LayerSurvey {
            name: picked.layer_name(n),
            media_type: None,
            size: 0,
            codec: None,
            note: None,
            diff_id: picked.config.diff_ids.get(n).and_then(|text| text.parse().ok()),
            chain_id: None,
            snapshot: None,
        };
        if let Some((_, manifest)) = &picked.manifest {
            layer.media_type = Some(manifest.layers[n].media_type.clone());
            layer.size = manifest.layers[n].size;
        }
        chain = match &layer.diff_id {
            Some(diff_id) if n == 0 || chain.is_some() => Some(next_chain(chain.as_ref(), diff_id)),
            _ => None,
        };
        layer.chain_id = chain.clone();
        if store.is_far() {
            // The label may lie; who wants to know reads the layer.
            layer.codec = layer.media_type.as_deref().and_then(labelled);
            out.push(layer);
            continue;
        }
        match store.layer(picked, n).and_then(|found| Ok((content_of(&found)?, found))) {
            Ok((codec, found)) => {
                layer.size = found.body.len();
                layer.codec = Some(codec);
                layer.note = label_lies(found.label, codec);
                layer.snapshot = snapshot_of(&found, ctx);
            }
            Err(e) => layer.note = Some(e.to_string()),
        }
        out.push(layer);
    }
    out
}

/// How a layer is packed, by its label.
fn labelled(media_type: &str) -> Option<Codec> {
    Some(match media::layer(media_type)?.packing {
        Packing::None => Codec::None,
        Packing::Gzip => Codec::Gzip,
        Packing::Zstd => Codec::Zstd,
    })
}

/// How a layer is packed, by its first bytes.
pub(super) fn content_of(layer: &Layer) -> Result<Codec> {
    let mut head = vec![0; layer.body.len().min(DETECT_LEN as u64) as usize];
    layer.body.read_exact_at(&mut head, 0).map_err(|e| Error::io(layer.name.clone(), e))?;
    Ok(codec::detect(&head))
}
