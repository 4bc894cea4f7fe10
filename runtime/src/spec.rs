//! `spec`: a config to begin with.

use aurora_convert::bundle::{Runner, plain};
use serde_json::Value;

/// A config that runs a shell on a terminal; for a user who is root inside and nobody else, or for root.
pub fn spec(user: Option<(u32, u32)>) -> Value {
    let runner = user.map_or(Runner::Root, |(uid, gid)| Runner::User(uid, gid));
    let mut config = plain(runner);
    config["process"]["terminal"] = true.into();
    config["root"]["readonly"] = true.into();
    config["hostname"] = "runz".into();
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;

    #[test]
    fn it_is_a_config_that_can_be_run() {
        for user in [None, Some((1000, 100))] {
            let bundle = Bundle::new("/b".into(), spec(user)).unwrap();
            assert_eq!(bundle.process().args().as_deref(), Some(&["sh".to_owned()][..]));
            assert_eq!(bundle.process().terminal(), Some(true));
        }
        assert_eq!(spec(Some((1000, 100)))["linux"]["uidMappings"][0]["hostID"], 1000);
    }
}
