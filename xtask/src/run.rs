//! `cargo xtask run`: builds nicmon and runs it in place of this process.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;

use crate::workspace::{self, Profile};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for nicmon
    #[arg(last = true, value_name = "NICMON ARGS")]
    arguments: Vec<OsString>,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let nicmon = workspace::build_nicmon(Profile::Quick)?;
    Err(workspace::exec(workspace::root_command(&nicmon).args(&args.arguments)))
}
