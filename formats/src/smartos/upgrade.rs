//! The old form ("dataset manifest", version 1) made into version 2.

use super::{Json, Object, SmartosError};

/// Members of the old form that say nothing any more once `owner` is set.
const CREATORS: &[&str] =
    &["creator_uuid", "vendor_uuid", "creator_name", "cloud_name", "creator_admin", "owner_uuid"];

/// Makes a manifest one of version 2. Whether it had to be changed.
pub(super) fn upgrade(manifest: &mut Object) -> Result<bool, SmartosError> {
    match manifest.get("v") {
        Some(v) if v.as_count().is_some_and(|v| v >= 2) => return Ok(false),
        Some(v) => return Err(SmartosError::Version { actual: v.shortened() }),
        None => {}
    }
    let Some(owner) = manifest.get("creator_uuid").cloned() else { return Err(SmartosError::NoVersion) };
    for name in CREATORS {
        manifest.remove(name);
    }
    manifest.set("owner", owner);
    match manifest.remove("restricted_to_uuid").filter(|r| !matches!(r, Json::Null)) {
        Some(only) => {
            manifest.set("public", false);
            manifest.set("acl", vec![only]);
        }
        None => manifest.set("public", true),
    }
    let disabled = manifest.get("disabled").and_then(Json::as_flag).unwrap_or(false);
    manifest.set("disabled", disabled);
    manifest.set("state", if disabled { "disabled" } else { "active" });
    published(manifest);
    if let Some(Json::Array(files)) = manifest.get_mut("files") {
        files.iter_mut().for_each(file);
    }
    if let Some(size) = manifest.get("image_size").and_then(Json::as_count) {
        manifest.set("image_size", size);
    }
    for name in ["platform_type", "created_at", "updated_at", "_url"] {
        manifest.remove(name);
    }
    manifest.set("v", 2);
    Ok(true)
}

/// When it was published, or else made; with seconds, which the oldest ones lack.
fn published(manifest: &mut Object) {
    if manifest.get("published_at").is_none()
        && let Some(created) = manifest.get("created_at").cloned()
    {
        manifest.set("published_at", created);
    }
    if let Some(Json::String(text)) = manifest.get_mut("published_at")
        && text.len() == "YYYY-MM-DDTHH:MMZ".len()
        && text.ends_with('Z')
    {
        text.truncate(text.len() - 1);
        text.push_str(":00Z");
    }
}

/// The compression by the name that the old form gave, which goes.
fn file(file: &mut Json) {
    let Json::Object(file) = file else { return };
    let (path, url) = (file.remove("path"), file.remove("url"));
    if file.get("compression").is_none() {
        let name = path.or(url);
        let name = name.as_ref().and_then(Json::as_str).unwrap_or_default();
        let compression = match name {
            n if n.ends_with(".gz") => "gzip",
            n if n.ends_with(".bz2") => "bzip2",
            _ => "none",
        };
        file.set("compression", compression);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_form_is_upgraded_step_by_step() {
        let cases = [
            (
                r#"{"creator_uuid":"c","restricted_to_uuid":"r","disabled":"true","created_at":"2012-01-02T03:04Z","files":[{"url":"http://x/y.gz","size":1}],"image_size":"10"}"#,
                r#"{"disabled":true,"files":[{"size":1,"compression":"gzip"}],"image_size":10,"owner":"c","public":false,"acl":["r"],"state":"disabled","published_at":"2012-01-02T03:04:00Z","v":2}"#,
            ),
            (
                r#"{"creator_uuid":"c","files":[{"path":"a.zfs","url":"b.gz"}]}"#,
                r#"{"files":[{"compression":"none"}],"owner":"c","public":true,"disabled":false,"state":"active","v":2}"#,
            ),
            (r#"{"v":"2","creator_uuid":"c"}"#, r#"{"v":"2","creator_uuid":"c"}"#),
        ];
        for (old, want) in cases {
            let Json::Object(mut manifest) = Json::parse(old.as_bytes()).unwrap() else { panic!("{old}") };
            upgrade(&mut manifest).unwrap();
            assert_eq!(Json::Object(manifest).to_compact(), want);
        }
        for (old, want) in
            [("{}", SmartosError::NoVersion), (r#"{"v":1}"#, SmartosError::Version { actual: "1".into() })]
        {
            let Json::Object(mut manifest) = Json::parse(old.as_bytes()).unwrap() else { panic!("{old}") };
            assert_eq!(upgrade(&mut manifest).unwrap_err(), want);
        }
    }
}
