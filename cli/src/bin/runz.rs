//! `runz`: runs bundles, as an OCI runtime.

fn main() -> std::process::ExitCode {
    aurora_cli::runz()
}
