//! Checks of the project itself: `cargo xtask test` is what has to pass before a change goes in.
#![forbid(unsafe_code)]

mod deps;
mod steps;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use steps::{Outcome, Steps};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [STEP…]              everything that has to pass: format, lints, tests, documentation, fuzz targets,
                            dependency rules; cargo-deny and illumos where the tools for them are there
  deps                      the dependency rules between crates alone
  interop [OPT…] [NAME…]    against real ZFS and real image tools (root; see tests/interop/README.md)
  bench [ARGS…]             the benchmarks
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = args.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let top = top();
    let passed = match command.as_str() {
        "test" => test(&top, rest),
        "deps" => report(deps::check(&top)),
        "interop" => interop(&top, rest),
        "bench" => run(cargo(&top).args(["bench", "--package", "aurora-benches"]).args(rest)),
        "help" | "-h" | "--help" => {
            print!("{USAGE}");
            true
        }
        other => {
            eprint!("xtask: no such command: {other}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The top of the repository: the folder above this package.
fn top() -> PathBuf {
    // As cargo says now and not when this was compiled: builds are kept from one clone to the next.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().expect("the package lies in the workspace").to_owned()
}

/// The cargo that runs this program, in the top folder.
fn cargo(top: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(top);
    command
}

fn run(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("xtask: can't run {}: {error}", command.get_program().to_string_lossy());
            false
        }
    }
}

fn report(findings: Result<Vec<String>, String>) -> bool {
    let findings = findings.unwrap_or_else(|error| vec![error]);
    for finding in &findings {
        eprintln!("xtask: {finding}");
    }
    findings.is_empty()
}

fn has(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|out| out.status.success())
}

/// Whether a step that needs more than a Rust toolchain and a C compiler must not be left out.
fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false")
}

fn test(top: &Path, only: &[String]) -> bool {
    let mut steps = Steps::new(only);
    steps.step("format", || run(cargo(top).args(["fmt", "--all", "--check"])).into());
    steps.step("deps", || report(deps::check(top)).into());
    steps.step("clippy", || {
        run(cargo(top).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])).into()
    });
    steps.step("tests", || run(cargo(top).args(["test", "--workspace"])).into());
    steps.step("doc", || {
        let mut doc = cargo(top);
        doc.args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        run(&mut doc).into()
    });
    steps.step("fuzz-targets", || {
        // Without libFuzzer itself, which is C++: only whether the targets still fit the code.
        let mut check = cargo(top);
        check.args(["check", "--manifest-path", "tests/fuzz/Cargo.toml", "--bins"]);
        // A target folder of its own: another lock file, other features.
        if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
            check.env("CARGO_TARGET_DIR", Path::new(&target).join("fuzz-check"));
        }
        run(&mut check).into()
    });
    steps.step("deny", || {
        if !has("cargo", &["deny", "--version"]) {
            return Outcome::missing("cargo-deny (cargo install --locked cargo-deny)", is_ci());
        }
        // Not the advisories: their database is a git repository, which a machine that reaches registries
        // only cannot fetch. `cargo deny check` looks at them too.
        run(cargo(top).args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"])).into()
    });
    steps.step("illumos", || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cache")));
        let has_std = cache.is_some_and(|c| c.join("aurora-illumos").is_dir());
        if !has_std && !is_ci() {
            return Outcome::missing(
                "illumos's standard library (tests/interop/tools/illumos-check --setup)",
                false,
            );
        }
        let check = top.join("tests/interop/tools/illumos-check");
        run(Command::new(check).current_dir(top)).into()
    });
    steps.finish()
}

fn interop(top: &Path, args: &[String]) -> bool {
    if !run(cargo(top).args(["build", "--release", "--package", "aurora-cli"])) {
        return false;
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top.join("target"), |t| top.join(t));
    let mut harness = Command::new("python3");
    harness
        .arg(top.join("tests/interop/run.py"))
        .arg("--bin")
        .arg(target.join("release/imageadm"))
        .args(args);
    run(harness.current_dir(top))
}
