//! `imageadm inspect`.

use aurora_convert::image::smartos::MANIFEST;
use aurora_convert::ops::{self, ImageInfo, Inspection, LayerInfo, ManifestInfo, StreamInfo};

use crate::args::Inspect;
use crate::errors;
use crate::exit::Exit;
use crate::output::{safe, table};
use crate::session::{Session, Stop, selection};
use crate::units::{counted, show_size};

pub(crate) fn run(args: &Inspect, session: &Session) -> Result<Exit, Stop> {
    let ctx = session.ctx();
    let found = ops::inspect(&args.src, &selection(&args.selected), args.quick, &ctx)?;
    // The losses are part of the document.
    let losses = if args.json { Vec::new() } else { ctx.losses() };
    let mut out = session.done(&[]);
    if args.json {
        out.line(&serde_json::to_string(&found).expect("the description is plain data"))?;
    } else {
        for line in human(&found) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    if !session.common.quiet {
        errors::losses(&losses);
    }
    Ok(Exit::Done)
}

fn human(found: &Inspection) -> Vec<String> {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            rows.push((key.to_owned(), value));
        }
    };
    row("name", Some(found.name.clone()));
    let kind = found.kind.map(|kind| format!(", {kind}")).unwrap_or_default();
    row("form", Some(format!("{}{kind}", found.form)));
    row("digest", found.digest.clone());
    row("id", found.id.clone());
    row("platform", found.platform.clone());
    row("created", found.created.clone());
    row("author", found.author.clone());
    row("entries", found.entries.map(|n| n.to_string()));
    let size = if found.data == found.size {
        show_size(found.size)
    } else {
        format!("{}, {} of it data", show_size(found.size), show_size(found.data))
    };
    row("size", found.kind.is_some().then_some(size));
    row("block size", found.block_size.map(|n| n.to_string()));
    for origin in &found.origins {
        row("origin", Some(origin.clone()));
    }
    for key in ["Entrypoint", "Cmd", "Env", "User", "WorkingDir", "Labels"] {
        let value = found.config.get(key).filter(|value| !value.is_null());
        row(&key.to_lowercase(), value.map(ToString::to_string));
    }
    // The manifest itself is told below, in short.
    for (key, value) in found.annotations.iter().filter(|(key, _)| *key != MANIFEST) {
        row(&safe(key), Some(value.clone()));
    }
    row("problem", found.problem.clone());
    let mut lines = table(&rows);
    if found.kind.is_some() {
        lines.push(format!("layers: {}", found.layers.len()));
        lines.extend(found.layers.iter().map(|layer| format!("  {}", describe(layer))));
    }
    match &found.images[..] {
        // What was read is told above.
        [_] if found.kind.is_some() => {}
        [image] => lines.extend(of_image(image)),
        images => lines.extend(images.iter().map(in_short)),
    }
    lines.extend(found.streams.iter().flat_map(of_stream));
    lines.extend(found.manifests.iter().flat_map(of_manifest));
    lines
}

/// One of many.
fn in_short(image: &ImageInfo) -> String {
    let name = image.name.as_deref().or(image.digest.as_deref()).unwrap_or("without a name");
    let platform = image.platform.as_deref().unwrap_or("no platform");
    let problem = image.problem.as_ref().map(|problem| format!("  problem: {problem}")).unwrap_or_default();
    let (count, size) = (image.layers.len(), show_size(image.size));
    safe(&format!("image {name}  {platform}  {count} layers  {size}{problem}"))
}

fn of_image(image: &ImageInfo) -> Vec<String> {
    let name = image.name.as_deref().or(image.digest.as_deref()).unwrap_or("without a name");
    let mut lines = vec![safe(&format!("image {name}:"))];
    let mut row = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            lines.push(format!("  {key:10} {}", safe(value)));
        }
    };
    row("tags", (image.tags.len() > 1).then(|| image.tags.join(", ")).as_deref());
    row("manifest", image.digest.as_deref());
    row("config", image.config.as_deref());
    row("platform", image.platform.as_deref());
    row("created", image.created.as_deref());
    let layers = counted(image.layers.len(), "layer", "layers");
    row("stored", Some(&format!("{} in {layers}", show_size(image.size))));
    row("problem", image.problem.as_deref());
    for layer in &image.layers {
        let packed = layer.compression.unwrap_or("?");
        row("layer", Some(&format!("{}  {packed}  {}", layer.digest, show_size(layer.size))));
        row("  diffID", layer.diff_id.as_deref());
        row("  snapshot", layer.snapshot.as_ref().map(|s| format!("{} guid {}", s.name, s.guid)).as_deref());
        row("  note", layer.note.as_deref());
    }
    lines
}

fn of_manifest(info: &ManifestInfo) -> Vec<String> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let manifest = &info.manifest;
    let mut lines = vec![safe(&format!("manifest {}:", info.path))];
    let files =
        ["sha1", "size", "compression", "dataset_guid"].map(|key| (key, manifest["files"][0].get(key)));
    let fields = ["uuid", "name", "version", "type", "os", "origin"].map(|key| (key, manifest.get(key)));
    for (key, value) in fields.into_iter().chain(files) {
        if let Some(value) = value {
            lines.push(format!("  {key:12} {}", safe(&text(value))));
        }
    }
    lines
}

fn of_stream(stream: &StreamInfo) -> Vec<String> {
    let mut lines = vec![safe(&format!("stream {}:", stream.snapshot.name))];
    let mut row = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            lines.push(format!("  {key:10} {}", safe(value)));
        }
    };
    row("guid", Some(&stream.snapshot.guid));
    row("origin", stream.origin.as_deref());
    row("type", Some(stream.kind));
    row("created", Some(&stream.snapshot.created));
    row("features", Some(&stream.features.join(" ")).filter(|text| !text.is_empty()).map(String::as_str));
    row("size", Some(&show_size(stream.size)));
    let records: Vec<String> = stream.records.iter().map(|(name, n)| format!("{name} {n}")).collect();
    row("records", Some(&records.join(", ")));
    row("problem", stream.problem.as_deref());
    lines
}

fn describe(layer: &LayerInfo) -> String {
    let mut parts = vec![format!("{}.", layer.number)];
    let named = layer.blob.as_ref().map(|blob| &blob.digest).or(layer.chain_id.as_ref());
    match (&layer.snapshot, named) {
        (Some(snapshot), _) => parts.push(format!("{} guid {}", snapshot.name, snapshot.guid)),
        (None, Some(name)) => parts.push(name.clone()),
        (None, None) => {}
    }
    parts.extend(layer.created.clone());
    if layer.entries > 0 {
        parts.push(format!("{} entries", layer.entries));
    }
    parts.push(show_size(layer.size));
    if let Some(blob) = &layer.blob {
        parts.push(format!("stored {} {}", show_size(blob.size), blob.compression.unwrap_or_default()));
        parts.extend(blob.note.clone());
    }
    parts.extend(layer.created_by.clone());
    safe(&parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_convert::ops::SnapshotInfo;

    #[test]
    fn people_get_a_table() {
        let found = Inspection {
            name: "zfs:a".into(),
            form: "zfs",
            kind: Some("filesystem"),
            platform: Some("linux/amd64".into()),
            entries: Some(3),
            size: 4096,
            data: 1024,
            layers: vec![LayerInfo {
                number: 1,
                snapshot: Some(SnapshotInfo {
                    name: "t@\u{1b}s".into(),
                    guid: "00000000000000ff".into(),
                    created: "1970-01-01T00:00:00Z".into(),
                }),
                entries: 3,
                size: 4096,
                ..LayerInfo::default()
            }],
            ..Inspection::default()
        };
        assert_eq!(
            human(&found),
            [
                "name:     zfs:a",
                "form:     zfs, filesystem",
                "platform: linux/amd64",
                "entries:  3",
                "size:     4.0 KiB, 1.0 KiB of it data",
                "layers: 1",
                "  1.  t@\\u{1b}s guid 00000000000000ff  3 entries  4.0 KiB",
            ]
        );
    }
}
