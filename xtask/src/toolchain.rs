//! The compilers that can build the kernel side, and the linker.
//!
//! The pinned set is Debian's rustc-web, the library source of the same version, and LLVM 22. It reproduces
//! the committed object byte for byte. On other systems, nightly with rust-src builds an object that works.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use testkit::process::{output, run};

use crate::workspace;

const RUSTC: &str = "1.96.0";
const RUST_PACKAGES: &str = "1.96.0+dfsg1-1~deb12u2";
const LLVM: &str = "22.1.8";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const BPF_LINKER: &str = "0.13.0";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust";

/// Says how to get the pinned set.
pub(crate) fn how_to_get_pinned() -> String {
    format!(
        "on Debian 12 (bookworm-security), as root: apt-get install --no-install-recommends \
         rustc-web={RUST_PACKAGES} rust-web-src={RUST_PACKAGES} llvm-22-dev; then: cargo xtask install-tools"
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Pinned,
    Nightly,
}

/// A compiler, the source of its core library, the linker and `strip`.
pub(crate) struct Toolchain {
    pub(crate) set: Set,
    /// The output of `rustc -vV`.
    rustc_version: String,
    /// The library source, `.../src/rust`.
    pub(crate) source: PathBuf,
    pub(crate) linker: PathBuf,
    pub(crate) linker_version: String,
    pub(crate) strip: PathBuf,
}

impl Toolchain {
    /// The pinned set, or nightly if that is absent.
    pub(crate) fn find() -> Result<Self> {
        match Self::pinned() {
            Ok(pinned) => Ok(pinned),
            Err(no_pinned) => Self::nightly().with_context(|| {
                format!(
                    "no toolchain here can build the kernel side. The pinned set: {no_pinned:#}; get it {}. \
                     Or use nightly: rustup toolchain install nightly --component rust-src, and cargo \
                     install bpf-linker",
                    how_to_get_pinned()
                )
            }),
        }
    }

    /// The pinned set.
    pub(crate) fn pinned() -> Result<Self> {
        let rustc_version = output(Command::new(DEBIAN_RUSTC).arg("-vV"))?;
        if field(&rustc_version, "release") != RUSTC || field(&rustc_version, "LLVM version") != LLVM {
            bail!("{DEBIAN_RUSTC} is not {RUSTC} with LLVM {LLVM}");
        }
        let source = PathBuf::from(DEBIAN_SOURCE);
        if !source.join("library/core/Cargo.toml").exists() {
            bail!("{DEBIAN_SOURCE} has no library source (Debian package rust-web-src)");
        }
        let strip = Path::new(LLVM_PREFIX).join("bin/llvm-strip");
        if !strip.exists() {
            bail!("{} is missing (Debian package llvm-22)", strip.display());
        }
        let (linker, linker_version) = find_linker()?;
        Ok(Self { set: Set::Pinned, rustc_version, source, linker, linker_version, strip })
    }

    fn nightly() -> Result<Self> {
        let rustc = |args: &[&str]| output(Command::new("rustc").env_remove("RUSTUP_TOOLCHAIN").args(args));
        let rustc_version = rustc(&["+nightly", "-vV"])?;
        let sysroot = rustc(&["+nightly", "--print", "sysroot"])?;
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
        if !source.join("library/core/Cargo.toml").exists() {
            bail!("nightly has no rust-src (rustup component add rust-src --toolchain nightly)");
        }
        let (linker, linker_version) = find_linker()?;
        let strip = find_strip().context("llvm-strip is not installed (Debian package llvm)")?;
        Ok(Self { set: Set::Nightly, rustc_version, source, linker, linker_version, strip })
    }

    /// A cargo command with this compiler, without the settings of the cargo that started us.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = match self.set {
            Set::Pinned => Command::new(workspace::cargo()),
            Set::Nightly => Command::new("cargo"),
        };
        clean(&mut cargo);
        match self.set {
            Set::Pinned => cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1"),
            Set::Nightly => cargo.arg("+nightly"),
        };
        cargo
    }

    /// The versions of all tools for the provenance, without paths of this machine.
    pub(crate) fn describe(&self) -> String {
        let set = match self.set {
            Set::Pinned => format!("Debian rustc-web and rust-web-src {RUST_PACKAGES} (pinned)"),
            Set::Nightly => "nightly with rust-src (NOT the pinned set: --check will fail)".into(),
        };
        format!(
            "toolchain: {set}\nrustc: {} ({})\nLLVM: {}\nbpf-linker: {}\n",
            field(&self.rustc_version, "release"),
            field(&self.rustc_version, "commit-hash"),
            field(&self.rustc_version, "LLVM version"),
            self.linker_version,
        )
    }
}

/// `value` of the line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("unknown")
}

/// Removes variables of an outer cargo or rustup, and flags meant for the host.
fn clean(command: &mut Command) {
    const KEEP: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("CARGO") && !KEEP.iter().any(|k| text.starts_with(k));
        let flags = text.starts_with("RUSTC") || text == "RUSTFLAGS" || text == "RUSTUP_TOOLCHAIN";
        if ours || flags || text == "RUST_TARGET_PATH" {
            command.env_remove(&name);
        }
    }
}

/// The folder where `install-tools` puts tools, and where the build looks first.
fn tools_dir() -> PathBuf {
    env::var_os("NICMON_TOOLS").map_or_else(|| workspace::root().join("target/tools"), PathBuf::from)
}

fn find_linker() -> Result<(PathBuf, String)> {
    let path = env::var_os("PATH").unwrap_or_default();
    let home = env::home_dir().unwrap_or_default();
    let folders = [tools_dir().join("bin"), workspace::root().join("target/tools/bin")]
        .into_iter()
        .chain(env::split_paths(&path))
        .chain([home.join(".cargo/bin")]);
    let mut others = Vec::new();
    for linker in folders.map(|f| f.join("bpf-linker")).filter(|l| l.exists()) {
        let said = output(Command::new(&linker).arg("--version"))?;
        let version = said.split_whitespace().nth(1).unwrap_or_default().to_owned();
        if version == BPF_LINKER {
            return Ok((linker, version));
        }
        others.push(format!("{} is {version}", linker.display()));
    }
    let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    bail!("bpf-linker {BPF_LINKER} is not installed{others}: run `cargo xtask install-tools`")
}

fn find_strip() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let names =
        std::iter::once("llvm-strip".to_owned()).chain((15..40).rev().map(|v| format!("llvm-strip-{v}")));
    names
        .flat_map(|n| env::split_paths(&path).map(move |f| f.join(&n)).collect::<Vec<_>>())
        .find(|p| p.exists())
}

/// Builds bpf-linker against Debian's LLVM 22 (about 90 s on two CPUs), unless it is installed.
pub(crate) fn install_tools() -> Result<ExitCode> {
    if let Ok((linker, version)) = find_linker() {
        eprintln!("bpf-linker {version} is already installed: {}", linker.display());
        return Ok(ExitCode::SUCCESS);
    }
    if !Path::new(LLVM_PREFIX).exists() {
        bail!("{LLVM_PREFIX} is missing (Debian package llvm-22-dev): {}", how_to_get_pinned());
    }
    let tools = tools_dir();
    let mut install = Command::new(workspace::cargo());
    clean(&mut install);
    install
        .args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked"])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(&tools)
        .env("LLVM_PREFIX", LLVM_PREFIX);
    run(&mut install).context("bpf-linker does not build")?;
    eprintln!("bpf-linker {BPF_LINKER} is now in {}", tools.join("bin").display());
    Ok(ExitCode::SUCCESS)
}
