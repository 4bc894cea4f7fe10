//! The file that is written: whole or not at all, packed if asked for, its bytes counted.

use std::io::Write;

use aurora_engine::codec::{self, Codec, Compression, Encoder};
use aurora_engine::fs::{self, OutputFile};

use crate::names::FileName;
use crate::sink::WriteOptions;
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// Where streams go.
pub(super) struct Output<'a> {
    to: To<'a>,
    name: String,
    bytes: u64,
    strict: bool,
    ctx: &'a Ctx<'a>,
}

enum To<'a> {
    /// A file of its own.
    File(Box<Encoder<OutputFile>>),
    /// Whatever the caller does with the bytes.
    Writer(&'a mut dyn Write),
}

impl<'a> Output<'a> {
    /// Hands the bytes to a writer.
    pub(super) fn over(writer: &'a mut dyn Write, name: &str, ctx: &'a Ctx<'a>) -> Self {
        Self { to: To::Writer(writer), name: name.to_owned(), bytes: 0, strict: false, ctx }
    }

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
        Ok(Self { to: To::File(Box::new(encoder)), name, bytes: 0, strict: options.strict, ctx })
    }

    /// Writes bytes of the stream.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.ctx.progress.count(Counter::BytesWritten, bytes.len() as u64);
        let written = match &mut self.to {
            To::File(encoder) => encoder.write_all(bytes),
            To::Writer(writer) => writer.write_all(bytes),
        };
        written.map_err(|e| Error::io(self.name.as_str(), e))
    }

    /// Gives the file its name; the bytes of all streams.
    pub(super) fn finish(self) -> Result<u64> {
        let options = WriteOptions { strict: self.strict, ..WriteOptions::default() };
        options.may_commit(self.ctx)?;
        let committed = match self.to {
            To::File(encoder) => encoder.finish().and_then(OutputFile::commit),
            To::Writer(writer) => writer.flush(),
        };
        committed.map_err(|e| Error::io(self.name.as_str(), e))?;
        Ok(self.bytes)
    }
}
