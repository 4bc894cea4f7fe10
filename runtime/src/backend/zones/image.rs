//! The dataset that an image is unpacked to: a zone's root has to be one, and `run --image` makes it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aurora_convert::names::ImageName;
use aurora_engine::fs::replace_private_file;
use aurora_zones::{OwnDataset, zone_name};

use super::commands::Commands;
use super::plan::text;
use super::{ZoneOptions, backend};
use crate::backend::ImageAt;
use crate::{Error, Result, fail};

/// In the image's place: the name of the dataset, from before it is made until it is destroyed.
const NAME: &str = "dataset";

/// Makes and mounts the dataset where the bundle is to be.
pub(super) fn place(at: &ImageAt<'_>, options: &ZoneOptions, host: &Commands) -> Result<()> {
    let own = own(at, options, host)?;
    host.may_make(&own.name, at.id.as_str())?;
    let journal = journal(at);
    replace_private_file(&journal, own.name.as_bytes()).map_err(Error::at(&journal))?;
    host.destroy_own(&own.name, at.id.as_str())?;
    fail::point("image-named");
    host.perform(&own.create())?;
    fail::point("image-dataset");
    // A pool may be mounted elsewhere as a whole (altroot). An image would fill the file system of the state directory then.
    if !host.mounted()?.contains(&(own.name.clone(), own.mountpoint.clone())) {
        let problem = format!("dataset {} was made and is not mounted at {}", own.name, own.mountpoint);
        return Err(backend(&problem));
    }
    Ok(())
}

/// Destroys the dataset, if one was made.
pub(super) fn clear(at: &ImageAt<'_>, host: &Commands) -> Result<()> {
    let journal = journal(at);
    let name = match std::fs::read_to_string(&journal) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(Error::at(&journal))?,
    };
    host.destroy_own(&name, at.id.as_str())?;
    fail::point("image-destroyed");
    // What is in the place is removed next, and must be nobody else's.
    let bundle = at.bundle();
    if let Some((dataset, at)) = host.mounted()?.into_iter().find(|(_, at)| bundle == Path::new(at)) {
        return Err(Error::DatasetKept { dataset, problem: format!("somebody has mounted it at {at}") });
    }
    std::fs::remove_file(&journal).map_err(Error::at(&journal))
}

/// The same for people.
pub(super) fn steps(
    at: &ImageAt<'_>,
    name: &ImageName,
    options: &ZoneOptions,
    host: &Commands,
) -> Result<Vec<String>> {
    let own = own(at, options, host)?;
    let mut steps: Vec<String> = own.dry_run().lines().map(str::to_owned).collect();
    steps.push("# image".to_owned());
    steps.push(format!(
        "# {name} is unpacked as by `imageadm unpack --bundle --zonepath` to {}",
        own.mountpoint
    ));
    Ok(steps)
}

fn own(at: &ImageAt<'_>, options: &ZoneOptions, host: &Commands) -> Result<OwnDataset> {
    let parent = match &options.dataset {
        Some(name) => name.clone(),
        None => surrounding(at.dir, &host.mounted()?)?,
    };
    let (id, zone) = (at.id.as_str(), zone_name(&text(at.root)?, at.id.as_str()));
    Ok(OwnDataset::of_image(&parent, &zone, id, &text(&at.bundle())?, at.quota))
}

/// The dataset that a folder is in, of those with where they are mounted.
fn surrounding(dir: &Path, mounted: &[(String, String)]) -> Result<String> {
    let none = |why: String| Error::NoParent { problem: format!("{} is in {why}", dir.display()) };
    // Something else may be mounted in between.
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let around = mounted.iter().filter(|(_, at)| dir.starts_with(at) && device(at.as_ref()) == device(dir));
    let (name, _) = around.max_by_key(|(_, at)| at.len()).ok_or_else(|| none("none".to_owned()))?;
    // Boot environments are cloned and destroyed with all that is below them.
    let is_of =
        |system: &str| name.strip_prefix(system).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match mounted.iter().find(|(_, at)| at == "/") {
        Some((system, _)) if is_of(system) => Err(none(format!("{name}, which is this system's own"))),
        _ => Ok(name.clone()),
    }
}

fn journal(at: &ImageAt<'_>) -> PathBuf {
    at.dir.join(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dataset_around_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, text) = (dir.path().join("a/b"), dir.path().display().to_string());
        std::fs::create_dir_all(&inner).unwrap();
        let of = |mounted: &[(&str, &str)]| {
            let owned = |(name, at): &(&str, &str)| ((*name).to_owned(), (*at).to_owned());
            let mounted: Vec<_> = mounted.iter().map(owned).collect();
            surrounding(&inner, &mounted).map_err(|e| e.to_string())
        };
        let (above, beside) = (format!("{text}/a"), format!("{text}/a/bb"));
        let all = [("rpool/ROOT/x", "/"), ("tank", text.as_str()), ("tank/a", &above), ("tank/bb", &beside)];
        assert_eq!(of(&all).as_deref(), Ok("tank/a"));
        assert_eq!(of(&all[..2]).as_deref(), Ok("tank"));
        let said = of(&[("tank/bb", &beside)]).unwrap_err();
        assert!(said.starts_with("no dataset that") && said.ends_with("/a/b is in none"), "{said}");
        for name in ["rpool/ROOT/x", "rpool/ROOT/x/var"] {
            let said = of(&[("rpool/ROOT/x", "/"), (name, &text)]).unwrap_err();
            assert!(said.ends_with(&format!("/a/b is in {name}, which is this system's own")), "{said}");
        }
        assert_eq!(of(&[("rpool/ROOT/x", "/"), ("rpool/ROOT/xy", &text)]).as_deref(), Ok("rpool/ROOT/xy"));
        // Another file system is on the way.
        let said = surrounding(Path::new("/proc/self"), &[("tank".to_owned(), "/".to_owned())]).unwrap_err();
        assert!(said.to_string().ends_with(" is in none"), "{said}");
    }
}
