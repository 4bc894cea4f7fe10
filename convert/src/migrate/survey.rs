//! Makes a plan: what a source has, what of it is wanted, where it goes, and what is there already.

use std::collections::{BTreeMap, BTreeSet};

use aurora_formats::smartos::ImageType;

use super::candidates::{self, Candidate};
use super::each::each;
use super::presence::{Presence, Standing};
use super::template::{DEFAULT_TEMPLATE, Template};
use super::{Filters, How, Plan, Planned, Source, Target};
use crate::names::ImageName;
use crate::{Ctx, Error, Result};

/// What tunes a plan.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Which images.
    pub filters: Filters,
    /// What they are called.
    pub template: Template,
    /// How what is written is packed.
    pub compress: Option<String>,
    /// Whether a loss is a failure.
    pub strict: bool,
    /// How many questions are put to the target at once.
    pub jobs: usize,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            filters: Filters::default(),
            template: DEFAULT_TEMPLATE.parse().expect("it is one, and tests read it"),
            compress: None,
            strict: false,
            jobs: 4,
        }
    }
}

/// Makes a plan. Only manifests and other documents are read.
pub fn plan(source: &Source, target: &Target, options: &PlanOptions, ctx: &Ctx<'_>) -> Result<Plan> {
    let candidates = candidates::find(source, &options.filters, ctx)?;
    let mut images = Vec::new();
    let mut names = Names::new(target, &options.template);
    for candidate in needed(candidates)? {
        let mut image = names.planned(candidate)?;
        if matches!(source, Source::Imgadm(_)) && matches!(image.how, How::Artifact | How::Files) {
            let text = "can't be done: imgadm does not keep the file, and what zfs send gives is another one";
            image.expect.push(text.to_owned());
        }
        images.push(image);
    }
    let mut plan =
        Plan::new(&source.to_string(), &target.to_string(), &options.template.to_string(), images)?;
    plan.compress.clone_from(&options.compress);
    plan.strict = options.strict;
    plan.filters = options.filters.shown();
    ctx.progress.phase("looking at the target");
    let presence = Presence::new(ctx);
    let found = each(options.jobs, &plan.images, |image| {
        ctx.check()?;
        presence.standing(image)
    });
    for (image, standing) in plan.images.iter_mut().zip(found) {
        match standing? {
            Standing::Absent => {}
            Standing::There(there) => {
                image.done = Some(there.digest.unwrap_or_else(|| "there".to_owned()));
            }
            Standing::Silent(there) | Standing::Other(there) => {
                let digest = there.digest.map(|digest| format!(": {digest}")).unwrap_or_default();
                image.expect.push(format!("can't be done: something else has its name there{digest}"));
            }
        }
    }
    Ok(plan)
}

/// Those that are wanted and what they build on, oldest first, so that the same image always has the first right to a
/// name, whatever is published later.
fn needed(candidates: Vec<Candidate>) -> Result<Vec<Candidate>> {
    let by_uuid: BTreeMap<String, usize> = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.manifest.is_some())
        .map(|(at, candidate)| (candidate.fields.uuid.clone(), at))
        .collect();
    let mut chosen = BTreeSet::new();
    for at in (0..candidates.len()).filter(|at| candidates[*at].is_wanted) {
        let mut next = Some(at);
        while let Some(at) = next.filter(|at| chosen.insert(*at)) {
            let origin = candidates[at].origin()?;
            next = origin.and_then(|origin| by_uuid.get(&origin.to_string()).copied());
        }
    }
    let mut kept: Vec<Candidate> = candidates
        .into_iter()
        .enumerate()
        .filter_map(|(at, candidate)| chosen.contains(&at).then_some(candidate))
        .collect();
    kept.sort_by(|a, b| {
        let key = |c: &Candidate| {
            let f = &c.fields;
            (f.published.clone(), f.name.clone(), f.version.clone(), f.uuid.clone(), c.from.to_string())
        };
        key(a).cmp(&key(b))
    });
    let there: BTreeSet<String> = kept.iter().map(|candidate| candidate.fields.uuid.clone()).collect();
    for candidate in &mut kept {
        let origin = candidate.origin()?.map(|origin| origin.to_string());
        candidate.lost_origin = origin.filter(|origin| !there.contains(origin));
    }
    Ok(kept)
}

/// Gives names, each once.
struct Names<'a> {
    target: &'a Target,
    template: &'a Template,
    taken: BTreeSet<String>,
}

impl<'a> Names<'a> {
    fn new(target: &'a Target, template: &'a Template) -> Self {
        Self { target, template, taken: BTreeSet::new() }
    }

    fn planned(&mut self, candidate: Candidate) -> Result<Planned> {
        let fields = &candidate.fields;
        let mut expect = Vec::new();
        let (mut to, mut also) = self.target.names(self.template, fields, false)?;
        if !self.take(&to) {
            let plain = to.to_string();
            (to, also) = self.target.names(self.template, fields, true)?;
            if !self.take(&to) {
                let text = format!("two images of one name and one uuid: {} and {plain}", candidate.from);
                return Err(Error::usage(text));
            }
            expect.push(format!("called otherwise, as another image has the name {plain}"));
        }
        let also: Vec<String> = also.iter().filter(|name| self.take(name)).map(ToString::to_string).collect();
        let image_type = candidate.manifest.as_ref().and_then(|manifest| manifest.image_type().ok());
        let how = how(self.target, &candidate, image_type);
        expect.extend(expectations(self.target, &candidate, how, image_type));
        let file = candidate.manifest.as_ref().and_then(|manifest| manifest.files().ok());
        let origin = candidate.origin()?.map(|origin| origin.to_string());
        let origin = origin.filter(|_| candidate.lost_origin.is_none());
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Planned {
            id: if candidate.manifest.is_some() { fields.uuid.clone() } else { candidate.from.to_string() },
            name: fields.name.clone(),
            version: fields.version.clone(),
            image_type: fields.image_type.clone(),
            os: text(&fields.os),
            published: text(&fields.published),
            from: candidate.from.to_string(),
            origin,
            needed_only: !candidate.is_wanted,
            how,
            to: to.to_string(),
            also,
            bytes: candidate.bytes,
            sha1: file.and_then(|files| files.into_iter().next()).and_then(|file| file.sha1),
            expect,
            done: None,
        })
    }

    fn take(&mut self, name: &ImageName) -> bool {
        self.taken.insert(name.to_string())
    }
}

fn how(target: &Target, candidate: &Candidate, image_type: Option<ImageType>) -> How {
    match (target, candidate.manifest.is_some()) {
        (_, true) if target.is_oci() && image_type == Some(ImageType::Zvol) => How::Artifact,
        (_, true) if target.is_oci() => How::Layers,
        (Target::Folder(_), true) => How::Files,
        (_, false) if target.is_oci() && candidate.from.is_oci() => How::Copy,
        _ => How::Convert,
    }
}

/// What is known beforehand of what will be lost.
fn expectations(
    target: &Target,
    candidate: &Candidate,
    how: How,
    image_type: Option<ImageType>,
) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(origin) = &candidate.lost_origin {
        out.push(format!("can't be done: its origin is nowhere: {origin}"));
    }
    match (how, image_type) {
        (How::Layers, Some(ImageType::Lxd)) => {
            out.push("can't be done: an LXD image has two files, and no layers".to_owned());
        }
        (How::Layers, Some(ImageType::Other)) => {
            out.push(
                "may be a disk or anything else, which have no layers; then set how to artifact".to_owned(),
            );
        }
        (How::Layers, Some(ImageType::Docker)) | (How::Files | How::Copy, _) => {}
        (How::Layers, _) => {
            out.push("files of the zonepath beside root/, if there are any, are left out".to_owned());
        }
        (How::Artifact, _) => {
            out.push("kept as it came: a disk is no root file system, and no container runs it".to_owned());
        }
        (How::Convert, _) => match target {
            Target::Streams(_) | Target::Datasets(_) => {
                out.push(
                    "holds the files alone: what the image says of itself has no place there".to_owned(),
                );
            }
            _ => {}
        },
    }
    out
}
