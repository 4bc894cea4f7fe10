//! A zone host for tests: stand-ins of an illumos system's zonecfg, zoneadm, zlogin, zfs and dladm, built from their manual
//! pages and, where these are silent, from what illumos's own programs do. One program, which acts by the name that it is
//! called with. Zones are Linux namespaces. tests/interop/README.md says what this proves, and what it does not.

#[cfg(target_os = "linux")]
mod host;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    host::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("zonehost: zones are stood in for on Linux only");
    std::process::exit(1);
}
