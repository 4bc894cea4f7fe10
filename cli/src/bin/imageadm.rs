//! `imageadm`: any image to any form.

fn main() -> std::process::ExitCode {
    aurora_cli::main()
}
