//! The `nicmon` command.

use std::process::ExitCode;

use clap::Parser as _;
use nicmon::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            commands::tell(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}
