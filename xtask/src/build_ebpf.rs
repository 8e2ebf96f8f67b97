//! `cargo xtask build-ebpf`: the kernel object, built the same way on every machine.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use testkit::process::{output, run};

use crate::{
    toolchain::{Set, Toolchain, how_to_get_pinned},
    workspace,
};

const TARGET: &str = "bpfel-unknown-none";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; rebuild with the pinned toolchain and compare with the committed object
    #[arg(long)]
    check: bool,
    /// Architecture to build for [default: this machine's]
    #[arg(long, value_parser = ["x86_64", "aarch64"])]
    arch: Option<String>,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let arch = match &args.arch {
        Some(arch) => arch,
        None => workspace::host_arch()?,
    };
    if args.check {
        check(arch)?;
    } else {
        build(arch)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn build(arch: &str) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let built = compile(&toolchain, arch, &workspace::target_dir().join("ebpf").join(arch))?;
    let object = workspace::kernel_object(arch);
    let folder = object.parent().context("the object has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(&built, &object).with_context(|| format!("cannot write {}", object.display()))?;
    let sha256 = sha256(&object)?;
    write(&sum_file(&object), &format!("{sha256}  nicmon.bpf.o\n"))?;
    write(&folder.join("PROVENANCE"), &provenance(&toolchain, arch, &sha256))?;
    eprintln!("{}: {} bytes, sha256 {sha256}", object.display(), fs::metadata(&object)?.len());
    if toolchain.set == Set::Nightly {
        eprintln!(
            "built with nightly: the object works, but differs from that of the pinned toolchain, so do \
             not commit it. To get the pinned toolchain: {}",
            how_to_get_pinned()
        );
    }
    Ok(())
}

fn check(arch: &str) -> Result<()> {
    let object = workspace::kernel_object(arch);
    let committed = fs::read(&object).with_context(|| {
        format!(
            "cannot read the committed object {}: make it with `cargo xtask build-ebpf`",
            object.display()
        )
    })?;
    let noted = fs::read_to_string(sum_file(&object)).context("cannot read the committed sha256")?;
    let sha256_now = sha256(&object)?;
    if noted != format!("{sha256_now}  nicmon.bpf.o\n") {
        bail!(
            "{} does not have the sha256 in the file beside it ({sha256_now}): commit all three files that \
             `cargo xtask build-ebpf` writes",
            object.display()
        );
    }
    let toolchain = Toolchain::pinned()
        .with_context(|| format!("--check needs the pinned toolchain, {}", how_to_get_pinned()))?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let built = compile(&toolchain, arch, folder.path())?;
    let rebuilt = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    if rebuilt != committed {
        let at = rebuilt.iter().zip(&committed).take_while(|(a, b)| a == b).count();
        bail!(
            "the kernel sources build another object than the committed {}: {} bytes, committed {} bytes, \
             the first difference at byte {at}. Run `cargo xtask build-ebpf` and commit the object, its \
             sha256 and PROVENANCE",
            object.display(),
            rebuilt.len(),
            committed.len()
        );
    }
    let provenance_now = provenance(&toolchain, arch, &sha256_now);
    let provenance_file = object.with_file_name("PROVENANCE");
    if fs::read_to_string(&provenance_file).ok().as_deref() != Some(provenance_now.as_str()) {
        bail!(
            "{} is not what this build would write: run `cargo xtask build-ebpf`",
            provenance_file.display()
        );
    }
    eprintln!(
        "{arch}: rebuilt with the pinned toolchain, the same {} bytes as committed, sha256 {sha256_now}",
        committed.len()
    );
    Ok(())
}

/// Builds and strips the object into `target_dir`; returns its path.
fn compile(toolchain: &Toolchain, arch: &str, target_dir: &Path) -> Result<PathBuf> {
    let root = workspace::root();
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(root.join("nicmon-ebpf"))
        .args(["build", "--release", "--locked", "--target", TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(target_dir)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain, arch)?);
    run(&mut cargo).context("the kernel side does not build")?;
    let built = target_dir.join(TARGET).join("release/nicmon-ebpf");
    let object = target_dir.join("nicmon.bpf.o");
    // Strip DWARF but keep BTF, which the kernel and aya read.
    run(Command::new(&toolchain.strip).arg("-g").arg(&built).arg("-o").arg(&object))?;
    refuse_mangled_names(&object)?;
    Ok(object)
}

/// A function that is not inlined leaves its mangled name, with a hash of the checkout's path. The object
/// would then differ between folders.
fn refuse_mangled_names(object: &Path) -> Result<()> {
    let bytes = fs::read(object).with_context(|| format!("cannot read {}", object.display()))?;
    let names = bytes.split(|&byte| byte == 0);
    let mangled: Vec<_> = names
        .filter(|name| name.starts_with(b"_R") || name.starts_with(b"_ZN"))
        .map(String::from_utf8_lossy)
        .collect();
    if !mangled.is_empty() {
        bail!(
            "the object has functions that were not inlined, and their names differ between checkouts: {}. \
             Mark them #[inline(always)]",
            mangled.join(", ")
        );
    }
    Ok(())
}

/// The flags that affect the object, as shown in the provenance. Version 3 of the instruction set (Linux 5.1)
/// has 32-bit operations and all comparisons, so programs have slightly fewer instructions.
fn meaningful_flags(arch: &str) -> [String; 4] {
    [
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Ctarget-cpu=v3".into(),
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
    ]
}

/// All flags, encoded for `CARGO_ENCODED_RUSTFLAGS`. The remaps keep this machine's paths out of the object,
/// so it is the same for any clone and any `CARGO_HOME`.
fn flags(toolchain: &Toolchain, arch: &str) -> Result<OsString> {
    // Cargo uses the real paths of files, even if we came through symbolic links.
    let real = |path: &Path| path.canonicalize().with_context(|| format!("cannot find {}", path.display()));
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|h| h.join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let source = &toolchain.source;
    let remaps = [
        (real(workspace::root())?, "/src"),
        (real(&cargo_home)?, "/cargo"),
        (cargo_home, "/cargo"),
        (real(source)?, "/rust"),
        (source.clone(), "/rust"),
    ];
    let mut flags = OsString::from(meaningful_flags(arch).join("\u{1f}"));
    for (path, name) in remaps {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(path);
        flags.push("=");
        flags.push(name);
    }
    Ok(flags)
}

fn provenance(toolchain: &Toolchain, arch: &str, sha256: &str) -> String {
    format!(
        "nicmon.bpf.o, built by `cargo xtask build-ebpf --arch {arch}` from nicmon-ebpf and nicmon-common\n\
         sha256: {sha256}\n{}target: {TARGET}, release, -Z build-std=core, then llvm-strip -g\n\
         flags: {} and path remaps\n",
        toolchain.describe(),
        meaningful_flags(arch).join(" "),
    )
}

fn sum_file(object: &Path) -> PathBuf {
    object.with_extension("o.sha256")
}

fn sha256(file: &Path) -> Result<String> {
    let said = output(Command::new("sha256sum").arg("--").arg(file))?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
