//! `cargo xtask screenshots`: draws the pictures in README. It runs the test that otherwise compares them.
//!
//! xtask cannot draw the pictures itself, because it would then depend on nicmon, and so on the kernel object
//! that xtask builds.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use testkit::process;

use crate::workspace::{self, Profile};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only check whether the committed pictures are up to date
    #[arg(long)]
    check: bool,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let mut test = Command::new(workspace::cargo());
    test.current_dir(workspace::root()).args(["test", "--quiet", "--profile", Profile::Quick.name()]);
    test.args(["--package", "nicmon", "--test", "screenshots"]);
    if args.check {
        process::run(&mut test).context("the pictures are not up to date: run cargo xtask screenshots")?;
    } else {
        process::run(test.env("NICMON_DRAW", "1")).context("the pictures cannot be drawn")?;
    }
    Ok(ExitCode::SUCCESS)
}
