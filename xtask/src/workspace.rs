//! Where things are in this clone, how its programs are built, and how to become root.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow, bail};
use testkit::process;

/// How a program is built; see the profiles in Cargo.toml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For trying out a change.
    Quick,
    /// For users: linked statically, so that it runs on any Linux of this architecture.
    Dist,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Dist => "dist",
        }
    }
}

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Cargo's target folder.
pub(crate) fn target_dir() -> PathBuf {
    // A relative CARGO_TARGET_DIR is relative to the folder where cargo was called, which is also ours.
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that started us.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Builds nicmon and returns the binary.
pub(crate) fn build_nicmon(profile: Profile) -> Result<PathBuf> {
    build("nicmon", profile)
}

/// Builds a package and returns its binary, which has the same name. Cargo's progress goes to standard error.
pub(crate) fn build(package: &str, profile: Profile) -> Result<PathBuf> {
    let mut build = Command::new(cargo());
    build.current_dir(root()).args(["build", "--locked", "--package", package]);
    build.args(["--profile", profile.name()]);
    let mut folder = target_dir();
    if profile == Profile::Dist {
        let target = host_target()?;
        // With --target the flags do not apply to build scripts and procedural macros, which cannot be
        // static.
        build.args(["--target", &target]).env("RUSTFLAGS", static_flags());
        folder.push(target);
    }
    process::run(&mut build).with_context(|| format!("{package} does not build"))?;
    let binary = folder.join(profile.name()).join(package);
    binary
        .canonicalize()
        .with_context(|| format!("cargo built {package}, but {} does not exist", binary.display()))
}

/// The user's own flags, and the flag for a static binary.
fn static_flags() -> String {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    format!("{flags} -C target-feature=+crt-static").trim_start().to_owned()
}

/// The target that rustc builds for by default, such as `x86_64-unknown-linux-gnu`.
pub(crate) fn host_target() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = process::output(Command::new(rustc).arg("-vV"))?;
    let target = version.lines().find_map(|line| line.strip_prefix("host: "));
    target.map(str::to_owned).context("`rustc -vV` does not name its host")
}

/// A command that runs `program` as root: through sudo, unless we are root.
pub(crate) fn root_command(program: &Path) -> Command {
    if process::is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("--").arg(program);
    sudo
}

/// Builds nicmon, unless `--nicmon` gave one. If we are not root, starts this same command again through sudo
/// with that binary, so that root builds nothing; returns the binary if we are.
pub(crate) fn as_root_with_nicmon(given: Option<&PathBuf>, profile: Profile) -> Result<PathBuf> {
    let nicmon = match given {
        Some(path) => path.clone(),
        None => build_nicmon(profile)?,
    };
    if process::is_root() {
        return Ok(nicmon);
    }
    let mut arguments = env::args_os().skip(1);
    let subcommand = arguments.next().context("no subcommand")?;
    let mut command = root_command(&env::current_exe().context("cannot find this program")?);
    command.arg(subcommand);
    if given.is_none() {
        command.arg("--nicmon").arg(nicmon);
    }
    eprintln!("xtask: this needs root: continuing with sudo");
    Err(exec(command.args(arguments)))
}

/// Replaces this process with `command`; returns only if that fails.
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
        other => bail!("no kernel object is built for {other} yet (only for x86_64 and aarch64)"),
    }
}

/// The committed kernel object of an architecture.
pub(crate) fn kernel_object(arch: &str) -> PathBuf {
    root().join("nicmon/bpf").join(arch).join("nicmon.bpf.o")
}
