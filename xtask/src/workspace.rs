//! Where things are in this clone, the release binary, and becoming root.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow, bail};
use testkit::process;

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Cargo's target folder.
pub(crate) fn target_dir() -> PathBuf {
    // A relative CARGO_TARGET_DIR is relative to where cargo was called, which is where we run.
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that started us.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Builds nicmon (release) and returns the binary; cargo's progress goes to standard error.
pub(crate) fn build_nicmon() -> Result<PathBuf> {
    let mut build = Command::new(cargo());
    build.current_dir(root()).args(["build", "--release", "--locked", "--package", "nicmon"]);
    process::run(&mut build).context("nicmon does not build")?;
    let binary = target_dir().join("release/nicmon");
    binary
        .canonicalize()
        .with_context(|| format!("cargo built nicmon, but {} is not there", binary.display()))
}

/// Where root is needed and we are not: starts this same command again through sudo, with the nicmon that
/// was built before (`--nicmon`), so that root builds nothing. Returns that binary when we are root.
pub(crate) fn as_root_with_nicmon(given: Option<&PathBuf>) -> Result<PathBuf> {
    let nicmon = match given {
        Some(path) => path.clone(),
        None => build_nicmon()?,
    };
    if process::is_root() {
        return Ok(nicmon);
    }
    let mut arguments = env::args_os().skip(1);
    let subcommand = arguments.next().context("no subcommand")?;
    let mut sudo = Command::new("sudo");
    sudo.arg(env::current_exe().context("cannot find this program")?).arg(subcommand);
    if given.is_none() {
        sudo.arg("--nicmon").arg(nicmon);
    }
    eprintln!("xtask: this needs root: going on through sudo");
    Err(exec(sudo.args(arguments)))
}

/// Becomes `command`; returns only when that fails.
pub(crate) fn exec(command: &mut Command) -> anyhow::Error {
    let error = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    if error.kind() == std::io::ErrorKind::NotFound {
        return anyhow!("{} (or run this command as root)", process::not_installed(&program));
    }
    anyhow!("cannot run {program}: {error}")
}

/// The folder name of this machine's architecture, as in nicmon/bpf.
pub(crate) fn host_arch() -> Result<&'static str> {
    match env::consts::ARCH {
        arch @ ("x86_64" | "aarch64") => Ok(arch),
        other => bail!("no kernel object is built for {other} yet (only x86_64 and aarch64)"),
    }
}

/// The committed kernel object of an architecture.
pub(crate) fn kernel_object(arch: &str) -> PathBuf {
    root().join("nicmon/bpf").join(arch).join("nicmon.bpf.o")
}
