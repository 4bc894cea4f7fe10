//! What plans depend on of this kernel.

use std::path::Path;

use super::proc;
use crate::backend::Host;

/// Its bit in the masks of `/proc/self/status`.
const CAP_SYS_RESOURCE: u32 = 24;

/// Adds what this process can find out.
pub(crate) fn facts(host: Host) -> Host {
    let capabilities = proc::effective_capabilities();
    Host {
        may_raise: capabilities & (1 << CAP_SYS_RESOURCE) != 0,
        systemd: Path::new("/run/systemd/system").is_dir(),
        unified: super::cgroup_root().join("cgroup.controllers").exists(),
        ..host
    }
}
