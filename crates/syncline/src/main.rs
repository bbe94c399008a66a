//! The binary. All it does is in the library, so that tests can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(syncline::main(std::env::args_os().collect()))
}
