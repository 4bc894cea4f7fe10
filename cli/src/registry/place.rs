//! Where the files are that podman, skopeo and docker share.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use aurora_convert::registry::{CredentialFiles, RegistryOptions};

use super::args::Registries;

/// All that is known of registries before one is asked.
pub(crate) fn options(args: &Registries) -> RegistryOptions {
    choose(args, |name| env::var_os(name))
}

fn choose(args: &Registries, variable: impl Fn(&str) -> Option<OsString>) -> RegistryOptions {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = path("HOME");
    let config = path("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
    let containers = config.map(|config| config.join("containers"));
    let runtime = path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
    let docker = path("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
    let lasting = containers.as_ref().map(|dir| dir.join("auth.json"));
    let credentials = match args.authfile.clone().or_else(|| path("REGISTRY_AUTH_FILE")) {
        Some(file) => CredentialFiles { read: vec![file.clone()], write: Some(file) },
        None => CredentialFiles {
            // Where podman logs in, unless there is no session.
            write: runtime.clone().or_else(|| lasting.clone()),
            read: [runtime, lasting, docker.map(|dir| dir.join("config.json"))]
                .into_iter()
                .flatten()
                .collect(),
        },
    };
    let (conf, conf_folders) =
        match args.registries_conf.clone().or_else(|| path("CONTAINERS_REGISTRIES_CONF")) {
            Some(file) => (vec![file], Vec::new()),
            None => {
                let system = PathBuf::from("/etc/containers");
                // The user's file goes instead of the system's, his folder goes behind it.
                let places: Vec<PathBuf> = containers.into_iter().chain([system]).collect();
                let conf = places.iter().map(|dir| dir.join("registries.conf")).collect();
                (conf, places.iter().rev().map(|dir| dir.join("registries.conf.d")).collect())
            }
        };
    RegistryOptions { credentials, conf, conf_folders, insecure: args.insecure, ..RegistryOptions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Set = &'static [(&'static str, &'static str)];

    fn shown(args: &Registries, set: Set) -> (Vec<String>, Option<String>, Vec<String>) {
        let variable = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        let options = choose(args, variable);
        let text = |path: &PathBuf| path.display().to_string();
        let CredentialFiles { read, write } = &options.credentials;
        (read.iter().map(text).collect(), write.as_ref().map(text), options.conf.iter().map(text).collect())
    }

    #[test]
    fn the_files_of_others_are_found() {
        let none = Registries { insecure: false, ca: None, authfile: None, registries_conf: None };
        let (read, write, conf) = shown(&none, &[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/1")]);
        assert_eq!(
            read,
            ["/run/1/containers/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"]
        );
        assert_eq!(write.as_deref(), Some("/run/1/containers/auth.json"));
        assert_eq!(conf, ["/h/.config/containers/registries.conf", "/etc/containers/registries.conf"]);
        let (read, write, _) =
            shown(&none, &[("HOME", "/h"), ("REGISTRY_AUTH_FILE", "/a"), ("XDG_RUNTIME_DIR", "")]);
        assert_eq!((read, write.as_deref()), (vec!["/a".to_owned()], Some("/a")));
        let (read, write, _) = shown(&none, &[("DOCKER_CONFIG", "/d")]);
        assert_eq!((read, write), (vec!["/d/config.json".to_owned()], None));
        let given = Registries { authfile: Some("/f".into()), registries_conf: Some("/r".into()), ..none };
        let (read, write, conf) =
            shown(&given, &[("REGISTRY_AUTH_FILE", "/a"), ("CONTAINERS_REGISTRIES_CONF", "/c")]);
        assert_eq!(
            (read, write.as_deref(), conf),
            (vec!["/f".to_owned()], Some("/f"), vec!["/r".to_owned()])
        );
    }
}
