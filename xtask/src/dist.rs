//! `cargo xtask dist`: the Debian package, whose contents nicmon/Cargo.toml lists, and a tarball for any
//! Linux.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use testkit::process;

use crate::workspace::{self, Profile};

/// For each shell: its name, the file in `manual`, and the path in packages, below `share`.
const COMPLETIONS: [(&str, &str, &str); 3] = [
    ("bash", "nicmon.bash", "bash-completion/completions/nicmon"),
    ("zsh", "nicmon.zsh", "zsh/site-functions/_nicmon"),
    ("fish", "nicmon.fish", "fish/vendor_completions.d/nicmon.fish"),
];
/// Files of the workspace that every package has.
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

pub(crate) fn main() -> Result<ExitCode> {
    let nicmon = workspace::build_nicmon(Profile::Dist)?;
    // In the workspace even if cargo's target folder is elsewhere, because nicmon/Cargo.toml names this path.
    let manual = workspace::root().join("target/manual");
    write_manual(&nicmon, &manual).with_context(|| format!("cannot write {}", manual.display()))?;

    let dist = workspace::target_dir().join("dist");
    fs::create_dir_all(&dist).with_context(|| format!("cannot create {}", dist.display()))?;
    let dist = dist.canonicalize()?;
    let tarball = write_tarball(&nicmon, &manual, &dist).context("cannot write the tarball")?;
    write_deb(&dist)?;
    println!("the tarball is {}", tarball.display());
    println!("the Debian package is in {}", dist.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual pages, completions and the table of fields, all from the binary's own output.
fn write_manual(nicmon: &Path, manual: &Path) -> Result<()> {
    if manual.exists() {
        // The folder may contain pages of commands that no longer exist.
        fs::remove_dir_all(manual)?;
    }
    process::run(Command::new(nicmon).arg("man").arg(manual.join("man")))?;
    let completions = manual.join("completions");
    fs::create_dir_all(&completions)?;
    for (shell, file, _) in COMPLETIONS {
        let script = process::output(Command::new(nicmon).args(["completions", shell]))?;
        fs::write(completions.join(file), script)?;
    }
    let fields = process::output(Command::new(nicmon).args(["schema", "--markdown"]))?;
    fs::write(manual.join("fields.md"), fields)?;
    Ok(())
}

fn write_deb(dist: &Path) -> Result<()> {
    let mut deb = Command::new(workspace::cargo());
    deb.current_dir(workspace::root()).args(["deb", "--quiet", "--no-build", "--package", "nicmon"]);
    deb.args(["--profile", Profile::Dist.name(), "--target", &workspace::host_target()?]);
    process::run(deb.arg("--output").arg(dist))
        .context("is cargo-deb installed? `cargo install --locked cargo-deb`")
}

/// Packs `bin` and `share`, which can be unpacked into `/usr/local` or `~/.local`. `man` finds the pages
/// through the folder of the program in PATH.
fn write_tarball(nicmon: &Path, manual: &Path, dist: &Path) -> Result<PathBuf> {
    let name = format!("nicmon-{}-{}-linux", env!("CARGO_PKG_VERSION"), workspace::host_arch()?);
    let work = tempfile::tempdir().context("cannot create a temporary folder")?;
    let tree = work.path().join(&name);
    install(nicmon, &tree.join("bin/nicmon"))?;
    for page in fs::read_dir(manual.join("man"))? {
        let page = page?;
        install(&page.path(), &tree.join("share/man/man1").join(page.file_name()))?;
    }
    for (_, file, place) in COMPLETIONS {
        install(&manual.join("completions").join(file), &tree.join("share").join(place))?;
    }
    let documents = tree.join("share/doc/nicmon");
    install(&manual.join("fields.md"), &documents.join("fields.md"))?;
    for document in DOCUMENTS {
        install(&workspace::root().join(document), &documents.join(document))?;
    }
    let tarball = dist.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(work.path()).args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    process::run(tar.arg("-czf").arg(&tarball).arg(&name))?;
    Ok(tarball)
}

fn install(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a packed file has a folder")?)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
