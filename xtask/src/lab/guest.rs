//! The guest: QEMU with software emulation, started from its unpacked packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use testkit::process::{Running, check_signalled, output};

use super::{device::Device, fetch::Bundle, net};

/// QEMU and busybox, unpacked.
#[derive(Debug)]
pub(super) struct Tools {
    tree: PathBuf,
}

impl Tools {
    /// Fetches both, unless they are in the cache. All libraries down to libc are included, so neither the
    /// packages installed here nor the release of this machine matter.
    pub(super) fn get(cache: &Path) -> Result<Self> {
        let bundle = Bundle {
            name: "qemu",
            suites: &["bookworm", "bookworm-security", "bookworm-backports"],
            // QEMU 7.2 of bookworm does not notice when the kernel patches a tracepoint's jump, and it
            // misplaces samples.
            prefer: "bookworm-backports",
            packages: &["qemu-system-x86", "busybox-static"],
            only: &[],
        };
        Ok(Self { tree: bundle.get(cache)? })
    }

    /// A command that runs QEMU. `command` creates it, given the program to start: QEMU's own dynamic linker.
    fn qemu(&self, command: impl FnOnce(&str) -> Command) -> Command {
        let libraries = ["lib", "usr/lib"].map(|part| self.tree.join(part).join("x86_64-linux-gnu"));
        let linker = libraries[0].join("ld-linux-x86-64.so.2");
        let mut qemu = command(&linker.display().to_string());
        qemu.arg("--library-path")
            .arg(format!("{}:{}", libraries[0].display(), libraries[1].display()))
            .arg(self.tree.join("usr/bin/qemu-system-x86_64"));
        qemu
    }

    /// QEMU's version, as it reports it.
    pub(super) fn version(&self) -> Result<String> {
        let said = output(self.qemu(|linker| Command::new(linker)).arg("--version"))?;
        Ok(said.lines().next().unwrap_or_default().to_owned())
    }

    /// The statically linked busybox.
    pub(super) fn busybox(&self) -> Result<PathBuf> {
        let found = ["bin/busybox", "usr/bin/busybox"]
            .map(|path| self.tree.join(path))
            .into_iter()
            .find(|p| p.is_file());
        found.with_context(|| {
            format!("no busybox is in {}: remove that folder and try again", self.tree.display())
        })
    }
}

/// The parts of a guest.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) image: &'a Path,
    pub(super) initramfs: &'a Path,
    /// The folder that the guest sees as `/out`.
    pub(super) shared: &'a Path,
    /// The file that its console is written to.
    pub(super) console: &'a Path,
    pub(super) devices: &'a [Device],
    pub(super) queues: u32,
    pub(super) cpus: u32,
    /// More words for the kernel's command line.
    pub(super) append: &'a str,
}

/// Boots a guest and waits until it powers itself off. Calls `beside` ten times per second meanwhile.
pub(super) fn run(
    tools: &Tools,
    machine: &Machine<'_>,
    network: &net::Network,
    limit: Duration,
    mut beside: impl FnMut() -> Result<()>,
) -> Result<()> {
    let mut qemu = tools.qemu(|linker| network.command(linker));
    for firmware in ["usr/share/qemu", "usr/share/seabios"] {
        qemu.arg("-L").arg(tools.tree.join(firmware));
    }
    qemu.args(arguments(machine)).stdin(Stdio::null());
    let mut guest = Running::start(&mut qemu)?;
    let start = Instant::now();
    loop {
        if let Some(status) = guest.wait_for(Duration::from_millis(100))? {
            if status.success() {
                return Ok(());
            }
            bail!("QEMU failed: {status}");
        }
        check_signalled()?;
        beside()?;
        if start.elapsed() > limit {
            bail!("the guest did not finish within {} s; {}", limit.as_secs(), console_end(machine.console));
        }
    }
}

/// The last lines of the guest's console.
pub(super) fn console_end(console: &Path) -> String {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(15)..];
    format!("its console ended with:\n{}", last.join("\n"))
}

fn arguments(machine: &Machine<'_>) -> Vec<String> {
    let Machine { image, initramfs, shared, console, devices, queues, cpus, append } = machine;
    let smp = cpus.to_string();
    let mut words: Vec<String> = [
        // Always emulate: most machines that run this are guests themselves, without nested KVM.
        ["-accel", "tcg,thread=multi"],
        ["-cpu", "max"],
        ["-smp", &smp],
        ["-m", "2048"],
        ["-display", "none"],
        ["-monitor", "none"],
        ["-vga", "none"],
    ]
    .concat()
    .into_iter()
    .map(str::to_owned)
    .collect();
    words.extend(["-nodefaults".to_owned(), "-no-reboot".to_owned()]);
    words.extend(["-kernel".to_owned(), image.display().to_string()]);
    words.extend(["-initrd".to_owned(), initramfs.display().to_string()]);
    words.extend(["-serial".to_owned(), format!("file:{}", console.display())]);
    // Without tsc=reliable, the kernel stops trusting the emulated clock after a while and takes a slow one.
    let line = format!("console=ttyS0 tsc=reliable panic=-1 quiet {append}");
    words.extend(["-append".to_owned(), line.trim_end().to_owned()]);
    words.extend([
        "-virtfs".to_owned(),
        format!("local,path={},mount_tag=out,security_model=none,id=out", shared.display()),
    ]);
    for (index, device) in devices.iter().enumerate() {
        let tap = net::tap(index);
        let multi = *device == Device::Virtio && *queues > 1;
        let backend = if multi { format!(",queues={queues}") } else { String::new() };
        let vhost = if *device == Device::Virtio { ",vhost=off" } else { "" };
        words.extend([
            "-netdev".to_owned(),
            format!("tap,id={tap},ifname={tap},script=no,downscript=no{vhost}{backend}"),
        ]);
        // One vector for each queue, one for the configuration, and one for the control queue.
        let front = if multi { format!(",mq=on,rss=on,vectors={}", 2 * queues + 2) } else { String::new() };
        words.extend([
            "-device".to_owned(),
            format!("{},netdev={tap},mac={},romfile={front}", device.model(), net::mac(index)),
        ]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_virtios_alone() {
        let path = Path::new("x");
        let devices = [Device::Rtl8139, Device::Virtio];
        let machine = Machine {
            image: path,
            initramfs: path,
            shared: path,
            console: path,
            devices: &devices,
            queues: 4,
            cpus: 4,
            append: "isolcpus=3",
        };
        let words = arguments(&machine);
        let has = |word: &str| words.iter().any(|w| w == word);
        assert!(has("console=ttyS0 tsc=reliable panic=-1 quiet isolcpus=3"));
        assert!(has("rtl8139,netdev=tap0,mac=02:00:00:00:03:00,romfile="));
        assert!(has("virtio-net-pci,netdev=tap1,mac=02:00:00:00:03:01,romfile=,mq=on,rss=on,vectors=10"));
        assert!(has("tap,id=tap1,ifname=tap1,script=no,downscript=no,vhost=off,queues=4"));
    }
}
