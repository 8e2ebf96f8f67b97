//! Facts about the machine.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, read_line};

/// Facts that do not change while the machine runs, except for its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Host name, in the UTS namespace of this process.
    pub hostname: String,
    /// Kernel release, as from `uname -r`.
    pub kernel: String,
    /// The kernel's boot id (`/proc/sys/kernel/random/boot_id`); `None` if it cannot be read.
    pub boot_id: Option<String>,
    /// Whether the kernel is `PREEMPT_RT`.
    pub preempt_rt: bool,
    /// Whether softirqs of several tasks may take turns on a CPU; see [`softirqs_take_turns`].
    #[serde(default)]
    pub softirqs_take_turns: bool,
}

/// What that means for the figures.
pub const SOFTIRQS_TAKE_TURNS: &str = "softirq times are not exact: on this PREEMPT_RT kernel, softirqs of \
    different tasks can interleave on a CPU, and each is charged for the others' time. Use a kernel with \
    CONFIG_PREEMPT_RT_NEEDS_BH_LOCK=y";

/// Reads these facts.
///
/// The kernel's version string says whether it is `PREEMPT_RT` (`UTS_VERSION` in `init/Makefile`). Kernels
/// with the out-of-tree patches also say so in `/sys/kernel/realtime`.
///
/// # Errors
/// Host name, release or version cannot be read.
pub fn read(proc: &Path, sys: &Path) -> Result<Machine, Error> {
    let kernel = proc.join("sys/kernel");
    let version = read_line(&kernel.join("version"))?;
    let release = read_line(&kernel.join("osrelease"))?;
    let preempt_rt = version.split_ascii_whitespace().any(|word| word == "PREEMPT_RT")
        || read_line(&sys.join("kernel/realtime")).is_ok_and(|flag| flag == "1");
    Ok(Machine {
        hostname: read_line(&kernel.join("hostname"))?,
        boot_id: read_line(&kernel.join("random/boot_id")).ok(),
        preempt_rt,
        softirqs_take_turns: preempt_rt && softirqs_take_turns(Path::new("/boot"), &release),
        kernel: release,
    })
}

/// Whether a task that runs softirqs can be preempted by another that does, on the same CPU of a `PREEMPT_RT`
/// kernel. Before Linux 6.18 a lock per CPU prevented that; since then it is there only with
/// `CONFIG_PREEMPT_RT_NEEDS_BH_LOCK` (`__local_bh_disable_ip` in `kernel/softirq.c`). If the kernel's
/// configuration cannot be read, the answer is yes.
fn softirqs_take_turns(boot: &Path, release: &str) -> bool {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(u32::MAX));
    let config = || std::fs::read_to_string(boot.join(format!("config-{release}"))).unwrap_or_default();
    version >= (6, 18) && !config().lines().any(|line| line == "CONFIG_PREEMPT_RT_NEEDS_BH_LOCK=y")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::testing::this_machine, *};

    #[test]
    fn of_a_machine() {
        let root = this_machine();
        let machine = read(&root.join("proc"), &root.join("sys")).unwrap();
        assert_eq!(machine.hostname, "vm");
        assert!(machine.kernel.starts_with("6.18."));
        assert_eq!(machine.boot_id.unwrap().len(), 36);
        assert!(!machine.preempt_rt);
    }

    #[test]
    fn softirqs_of_realtime_kernels() {
        let boot = tempfile::tempdir().unwrap();
        let config = |release: &str, text: &str| {
            fs::write(boot.path().join(format!("config-{release}")), text).unwrap();
        };
        config("6.18.2-rt1", "CONFIG_PREEMPT_RT=y\n# CONFIG_PREEMPT_RT_NEEDS_BH_LOCK is not set\n");
        config("6.19.0", "CONFIG_PREEMPT_RT=y\nCONFIG_PREEMPT_RT_NEEDS_BH_LOCK=y\n");
        let take_turns = |release| softirqs_take_turns(boot.path(), release);
        assert!(!take_turns("6.1.0-47-rt-amd64") && !take_turns("6.17.9") && !take_turns("5.10.0"));
        assert!(take_turns("6.18.2-rt1"));
        assert!(!take_turns("6.19.0"), "it has the lock");
        assert!(take_turns("7.3.0"), "nobody knows");
    }

    #[test]
    fn realtime() {
        let root = tempfile::tempdir().unwrap();
        let kernel = root.path().join("sys/kernel");
        fs::create_dir_all(&kernel).unwrap();
        fs::create_dir_all(root.path().join("kernel")).unwrap();
        fs::write(kernel.join("hostname"), "a\n").unwrap();
        fs::write(kernel.join("osrelease"), "6.1.0-rt\n").unwrap();
        let preempt_rt = |version: &str| {
            fs::write(kernel.join("version"), version).unwrap();
            read(root.path(), root.path()).unwrap().preempt_rt
        };
        assert!(preempt_rt("#1 SMP PREEMPT_RT Debian 6.1.0-1 (2023-01-01)\n"));
        assert!(!preempt_rt("#1 SMP PREEMPT_DYNAMIC Debian 6.1.0-1 (2023-01-01)\n"));
        fs::write(root.path().join("kernel/realtime"), "1\n").unwrap();
        assert!(preempt_rt("#1 SMP PREEMPT RT\n"));
    }
}
