//! Configuration files made from data: a directory, and for each name in it a format and a value.
//!
//! What is in a config map comes from whoever asked for the container, what is in the directory from whoever
//! made the image. Neither can make podinit write outside the directory: names are checked before anything is
//! written ([`name`]), and directories are opened one by one with no link followed ([`place`]). Nothing is
//! written unless everything could be rendered.

mod name;
mod place;
mod render;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

pub(crate) use name::FileName;
use render::Format;

/// A directory and the files to make in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigMap {
    directory: PathBuf,
    files: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    format: Format,
    data: Value,
    #[serde(default)]
    mode: place::Permissions,
    owner: Option<place::Owner>,
}

/// Why files were not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("config map: not an absolute path without \"..\": {}", path.display())]
    Directory { path: PathBuf },
    #[error("config map of {}: not a file name: {name:?}: {problem}", directory.display())]
    Name { directory: PathBuf, name: String, problem: &'static str },
    #[error("config map of {}: {name:?}: {problem}", directory.display())]
    Render { directory: PathBuf, name: String, problem: String },
    #[error("config map: {}: a symbolic link or a file is where a directory has to be", path.display())]
    NotADirectory { path: PathBuf },
    #[error("config map: {}: something other than a regular file is there", path.display())]
    NotAFile { path: PathBuf },
    #[error("config map: can't write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A file that only has to be written.
pub(crate) struct Rendered<'a> {
    directory: &'a PathBuf,
    name: FileName<'a>,
    bytes: Vec<u8>,
    entry: &'a Entry,
}

/// Renders all files of all maps.
pub(crate) fn render(maps: &[ConfigMap]) -> Result<Vec<Rendered<'_>>, Error> {
    let mut rendered = Vec::new();
    for map in maps {
        let directory = &map.directory;
        let plain = directory
            .components()
            .all(|c| matches!(c, std::path::Component::RootDir | std::path::Component::Normal(_)));
        if !directory.is_absolute() || !plain || directory.to_string_lossy().contains('\0') {
            return Err(Error::Directory { path: directory.clone() });
        }
        for (name, entry) in &map.files {
            let parsed = FileName::parse(name).map_err(|problem| Error::Name {
                directory: directory.clone(),
                name: name.clone(),
                problem,
            })?;
            let bytes = render::render(entry.format, &entry.data).map_err(|problem| Error::Render {
                directory: directory.clone(),
                name: name.clone(),
                problem,
            })?;
            rendered.push(Rendered { directory, name: parsed, bytes, entry });
        }
    }
    Ok(rendered)
}

/// Writes them; how many.
pub(crate) fn write(files: &[Rendered<'_>]) -> Result<usize, Error> {
    for file in files {
        place::write(file.directory, &file.name, &file.bytes, file.entry.mode, file.entry.owner)?;
    }
    Ok(files.len())
}

#[cfg(test)]
mod tests;
