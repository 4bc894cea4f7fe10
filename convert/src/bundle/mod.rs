//! The runtime's `config.json` of an image (image-spec, conversion.md; runtime-spec, config.md).

mod process;
mod user;

use std::path::PathBuf;

use aurora_formats::model::Metadata;
use oci_spec::runtime::Spec;
use serde_json::{Map, Value, json};

use crate::image::time::to_rfc3339;
use crate::image::{Image, Platform};
use crate::tree::Tree;
use crate::{Cancel, Ctx, Loss, LossKind, NoProgress, Options, Result};

/// The folder of the root file system beside it.
const ROOTFS: &str = "rootfs";
/// The same where the bundle is a zone's path.
const ZONE_ROOT: &str = "root";
/// Its own name.
pub(crate) const CONFIG: &str = "config.json";
/// The version of runtime-spec whose members are used.
const VERSION: &str = "1.0.2";
/// What a process may that runs as root inside: the list of containerd and Docker. `runc spec` has three of them, with
/// which few images of the world start.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Who runs the bundle: root, or a user who is root inside and nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// Root.
    Root,
    /// This user and group.
    User(u32, u32),
}

/// What a bundle is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Who runs it.
    pub runner: Runner,
    /// It is also the path of a zone.
    pub zonepath: bool,
}

impl Shape {
    /// The folder of the root file system.
    pub(crate) fn root(self) -> &'static str {
        if self.zonepath { ZONE_ROOT } else { ROOTFS }
    }
}

/// Makes the document; users and groups that the image names are looked up in its tree.
pub(crate) fn config(image: &Image, tree: &Tree, shape: Shape, ctx: &Ctx<'_>) -> Result<Vec<u8>> {
    let platform = image.platform.clone().unwrap_or_default();
    let mut spec = serde_json::to_value(Spec::default()).expect("the default has a JSON form");
    spec["ociVersion"] = VERSION.into();
    spec["root"] = json!({"path": shape.root(), "readonly": false});
    spec["process"] = process::process(image, tree, ctx)?;
    spec["annotations"] = annotations(image, &platform);
    let members = spec.as_object_mut().expect("a spec is an object");
    match text(image, "Hostname") {
        Some(name) => members.insert("hostname".into(), name.into()),
        None => members.remove("hostname"),
    };
    if platform.os == "linux" {
        let capabilities =
            ["bounding", "effective", "permitted"].map(|set| (set.to_owned(), json!(CAPABILITIES)));
        spec["process"]["capabilities"] = Value::Object(capabilities.into_iter().collect());
        // Whatever the device node: none, but for those that every runtime allows.
        spec["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
        if let Runner::User(uid, gid) = shape.runner {
            for_user(&mut spec, uid, gid);
        }
    } else {
        // Namespaces, devices and mounts are Linux's; a zone has its own.
        members.remove("linux");
        members.remove("mounts");
    }
    let mut bytes = serde_json::to_vec_pretty(&sorted(&spec)).expect("values have a JSON form");
    bytes.push(b'\n');
    Ok(bytes)
}

/// The document of an image that says nothing: a shell.
pub fn plain(runner: Runner) -> Value {
    // Nothing of it is a file or takes long.
    let cancel = Cancel::default();
    let ctx = Ctx::new(Options::new(PathBuf::new()), &NoProgress, &cancel);
    let linux = Image::default();
    let bytes = config(&linux, &Tree::new(Metadata::default()), Shape { runner, zonepath: false }, &ctx);
    let bytes = bytes.expect("an image without a user needs no file that names users");
    serde_json::from_slice(&bytes).expect("it was made of a value")
}

/// Keys in order, whatever the map keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort();
            Value::Object(
                keys.into_iter().map(|key| (key.clone(), sorted(&members[key]))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(all) => Value::Array(all.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// A text of the image's `config`.
fn text<'a>(image: &'a Image, key: &str) -> Option<&'a str> {
    image.config.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The texts of a list or of the keys of an object.
fn texts(image: &Image, key: &str) -> Vec<String> {
    match image.config.get(key) {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::Object(members)) => members.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// What the image says of itself; its labels go before what is said elsewhere.
fn annotations(image: &Image, platform: &Platform) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            out.insert(format!("org.opencontainers.image.{key}"), value.into());
        }
    };
    let extra = |key: &str| image.extra.get(key).and_then(Value::as_str).map(str::to_owned);
    put("os", Some(platform.os.clone()));
    put("architecture", Some(platform.architecture.clone()));
    put("variant", platform.variant.clone());
    put("os.version", extra("os.version"));
    put("author", image.author.clone());
    put("created", image.created.and_then(to_rfc3339));
    put("stopSignal", text(image, "StopSignal").map(str::to_owned));
    let mut ports = texts(image, "ExposedPorts");
    ports.sort();
    put("exposedPorts", Some(ports.join(",")));
    if let Some(Value::Object(labels)) = image.config.get("Labels") {
        out.extend(labels.iter().filter(|(_, v)| v.is_string()).map(|(k, v)| (k.clone(), v.clone())));
    }
    Value::Object(out)
}

/// As `runc spec --rootless`: a user namespace with one user, no network of its own, and nothing that needs root.
fn for_user(spec: &mut Value, uid: u32, gid: u32) {
    let mapping = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
    let linux = &mut spec["linux"];
    linux["uidMappings"] = mapping(uid);
    linux["gidMappings"] = mapping(gid);
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|n| n["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    for mount in spec["mounts"].as_array_mut().into_iter().flatten() {
        if mount["destination"] == "/sys" {
            *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
        }
        if let Some(options) = mount["options"].as_array_mut() {
            let names_id =
                |o: &Value| o.as_str().is_some_and(|o| o.starts_with("gid=") || o.starts_with("uid="));
            options.retain(|option| !names_id(option));
        }
    }
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "cgroup");
    }
}

/// Something of the image's config that the runtime's can't say.
fn lose(ctx: &Ctx<'_>, detail: String) {
    ctx.lose(Loss { path: None, kind: LossKind::Config, detail });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(image: &Image, runner: Runner) -> Value {
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
        let bytes =
            config(image, &Tree::new(Metadata::default()), Shape { runner, zonepath: false }, &ctx).unwrap();
        // What others read of it is what the specification has.
        let _: Spec = serde_json::from_slice(&bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn what_an_image_says_of_itself_goes_along() {
        let config = json!({"Labels": {"a": "b", "org.opencontainers.image.author": "label"},
            "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}, "StopSignal": "SIGQUIT", "Hostname": "h"});
        let image = Image {
            author: Some("config".into()),
            platform: Some("linux/arm64/v8".parse().unwrap()),
            config: config.as_object().unwrap().clone(),
            ..Image::default()
        };
        let spec = made(&image, Runner::Root);
        let prefix = "org.opencontainers.image";
        for (key, want) in [
            ("a".to_owned(), "b"),
            (format!("{prefix}.author"), "label"),
            (format!("{prefix}.exposedPorts"), "443/tcp,80/tcp"),
            (format!("{prefix}.stopSignal"), "SIGQUIT"),
            (format!("{prefix}.architecture"), "arm64"),
            (format!("{prefix}.variant"), "v8"),
        ] {
            assert_eq!(spec["annotations"][&key], want, "{key}");
        }
        assert_eq!((&spec["hostname"], &spec["root"]["path"]), (&json!("h"), &json!("rootfs")));
        assert_eq!(spec["process"]["capabilities"]["bounding"].as_array().unwrap().len(), 14);
        let zone = Image { platform: Some("illumos/amd64".parse().unwrap()), ..Image::default() };
        let spec = made(&zone, Runner::Root);
        assert!(
            spec.get("linux").is_none() && spec.get("mounts").is_none() && spec.get("hostname").is_none()
        );
    }

    #[test]
    fn a_user_needs_nothing_of_root() {
        let spec = made(&Image::default(), Runner::User(1000, 100));
        let text = spec.to_string();
        assert!(
            !text.contains("gid=5") && !text.contains("\"network\"") && text.contains("\"user\""),
            "{text}"
        );
        assert_eq!(spec["linux"]["uidMappings"][0]["hostID"], 1000);
        assert_eq!(spec["linux"]["gidMappings"][0]["hostID"], 100);
    }
}
