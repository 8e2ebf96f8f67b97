//! The `nicmon` command.

use std::process::ExitCode;

use nicmon::{cli, commands};

fn main() -> ExitCode {
    match commands::run(cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            commands::print_message(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}
