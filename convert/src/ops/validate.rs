//! What is wrong with a SmartOS manifest.

use aurora_engine::fs;
pub use aurora_formats::smartos::{Finding as Fault, Profile};
use aurora_formats::smartos::{Json, MAX_DOCUMENT, Manifest, Record, SmartosError, validate};

use crate::names::FileName;
use crate::{Error, ErrorKind, Result};

/// Checks a manifest, or the manifest in an installed image's record; one of version 1 is upgraded first. All
/// findings at once, in the order of the reference. A file that holds no JSON object at all is an error.
pub fn validate_manifest(file: &FileName, profile: Profile) -> Result<Vec<Fault>> {
    let bytes = match file {
        FileName::Pipe => read_pipe(),
        FileName::Path(path) => match fs::read_limited(path, MAX_DOCUMENT as u64) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(ErrorKind::NoSuchImage(path.display().to_string()).into());
            }
            read => read.map_err(|e| Error::io(format!("cannot read {}", path.display()), e)),
        },
    };
    let findings = findings(&bytes?, profile);
    findings.map_err(|e| match file {
        FileName::Pipe => e,
        FileName::Path(path) => e.in_image(path.display().to_string()),
    })
}

fn read_pipe() -> Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    // One byte more than may be, so that what is too large is told from what just fits.
    let read = fs::stdin().and_then(|pipe| pipe.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|e| Error::io("cannot read standard input", e))?;
    Ok(bytes)
}

fn findings(bytes: &[u8], profile: Profile) -> Result<Vec<Fault>> {
    let mut json = Json::parse(bytes)?;
    if let Some(record) = Record::from_json(&json) {
        json = record.manifest.into();
    }
    match (Manifest::from_json(json.clone()), &json) {
        (Ok(manifest), _) => Ok(validate(manifest.object(), profile)),
        // What cannot be upgraded has its faults all the same, the missing `v` among them.
        (Err(SmartosError::NoVersion | SmartosError::Version { .. }), Json::Object(object)) => {
            Ok(validate(object, profile))
        }
        (Err(e), _) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_of_every_kind_are_checked() {
        let cases = [
            ("no-v-smartos-1.6.3.imgmanifest", "v: MissingParameter"),
            ("v1-nodejs-1.4.0.dsmanifest", ""),
            ("installed-record-pkgbuild.json", ""),
            (
                "installed-record-orphan.json",
                "v: MissingParameter, name: MissingParameter, version: MissingParameter, type: MissingParameter, os: MissingParameter",
            ),
        ];
        for (name, want) in cases {
            let path = format!("{}/../corpus/smartos/{name}", env!("CARGO_MANIFEST_DIR"));
            let found = validate_manifest(&FileName::Path(path.into()), Profile::Minimal).unwrap();
            let got: Vec<_> = found.iter().map(|f| format!("{}: {}", f.field, f.code.name())).collect();
            assert_eq!(got.join(", "), want, "{name}");
        }
        let error = findings(b"[1]", Profile::Minimal).unwrap_err();
        assert_eq!(error.to_string(), "manifest is no JSON object: found an array");
        let missing = validate_manifest(&FileName::Path("/nowhere/x".into()), Profile::Minimal).unwrap_err();
        assert!(matches!(missing.kind(), ErrorKind::NoSuchImage(_)));
    }
}
