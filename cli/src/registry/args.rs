//! What is typed behind the commands about registries, and the options that every command takes for them.

use std::path::PathBuf;

use aurora_convert::image::Platform;
use aurora_convert::names::ImageName;
use aurora_convert::registry::RegistryName;
use clap::Args;

use crate::args::{NAMES, image_name};

/// How registries are talked to.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registries")]
pub(crate) struct Registries {
    /// Take any certificate, and plain HTTP where there is no TLS
    #[arg(long, global = true)]
    pub(crate) insecure: bool,
    /// Trust the certificates in this file, too
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ca: Option<PathBuf>,
    /// Users and passwords [default: REGISTRY_AUTH_FILE, else the files of podman and docker]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) authfile: Option<PathBuf>,
    /// Mirrors and more [default: CONTAINERS_REGISTRIES_CONF, else the user's or the system's containers/registries.conf]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) registries_conf: Option<PathBuf>,
}

/// What is copied, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct Copying {
    /// Copy the whole index, and what hangs on the image: signatures, bills of materials
    #[arg(long, short, conflicts_with = "platform")]
    pub(crate) all: bool,
    /// Which image of an index: OS/ARCH[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Blobs to move at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = crate::servers::args::parse_jobs)]
    pub(crate) jobs: usize,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Bring an image of a registry into the local store
#[derive(Debug, Args)]
#[command(after_long_help = NAMES)]
pub(crate) struct Get {
    /// The image: docker://HOST/NAME[:TAG][@DIGEST]; docker:// may be left out
    #[arg(value_name = "IMAGE", value_parser = registry_name)]
    pub(crate) name: RegistryName,
    /// Its name in the store [default: its own]
    #[arg(value_name = "NAME[:TAG]", value_parser = image_name())]
    pub(crate) to: Option<ImageName>,
    #[command(flatten)]
    pub(crate) copying: Copying,
}

/// Send an image into a registry, with the bytes it has
#[derive(Debug, Args)]
#[command(after_long_help = NAMES)]
pub(crate) struct Push {
    /// The image: of the local store, or oci:, oci-archive:, docker://
    #[arg(value_name = "SRC", value_parser = image_name())]
    pub(crate) src: ImageName,
    /// Where to: docker://HOST/NAME[:TAG] [default: the name that the image has in the store]
    #[arg(value_name = "DST", value_parser = registry_name)]
    pub(crate) dst: Option<RegistryName>,
    #[command(flatten)]
    pub(crate) copying: Copying,
}

/// Copy an image from place to place, with the bytes it has
#[derive(Debug, Args)]
#[command(after_long_help = NAMES)]
pub(crate) struct Copy {
    /// The image: docker://, oci:, oci-archive:, or of the local store
    #[arg(value_name = "SRC", value_parser = image_name())]
    pub(crate) src: ImageName,
    /// Where to: docker://, oci:, oci-archive:, or the local store
    #[arg(value_name = "DST", value_parser = image_name())]
    pub(crate) dst: ImageName,
    #[command(flatten)]
    pub(crate) copying: Copying,
}

/// List the tags of a repository
#[derive(Debug, Args)]
pub(crate) struct Tags {
    /// The repository: docker://HOST/NAME; docker:// may be left out
    #[arg(value_name = "REPOSITORY", value_parser = registry_name)]
    pub(crate) name: RegistryName,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Keep a user and a password for a registry
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The registry, or a repository of it
    #[arg(value_name = "HOST[/NAME]")]
    pub(crate) registry: String,
    /// The user [default: asked for]
    #[arg(long, short, value_name = "USER")]
    pub(crate) username: Option<String>,
    /// Read the password from standard input, and not from the terminal
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// Forget users and passwords
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// The registry, or a repository of it
    #[arg(value_name = "HOST[/NAME]", required_unless_present = "all")]
    pub(crate) registry: Option<String>,
    /// Forget them all
    #[arg(long, short, conflicts_with = "registry")]
    pub(crate) all: bool,
}

/// With `docker://` or without it.
fn registry_name(text: &str) -> Result<RegistryName, String> {
    text.strip_prefix("docker:").unwrap_or(text).parse().map_err(|e| format!("{e}"))
}
