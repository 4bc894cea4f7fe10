//! Requests that end as soon as the work is to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aurora_engine::remote::{Client, ClientOptions};

use crate::{Ctx, Error, Result};

/// How soon an interruption reaches a request that waits for its server.
const LOOK: Duration = Duration::from_millis(100);

/// A client of this context, with these options.
pub(crate) fn client(options: ClientOptions, ctx: &Ctx<'_>) -> Result<Arc<Client>> {
    let client = Arc::new(Client::new(options).map_err(Error::from)?);
    watch(&client, ctx.cancel.flag())?;
    Ok(client)
}

/// Shuts the client down once `stop` is set; ends with the client.
fn watch(client: &Arc<Client>, stop: Arc<AtomicBool>) -> Result<()> {
    let client = Arc::downgrade(client);
    let look = move || {
        while let Some(client) = client.upgrade() {
            if stop.load(Ordering::Relaxed) {
                client.shutdown();
                break;
            }
            drop(client);
            thread::sleep(LOOK);
        }
    };
    let started = thread::Builder::new().name("interrupt".into()).spawn(look);
    started.map(drop).map_err(|e| Error::io("starting a thread", e))
}
