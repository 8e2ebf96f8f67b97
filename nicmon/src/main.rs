//! The `nicmon` command.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use nicmon::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            // Where nobody can be told, the exit code says it.
            let _ = writeln!(io::stderr(), "nicmon: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
