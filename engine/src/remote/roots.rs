//! Whose certificates are believed.

use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::RemoteError;
use crate::fs;

/// Where systems keep their own: Debian and many, the Red Hats, illumos, pkgsrc, FreeBSD.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cacert.pem",
    "/opt/local/etc/openssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
];

/// A bundle has some 200 KiB.
const MAX_BUNDLE: u64 = 16 << 20;

/// Whose certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Those of `SSL_CERT_FILE`, or else those of the system, or else Mozilla's as they were when this was built: a
    /// global zone has none of its own.
    #[default]
    System,
    /// The same, and those of a file.
    Also(PathBuf),
    /// Anyone's: the connection is encrypted, and with whom nobody knows.
    Anyone,
}

impl Trust {
    pub(super) fn config(&self) -> Result<TlsConfig, RemoteError> {
        if *self == Self::Anyone {
            return Ok(TlsConfig::builder().disable_verification(true).build());
        }
        let roots = match std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
            Some(path) => Some(bundle(Path::new(&path)).map_err(failed("SSL_CERT_FILE", Path::new(&path)))?),
            // What is there and can't be used is as good as not there.
            None => BUNDLES.iter().find_map(|path| bundle(Path::new(path)).ok()),
        };
        let roots = match self {
            Self::Also(path) => {
                let mut all = roots.unwrap_or_default();
                all.extend(bundle(path).map_err(failed("certificates", path))?);
                Some(all)
            }
            _ => roots,
        };
        let roots = roots.map_or(RootCerts::WebPki, |all| RootCerts::new_with_certs(&all));
        Ok(TlsConfig::builder().root_certs(roots).build())
    }
}

fn failed(what: &'static str, path: &Path) -> impl Fn(String) -> RemoteError {
    move |reason| RemoteError::Roots { what, path: path.display().to_string(), reason }
}

fn bundle(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let bytes = fs::read_limited(path, MAX_BUNDLE).map_err(|e| e.to_string())?;
    let mut certificates = Vec::new();
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| e.to_string())? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_no_bundle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pem");
        assert!(bundle(&path).is_err());
        std::fs::write(&path, "nothing\n").unwrap();
        assert_eq!(bundle(&path).unwrap_err(), "holds no certificate");
    }
}
