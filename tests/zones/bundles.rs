//! Forty bundles by a rule. Number 0 is what every one of them has. Numbers 1 to 24 add one feature each, in
//! the order of [`FEATURES`]. The others add every feature whose number, with the bundle's, is a multiple of
//! 4 or 5 as [`has`] says, so that features meet. Some features can't be had in some dialects, or anywhere:
//! goldens say so.

use oci_spec::runtime::Spec;
use serde_json::{Value, json};

pub(crate) const COUNT: usize = 40;

/// What every bundle has: what podman sends for any container, without its longer lists.
fn base() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": { "args": ["/bin/true"], "cwd": "/", "user": { "uid": 0, "gid": 0 }, "env": ["PATH=/usr/bin"],
            "oomScoreAdj": 0, "noNewPrivileges": true, "capabilities": { "bounding": ["CAP_KILL"] },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096 }] },
        "root": { "path": "rootfs" },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "mode=1777", "size=65536k"] }
        ],
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "network" }, { "type": "mount" }],
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
            "cgroupsPath": "/libpod_parent/libpod-1",
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] }
        },
        "solaris": {}
    })
}

type Feature = (&'static str, fn(&mut Value));

fn mount(spec: &mut Value, mount: Value) {
    spec["mounts"].as_array_mut().unwrap().push(mount);
}

fn anet(spec: &mut Value, anet: Value) {
    let solaris = spec["solaris"].as_object_mut().unwrap();
    solaris.entry("anet").or_insert_with(|| json!([])).as_array_mut().unwrap().push(anet);
}

pub(crate) const FEATURES: [Feature; 24] = [
    ("hostname", |s| s["hostname"] = json!("web-1")),
    ("readonly root", |s| s["root"]["readonly"] = json!(true)),
    ("volume", |s| {
        mount(
            s,
            json!({ "destination": "/data", "type": "bind", "source": "/tank/data", "options": ["rbind", "nodev", "nosuid", "rprivate"] }),
        )
    }),
    ("volume without what is below it", |s| {
        mount(
            s,
            json!({ "destination": "/src", "type": "bind", "source": "/tank/src", "options": ["bind", "ro"] }),
        )
    }),
    ("file of the bundle", |s| {
        mount(
            s,
            json!({ "destination": "/etc/hosts", "type": "bind", "source": "hosts", "options": ["bind", "rprivate"] }),
        )
    }),
    ("blanks in a path", |s| {
        mount(
            s,
            json!({ "destination": "/my data", "type": "bind", "source": "/tank/my data;x", "options": ["rbind"] }),
        )
    }),
    ("tmpfs", |s| {
        mount(
            s,
            json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=64m", "mode=1777", "nosuid", "noexec"] }),
        )
    }),
    ("memory", |s| {
        s["linux"]["resources"]["memory"] = json!({ "limit": 536_870_912, "swap": 1_073_741_824 })
    }),
    ("odd memory", |s| s["linux"]["resources"]["memory"] = json!({ "limit": 1_000_001 })),
    ("processors", |s| {
        s["linux"]["resources"]["cpu"] = json!({ "quota": 125_000, "period": 100_000, "shares": 512 })
    }),
    ("a thousandth of a processor", |s| {
        s["linux"]["resources"]["cpu"] = json!({ "quota": 100, "shares": 1 })
    }),
    ("processes", |s| s["linux"]["resources"]["pids"] = json!({ "limit": 2048 })),
    ("privileges", |s| s["solaris"]["limitpriv"] = json!("default,!net_rawaccess")),
    ("shared memory", |s| s["solaris"]["maxShmMemory"] = json!("512m")),
    ("caps of Solaris", |s| {
        s["solaris"]["cappedCPU"] = json!({ "ncpus": "2" });
        s["solaris"]["cappedMemory"] = json!({ "swap": "2g" });
    }),
    ("interface", |s| {
        anet(
            s,
            json!({ "linkname": "net0", "lowerLink": "igb0", "allowedAddress": "10.0.0.5/24", "macAddress": "02:08:20:00:01:0a" }),
        )
    }),
    ("interface with a router", |s| {
        anet(
            s,
            json!({ "linkname": "net1", "lowerLink": "auto", "allowedAddress": "10.0.1.5/24,10.0.2.5/24", "defrouter": "10.0.1.1" }),
        )
    }),
    ("protected interface", |s| {
        anet(
            s,
            json!({ "linkname": "net2", "lowerLink": "igb1", "linkProtection": "mac-nospoof,ip-nospoof" }),
        )
    }),
    ("Linux programs", |s| {
        s["annotations"] =
            json!({ "dev.aurora.zone.brand": "lx", "dev.aurora.zone.kernel-version": "5.10.0" })
    }),
    ("delegated dataset", |s| s["annotations"]["dev.aurora.zone.delegate"] = json!("tank/data/web")),
    ("ping", |s| s["linux"]["sysctl"] = json!({ "net.ipv4.ping_group_range": "0 0" })),
    ("quote in a path", |s| {
        mount(
            s,
            json!({ "destination": "/q", "type": "bind", "source": "/tank/\"q\"", "options": ["rbind"] }),
        )
    }),
    ("pinned to a processor", |s| s["linux"]["resources"]["cpu"] = json!({ "cpus": "0-1" })),
    ("joined network", |s| s["linux"]["namespaces"][1]["path"] = json!("/proc/1/ns/net")),
];

/// Whether a bundle has a feature.
fn has(bundle: usize, feature: usize) -> bool {
    match bundle {
        0 => false,
        1..=24 => feature + 1 == bundle,
        // Not those that are refused everywhere: they would hide all others.
        _ => feature < 21 && (bundle + feature).is_multiple_of(if bundle.is_multiple_of(2) { 4 } else { 5 }),
    }
}

/// What a bundle has, and its configuration.
pub(crate) fn bundle(number: usize) -> (Vec<&'static str>, Spec) {
    let mut spec = base();
    let mut names = Vec::new();
    for (feature, (name, apply)) in FEATURES.iter().enumerate() {
        if has(number, feature) {
            names.push(*name);
            apply(&mut spec);
        }
    }
    (names, serde_json::from_value(spec).unwrap())
}
