//! [`Image`] ⇄ SmartOS manifest. Neither side has a place for all that the other says, so each carries the other
//! whole: an image has the manifest in an annotation ([`MANIFEST`]), a manifest has the OCI side in a tag
//! ([`OCI_TAG`]). What both have is mapped.

use aurora_engine::digest::Digest;
pub use aurora_formats::smartos::{ImageOs, ImageType, Uuid};
use aurora_formats::smartos::{Json, Manifest, Object, SmartosError, docker, to_iso};
use serde_json::{Map, Value};

use super::oci::HISTORY;
use super::{Image, Platform};
use crate::{Ctx, Loss, LossKind, Result};

/// The annotation that holds a manifest, byte for byte.
pub const MANIFEST: &str = "dev.aurora.smartos.manifest";
/// The tag that holds what an OCI image says and a manifest does not.
pub const OCI_TAG: &str = "dev.aurora.oci";
/// The annotation or label that names the zone brand to run an image under.
pub const BRAND: &str = "dev.aurora.zone.brand";
/// The annotation or label with the Linux version that an lx zone is to claim.
pub const KERNEL_VERSION: &str = "dev.aurora.zone.kernel-version";

/// The Linux version that an lx zone claims when nothing says another: that of the current public images.
const DEFAULT_KERNEL: &str = "5.10.0";
/// Most bytes of all tags together that the reference accepts.
const MAX_TAGS: usize = 102_400;

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
const DESCRIPTION: &str = "org.opencontainers.image.description";
const URL: &str = "org.opencontainers.image.url";

/// What the user wants a written manifest to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SmartosOptions {
    /// `uuid`, instead of the derived one.
    pub uuid: Option<Uuid>,
    /// `name`
    pub name: Option<String>,
    /// `version`
    pub version: Option<String>,
    /// `owner`
    pub owner: Option<Uuid>,
    /// `homepage`
    pub homepage: Option<String>,
    /// `description`
    pub description: Option<String>,
    /// `os`, instead of what the platform makes of it.
    pub os: Option<ImageOs>,
    /// `type`, instead of what `os` makes of it.
    pub image_type: Option<ImageType>,
    /// Further `tags`: `true`, `false` and numbers become what they look like, the rest strings.
    pub tags: Vec<(String, String)>,
}

/// What the file of a manifest is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// A root file system.
    Filesystem,
    /// A disk of that many bytes.
    Volume {
        /// Bytes.
        size: u64,
    },
}

/// What a manifest says, as an image.
pub fn from_manifest(manifest: &Manifest) -> Result<Image, SmartosError> {
    let mut image = Image { created: manifest.published_at()?, ..Image::default() };
    let architecture = manifest.tag("docker:architecture").and_then(Json::as_str).unwrap_or("amd64");
    image.platform = manifest.os()?.and_then(goos).map(|os| Platform {
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        variant: None,
    });
    match manifest.tag(OCI_TAG).map(Value::from) {
        Some(Value::Object(kept)) => restore(&mut image, kept),
        _ => image.config = run_config(manifest),
    }
    let mut annotate = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            image.annotations.entry(name.to_owned()).or_insert(value);
        }
    };
    annotate(TITLE, manifest.name()?);
    annotate(VERSION, manifest.version()?);
    annotate(DESCRIPTION, manifest.text("description")?);
    annotate(URL, manifest.text("homepage")?);
    annotate(MANIFEST, String::from_utf8(manifest.to_bytes()).ok());
    Ok(image)
}

/// The manifest that an image has carried along, if it came from one.
pub fn carried(image: &Image) -> Option<Manifest> {
    Manifest::parse(image.annotations.get(MANIFEST)?.as_bytes()).ok()
}

/// The manifest of an image, without what belongs to the file: `files`, `origin`, and without a `uuid` where
/// neither the user nor the image's own manifest says one ([`default_uuid`]).
pub fn to_manifest(image: &Image, payload: Payload, options: &SmartosOptions, ctx: &Ctx<'_>) -> Manifest {
    let mut manifest = carried(image).unwrap_or_else(|| Manifest::new(Object::default()));
    let is_new = manifest.object().is_empty();
    for field in ["files", "origin"] {
        manifest.remove(field);
    }
    manifest.set("v", 2);
    if let Some(uuid) = options.uuid {
        manifest.set("uuid", uuid.to_string());
    }
    let said =
        |manifest: &Manifest, field: &str| manifest.text(field).ok().flatten().filter(|t| !t.is_empty());
    let owner = options.owner.map(|o| o.to_string()).or_else(|| said(&manifest, "owner"));
    manifest.set("owner", owner.unwrap_or_else(|| Uuid::NIL.to_string()));
    let name = options.name.clone().or_else(|| said(&manifest, "name"));
    let name = name.or_else(|| note(image, TITLE).map(|t| word(t, b"._/ -", 1024)).filter(|n| !n.is_empty()));
    manifest.set("name", name.unwrap_or_else(|| "image".into()));
    let version = options.version.clone().or_else(|| said(&manifest, "version"));
    let version =
        version.or_else(|| note(image, VERSION).map(|v| word(v, b"._/+-", 512)).filter(|v| !v.is_empty()));
    let dated = || image.created.map(|t| to_iso(t)[..10].replace('-', ""));
    manifest.set("version", version.or_else(dated).unwrap_or_else(|| "1.0.0".into()));
    if is_new {
        manifest.set("disabled", false);
        manifest.set("public", true);
    }
    if said(&manifest, "published_at").is_none()
        && let Some(created) =
            image.created.map(to_iso).filter(|t| t.len() == "0000-00-00T00:00:00.000Z".len())
    {
        manifest.set("published_at", created);
    }
    kind(&mut manifest, image, payload, options);
    let described = || note(image, DESCRIPTION).filter(|_| is_new);
    if let Some(text) = options.description.as_deref().or_else(described) {
        manifest.set("description", text.chars().take(10_240).collect::<String>());
    }
    let url = options.homepage.clone().or_else(|| said(&manifest, "homepage"));
    let url = url.or_else(|| note(image, URL).filter(|u| u.starts_with("http")).map(str::to_owned));
    if let Some(url) = url {
        manifest.set("homepage", url);
    }
    tags(&mut manifest, image, options, ctx);
    manifest
}

/// The uuid of an image that has none: the same manifest over the same content always gets the same.
pub fn default_uuid(manifest: &Manifest, chain_id: &Digest) -> Uuid {
    let mut said = manifest.object().clone();
    for field in ["uuid", "files", "published_at"] {
        said.remove(field);
    }
    let text = format!("aurora smartos image\n{chain_id}\n{}", Json::Object(said).to_compact());
    Uuid::custom(Digest::sha256(text.as_bytes()).hex()).expect("a SHA-256 has more than 32 digits")
}

/// The uuid that Triton gives the docker layer at the end of a chain of layer digests, base first.
pub fn layer_uuid<'a>(digests: impl IntoIterator<Item = &'a str>) -> Result<Uuid, SmartosError> {
    let text = docker::uuid_text(digests)?;
    let hash = Digest::sha256(text.as_bytes());
    Ok(Uuid::from_hash(hash.hex()).expect("a SHA-256 has more than 32 digits"))
}

/// GOOS for what a manifest calls an operating system.
fn goos(os: ImageOs) -> Option<&'static str> {
    match os {
        ImageOs::Linux => Some("linux"),
        ImageOs::Smartos | ImageOs::Illumos => Some("illumos"),
        ImageOs::Windows => Some("windows"),
        ImageOs::Bsd => Some("freebsd"),
        ImageOs::Other => None,
    }
}

/// `type`, `os` and `requirements`: those of the image's own manifest as far as they still fit what is written.
fn kind(manifest: &mut Manifest, image: &Image, payload: Payload, options: &SmartosOptions) {
    let brand = note(image, BRAND);
    let platform = image.platform.as_ref().map_or("linux", |p| p.os.as_str());
    let os = match platform {
        "linux" => ImageOs::Linux,
        "windows" => ImageOs::Windows,
        "freebsd" | "netbsd" | "openbsd" | "dragonfly" => ImageOs::Bsd,
        "illumos" | "solaris" | "smartos" if brand.is_some_and(|b| b.starts_with("joyent")) => {
            ImageOs::Smartos
        }
        "smartos" => ImageOs::Smartos,
        "illumos" | "solaris" => ImageOs::Illumos,
        _ => ImageOs::Other,
    };
    let had = manifest.os().ok().flatten();
    // A manifest tells SmartOS from other illumos systems and knows its "other"; a platform does not.
    let os = had.filter(|had| goos(*had).is_none_or(|had| Some(had) == goos(os))).unwrap_or(os);
    let os = options.os.unwrap_or(os);
    let image_type = match (payload, os) {
        (Payload::Filesystem, _) if let Some(said) = options.image_type => said,
        (Payload::Volume { .. }, _) => ImageType::Zvol,
        (Payload::Filesystem, ImageOs::Linux) => ImageType::LxDataset,
        (Payload::Filesystem, ImageOs::Smartos | ImageOs::Illumos) => ImageType::ZoneDataset,
        (Payload::Filesystem, _) => match manifest.image_type() {
            Ok(had @ (ImageType::ZoneDataset | ImageType::LxDataset)) => had,
            _ => ImageType::Other,
        },
    };
    manifest.set("type", image_type.name());
    manifest.set("os", os.name());
    match payload {
        Payload::Volume { size } => {
            for (field, default) in
                [("nic_driver", "virtio"), ("disk_driver", "virtio"), ("cpu_type", "host")]
            {
                if manifest.object().get(field).is_none() {
                    manifest.set(field, default);
                }
            }
            manifest.set("image_size", size.div_ceil(1 << 20));
        }
        Payload::Filesystem => {
            for field in ["nic_driver", "disk_driver", "cpu_type", "image_size"] {
                manifest.remove(field);
            }
        }
    }
    if image_type != ImageType::ZoneDataset {
        manifest.remove("inherited_directories");
    }
    let default = if image_type == ImageType::LxDataset { Some("lx") } else { None };
    let mut requirements =
        manifest.object().get("requirements").and_then(Json::as_object).cloned().unwrap_or_default();
    if let Some(brand) = brand.or(default)
        && requirements.get("brand").is_none()
    {
        requirements.set("brand", brand);
        manifest.set("requirements", requirements);
    } else if requirements.get("brand").and_then(Json::as_str) == Some("") {
        // The word of imgadm for: none, not even the one that goes with the type.
        requirements.remove("brand");
        match requirements.is_empty() {
            true => manifest.remove("requirements"),
            false => manifest.set("requirements", requirements),
        }
    }
}

fn tags(manifest: &mut Manifest, image: &Image, options: &SmartosOptions, ctx: &Ctx<'_>) {
    let mut tags = manifest.object().get("tags").and_then(Json::as_object).cloned().unwrap_or_default();
    if manifest.image_type() == Ok(ImageType::LxDataset) && tags.get("kernel_version").is_none() {
        tags.set("kernel_version", note(image, KERNEL_VERSION).unwrap_or(DEFAULT_KERNEL));
    }
    docker_tags(&mut tags, image);
    for (name, value) in &options.tags {
        let value = match Json::parse(value.as_bytes()) {
            Ok(scalar @ (Json::Bool(_) | Json::Number(_))) => scalar,
            _ => Json::from(value.as_str()),
        };
        tags.set(name.as_str(), value);
    }
    let had = tags.remove(OCI_TAG);
    if let Some(kept) = if is_untouched(image) { had } else { keep(image) } {
        tags.set(OCI_TAG, kept);
        if Json::Object(tags.clone()).to_compact().len() > MAX_TAGS {
            tags.remove(OCI_TAG);
            let detail =
                "parts of the OCI config: larger than the tags of a SmartOS manifest may be".to_owned();
            ctx.lose(Loss { path: None, kind: LossKind::Config, detail });
        }
    }
    if !tags.is_empty() {
        manifest.set("tags", tags);
    }
}

/// How to start the image, both as Triton's layers say it and, for each part, as `docker:*` internal metadata wants
/// it, so that it can be copied there as it is: lists as JSON texts.
fn docker_tags(tags: &mut Object, image: &Image) {
    const PARTS: &[(&str, &str)] = &[
        ("docker:entrypoint", "Entrypoint"),
        ("docker:cmd", "Cmd"),
        ("docker:env", "Env"),
        ("docker:workdir", "WorkingDir"),
        ("docker:user", "User"),
    ];
    let config = Json::from(&Value::Object(image.config.clone()));
    let config = config.as_object().map(docker::run_config).unwrap_or_default();
    if config.is_empty() && !image.config.contains_key("User") {
        return;
    }
    if let Some(platform) = &image.platform {
        tags.set("docker:architecture", platform.architecture.as_str());
    }
    tags.set("docker:config", config);
    for (tag, member) in PARTS {
        match image.config.get(*member).map(Json::from) {
            Some(Json::String(text)) if !text.is_empty() => tags.set(*tag, text),
            Some(list @ Json::Array(_)) => tags.set(*tag, list.to_compact()),
            _ => {
                tags.remove(tag);
            }
        }
    }
}

/// The way back of [`docker_tags`], for manifests of others too.
fn run_config(manifest: &Manifest) -> Map<String, Value> {
    let mut config = match manifest.tag("docker:config").map(Value::from) {
        Some(Value::Object(config)) => config,
        _ => Map::new(),
    };
    let texts = [("docker:workdir", "WorkingDir"), ("docker:user", "User")];
    for (tag, member) in texts {
        if let Some(text) = manifest.tag(tag).and_then(Json::as_str) {
            config.entry(member).or_insert_with(|| text.into());
        }
    }
    for (tag, member) in [("docker:entrypoint", "Entrypoint"), ("docker:cmd", "Cmd"), ("docker:env", "Env")] {
        let list = manifest.tag(tag).and_then(Json::as_str).and_then(|text| serde_json::from_str(text).ok());
        if let Some(list @ Value::Array(_)) = list {
            config.entry(member).or_insert(list);
        }
    }
    config
}

/// Whether an image says exactly what was made of the manifest that it carries: then it needs no place in it. The
/// history does not count: layers that are written get one, whatever they were before.
fn is_untouched(image: &Image) -> bool {
    let without_history = |image: &Image| {
        let mut extra = image.extra.clone();
        extra.remove(HISTORY);
        extra
    };
    carried(image).and_then(|m| from_manifest(&m).ok()).is_some_and(|made| {
        (&made.config, &made.author, &made.annotations) == (&image.config, &image.author, &image.annotations)
            && without_history(&made) == without_history(image)
    })
}

/// What only the OCI side has a place for; `None` where it says nothing.
fn keep(image: &Image) -> Option<Json> {
    let mut kept = Map::new();
    if !image.config.is_empty() {
        kept.insert("config".into(), Value::Object(image.config.clone()));
    }
    if !image.extra.is_empty() {
        kept.insert("extra".into(), Value::Object(image.extra.clone()));
    }
    if let Some(author) = &image.author {
        kept.insert("author".into(), author.as_str().into());
    }
    let own = image.annotations.iter().filter(|(name, _)| *name != MANIFEST);
    let own: Map<_, _> = own.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    if !own.is_empty() {
        kept.insert("annotations".into(), Value::Object(own));
    }
    if !kept.is_empty()
        && let Some(platform) = &image.platform
    {
        kept.insert("platform".into(), platform.to_string().into());
    }
    (!kept.is_empty()).then(|| Json::from(&Value::Object(kept)))
}

/// The way back of [`keep`].
fn restore(image: &mut Image, mut kept: Map<String, Value>) {
    let mut object = |name: &str| match kept.remove(name) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    image.config = object("config");
    image.extra = object("extra");
    let annotations = object("annotations").into_iter();
    image.annotations = annotations.filter_map(|(n, v)| Some((n, v.as_str()?.to_owned()))).collect();
    image.author = kept.get("author").and_then(Value::as_str).map(str::to_owned);
    let platform = kept.get("platform").and_then(Value::as_str).and_then(|p| p.parse().ok());
    image.platform = platform.or(image.platform.take());
}

/// An annotation, or else a label of that name.
fn note<'a>(image: &'a Image, name: &str) -> Option<&'a str> {
    let label = || image.config.get("Labels")?.get(name)?.as_str();
    image.annotations.get(name).map(String::as_str).or_else(label).filter(|t| !t.is_empty())
}

/// Text cut down to what a field takes: other characters become `-`.
fn word(text: &str, marks: &[u8], max: usize) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || (c.is_ascii() && marks.contains(&(c as u8))) { c } else { '-' }
    };
    text.chars().take(max).map(fit).collect()
}

#[cfg(test)]
mod tests {
    use aurora_formats::smartos::{Profile, validate};
    use serde_json::json;

    use super::*;
    use crate::{Cancel, NoProgress, Options};

    fn with_ctx<T>(run: impl FnOnce(&Ctx<'_>) -> T) -> T {
        let cancel = Cancel::default();
        run(&Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel))
    }

    fn corpus(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../corpus/smartos/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn docker_layers_get_the_uuids_and_manifests_of_the_reference() {
        let vectors: Value = serde_json::from_slice(&corpus("docker-vectors.json")).unwrap();
        let digests = |case: &Value| -> Vec<String> {
            case["layer_digests"].as_array().unwrap().iter().map(|d| d.as_str().unwrap().to_owned()).collect()
        };
        let uuid = |digests: &[String]| layer_uuid(digests.iter().map(String::as_str));
        let cases = vectors["uuid_from_layer_digests"].as_array().unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let got = uuid(&digests(case));
            assert_eq!(got.ok().map(|u| u.to_string()).as_deref(), case["uuid"].as_str(), "{case}");
        }
        let cases = vectors["manifest_from_docker"].as_array().unwrap();
        assert!(cases.len() >= 6);
        for case in cases {
            let input = &case["input"];
            let chain = digests(input);
            let below = &chain[..chain.len() - 1];
            let tags = input["tags"].as_array().into_iter().flatten();
            let tags: Vec<String> = tags.map(|t| t.as_str().unwrap().to_owned()).collect();
            let made = docker::layer_manifest(&docker::Layer {
                uuid: uuid(&chain).unwrap(),
                origin: (!below.is_empty()).then(|| uuid(below).unwrap()),
                digest: chain.last().unwrap(),
                config: &Json::from(&input["image_json"]),
                repository: input["repo_local_name"].as_str().unwrap(),
                tags: &tags,
                owner: None,
                is_public: true,
            });
            assert_eq!(Value::from(&Json::Object(made.unwrap())), case["manifest"], "{}", case["name"]);
        }
    }

    #[test]
    fn manifests_survive_the_way_through_an_image() {
        let names = [
            "zone-dataset-pkgbuild-18.1.0.imgmanifest",
            "lx-dataset-almalinux-9-20250120.imgmanifest",
            "zvol-ubuntu-certified-18.04-20180808.imgmanifest",
            "zone-dataset-fauxnodejs-1.4.0.imgmanifest",
            "v1-nodejs-1.4.0.dsmanifest",
        ];
        for name in names {
            let mut manifest = Manifest::parse(&corpus(name)).unwrap();
            let mut image = from_manifest(&manifest).unwrap();
            assert_eq!(image.annotations[MANIFEST].as_bytes(), manifest.to_bytes(), "{name}");
            let payload = match manifest.image_size().unwrap() {
                Some(mebibytes) => Payload::Volume { size: mebibytes << 20 },
                None => Payload::Filesystem,
            };
            // As an OCI layout has it on the way.
            image.extra.insert(HISTORY.into(), json!([{"created": "2024-05-06T07:08:09Z"}]));
            let again = with_ctx(|ctx| to_manifest(&image, payload, &SmartosOptions::default(), ctx));
            manifest.remove("files");
            assert_eq!(again.object(), manifest.object(), "{name}");
        }
    }

    #[test]
    fn oci_images_become_manifests_that_imgadm_takes_and_come_back_whole() {
        let image = Image {
            platform: Some("linux/arm64/v8".parse().unwrap()),
            created: aurora_formats::smartos::parse_iso("2024-05-06T07:08:09.123456Z"),
            author: Some("A".into()),
            config:
                json!({"Cmd": ["run"], "Entrypoint": null, "Env": ["A=b"], "User": "1:2", "WorkingDir": "/w",
                "Volumes": {"/v": {}}, "Labels": {VERSION: "1.2 beta", KERNEL_VERSION: "4.4.0"}})
                .as_object()
                .unwrap()
                .clone(),
            extra: json!({"os.version": "x"}).as_object().unwrap().clone(),
            annotations: [(TITLE.to_owned(), "a+b".to_owned())].into(),
            layers: Vec::new(),
        };
        let options = SmartosOptions {
            tags: vec![("role".into(), "os".into()), ("n".into(), "5".into())],
            ..Default::default()
        };
        let mut manifest = with_ctx(|ctx| to_manifest(&image, Payload::Filesystem, &options, ctx));
        let chain = Digest::sha256(b"chain");
        let uuid = default_uuid(&manifest, &chain);
        manifest.set("uuid", uuid.to_string());
        assert_eq!(default_uuid(&manifest, &chain), uuid);
        assert_ne!(default_uuid(&manifest, &Digest::sha256(b"other")), uuid);
        assert_eq!(validate(manifest.object(), Profile::Minimal), []);
        let got = Value::from(&Json::Object(manifest.object().clone()));
        let fields = [
            ("name", "a-b"),
            ("version", "1.2-beta"),
            ("type", "lx-dataset"),
            ("os", "linux"),
            ("published_at", "2024-05-06T07:08:09.123Z"),
        ];
        for (field, want) in fields {
            assert_eq!(got[field], want, "{field}");
        }
        assert_eq!(got["requirements"], json!({"brand": "lx"}));
        let tags = &got["tags"];
        assert_eq!(
            tags["docker:config"],
            json!({"Cmd": ["run"], "Entrypoint": null, "Env": ["A=b"], "WorkingDir": "/w"})
        );
        assert_eq!((&tags["docker:cmd"], &tags["docker:user"]), (&json!("[\"run\"]"), &json!("1:2")));
        assert_eq!(
            (&tags["kernel_version"], &tags["role"], &tags["n"]),
            (&json!("4.4.0"), &json!("os"), &json!(5))
        );

        let back = from_manifest(&manifest).unwrap();
        assert_eq!((&back.config, &back.extra, &back.author), (&image.config, &image.extra, &image.author));
        assert_eq!((&back.platform, &back.annotations[TITLE]), (&image.platform, &image.annotations[TITLE]));
        // And from there on nothing changes any more.
        let again = with_ctx(|ctx| to_manifest(&back, Payload::Filesystem, &SmartosOptions::default(), ctx));
        let twice = from_manifest(&again).unwrap();
        let thrice =
            with_ctx(|ctx| to_manifest(&twice, Payload::Filesystem, &SmartosOptions::default(), ctx));
        assert_eq!(again.object().get("uuid"), manifest.object().get("uuid"));
        assert_eq!(thrice.object(), again.object());
    }

    #[test]
    fn kinds_follow_platform_and_brand() {
        let cases = [
            ("linux/amd64", None, "lx-dataset", "linux"),
            ("illumos/amd64", None, "zone-dataset", "illumos"),
            ("solaris/amd64", Some("joyent-minimal"), "zone-dataset", "smartos"),
            ("freebsd/amd64", None, "other", "bsd"),
            ("plan9/amd64", None, "other", "other"),
        ];
        for (platform, brand, image_type, os) in cases {
            let mut image = Image { platform: Some(platform.parse().unwrap()), ..Image::default() };
            image.annotations.extend(brand.map(|b| (BRAND.to_owned(), b.to_owned())));
            let manifest =
                with_ctx(|ctx| to_manifest(&image, Payload::Filesystem, &SmartosOptions::default(), ctx));
            let said = (manifest.image_type().unwrap().name(), manifest.os().unwrap().unwrap().name());
            assert_eq!(said, (image_type, os), "{platform}");
        }
        let volume = with_ctx(|ctx| {
            to_manifest(
                &Image::default(),
                Payload::Volume { size: (5 << 20) + 1 },
                &SmartosOptions::default(),
                ctx,
            )
        });
        assert_eq!((volume.image_type(), volume.image_size()), (Ok(ImageType::Zvol), Ok(Some(6))));
    }
}
