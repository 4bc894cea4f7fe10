//! The file of an image: fetched, and looked at before it gets its name.

use std::io::{self, Read, Write};
use std::path::Path;

use aurora_engine::digest::{Sha1, Sha1Error, Sha1Writer};
use aurora_engine::fs::PartialFile;
use aurora_engine::remote::{Destination, Length};
use aurora_formats::smartos::ImageFile;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::server::{FILE_HEADERS, failed};
use super::{Ancestor, ImgapiError};
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// Largest file that servers take.
const MAX_FILE: u64 = 20 << 30;

/// A partial file that is hashed as it grows.
struct Hashed {
    file: PartialFile,
    sha1: Sha1Writer<io::Sink>,
    md5: Md5,
}

impl Hashed {
    /// With what is there already.
    fn open(path: &Path, ctx: &Ctx<'_>) -> Result<Self> {
        let named = |e| Error::io(path.display().to_string(), e);
        let file = PartialFile::open(path).map_err(named)?;
        let mut hashed = Self { file, sha1: Sha1Writer::new(io::sink()), md5: Md5::new() };
        if !hashed.file.is_empty() {
            let mut reader = hashed.file.reader().map_err(named)?;
            let mut buf = vec![0; 1 << 18];
            loop {
                ctx.check()?;
                match reader.read(&mut buf).map_err(named)? {
                    0 => break,
                    n => hashed.hash(&buf[..n]).map_err(named)?,
                }
            }
        }
        Ok(hashed)
    }

    fn hash(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sha1.write_all(bytes)?;
        self.md5.update(bytes);
        Ok(())
    }

    /// Whether it is the file that is meant: by its SHA-1, or, where there is none, by what the server says it sends.
    fn check(&mut self, promised: &ImageFile, content_md5: Option<&str>, url: &str) -> Result<()> {
        let sha1 = std::mem::replace(&mut self.sha1, Sha1Writer::new(io::sink()));
        let md5 = std::mem::take(&mut self.md5);
        let (_, actual, len) = sha1.finish();
        if let Some(expected) = promised_size(promised) {
            if len < expected {
                return Err(Sha1Error::TooShort { expected, actual: len }.into());
            }
            if len > expected {
                return Err(Sha1Error::TooLong { expected }.into());
            }
        }
        if let Some(expected) = promised.sha1.as_deref().and_then(|text| text.parse::<Sha1>().ok()) {
            if actual == expected { Ok(()) } else { Err(Sha1Error::Mismatch { expected, actual }.into()) }
        } else if let Some(expected) = content_md5 {
            let actual = STANDARD.encode(md5.finalize());
            if actual == expected {
                Ok(())
            } else {
                Err(ImgapiError::Md5 { expected: expected.to_owned(), actual }.into())
            }
        } else {
            Err(ImgapiError::Unverifiable { url: url.to_owned() }.into())
        }
    }
}

impl Destination for Hashed {
    fn position(&self) -> u64 {
        self.file.len()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)?;
        self.hash(bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.restart()?;
        self.sha1 = Sha1Writer::new(io::sink());
        self.md5 = Md5::new();
        Ok(())
    }
}

/// What the manifest says of its file.
pub(super) fn promised(image: &Ancestor<'_>) -> Result<ImageFile> {
    match &image.manifest.files()?[..] {
        [file] => Ok(file.clone()),
        [] => Err(unusable(image, "the image has no file".to_owned())?.into()),
        _ => Err(unusable(image, "the image has several files, as LXD's do".to_owned())?.into()),
    }
}

/// Why nothing can be done with an image.
pub(super) fn unusable(image: &Ancestor<'_>, reason: String) -> Result<ImgapiError> {
    let (uuid, url) = (image.manifest.uuid()?, image.server.url().to_string());
    Ok(ImgapiError::Unusable { uuid, url, reason })
}

/// The size, where the manifest tells one: 0 is none.
pub(super) fn promised_size(file: &ImageFile) -> Option<u64> {
    file.size.filter(|size| *size > 0)
}

/// Fetches the file of an image to `path`, going on with `PATH.partial` if that is there. It is renamed once it has been
/// found to be the right one; a wrong one is removed.
pub(crate) fn fetch(image: &Ancestor<'_>, path: &Path, ctx: &Ctx<'_>) -> Result<()> {
    let named = |e| Error::io(path.display().to_string(), e);
    let url = image.server.file_url(image.manifest.uuid()?);
    let promised = promised(image)?;
    let length = promised_size(&promised).map_or(Length::AtMost(MAX_FILE), Length::Exactly);
    if let Length::Exactly(size) = length
        && size > MAX_FILE
    {
        return Err(ErrorKind::Limit { what: "bytes of an image's file", limit: MAX_FILE }.into());
    }
    let mut file = Hashed::open(path, ctx)?;
    let stop = || ctx.cancel.is_set();
    let count = |n| ctx.progress.count(Counter::BytesRead, n);
    loop {
        let got = image.server.client().download(&url, FILE_HEADERS, length, &mut file, &count, &stop);
        let done = match got {
            Ok(done) => done,
            Err(e) => {
                // What came of a file that is another one is of no use to the next attempt.
                if e.is_wrong_file() {
                    let _ = file.file.discard();
                }
                return Err(failed(e));
            }
        };
        match file.check(&promised, done.content_md5.as_deref(), &url.to_string()) {
            Ok(()) => return file.file.commit().map_err(named),
            // Its beginning may be of another file, left by an earlier attempt.
            Err(_) if done.is_resumed => file.restart().map_err(named)?,
            Err(e) => {
                file.file.discard().map_err(named)?;
                return Err(e.in_image(url.to_string()));
            }
        }
    }
}
