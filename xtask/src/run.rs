//! `cargo xtask run`: builds nicmon and becomes it.

use std::{
    ffi::OsString,
    process::{Command, ExitCode},
};

use anyhow::Result;
use testkit::process;

use crate::workspace;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for nicmon
    #[arg(last = true, value_name = "NICMON ARGS")]
    arguments: Vec<OsString>,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let nicmon = workspace::build_nicmon()?;
    let mut command = if process::is_root() {
        Command::new(nicmon)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("--").arg(nicmon);
        sudo
    };
    Err(workspace::exec(command.args(&args.arguments)))
}
