//! `cargo xtask screenshots`: README's pictures, drawn by a test of nicmon, which otherwise compares it.
//!
//! Not by xtask itself: that would need nicmon and so the kernel object, which xtask has to be able to build.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use testkit::process;

use crate::workspace::{self, Profile};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only tell whether the committed pictures are what is drawn
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
