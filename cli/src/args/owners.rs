//! Owners that are others on this host.

use aurora_convert::Error;
use aurora_convert::tree::owners::{IdRange, OwnerMap};
use clap::Args;

use crate::session::Stop;

/// Owners of an image and of this host.
#[derive(Debug, Args)]
pub(crate) struct Owners {
    /// Users that are others on this host; given once for each range
    #[arg(long = "uid-map", value_name = "IMAGE:HOST[:SIZE]")]
    users: Vec<IdRange>,
    /// Groups that are others on this host; given once for each range
    #[arg(long = "gid-map", value_name = "IMAGE:HOST[:SIZE]")]
    groups: Vec<IdRange>,
    /// All is the caller's, who stands for root
    #[arg(long, conflicts_with_all = ["users", "groups"])]
    rootless: bool,
}

impl Owners {
    pub(crate) fn map(&self) -> Result<OwnerMap, Stop> {
        Ok(match (self.rootless, self.users.is_empty() && self.groups.is_empty()) {
            (true, _) => {
                let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
                OwnerMap::All(uid.as_raw(), gid.as_raw())
            }
            (false, true) => OwnerMap::Same,
            (false, false) => {
                OwnerMap::ranges(self.users.clone(), self.groups.clone()).map_err(Error::usage)?
            }
        })
    }
}
