//! The guest's whole file system: busybox, kernel modules, and the programs to test with their libraries.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, bail};
use testkit::process::{not_installed, output};

/// A folder that becomes the guest's root.
#[derive(Debug)]
pub(super) struct Root {
    folder: PathBuf,
}

impl Root {
    /// Creates a root that has only busybox as its shell and `init` as its first process.
    pub(super) fn create(folder: &Path, busybox: &Path, init: &str) -> Result<Self> {
        for part in ["bin", "dev", "proc", "sys", "tmp", "out", "run", "modules"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let root = Self { folder: folder.to_owned() };
        copy(busybox, &root.folder.join("bin/busybox"))?;
        symlink("busybox", root.folder.join("bin/sh"))?;
        root.write("init", init)?;
        fs::set_permissions(root.folder.join("init"), fs::Permissions::from_mode(0o755))?;
        Ok(root)
    }

    /// The folder for kernel modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.folder.join("modules")
    }

    /// Writes a file.
    pub(super) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let path = self.folder.join(path);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Copies a program of this machine to `/bin` as `name`, with its libraries.
    pub(super) fn add_program(&self, program: &Path, name: &str) -> Result<()> {
        copy(program, &self.folder.join("bin").join(name))?;
        for library in libraries(program)? {
            let to = self.folder.join(library.strip_prefix("/").unwrap_or(&library));
            if !to.exists() {
                fs::create_dir_all(to.parent().unwrap_or(&self.folder))?;
                copy(&library, &to)?;
            }
        }
        Ok(())
    }

    /// Copies a file of this machine.
    pub(super) fn add_file(&self, file: &Path, path: &str) -> Result<()> {
        let to = self.folder.join(path);
        fs::create_dir_all(to.parent().unwrap_or(&self.folder))?;
        copy(file, &to)
    }

    /// Packs the root for the kernel, as uncompressed newc, because the guest is slow at unpacking.
    pub(super) fn pack(&self, busybox: &Path, to: &Path) -> Result<()> {
        let mut names = String::new();
        list(&self.folder, &self.folder, &mut names)?;
        let mut cpio = Command::new(busybox)
            .args(["cpio", "-o", "-H", "newc"])
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(File::create(to).with_context(|| format!("cannot write {}", to.display()))?)
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run busybox")?;
        if let Some(mut input) = cpio.stdin.take() {
            input.write_all(names.as_bytes()).context("busybox cpio ended early")?;
        }
        let status = cpio.wait()?;
        if !status.success() {
            bail!("busybox cpio cannot pack the guest's files: {status}");
        }
        Ok(())
    }
}

/// The path of a program of this machine.
pub(super) fn find_program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    let found = found.ok_or_else(|| anyhow!("{}; the guest runs a copy of it", not_installed(name)))?;
    found.canonicalize().with_context(|| format!("cannot resolve {}", found.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// The files that the dynamic linker would load for a program, including the linker itself.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let listed = output(Command::new("ldd").arg(program))?;
    parse_ldd(&listed)
        .with_context(|| format!("{} cannot run here, so not in the guest either", program.display()))
}

fn parse_ldd(listed: &str) -> Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::new();
    for line in listed.lines() {
        if line.contains("not found") {
            bail!("a library is missing: {}", line.trim());
        }
        if let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) {
            paths.insert(PathBuf::from(path));
        }
    }
    Ok(paths)
}

fn list(root: &Path, folder: &Path, names: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        names.push_str(&path.strip_prefix(root)?.to_string_lossy());
        names.push('\n');
        if entry.file_type()?.is_dir() {
            list(root, &path, names)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_tells_libraries_and_the_linker() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let paths: Vec<_> = parse_ldd(listed).unwrap().into_iter().collect();
        assert_eq!(
            paths,
            [Path::new("/lib/x86_64-linux-gnu/libc.so.6"), Path::new("/lib64/ld-linux-x86-64.so.2")]
        );
        assert!(parse_ldd("\tlibz3.so.4 => not found\n").is_err());
    }
}
