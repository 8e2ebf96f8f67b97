//! `cargo xtask dist`: the Debian package. What is in it stands in nicmon/Cargo.toml.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use testkit::process;

use crate::workspace;

pub(crate) fn main() -> Result<ExitCode> {
    let nicmon = workspace::build_nicmon()?;
    // Here also where cargo's target folder is elsewhere: nicmon/Cargo.toml must name it.
    let papers = workspace::root().join("target/papers");
    write_papers(&nicmon, &papers).with_context(|| format!("cannot write {}", papers.display()))?;

    let dist = workspace::target_dir().join("dist");
    fs::create_dir_all(&dist).with_context(|| format!("cannot create {}", dist.display()))?;
    let dist = dist.canonicalize()?;
    let mut deb = Command::new(workspace::cargo());
    deb.current_dir(workspace::root()).args([
        "deb",
        "--quiet",
        "--package",
        "nicmon",
        "--no-build",
        "--output",
    ]);
    process::run(deb.arg(&dist)).context("is cargo-deb installed? `cargo install --locked cargo-deb`")?;
    println!("the package is in {}", dist.display());
    Ok(ExitCode::SUCCESS)
}

/// Manual pages and completions, as the binary itself prints them.
fn write_papers(nicmon: &Path, papers: &Path) -> Result<()> {
    if papers.exists() {
        // Pages of commands that are gone.
        fs::remove_dir_all(papers)?;
    }
    process::run(Command::new(nicmon).arg("man").arg(papers.join("man")))?;
    let completions = papers.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in ["bash", "zsh", "fish"] {
        let script = process::output(Command::new(nicmon).args(["completions", shell]))?;
        fs::write(completions.join(format!("nicmon.{shell}")), script)?;
    }
    Ok(())
}
