//! Archives: a layout in a tar, with Docker's `manifest.json` beside it where Docker is to read it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aurora_engine::body::{Body, FileBody};
use aurora_engine::digest::Algorithm;
use aurora_engine::fs::{self, OutputFile};
use aurora_formats::model::Metadata;
use aurora_formats::oci::descriptor::CONTAINERD_NAME;
use aurora_formats::oci::docker_archive::{self, ArchiveImage};
use aurora_formats::oci::{Index, layout, reference};

use super::Request;
use super::build::build;
use super::store::Store;
use crate::content::Content;
use crate::image::select::DEFAULT_NAME;
use crate::names::FileName;
use crate::sink::{Outcome, tar};
use crate::tree::{self, Kind, Tree};
use crate::{Ctx, Error, ErrorKind, Result};

/// Which archive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A layout in a tar.
    Oci,
    /// What `docker save` writes since version 25: the same, and `manifest.json`.
    Docker,
}

/// Writes an archive with this one image.
pub(super) fn write(
    request: &Request<'_>,
    file: &FileName,
    form: Form,
    force: bool,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    let mut out = open(file, force)?;
    let mut store = Store::Bodies(BTreeMap::new());
    let built = build(request, &mut store, ctx)?;
    let mut entry = built.named(request.reference.unwrap_or(DEFAULT_NAME));
    if form == Form::Docker {
        let tag = request.reference.and_then(repo_tag);
        if let Some(tag) = &tag {
            entry = built.named(reference::tag_of(tag).unwrap_or(DEFAULT_NAME));
            entry.annotations.insert(CONTAINERD_NAME.into(), tag.clone());
        }
        let image = ArchiveImage {
            config: layout::blob_path(&built.config.to_string()),
            repo_tags: tag.into_iter().collect(),
            layers: built.layers.iter().map(|digest| layout::blob_path(&digest.to_string())).collect(),
        };
        store.put_file(docker_archive::MANIFEST_FILE, &docker_archive::to_bytes(&[image]))?;
    }
    let index = Index { manifests: vec![entry], ..Index::default() };
    store.put_file(layout::LAYOUT_FILE, &layout::content())?;
    store.put_file(layout::INDEX_FILE, &index.to_bytes())?;
    ctx.progress.phase("archive");
    let Store::Bodies(members) = store else { return Ok(built.outcome) };
    tar::write_tree(&tree_of(members), &mut out, ctx)?;
    request.options.may_commit(ctx)?;
    out.commit().map_err(|e| Error::io(shown(file), e))?;
    Ok(built.outcome)
}

/// Writes a layout that lies in a directory as an archive, which has been opened before.
pub(crate) fn pack(dir: &Path, mut out: OutputFile, file: &FileName, ctx: &Ctx<'_>) -> Result<()> {
    let mut members = BTreeMap::new();
    let mut add = |path: String| -> Result<()> {
        let named = |e| Error::io(path.clone(), e);
        let body = fs::open_regular(&dir.join(&path)).and_then(FileBody::new).map_err(named)?;
        members.insert(path.clone(), Arc::new(body) as Body);
        Ok(())
    };
    for name in [layout::LAYOUT_FILE, layout::INDEX_FILE] {
        add(name.to_owned())?;
    }
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let folder = format!("{}/{}", layout::BLOBS, algorithm.name());
        let found = match fs::read_dir(&dir.join(&folder)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            found => found.map_err(|e| Error::io(folder.clone(), e))?,
        };
        for path in found {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            add(format!("{folder}/{name}"))?;
        }
    }
    ctx.progress.phase("archive");
    tar::write_tree(&tree_of(members), &mut out, ctx)?;
    ctx.check()?;
    out.commit().map_err(|e| Error::io(shown(file), e))
}

fn shown(file: &FileName) -> String {
    match file {
        FileName::Pipe => "standard output".to_owned(),
        FileName::Path(path) => path.display().to_string(),
    }
}

/// Opened first: what can't be written should be known before hours of work.
pub(crate) fn open(file: &FileName, force: bool) -> Result<OutputFile> {
    let failed = |e| Error::io(shown(file), e);
    match file {
        FileName::Pipe => OutputFile::stdout().map_err(failed),
        FileName::Path(path) => {
            // A pipe or device of that name is written to.
            if !force && fs::is_file(path) {
                return Err(ErrorKind::Exists(shown(file)).into());
            }
            OutputFile::create(path).map_err(failed)
        }
    }
}

/// The name that Docker gives the image: `NAME:TAG`. A bare word is a name, `latest` alone is none.
fn repo_tag(wanted: &str) -> Option<String> {
    match reference::tag_of(wanted) {
        Some(_) => Some(wanted.to_owned()),
        None if wanted == DEFAULT_NAME => None,
        None => Some(format!("{wanted}:{DEFAULT_NAME}")),
    }
}

/// The members as a tree: what writes root file systems writes archives as well.
fn tree_of(members: BTreeMap<String, Body>) -> Tree {
    let mut tree = Tree::new(tree::default_directory());
    let file = Metadata { mode: 0o644, ..Metadata::default() };
    for (path, body) in members {
        let mut dir = Tree::ROOT;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let part = part.as_bytes();
            if parts.peek().is_none() {
                let content = Arc::new(Content::plain(&body, 0, body.len()));
                let id = tree.add(file.clone(), Kind::File(content));
                tree.link(dir, part, id);
                break;
            }
            dir = match tree.child(dir, part) {
                Some(found) => found,
                None => {
                    let id = tree.add(tree::default_directory(), Kind::Dir(Arc::default()));
                    tree.link(dir, part, id);
                    id
                }
            };
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_docker() {
        for (wanted, want) in [
            ("latest", None),
            ("box", Some("box:latest")),
            ("box:1", Some("box:1")),
            ("host:5000/box", Some("host:5000/box:latest")),
        ] {
            assert_eq!(repo_tag(wanted).as_deref(), want, "{wanted}");
        }
    }
}
