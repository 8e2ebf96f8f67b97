//! The `nicmon` command.

use std::process::ExitCode;

use clap::Parser as _;
use nicmon::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("nicmon: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
