//! The process that `exec` runs, and what a container's own files say of users.

use oci_spec::runtime::{Capability, Process};
use serde_json::Value;

use crate::bundle::check_process;
use crate::{Error, Result};

/// What `exec` changes of the container's own process.
#[derive(Debug, Clone, Default)]
pub struct ProcessChange {
    /// What is run.
    pub args: Vec<String>,
    /// Variables more, `NAME=VALUE`.
    pub env: Vec<String>,
    /// Where.
    pub cwd: Option<String>,
    /// As whom.
    pub user: Option<(u32, Option<u32>)>,
    /// In which groups more.
    pub groups: Vec<u32>,
    /// With which capabilities more.
    pub capabilities: Vec<String>,
    /// Without gaining privileges.
    pub no_new_privileges: bool,
    /// With a terminal.
    pub terminal: bool,
    /// Under which profile of AppArmor.
    pub apparmor: Option<String>,
}

impl ProcessChange {
    /// The process that comes of it.
    pub(crate) fn apply(&self, base: &Process) -> Result<Process> {
        let mut process = base.clone();
        process.set_args(Some(self.args.clone())).set_terminal(Some(self.terminal)).set_console_size(None);
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.into());
        }
        if !self.env.is_empty() {
            let mut env = base.env().clone().unwrap_or_default();
            env.extend(self.env.iter().cloned());
            process.set_env(Some(env));
        }
        if let Some((uid, gid)) = self.user {
            let user = process.user_mut();
            user.set_uid(uid);
            if let Some(gid) = gid {
                user.set_gid(gid);
            }
        }
        if !self.groups.is_empty() {
            let mut groups = process.user().additional_gids().clone().unwrap_or_default();
            groups.extend(&self.groups);
            process.user_mut().set_additional_gids(Some(groups));
        }
        if self.no_new_privileges {
            process.set_no_new_privileges(Some(true));
        }
        if let Some(profile) = &self.apparmor {
            process.set_apparmor_profile(Some(profile.clone()));
        }
        self.add_capabilities(&mut process)?;
        check_process(&process)?;
        Ok(process)
    }

    fn add_capabilities(&self, process: &mut Process) -> Result<()> {
        if self.capabilities.is_empty() {
            return Ok(());
        }
        let mut more = Vec::new();
        for name in &self.capabilities {
            let value = Value::String(name.to_ascii_uppercase());
            let known = serde_json::from_value::<Capability>(value);
            more.push(known.map_err(|_| Error::Usage(format!("unknown capability: {name}")))?);
        }
        let mut sets = process.capabilities().clone().unwrap_or_default();
        let with = |set: &Option<std::collections::HashSet<Capability>>| {
            Some(set.iter().flatten().copied().chain(more.iter().copied()).collect())
        };
        let (bounding, effective, permitted) =
            (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
        sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
        // Never inheritable: programs would keep them beyond their own rights.
        if process.capabilities().is_none() {
            sets.set_inheritable(None).set_ambient(None);
        }
        process.set_capabilities(Some(sets));
        Ok(())
    }
}

/// `UID[:GID]`.
pub fn parse_user(text: &str) -> Result<(u32, Option<u32>)> {
    let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    let number = |text: &str| {
        let wrong = |_| Error::Usage(format!("a user is UID[:GID], in numbers: {text:?}"));
        text.parse::<u32>().map_err(wrong)
    };
    Ok((number(uid)?, gid.map(number).transpose()?))
}

/// A member of the line of `/etc/passwd` that has this number.
fn of_user(passwd: &str, uid: u32, member: usize) -> Option<&str> {
    let fields = |line: &str, n: usize| line.split(':').nth(n).map(str::to_owned);
    let line = passwd.lines().find(|line| fields(line, 2).is_some_and(|text| text == uid.to_string()))?;
    line.split(':').nth(member).filter(|text| !text.is_empty())
}

/// His name.
pub(crate) fn user_name(passwd: &str, uid: u32) -> Option<&str> {
    of_user(passwd, uid, 0)
}

/// His directory, as `HOME` of a process that has none. In zones podinit looks for it.
#[cfg(any(target_os = "linux", test))]
pub(crate) fn home(passwd: &str, uid: u32) -> Option<&str> {
    of_user(passwd, uid, 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn base() -> Process {
        serde_json::from_value(json!({"terminal": true, "user": {"uid": 1, "gid": 2, "additionalGids": [3]},
            "args": ["init"], "env": ["A=1"], "cwd": "/srv",
            "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"]}}))
        .unwrap()
    }

    #[test]
    fn what_is_not_changed_is_the_containers() {
        let change = ProcessChange { args: vec!["ls".into()], ..ProcessChange::default() };
        let process = change.apply(&base()).unwrap();
        let value = serde_json::to_value(&process).unwrap();
        assert_eq!(
            (&value["args"], &value["env"], &value["cwd"]),
            (&json!(["ls"]), &json!(["A=1"]), &json!("/srv"))
        );
        assert_eq!(value["terminal"], false);
        assert_eq!(value["user"], json!({"uid": 1, "gid": 2, "additionalGids": [3]}));
    }

    #[test]
    fn changes_are_made() {
        let change = ProcessChange {
            args: vec!["ls".into()],
            env: vec!["B=2".into()],
            cwd: Some("/".into()),
            user: Some((9, None)),
            groups: vec![4],
            capabilities: vec!["cap_kill".into()],
            no_new_privileges: true,
            terminal: true,
            apparmor: None,
        };
        let value = serde_json::to_value(change.apply(&base()).unwrap()).unwrap();
        assert_eq!((&value["env"], &value["cwd"]), (&json!(["A=1", "B=2"]), &json!("/")));
        assert_eq!(value["user"], json!({"uid": 9, "gid": 2, "additionalGids": [3, 4]}));
        assert_eq!(value["noNewPrivileges"], true);
        for set in ["bounding", "effective", "permitted"] {
            assert_eq!(value["capabilities"][set].as_array().unwrap().len(), 2, "{set}");
        }
        let bad = |change: ProcessChange| change.apply(&base()).unwrap_err().to_string();
        let args = vec!["a".to_owned()];
        assert!(bad(ProcessChange::default()).contains("process.args"));
        assert!(
            bad(ProcessChange { args: args.clone(), cwd: Some("x".into()), ..Default::default() })
                .contains("cwd")
        );
        let unknown = ProcessChange { args, capabilities: vec!["CAP_X".into()], ..Default::default() };
        assert_eq!(bad(unknown), "unknown capability: CAP_X");
    }

    #[test]
    fn users_are_numbers_and_files_name_them() {
        assert_eq!(parse_user("7").unwrap(), (7, None));
        assert_eq!(parse_user("7:8").unwrap(), (7, Some(8)));
        for bad in ["", "root", "7:", "-1", "7:8:9"] {
            assert!(parse_user(bad).is_err(), "{bad:?}");
        }
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\nweb:x:33:33:::\n";
        assert_eq!((user_name(passwd, 0), home(passwd, 0)), (Some("root"), Some("/root")));
        assert_eq!((user_name(passwd, 33), home(passwd, 33)), (Some("web"), None));
        assert_eq!(home(passwd, 5), None);
    }
}
