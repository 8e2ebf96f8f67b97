//! Properties of a network interface in sysfs, which shows the network namespace that it was mounted in.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::{cpus::parse_mask, read_line};
use crate::frame::topology::{Queue, QueueKind};

/// What identifies an interface in files: sysfs may show another namespace than the one that it is in.
#[derive(Debug, Clone, Copy)]
pub struct NicId<'a> {
    /// Its name in the kernel.
    pub name: &'a OsStr,
    /// Its index in its namespace.
    pub ifindex: u32,
    /// Its hardware address.
    pub address: &'a [u8],
}

/// The directory of one interface.
#[derive(Debug)]
pub struct NicFiles(PathBuf);

impl NicFiles {
    /// The directory of the interface with this name, index and hardware address. All three are compared,
    /// because sysfs may show another namespace, with another interface of the same name (`nsenter` without a
    /// mount). Loopback looks the same everywhere.
    pub fn find(sys: &Path, NicId { name, ifindex, address }: NicId<'_>) -> Option<Self> {
        let files = Self(sys.join("class/net").join(name));
        let is_it =
            files.number::<u32>("ifindex") == Some(ifindex) && files.line("address")? == hexadecimal(address);
        is_it.then_some(files)
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether its device sleeps (runtime power management). Asking its driver would wake it: ethtool resumes
    /// the device first (`__dev_ethtool` in `net/ethtool/ioctl.c`, `ethnl_ops_begin` in
    /// `net/ethtool/netlink.c`, since Linux 5.14). Reading this file does not.
    pub fn sleeps(&self) -> bool {
        // `rtpm_status_str` in `drivers/base/power/sysfs.c`.
        self.line("device/power/runtime_status")
            .is_some_and(|status| matches!(status.as_str(), "suspended" | "suspending"))
    }

    /// Name of its device's driver.
    pub fn device_driver(&self) -> Option<String> {
        let link = fs::read_link(self.0.join("device/driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// Whether it belongs to a device, and so has interrupts.
    pub fn has_device(&self) -> bool {
        self.0.join("device").exists()
    }

    /// NUMA node of its device; `None` if the device has none (-1).
    pub fn numa_node(&self) -> Option<u32> {
        self.number("device/numa_node")
    }

    /// Names of the interfaces stacked on it.
    pub fn upper(&self) -> Option<Vec<String>> {
        self.linked("upper_")
    }

    /// Names of the interfaces that it is stacked on.
    pub fn lower(&self) -> Option<Vec<String>> {
        self.linked("lower_")
    }

    /// Whether threads poll its NAPIs (since Linux 5.12).
    pub fn threaded(&self) -> Option<bool> {
        // Since 6.17 it may be 2: threads that busy-poll (`NETDEV_NAPI_THREADED_BUSY_POLL`).
        self.number::<u8>("threaded").map(|threaded| threaded != 0)
    }

    /// `gro_flush_timeout`.
    pub fn gro_flush_timeout_ns(&self) -> Option<u64> {
        self.number("gro_flush_timeout")
    }

    /// `napi_defer_hard_irqs` (since Linux 5.8).
    pub fn napi_defer_hard_irqs(&self) -> Option<u32> {
        self.number("napi_defer_hard_irqs")
    }

    /// Its queues, receive before transmit, ascending; RPS and XPS as `net/core/net-sysfs.c` prints them.
    pub fn queues(&self) -> Vec<Queue> {
        let entries = fs::read_dir(self.0.join("queues")).into_iter().flatten().filter_map(Result::ok);
        let mut queues: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let (kind, index) = name.split_once('-')?;
                let kind = match kind {
                    "rx" => QueueKind::Rx,
                    "tx" => QueueKind::Tx,
                    _ => return None,
                };
                Some(self.queue(kind, index.parse().ok()?, &format!("queues/{name}")))
            })
            .collect();
        queues.sort_by_key(|queue| (queue.kind, queue.index));
        queues
    }

    fn queue(&self, kind: QueueKind, index: u32, directory: &str) -> Queue {
        let cpus = |file: &str| parse_mask(&self.line(&format!("{directory}/{file}"))?);
        let receives = kind == QueueKind::Rx;
        Queue {
            rps_cpus: receives.then(|| cpus("rps_cpus")).flatten(),
            rps_flow_cnt: receives.then(|| self.number(&format!("{directory}/rps_flow_cnt"))).flatten(),
            xps_cpus: (!receives).then(|| cpus("xps_cpus")).flatten(),
            ..Queue::new(kind, index)
        }
    }

    /// Links whose names start with `prefix`, and which lead to interfaces (`netdev_adjacent_sysfs_add`,
    /// `net/core/dev.c`).
    fn linked(&self, prefix: &str) -> Option<Vec<String>> {
        let names = fs::read_dir(&self.0).ok()?.filter_map(Result::ok);
        let mut linked: Vec<String> = names
            .filter_map(|entry| Some(entry.file_name().to_string_lossy().strip_prefix(prefix)?.to_owned()))
            .collect();
        linked.sort();
        Some(linked)
    }

    fn number<T: std::str::FromStr>(&self, file: &str) -> Option<T> {
        self.line(file)?.parse().ok()
    }

    fn line(&self, file: &str) -> Option<String> {
        read_line(&self.0.join(file)).ok()
    }
}

/// An address as sysfs writes it: `02:fc:00:00:00:01`.
fn hexadecimal(address: &[u8]) -> String {
    address.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::{super::testing::this_machine, *};

    const ETH0: &[u8] = &[0x02, 0xfc, 0, 0, 0, 1];

    fn eth0() -> NicFiles {
        NicFiles::find(
            &this_machine().join("sys"),
            NicId { name: "eth0".as_ref(), ifindex: 4, address: ETH0 },
        )
        .unwrap()
    }

    #[test]
    fn of_this_machine() {
        let files = eth0();
        assert_eq!(files.numa_node(), None);
        assert_eq!((files.upper(), files.lower()), (Some(vec![]), Some(vec![])));
        assert_eq!(files.threaded(), Some(false));
        assert_eq!((files.gro_flush_timeout_ns(), files.napi_defer_hard_irqs()), (Some(0), Some(0)));
        // With one transmit queue the kernel refuses to say what XPS does (`xps_cpus_show`).
        let queue = |kind, rps_cpus, rps_flow_cnt| Queue { rps_cpus, rps_flow_cnt, ..Queue::new(kind, 0) };
        let expected = [queue(QueueKind::Rx, Some(vec![]), Some(0)), queue(QueueKind::Tx, None, None)];
        assert_eq!(files.queues(), expected);
    }

    #[test]
    fn a_device_that_sleeps() {
        let sys = tempfile::tempdir().unwrap();
        let nic = sys.path().join("class/net/eth0");
        fs::create_dir_all(nic.join("device/power")).unwrap();
        fs::create_dir_all(sys.path().join("bus/pci/drivers/igb")).unwrap();
        std::os::unix::fs::symlink("../../../../bus/pci/drivers/igb", nic.join("device/driver")).unwrap();
        fs::write(nic.join("ifindex"), "4\n").unwrap();
        fs::write(nic.join("address"), "02:fc:00:00:00:01\n").unwrap();
        let files = NicFiles::find(sys.path(), NicId { name: "eth0".as_ref(), ifindex: 4, address: ETH0 });
        let files = files.unwrap();
        assert!(!files.sleeps(), "a kernel without runtime power management");
        assert_eq!(files.device_driver().as_deref(), Some("igb"));
        for (status, sleeps) in
            [("active", false), ("suspended", true), ("suspending", true), ("unsupported", false)]
        {
            fs::write(nic.join("device/power/runtime_status"), format!("{status}\n")).unwrap();
            assert_eq!(files.sleeps(), sleeps, "{status}");
        }
    }

    #[test]
    fn of_another_namespace() {
        let sys = this_machine().join("sys");
        let find =
            |name, ifindex, address| NicFiles::find(&sys, NicId { name: OsStr::new(name), ifindex, address });
        assert!(find("eth0", 5, ETH0).is_none());
        assert!(find("eth0", 4, &[2, 0xfc, 0, 0, 0, 2]).is_none());
        assert!(find("eth1", 4, ETH0).is_none());
    }
}
