//! A Debian kernel for the guest: its packages, its bare image, and its modules in loading order.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::fetch::Bundle;

/// A kernel series of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Series {
    /// Debian 11
    #[value(name = "5.10")]
    V5_10,
    /// Debian 12
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12's with `PREEMPT_RT`
    #[value(name = "6.1-rt")]
    V6_1Rt,
    /// Debian 13
    #[value(name = "6.12")]
    V6_12,
    /// Debian 13's backports
    #[value(name = "7.3")]
    V7_3,
    /// Debian 13's backports with `PREEMPT_RT`
    #[value(name = "7.3-rt")]
    V7_3Rt,
}

impl Series {
    fn bundle(self) -> Bundle<'static> {
        let (name, suites, prefer): (_, &[&str], _) = match self {
            Self::V5_10 => ("kernel-5.10", &["bullseye", "bullseye-security"], "bullseye-security"),
            Self::V6_1 => ("kernel-6.1", &["bookworm", "bookworm-security"], "bookworm-security"),
            Self::V6_1Rt => ("kernel-6.1-rt", &["bookworm", "bookworm-security"], "bookworm-security"),
            Self::V6_12 => ("kernel-6.12", &["trixie", "trixie-security"], "trixie-security"),
            Self::V7_3 => ("kernel-7.3", &["trixie", "trixie-backports"], "trixie-backports"),
            Self::V7_3Rt => ("kernel-7.3-rt", &["trixie", "trixie-backports"], "trixie-backports"),
        };
        // Newer packages keep image and modules apart.
        let only = &["linux-image-", "linux-binary-", "linux-modules-", "linux-base-"];
        let packages: &[&str] = match self {
            Self::V6_1Rt | Self::V7_3Rt => &["linux-image-rt-amd64"],
            _ => &["linux-image-amd64"],
        };
        Bundle { name, suites, prefer, packages, only }
    }

    /// The name of the series.
    pub(super) fn name(self) -> &'static str {
        self.bundle().name.trim_start_matches("kernel-")
    }

    /// Whether softirqs can be preempted by those of other tasks, in the midst of a BPF program
    /// (docs/kernel-notes/2026-11-27-softirqs-of-two-tasks-take-turns.md).
    pub(super) fn preempts_programs(self) -> bool {
        self == Self::V7_3Rt
    }

    /// The start of the version. It shows whether the suite has moved on to a newer kernel.
    fn prefix(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10.",
            Self::V6_1 | Self::V6_1Rt => "6.1.",
            Self::V6_12 => "6.12.",
            Self::V7_3 | Self::V7_3Rt => "7.3.",
        }
    }
}

/// A fetched kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Its release (`uname -r`).
    pub(super) release: String,
    image: PathBuf,
    modules: BTreeMap<String, PathBuf>,
}

impl Kernel {
    /// Fetches the kernel, unless it is in the cache.
    pub(super) fn get(series: Series, cache: &Path) -> Result<Self> {
        let tree = series.bundle().get(cache)?;
        let roots = [tree.join("lib/modules"), tree.join("usr/lib/modules")];
        let found = roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten().next();
        let folder = found.with_context(|| format!("there are no modules in {}", tree.display()))?.path();
        let release = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !release.starts_with(series.prefix()) {
            bail!(
                "the archive now has {release}, not {}x: adapt xtask/src/lab/kernel.rs, or remove {} and try \
                 again",
                series.prefix(),
                tree.display()
            );
        }
        let mut modules = BTreeMap::new();
        collect_modules(&folder, &mut modules)?;
        let name = format!("vmlinuz-{release}");
        let image = [tree.join("boot").join(&name), folder.join("vmlinuz")]
            .into_iter()
            .find(|path| path.is_file())
            .with_context(|| format!("no {name} is in {}", tree.display()))?;
        Ok(Self { release, image, modules })
    }

    /// Writes the bare ELF image, which QEMU starts directly (PVH). This saves the guest several seconds of
    /// unpacking.
    pub(super) fn write_image(&self, to: &Path) -> Result<()> {
        let image = fs::read(&self.image).with_context(|| format!("cannot read {}", self.image.display()))?;
        let packed = payload(&image).with_context(|| format!("{} is not a bzImage", self.image.display()))?;
        let elf = unpack(packed)?;
        if !elf.starts_with(b"\x7fELF") {
            bail!("the kernel in {} is not an ELF image", self.image.display());
        }
        fs::write(to, elf).with_context(|| format!("cannot write {}", to.display()))
    }

    /// Unpacks the modules in `wanted`, and those that they depend on, into `folder`. Returns their file
    /// names in the order of loading. What is built into this kernel has no file and is left out.
    pub(super) fn write_modules(&self, wanted: &[&str], folder: &Path) -> Result<Vec<String>> {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        for name in wanted {
            self.write_module(name, folder, &mut seen, &mut order)?;
        }
        Ok(order)
    }

    fn write_module(
        &self,
        name: &str,
        folder: &Path,
        seen: &mut HashSet<String>,
        order: &mut Vec<String>,
    ) -> Result<()> {
        let name = name.replace('-', "_");
        let Some(path) = self.modules.get(&name) else { return Ok(()) };
        if !seen.insert(name.clone()) {
            return Ok(());
        }
        let packed = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let module = if packed.starts_with(b"\x7fELF") { packed } else { unpack(&packed)? };
        for needed in depends(&module) {
            self.write_module(&needed, folder, seen, order)?;
        }
        let file = format!("{name}.ko");
        fs::write(folder.join(&file), module)?;
        order.push(file);
        Ok(())
    }
}

fn collect_modules(folder: &Path, modules: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect_modules(&path, modules)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            modules.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// The compressed kernel in a bzImage (Documentation/arch/x86/boot.rst: `setup_sects`, `payload_offset` and
/// `payload_length`), without the size that the build appends to it.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let setup = (usize::from(*image.get(0x1f1)?) + 1) * 512;
    let start = setup.checked_add(word(0x248)?)?;
    let end = start.checked_add(word(0x24c)?)?.checked_sub(4)?;
    image.get(start..end)
}

/// Decompresses data that starts with the magic number of xz, zstd or gzip.
fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let program = match packed {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0x1f, 0x8b, ..] => "gzip",
        _ => bail!("a kernel file is compressed in an unknown way (not xz, zstd or gzip)"),
    };
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    file.write_all(packed)?;
    std::io::Seek::rewind(&mut file)?;
    read_from(program, file)
}

fn read_from(program: &str, input: File) -> Result<Vec<u8>> {
    let out = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::from(input))
        .output()
        .map_err(|error| anyhow!("cannot run {program}, which unpacks the kernel: {error}"))?;
    if !out.status.success() {
        bail!("{program} cannot unpack the kernel: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(out.stdout)
}

/// The modules that a module depends on, from its section `.modinfo`.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else { return Vec::new() };
    let value = module[at + KEY.len()..].split(|&byte| byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_stand_in_modinfo() {
        assert_eq!(
            depends(b"license=GPL\0depends=net_failover,virtio\0name=virtio_net\0"),
            ["net_failover", "virtio"]
        );
        assert_eq!(depends(b"license=GPL\0depends=\0name=virtio\0"), Vec::<String>::new());
        assert_eq!(depends(b"\x7fELF"), Vec::<String>::new());
    }

    #[test]
    fn the_payload_is_where_the_boot_header_says() {
        let mut image = vec![0_u8; 4096];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x1f1] = 1;
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&12_u32.to_le_bytes());
        image[1024 + 16..1024 + 28].copy_from_slice(b"compressed.s");
        assert_eq!(payload(&image), Some(&b"compress"[..]));
        assert_eq!(payload(&image[..1040]), None);
        assert_eq!(payload(b"MZ"), None);
    }
}
