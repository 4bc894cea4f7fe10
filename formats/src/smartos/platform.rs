//! Whether a platform is new or old enough for an image: `requirements.min_platform` and `max_platform`.

use super::{Json, Object};

/// What `sysinfo` says of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysInfo {
    /// `SDC Version`; 6.5 where it is not said.
    pub sdc_version: String,
    /// `Live Image`: `YYYYMMDDTHHMMSSZ`.
    pub live_image: String,
}

/// The platform is not one for this image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// Too old.
    #[error("image needs a newer platform than {live_image} (SDC version {sdc_version}): {required}")]
    MinPlatform {
        /// The machine's.
        sdc_version: String,
        /// The machine's.
        live_image: String,
        /// The requirement.
        required: String,
    },
    /// Too new.
    #[error("image needs an older platform than {live_image} (SDC version {sdc_version}): {required}")]
    MaxPlatform {
        /// The machine's.
        sdc_version: String,
        /// The machine's.
        live_image: String,
        /// The requirement.
        required: String,
    },
}

/// Compares as the reference does: as texts, version and time alike.
pub fn check_platform(manifest: &Object, system: &SysInfo) -> Result<(), PlatformError> {
    let requirements = manifest.get("requirements").and_then(Json::as_object);
    let of = |key| requirements?.get(key)?.as_object().filter(|p| !p.is_empty());
    let (version, image) = (system.sdc_version.as_str(), system.live_image.as_str());
    if let Some(min) = of("min_platform") {
        let is_old = match min.get(version) {
            Some(stamp) => stamp.as_str().is_some_and(|s| image < s),
            None => min.iter().map(|(v, _)| v).min().is_some_and(|lowest| version < lowest),
        };
        if is_old {
            return Err(PlatformError::MinPlatform {
                sdc_version: version.to_owned(),
                live_image: image.to_owned(),
                required: Json::Object(min.clone()).shortened(),
            });
        }
    }
    if let Some(max) = of("max_platform") {
        let is_new = match max.get(version) {
            Some(stamp) => stamp.as_str().is_some_and(|s| image > s),
            None => max.iter().map(|(v, _)| v).max().is_some_and(|highest| version > highest),
        };
        if is_new {
            return Err(PlatformError::MaxPlatform {
                sdc_version: version.to_owned(),
                live_image: image.to_owned(),
                required: Json::Object(max.clone()).shortened(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_those_of_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/smartos/platform-cases.json");
        let json = Json::parse(&std::fs::read(path).unwrap()).unwrap();
        let cases = json.as_object().unwrap().get("cases").unwrap().as_array().unwrap();
        assert_eq!(cases.len(), 11);
        for case in cases {
            let case = case.as_object().unwrap();
            let text = |name| case.get(name).unwrap().as_str().unwrap().to_owned();
            let mut requirements = Object::default();
            for key in ["min_platform", "max_platform"] {
                requirements.set(key, case.get(key).unwrap().clone());
            }
            let manifest: Object = [("requirements", Json::Object(requirements))].into_iter().collect();
            let system = SysInfo { sdc_version: text("sdc_version"), live_image: text("live_image") };
            let got = match check_platform(&manifest, &system) {
                Ok(()) => "ok",
                Err(PlatformError::MinPlatform { .. }) => "MinPlatform",
                Err(PlatformError::MaxPlatform { .. }) => "MaxPlatform",
            };
            assert_eq!(got, text("result"), "{}", Json::Object(case.clone()).to_compact());
        }
    }
}
