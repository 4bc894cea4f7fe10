//! Registries: what is asked of them, what they are believed, and what is left on disk when they do wrong.
#![allow(clippy::unwrap_used)]

mod auth;
mod pull;
mod push;
mod read;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, Copied, CopyOptions};
use aurora_convert::registry::{CredentialFiles, RegistryName, RegistryOptions};
use aurora_convert::{Cancel, ClientOptions, Ctx, NoProgress, Options, Result};
use aurora_engine::digest::Digest;
use aurora_tests::{Door, NoWait, RegistryServer};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Bytes of the layer of [`Case::image`].
const SIZE: usize = 3_000_000;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 % 251) as u8).collect()
}

/// A descriptor.
fn descriptor(kind: &str, bytes: &[u8], more: &str) -> String {
    let (digest, size) = (Digest::sha256(bytes), bytes.len());
    format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}{more}}}"#)
}

/// An image's documents and blobs.
struct Image {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

impl Image {
    /// One whose layer need not be a tar: it is moved, not read.
    fn new(layer: Vec<u8>, more: &str) -> Self {
        let config =
            br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
        let (c, l) = (descriptor(CONFIG, &config, ""), descriptor(LAYER, &layer, ""));
        let manifest =
            format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{c},"layers":[{l}]{more}}}"#);
        Self { manifest: manifest.into_bytes(), config, layer }
    }

    fn digest(&self) -> String {
        Digest::sha256(&self.manifest).to_string()
    }

    fn layer_digest(&self) -> String {
        Digest::sha256(&self.layer).to_string()
    }

    /// Puts it into a registry, behind everybody's back.
    fn put(&self, server: &RegistryServer, repository: &str, tag: &str) {
        server.put_blob(repository, &self.config);
        server.put_blob(repository, &self.layer);
        for reference in [tag, &self.digest()] {
            server.put_manifest(repository, reference, MANIFEST, &self.manifest);
        }
    }
}

/// A registry, and a store.
struct Case {
    server: RegistryServer,
    pace: Arc<NoWait>,
    dir: tempfile::TempDir,
    conf: Vec<PathBuf>,
    chunk: u64,
}

impl Case {
    fn new(door: Door) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        Self {
            server: RegistryServer::new(door),
            pace: Arc::default(),
            dir,
            conf: Vec::new(),
            chunk: 32 << 20,
        }
    }

    /// With an image of [`SIZE`] bytes at `x/y:1`.
    fn image() -> (Self, Image) {
        let (case, image) = (Self::new(Door::Open), Image::new(bytes(SIZE), ""));
        image.put(&case.server, "x/y", "1");
        (case, image)
    }

    fn name(&self, rest: &str) -> RegistryName {
        format!("//{}/{rest}", self.server.host()).parse().unwrap()
    }

    /// What the only file of credentials holds.
    fn log_in(&self, entry: &str) {
        let text = format!(r#"{{"auths":{{"{}":{entry}}}}}"#, self.server.host());
        std::fs::write(self.dir.path().join("auth.json"), text).unwrap();
    }

    fn with<T>(&self, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
        let mut options = Options::new(self.dir.path().join("tmp"));
        options.remote = ClientOptions {
            pace: self.pace.clone(),
            use_proxy: false,
            idle: Duration::from_millis(500),
            ..ClientOptions::default()
        };
        options.store = Some(self.dir.path().join("store"));
        let auth = self.dir.path().join("auth.json");
        options.registries = RegistryOptions {
            credentials: CredentialFiles { read: vec![auth.clone()], write: Some(auth) },
            conf: self.conf.clone(),
            conf_folders: Vec::new(),
            insecure: true,
            // One after the other: the log of requests is compared.
            jobs: 1,
            chunk: self.chunk,
        };
        let cancel = Cancel::default();
        let out = work(&Ctx::new(options, &NoProgress, &cancel));
        let left: Vec<_> = std::fs::read_dir(self.dir.path().join("tmp")).unwrap().collect();
        assert!(left.is_empty(), "temporary files are left: {left:?}");
        out
    }

    fn get(&self, rest: &str) -> Result<Copied> {
        self.get_all(rest, false)
    }

    fn get_all(&self, rest: &str, all: bool) -> Result<Copied> {
        let options = CopyOptions { all, platform: None };
        self.with(|ctx| ops::get(&self.name(rest), None, &options, ctx))
    }

    fn push(&self, src: &str, rest: &str, all: bool) -> Result<Copied> {
        let options = CopyOptions { all, platform: None };
        self.with(|ctx| ops::push(&src.parse().unwrap(), &self.name(rest), &options, ctx))
    }

    fn docker(&self, rest: &str) -> ImageName {
        ImageName::Docker { name: self.name(rest) }
    }

    /// A blob of the store.
    fn stored(&self, digest: &str) -> Option<Vec<u8>> {
        let path = self.dir.path().join("store/blobs").join(digest.replacen(':', "/", 1));
        std::fs::read(path).ok()
    }

    /// Names of images in the store; half-made files are none.
    #[track_caller]
    fn names(&self) -> Vec<String> {
        let partial = self.dir.path().join("store/aurora/partial");
        let left = std::fs::read_dir(partial).map(Iterator::count).unwrap_or_default();
        assert_eq!(left, 0, "files are left in the making");
        let found = self.with(ops::store::list).unwrap();
        let mut names: Vec<String> = found.iter().filter_map(|i| i.tag.clone()).collect();
        names.sort();
        names
    }

    /// Requests for blobs since the last time.
    fn blob_requests(&self) -> Vec<String> {
        let all = self.server.requests();
        all.into_iter().filter(|line| line.contains("/blobs/") && !line.starts_with("HEAD ")).collect()
    }

    fn waits(&self) -> Vec<u64> {
        self.pace.waits()
    }
}
