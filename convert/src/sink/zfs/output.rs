//! The file that is written: whole or not at all, packed if asked for, its bytes counted.

use std::io::Write;

use aurora_engine::codec::{self, Codec, Compression, Encoder};
use aurora_engine::fs::{self, OutputFile};

use crate::names::FileName;
use crate::sink::WriteOptions;
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// Where streams go.
pub(super) struct Output<'a> {
    encoder: Encoder<OutputFile>,
    name: String,
    bytes: u64,
    ctx: &'a Ctx<'a>,
}

impl<'a> Output<'a> {
    pub(super) fn create(file: &FileName, options: &WriteOptions, ctx: &'a Ctx<'a>) -> Result<Self> {
        let (name, opened) = match file {
            FileName::Pipe => ("standard output".to_owned(), OutputFile::stdout()),
            FileName::Path(path) => {
                let name = path.display().to_string();
                let exists = fs::exists(path).map_err(|e| Error::io(name.as_str(), e))?;
                if exists
                    && !options.force
                    && fs::open_input(path).and_then(|f| fs::is_regular(&f)).unwrap_or(true)
                {
                    return Err(ErrorKind::Exists(name).into());
                }
                let opened = OutputFile::create(path);
                (name, opened)
            }
        };
        let compression = options.compression.unwrap_or(Compression { codec: Codec::None, level: None });
        let encoder = opened.and_then(|out| codec::writer(out, compression, ctx.options.threads));
        let encoder = encoder.map_err(|e| Error::io(name.as_str(), e))?;
        Ok(Self { encoder, name, bytes: 0, ctx })
    }

    /// Writes bytes of the stream.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.ctx.progress.count(Counter::BytesWritten, bytes.len() as u64);
        self.encoder.write_all(bytes).map_err(|e| Error::io(self.name.as_str(), e))
    }

    /// Gives the file its name; the bytes of all streams.
    pub(super) fn finish(self) -> Result<u64> {
        let committed = self.encoder.finish().and_then(OutputFile::commit);
        committed.map_err(|e| Error::io(self.name.as_str(), e))?;
        Ok(self.bytes)
    }
}
