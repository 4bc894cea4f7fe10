//! The long way: a file system is made and mounted, and files are written into it. It is there to compare with the stream,
//! and for who trusts the kernel's own code more than ours.

use aurora_engine::fs::ScratchDir;
use aurora_engine::host::Property;

use super::partial::Partial;
use super::{new_name, with_name};
use crate::lineage::Lineage;
use crate::names::DatasetName;
use crate::sink::zfs::Chain;
use crate::sink::{Outcome, Target, WriteOptions, dir};
use crate::{Ctx, Error, Result};

/// Writes the last tree as a dataset that is not there yet. It has the snapshot that the stream would have made, but not
/// its guid. It is mounted only while it is written, where nobody else looks.
pub(crate) fn write(
    lineage: &Lineage,
    properties: &[Property],
    name: &DatasetName,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    let dataset = new_name(name, ctx)?;
    let chain = Chain::new(lineage, options.target, ctx)?;
    let snapshot = chain.links().last().map(|last| last.name.clone()).unwrap_or_default();
    let scratch = ScratchDir::create(&ctx.options.temp_dir);
    // Dropped after the dataset, which is mounted there.
    let scratch = scratch.map_err(|e| Error::io("cannot make a temporary folder", e))?;
    let mountpoint = scratch.path().join("dataset");
    let Some(mountpoint) = mountpoint.to_str() else {
        return Err(Error::usage("the temporary folder's name is no text; set TMPDIR"));
    };
    let own = own_properties(mountpoint, options.target);
    let is_others = |property: &&Property| own.iter().all(|own| own.name() != property.name());
    let (others, instead): (Vec<&Property>, Vec<&Property>) = properties.iter().partition(is_others);
    let mut partial = Partial::new(dataset, ctx)?;
    let made: Vec<Property> = own.iter().chain(others).cloned().collect();
    partial.create(&made)?;
    let zfs = ctx.zfs();
    zfs.mount(&partial.name)?;
    let mut outcome = dir::write_mounted(lineage, mountpoint.as_ref(), ctx)?;
    options.may_commit(ctx)?;
    zfs.snapshot(&format!("{}@{snapshot}", partial.name))?;
    zfs.unmount(&partial.name)?;
    for property in own.iter().rev() {
        match instead.iter().find(|instead| instead.name() == property.name()) {
            Some(instead) => zfs.set(&partial.name, instead.name(), instead.value())?,
            // The one that can't be inherited.
            None if property.name() == "canmount" => zfs.set(&partial.name, "canmount", "on")?,
            None => zfs.inherit(&partial.name, property.name())?,
        }
    }
    partial.commit(dataset)?;
    outcome.facts.push(("snapshot".to_owned(), snapshot));
    Ok(with_name(outcome, dataset))
}

/// What it is while it is written: where nobody looks, and able to hold all that a stream can.
fn own_properties(mountpoint: &str, target: Target) -> Vec<Property> {
    let property = |name, value| Property::new(name, value).expect("a property is called so");
    let mut own =
        vec![property("canmount", "noauto"), property("mountpoint", mountpoint), property("readonly", "off")];
    if target == Target::OpenZfs {
        own.extend([property("acltype", "posixacl"), property("xattr", "sa")]);
    }
    own
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_engine::digest::Digest;
    use aurora_engine::host::{Answer, Recorded};
    use aurora_formats::model::Metadata;

    use super::*;
    use crate::image::Image;
    use crate::lineage::Step;
    use crate::tree::Tree;
    use crate::{Cancel, NoProgress, Options};

    fn asked(fails: &'static str) -> (Vec<String>, bool) {
        let host = Recorded::new(move |line| match line {
            _ if !fails.is_empty() && line.starts_with(fails) => Answer::failure("injected"),
            _ if line.starts_with("zfs list") => Answer::failure("dataset does not exist"),
            // As a host does it: the folder is there when it is mounted.
            _ if line.starts_with("zfs create") => {
                let mountpoint = line.split("mountpoint=").nth(1).and_then(|rest| rest.split(' ').next());
                std::fs::create_dir(mountpoint.unwrap()).unwrap();
                Answer::default()
            }
            _ => Answer::default(),
        });
        let (cancel, temp) = (Cancel::default(), tempfile::tempdir().unwrap());
        let ctx = Ctx::new(Options::new(temp.path().to_owned()), &NoProgress, &cancel)
            .with_programs(Arc::new(host.clone()));
        let tree = Arc::new(Tree::new(Metadata { mode: 0o755, owner: me(), ..Metadata::default() }));
        let step =
            Step { tree, chain_id: Digest::sha256(b""), snapshot: None, created: None, created_by: None };
        let lineage = Lineage { image: Image::default(), steps: vec![step] };
        let properties = ["compression=lz4".parse().unwrap(), "mountpoint=/srv".parse().unwrap()];
        let name = DatasetName::parse(b"t/x").unwrap();
        let done = write(&lineage, &properties, &name, &WriteOptions::default(), &ctx);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
        let plain = |line: String| {
            let words = line.split(' ').filter(|word| !word.contains('/') || word.starts_with("t/"));
            let cut = |word: &str| match word.split_once("-aurora") {
                Some((name, rest)) => format!("{name}{}", rest.find('@').map_or("", |at| &rest[at..])),
                None => word.to_owned(),
            };
            words.map(cut).collect::<Vec<_>>().join(" ")
        };
        (host.log().into_iter().filter(|line| !line.contains("list")).map(plain).collect(), done.is_ok())
    }

    fn me() -> aurora_formats::model::Owner {
        let (uid, gid) = aurora_engine::fs::own_ids();
        aurora_formats::model::Owner { uid, gid }
    }

    #[test]
    fn it_is_mounted_only_while_it_is_written() {
        let (lines, is_ok) = asked("");
        let want = [
            "zfs create -o canmount=noauto -o -o readonly=off -o acltype=posixacl -o xattr=sa -o compression=lz4 t/x-partial",
            "zfs mount t/x-partial",
            "zfs snapshot t/x-partial@final",
            "zfs unmount t/x-partial",
            "zfs inherit xattr t/x-partial",
            "zfs inherit acltype t/x-partial",
            "zfs inherit readonly t/x-partial",
            "zfs set t/x-partial",
            "zfs set canmount=on t/x-partial",
            "zfs rename t/x-partial t/x",
        ];
        assert!(is_ok);
        assert_eq!(lines, want);
        for fails in ["zfs mount", "zfs snapshot", "zfs inherit", "zfs rename"] {
            let (lines, is_ok) = asked(fails);
            assert!(
                !is_ok && lines.last().is_some_and(|line| line == "zfs destroy -r t/x-partial"),
                "{lines:?}"
            );
        }
    }
}
