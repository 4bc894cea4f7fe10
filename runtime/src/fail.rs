//! Places where a test kills this program: each step of a container's life ends at one.

/// Kills this process if a test has asked for it here, by `RUNZ_FAIL_AT`. Only in builds with the feature `fail-points`.
#[cfg(feature = "fail-points")]
pub(crate) fn point(name: &str) {
    if std::env::var_os("RUNZ_FAIL_AT").is_some_and(|at| at == name) {
        // Killed as from outside: no destructor runs, no child is told.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

/// A time that is waited, or the milliseconds that a test has asked for by `RUNZ_LIMIT`. Only in builds with that feature.
#[cfg(feature = "fail-points")]
pub(crate) fn limit(usual: std::time::Duration) -> std::time::Duration {
    let told = std::env::var("RUNZ_LIMIT").ok().and_then(|millis| millis.parse().ok());
    told.map_or(usual, std::time::Duration::from_millis)
}

/// The time that it is given.
#[cfg(not(feature = "fail-points"))]
pub(crate) fn limit(usual: std::time::Duration) -> std::time::Duration {
    usual
}

/// Does nothing.
#[cfg(not(feature = "fail-points"))]
pub(crate) fn point(_name: &str) {}
