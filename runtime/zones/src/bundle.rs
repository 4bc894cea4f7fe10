//! From a runtime configuration to a zone.

use oci_spec::runtime::Spec;
use serde_json::Value;

use crate::word::Word;
use crate::zone::{CappedMemory, check_name};
use crate::{Dialect, Fs, Refusal, Result, Zone, linux, mounts, network, podinit, resources};

/// What a bundle does not say.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose zonecfg is to read the text.
    pub dialect: Dialect,
    /// The zone's name, as [`crate::zone_name`] makes it.
    pub name: String,
    /// The container's id.
    pub id: String,
    /// Where the dataset is, or will be, mounted.
    pub zonepath: String,
    /// The bundle's own folder, for mounts whose source is relative to it.
    pub bundle: String,
    /// The brand, unless an annotation has one.
    pub brand: String,
    /// The folder with the control directories `ro` and `rw`.
    pub control: String,
}

/// Where podinit finds what it is told, and leaves what it tells.
pub(crate) const CONTROL: [(&str, &str); 2] = [("ro", "/.aurora"), ("rw", "/.aurora-run")];
/// Process 1. It is looked for from the global zone before the zone boots: not through links.
const INIT: &str = "/.aurora/podinit";
/// Our own annotations begin so.
const ANNOTATION: &str = "dev.aurora.zone.";
/// The brand of zones that run Linux programs.
pub(crate) const LX: &str = "lx";

impl Zone {
    /// Maps a configuration. Whatever can't be applied is a refusal; what need not be is a note.
    pub fn of_bundle(spec: &Spec, options: &Options) -> Result<Self> {
        check_name(&options.name)?;
        let wishes = Wishes::of(spec)?;
        let (field, brand) = match &wishes.brand {
            Some(brand) => ("annotations.dev.aurora.zone.brand", brand),
            None => ("brand", &options.brand),
        };
        options.dialect.check_brand(field, brand)?;
        let is_lx = brand == LX;
        let mut zone = Self {
            name: options.name.clone(),
            zonepath: absolute("zonepath", &options.zonepath)?,
            brand: Word::new(field, brand)?,
            properties: Vec::new(),
            fs: Vec::new(),
            nets: Vec::new(),
            attrs: vec![("aurora-id", Word::new("id", &options.id)?)],
            datasets: wishes.delegate.into_iter().collect(),
            capped_cpu: None,
            capped_memory: CappedMemory::default(),
            notes: Vec::new(),
            podinit: Value::Null,
        };
        control(&mut zone, options)?;
        mounts::apply(&mut zone, spec, options)?;
        linux::apply(&mut zone, spec)?;
        resources::apply(&mut zone, spec)?;
        network::apply(&mut zone, spec, options.dialect, is_lx)?;
        if let Some(version) = wishes.kernel_version {
            if !is_lx {
                return Err(Refusal::Unsupported { field: ANNOTATION.to_owned() + "kernel-version" });
            }
            zone.attrs.push(("kernel-version", version));
        }
        hostname(&mut zone, spec, options.dialect, is_lx)?;
        podinit::apply(&mut zone, spec, options, is_lx)?;
        members(&mut zone, spec)?;
        Ok(zone)
    }
}

pub(crate) fn absolute(field: &str, path: &str) -> Result<Word> {
    let plain = path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
    if !path.starts_with('/') || !plain {
        return Err(Refusal::Value {
            field: field.to_owned(),
            problem: "not an absolute path without empty parts and dots",
            value: path.to_owned(),
        });
    }
    Word::new(field, path)
}

fn control(zone: &mut Zone, options: &Options) -> Result<()> {
    for (name, dir) in CONTROL {
        let special = absolute("control directory", &format!("{}/{name}", options.control))?;
        let words: &[&str] = if name == "ro" { &["ro", "nodevices"] } else { &["nodevices", "nosetuid"] };
        let options = words.iter().map(|word| Word::fixed(word)).collect();
        zone.fs.push(Fs { dir: Word::fixed(dir), special, kind: "lofs", options });
    }
    if options.dialect.has_init_attributes() {
        zone.attrs.push(("init-name", Word::fixed(INIT)));
        zone.attrs.push(("restart-init", Word::fixed("false")));
    } else {
        zone.properties.push(("bootargs", Word::fixed("-i /.aurora/podinit")));
    }
    Ok(())
}

/// What our annotations ask for.
#[derive(Default)]
struct Wishes {
    brand: Option<String>,
    kernel_version: Option<Word>,
    delegate: Option<Word>,
}

impl Wishes {
    fn of(spec: &Spec) -> Result<Self> {
        let mut wishes = Self::default();
        // Sorted, so that of several wrong ones it is always the same that is named.
        let mut annotations: Vec<_> = spec.annotations().iter().flatten().collect();
        annotations.sort();
        for (key, value) in annotations {
            let Some(name) = key.strip_prefix(ANNOTATION) else { continue };
            let field = format!("annotations.{key}");
            match name {
                "brand" => wishes.brand = Some(value.clone()),
                "kernel-version" => wishes.kernel_version = Some(Word::new(&field, value)?),
                "delegate" => wishes.delegate = Some(dataset(&field, value)?),
                _ => return Err(Refusal::Unsupported { field }),
            }
        }
        Ok(wishes)
    }
}

/// zfs(8): components of letters, digits and `-_.: `, of which the first names the pool. Without the blank,
/// which no one uses.
fn dataset(field: &str, name: &str) -> Result<Word> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let part = |part: &str| !part.is_empty() && part.chars().all(plain);
    if !name.split('/').all(part) || !name.contains('/') || name.len() > 255 {
        return Err(Refusal::Value {
            field: field.to_owned(),
            problem: "not the name of a dataset below a pool",
            value: name.to_owned(),
        });
    }
    Word::new(field, name)
}

fn hostname(zone: &mut Zone, spec: &Spec, dialect: Dialect, is_lx: bool) -> Result<()> {
    let Some(name) = spec.hostname() else { return Ok(()) };
    if is_lx && dialect == Dialect::SmartOs {
        zone.attrs.push(("hostname", Word::new("hostname", name)?));
    } else {
        zone.note_done("hostname", "podinit sets it");
    }
    Ok(())
}

/// Members beside those that have a file of their own here.
fn members(zone: &mut Zone, spec: &Spec) -> Result<()> {
    if spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly).unwrap_or(false) {
        zone.note_done("root.readonly", "the dataset is read-only");
    }
    if spec.hooks().is_some() {
        zone.note_done("hooks", "the runtime runs them, and podinit those that run within");
    }
    let unsupported = [
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
        ("domainname", spec.domainname().as_ref().is_some_and(|name| !name.is_empty())),
        ("uidMappings", spec.uid_mappings().as_ref().is_some_and(|maps| !maps.is_empty())),
        ("gidMappings", spec.gid_mappings().as_ref().is_some_and(|maps| !maps.is_empty())),
    ];
    match unsupported.iter().find(|(_, there)| *there) {
        Some((field, _)) => Err(Refusal::Unsupported { field: (*field).to_owned() }),
        None => Ok(()),
    }
}
