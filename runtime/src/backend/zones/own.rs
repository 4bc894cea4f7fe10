//! Datasets that containers have for themselves. What is somebody else's is never destroyed: each is marked when it is made, and
//! looked at before it goes.

use aurora_zones::OwnDataset;

use super::commands::{Commands, names, strange_line};
use crate::{Error, Result};

impl Commands {
    /// Refuses a name that is taken, and a parent that is not there. One that was made for this very container is left of a runz
    /// that was killed meanwhile, and `destroy_own` is called before another one is made.
    pub(super) fn may_make(&self, name: &str, id: &str) -> Result<()> {
        let all = self.datasets()?;
        if all.iter().any(|known| known == name) && !self.is_marked(name, id)? {
            return Err(Error::DatasetExists { dataset: name.to_owned() });
        }
        let parent = name.rsplit_once('/').map_or(name, |(parent, _)| parent);
        if !all.iter().any(|known| known == parent) {
            return Err(Error::NoParent { problem: format!("there is no {parent}") });
        }
        Ok(())
    }

    /// Destroys one, if it is there.
    pub(super) fn destroy_own(&self, name: &str, id: &str) -> Result<()> {
        if !self.is_there(name)? {
            return Ok(());
        }
        let kept = |problem: String| Error::DatasetKept { dataset: name.to_owned(), problem };
        if !self.is_marked(name, id)? {
            return Err(kept(format!("it is not marked as that of container {id}")));
        }
        let (line, printed) = self.ask(&OwnDataset::below(name))?;
        if let Some(other) = names(&printed, &line)?.into_iter().find(|below| below != name) {
            return Err(kept(format!("somebody has made {other} below it")));
        }
        let done = self.perform(&OwnDataset::destroy(name));
        // What was said is not believed.
        match self.is_there(name)? {
            false => Ok(()),
            true => done.and_then(|()| Err(kept("it is still there after it was destroyed".to_owned()))),
        }
    }

    fn is_there(&self, name: &str) -> Result<bool> {
        Ok(self.datasets()?.iter().any(|known| known == name))
    }

    fn datasets(&self) -> Result<Vec<String>> {
        let (line, printed) = self.ask(&OwnDataset::all())?;
        names(&printed, &line)
    }

    /// Whether it was made for this container: not what is below, and not what was received or cloned of it.
    fn is_marked(&self, name: &str, id: &str) -> Result<bool> {
        let (line, printed) = self.ask(&OwnDataset::mark(name))?;
        let text = String::from_utf8_lossy(&printed);
        match text.trim_end_matches('\n').split_once('\t') {
            Some((value, source)) if !source.is_empty() => Ok(value == id && source == "local"),
            _ => Err(strange_line(&line, &text)),
        }
    }
}
