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

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

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

use crate::{Ctx, Error, Result};

/// How soon an interruption reaches a request that waits for its server.
const LOOK: Duration = Duration::from_millis(100);

/// Does something with a client; its requests end as soon as the work is to stop.
pub fn with_client<T>(ctx: &Ctx<'_>, work: impl FnOnce(&Client) -> Result<T>) -> Result<T> {
    let client = Client::new(ctx.options.remote.clone()).map_err(Error::from)?;
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = thread::Builder::new().name("interrupt".into()).spawn_scoped(scope, || {
            while !is_done.load(Ordering::Relaxed) {
                if ctx.cancel.is_set() {
                    client.shutdown();
                    break;
                }
                thread::park_timeout(LOOK);
            }
        });
        let watcher = watcher.map_err(|e| Error::io("starting a thread", e))?;
        let done = work(&client);
        is_done.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        done
    })
}
