//! The program. All of it is in the library, where tests can call it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    aurora_podinit::main()
}
