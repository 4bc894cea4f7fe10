//! SmartOS image servers (IMGAPI): finding images, their manifests, their files (`docs/smartos-images.md` §13).
//!
//! Nothing that a server says is believed: manifests must be those that were asked for, files must have the size and
//! the checksum of their manifest before anything bears its name.

mod chain;
mod error;
mod fetch;
mod filter;
mod folder;
mod import;
mod server;
mod sources;
mod table;

pub use aurora_engine::remote::{Client, Url, UrlError};
pub use aurora_formats::smartos::Manifest;

pub use chain::{Ancestor, Catalog, MAX_ORIGINS, Missed};
pub use error::ImgapiError;
pub(crate) use fetch::fetch;
pub use filter::{Filter, FilterError};
pub use import::{ImportOptions, Imported, import};
pub use server::{Channel, Server};
pub use sources::{DEFAULT_SOURCE, Source, Sources};
pub use table::{AVAIL_COLUMNS, ColumnError, Columns, Row};

use crate::{Ctx, Result, interrupt};

/// Does something with a client; its requests end as soon as the work is to stop.
pub fn with_client<T>(ctx: &Ctx<'_>, work: impl FnOnce(&Client) -> Result<T>) -> Result<T> {
    work(&*interrupt::client(ctx.options.remote.clone(), ctx)?)
}
