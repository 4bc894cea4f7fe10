//! Datasets that containers have for themselves: the image's, and the run directory's.

use super::*;
use crate::ImagePlace;

/// A dataset that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) mountpoint: String,
    /// Whose it is, as `zfs get` says it.
    mark: String,
}

/// What `zfs` does with these; none where it is about others.
pub(super) fn answer(all: &mut Vec<Made>, words: &[&str]) -> Option<Answer> {
    let at = |all: &[Made], name: &str| all.iter().position(|made| made.name == name);
    match words {
        ["/usr/sbin/zfs", "create", .., name] => {
            let value = |property: &str| {
                let found = words.iter().find_map(|word| word.strip_prefix(property)?.strip_prefix('='));
                found.unwrap_or_default().to_owned()
            };
            if at(all, name).is_some() {
                return Some(Answer::failure("dataset already exists"));
            }
            let made = Made {
                name: (*name).to_owned(),
                mountpoint: value("mountpoint"),
                mark: format!("{}\tlocal", value("aurora:container")),
            };
            std::fs::create_dir_all(&made.mountpoint).unwrap();
            all.push(made);
            Some(Answer::default())
        }
        ["/usr/sbin/zfs", "get", .., "aurora:container", name] => {
            let mark = at(all, name).map_or("-\t-".to_owned(), |at| all[at].mark.clone());
            Some(Answer::output(format!("{mark}\n")))
        }
        ["/usr/sbin/zfs", "list", "-H", "-r", .., name] => {
            let is_below = |made: &&Made| {
                made.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let below = all.iter().filter(is_below);
            Some(Answer::output(below.map(|made| format!("{}\n", made.name)).collect::<String>()))
        }
        ["/usr/sbin/zfs", "destroy", "-rf", name] => {
            let Some(at) = at(all, name) else { return Some(Answer::failure("no such dataset")) };
            std::fs::remove_dir_all(all.remove(at).mountpoint).unwrap();
            Some(Answer::default())
        }
        _ => None,
    }
}

impl Place {
    /// What `run --image` does, without the program.
    fn create_of_image(&self) -> Result<()> {
        let image = self.runtime.place_for_image(&id(), None)?;
        match self.create_in(&image) {
            Ok(()) => Ok(()),
            Err(e) => Err(e.after(image.remove())),
        }
    }

    fn create_in(&self, image: &ImagePlace<'_>) -> Result<()> {
        let bundle = image.bundle();
        std::fs::create_dir(bundle.join("root")).unwrap();
        // No image asks for a root that is read-only.
        self.config(json!({"root": {"path": "root"}}));
        std::fs::copy(self.bundle().join("config.json"), bundle.join("config.json")).unwrap();
        self.runtime.create(&id(), &bundle, &CreateOptions::default()).map(drop)
    }

    fn calls(&self) -> usize {
        self.model.lock().unwrap().calls
    }

    fn datasets(&self) -> Vec<Made> {
        self.model.lock().unwrap().datasets.clone()
    }

    fn others_own(&self, name: &str) {
        let mark = "-\t-".to_owned();
        let made = Made { name: name.to_owned(), mountpoint: "/elsewhere".to_owned(), mark };
        self.model.lock().unwrap().datasets.push(made);
    }

    fn destroyed(&self) -> bool {
        self.programs.log().iter().any(|line| line.contains("zfs destroy"))
    }
}

#[test]
fn each_comes_and_goes_with_the_container() {
    let place = Place::below(Some("tank"));
    place.create_of_image().unwrap();
    let (zone, root) = (place.zone(), place.dir.path().canonicalize().unwrap().join("state"));
    let want = |name: String, mountpoint: PathBuf| Made {
        name,
        mountpoint: mountpoint.display().to_string(),
        mark: "c\tlocal".to_owned(),
    };
    let image = want(format!("tank/{zone}"), root.join("@bundles/c/bundle"));
    assert_eq!(place.datasets(), [image, want(format!("tank/{zone}-run"), root.join("c/zones/rw"))]);
    assert_eq!(place.runtime.seen(&id()).unwrap().status, Status::Created);
    place.runtime.delete(&id(), false).unwrap();
    assert!(place.is_clean());
    let log = place.programs.log();
    let at = |words: &str| log.iter().position(|line| line.contains(words)).unwrap();
    // Each is there before what needs it, and goes when nothing needs it any more.
    let order = [
        at(&format!("zfs create -o mountpoint={}", root.join("@bundles").display())),
        at(&format!("zfs create -o mountpoint={}", root.join("c").display())),
        at("zonecfg"),
        at(" halt"),
        at(" delete -F"),
        at(&format!("zfs destroy -rf tank/{zone}-run")),
        log.iter().position(|line| *line == format!("/usr/sbin/zfs destroy -rf tank/{zone}")).unwrap(),
    ];
    assert!(order.is_sorted(), "{order:?} of {log:#?}");
}

/// Whatever call fails, before or after it has done its work, or tells garbage: nothing is left.
#[test]
fn a_failed_run_leaves_nothing() {
    let whole = Place::below(Some("tank"));
    whole.create_of_image().unwrap();
    for call in 1..=whole.calls() {
        for fault in [Fault::Before, Fault::After] {
            let place = Place::below(Some("tank"));
            place.fault(Some((call, fault)));
            let said = place.create_of_image().unwrap_err().to_string();
            assert!(said.contains("it is to fail"), "{call} {fault:?}: {said}");
            assert!(place.is_clean(), "{call} {fault:?}: {:?}", place.model.lock().unwrap());
        }
    }
}

/// The container stays where `delete` fails, and the next `delete --force` removes it with its datasets.
#[test]
fn a_failed_delete_is_made_good() {
    failed_deletes_are_made_good(|| {
        let place = Place::below(Some("tank"));
        place.create_of_image().unwrap();
        place
    });
}

/// As after a kill: the place alone is there, with the dataset or without.
#[test]
fn a_place_without_a_container_is_removed() {
    let place = Place::below(Some("tank"));
    for destroyed_before in [false, true] {
        drop(place.runtime.place_for_image(&id(), None).unwrap());
        assert_eq!(place.datasets().len(), 1);
        if destroyed_before {
            place.model.lock().unwrap().datasets.clear();
        }
        place.runtime.delete(&id(), true).unwrap();
        assert!(place.is_clean());
        // The next one does the same before it begins.
        drop(place.runtime.place_for_image(&id(), None).unwrap());
        drop(place.runtime.place_for_image(&id(), None).unwrap());
        assert_eq!(place.datasets().len(), 1);
        place.runtime.delete(&id(), true).unwrap();
    }
}

/// What zfs has made after the runz that called it was killed, and `delete --force` has come and gone.
#[test]
fn one_that_nobody_knows_of_any_more_is_replaced() {
    let place = Place::below(Some("tank"));
    for suffix in ["", "-run"] {
        let name = format!("tank/{}{suffix}", place.zone());
        let mountpoint = place.dir.path().join("late").display().to_string();
        std::fs::create_dir(&mountpoint).unwrap();
        let late = Made { name: name.clone(), mountpoint: mountpoint.clone(), mark: "c\tlocal".to_owned() };
        place.model.lock().unwrap().datasets.push(late);
        place.create_of_image().unwrap();
        assert!(!Path::new(&mountpoint).exists());
        assert_eq!(place.datasets().iter().filter(|made| made.name == name).count(), 1);
        place.runtime.delete(&id(), true).unwrap();
        assert!(place.is_clean());
    }
}

#[test]
fn what_is_somebody_elses_stays() {
    let place = Place::below(Some("tank"));
    let zone = place.zone();
    // There before.
    for name in [format!("tank/{zone}"), format!("tank/{zone}-run")] {
        place.others_own(&name);
        let said = place.create_of_image().unwrap_err().to_string();
        assert_eq!(said, format!("dataset {name} exists already, and is not this container's"));
        assert_eq!(place.datasets().len(), 1, "{name}");
        place.model.lock().unwrap().datasets.clear();
        assert!(place.is_clean(), "{name}");
    }
    // The mark is not its own, or is another container's; or something was made below.
    for mark in ["-\t-", "c\tinherited from tank", "c\treceived", "d\tlocal"] {
        let place = Place::below(Some("tank"));
        place.create_of_image().unwrap();
        let before = std::mem::replace(&mut place.model.lock().unwrap().datasets[0].mark, mark.to_owned());
        let said = place.runtime.delete(&id(), true).unwrap_err().to_string();
        let want = format!("dataset tank/{zone} is left alone: it is not marked as that of container c");
        assert_eq!(said.replace(&place.zone(), &zone), want, "{mark}");
        assert_eq!(place.datasets().len(), 1);
        place.model.lock().unwrap().datasets[0].mark = before;
        place.runtime.delete(&id(), true).unwrap();
        assert!(place.is_clean());
    }
    let place = Place::below(Some("tank"));
    place.create_of_image().unwrap();
    let below = format!("tank/{}/data", place.zone());
    place.others_own(&below);
    let said = place.runtime.delete(&id(), true).unwrap_err().to_string();
    assert!(said.ends_with(&format!("is left alone: somebody has made {below} below it")), "{said}");
    place.model.lock().unwrap().datasets.retain(|made| made.name != below);
    place.runtime.delete(&id(), true).unwrap();
    assert!(place.is_clean());
}

#[test]
fn without_a_parent_there_is_one_error() {
    // The state directory is in no dataset of the model's.
    let place = Place::new();
    let said = place.create_of_image().unwrap_err();
    assert!(
        said.to_string().ends_with(" is in none") && said.hint().unwrap().contains("--dataset"),
        "{said}"
    );
    assert!(place.is_clean());
    let place = Place::below(Some("tank/nosuch"));
    let said = place.create_of_image().unwrap_err().to_string();
    assert!(said.ends_with(": there is no tank/nosuch"), "{said}");
    assert!(place.create().unwrap_err().to_string().ends_with(": there is no tank/nosuch"));
    assert!(place.is_clean() && !place.destroyed());
}
