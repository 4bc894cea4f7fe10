//! Whose certificates are believed.

use std::path::Path;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

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

/// The certificates of `SSL_CERT_FILE`, or else those of the system, or else Mozilla's as they were when this was
/// built: a global zone has none of its own.
pub(super) fn config() -> Result<TlsConfig, RemoteError> {
    let roots = match std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
        Some(path) => {
            let path = Path::new(&path);
            let failed = |reason| RemoteError::Roots { path: path.display().to_string(), reason };
            Some(bundle(path).map_err(failed)?)
        }
        // What is there and can't be used is as good as not there.
        None => BUNDLES.iter().find_map(|path| bundle(Path::new(path)).ok()),
    };
    Ok(TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki)).build())
}

fn bundle(path: &Path) -> Result<RootCerts, String> {
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
    Ok(RootCerts::new_with_certs(&certificates))
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
