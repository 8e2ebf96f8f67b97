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
}

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
    Ok(Machine {
        hostname: read_line(&kernel.join("hostname"))?,
        kernel: read_line(&kernel.join("osrelease"))?,
        boot_id: read_line(&kernel.join("random/boot_id")).ok(),
        preempt_rt: version.split_ascii_whitespace().any(|word| word == "PREEMPT_RT")
            || read_line(&sys.join("kernel/realtime")).is_ok_and(|flag| flag == "1"),
    })
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
