//! What this build can do (runtime-spec, features.md): of the program, not of the host.

use serde_json::{Value, json};

use crate::{HookKind, OCI_VERSION};

/// The document that `features` prints.
pub fn features() -> Value {
    let mut all = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": HookKind::ALL.map(HookKind::name),
        "annotations": {"dev.aurora.runz.version": env!("CARGO_PKG_VERSION")},
    });
    let members = all.as_object_mut().expect("it is an object");
    if cfg!(target_os = "linux") {
        members.insert("mountOptions".to_owned(), json!(mount_options()));
        members.insert("linux".to_owned(), linux());
    }
    all
}

/// Those that the backend knows; others are data of the file system.
fn mount_options() -> Vec<String> {
    #[cfg(target_os = "linux")]
    let mut all = crate::backend::linux::mount_options();
    #[cfg(not(target_os = "linux"))]
    let mut all = Vec::<String>::new();
    all.sort();
    all
}

fn linux() -> Value {
    json!({
        "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
        "capabilities": capabilities(),
        "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": false, "rdma": false},
        "seccomp": {
            "enabled": true,
            "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"],
            "operators": ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"],
            "archs": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_RISCV64", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
            "knownFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
            "supportedFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
        },
        "apparmor": {"enabled": true},
        "selinux": {"enabled": false},
        "intelRdt": {"enabled": true},
        "mountExtensions": {"idmap": {"enabled": true}},
    })
}

/// All that the specification's types know.
fn capabilities() -> Vec<&'static str> {
    const ALL: [&str; 41] = [
        "CAP_AUDIT_CONTROL",
        "CAP_AUDIT_READ",
        "CAP_AUDIT_WRITE",
        "CAP_BLOCK_SUSPEND",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_IPC_LOCK",
        "CAP_IPC_OWNER",
        "CAP_KILL",
        "CAP_LEASE",
        "CAP_LINUX_IMMUTABLE",
        "CAP_MAC_ADMIN",
        "CAP_MAC_OVERRIDE",
        "CAP_MKNOD",
        "CAP_NET_ADMIN",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_BROADCAST",
        "CAP_NET_RAW",
        "CAP_PERFMON",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYSLOG",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_CHROOT",
        "CAP_SYS_MODULE",
        "CAP_SYS_NICE",
        "CAP_SYS_PACCT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_WAKE_ALARM",
    ];
    ALL.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{Capability, Features};

    #[test]
    fn it_is_the_document_of_the_specification() {
        let all = features();
        let parsed: Features = serde_json::from_value(all.clone()).unwrap();
        assert_eq!(parsed.oci_version_max(), OCI_VERSION);
        for name in capabilities() {
            assert!(serde_json::from_value::<Capability>(json!(name)).is_ok(), "{name}");
        }
        assert!(
            capabilities().is_sorted() && all["mountOptions"].as_array().unwrap().contains(&json!("rbind"))
        );
    }
}
