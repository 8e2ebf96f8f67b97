//! Machine-wide settings of the receive path and of sampling.

use std::path::Path;

use super::read_line;
use crate::frame::topology::Sysctls;

/// Reads the settings below `sys/net/core` (`net/core/sysctl_net_core.c`); `None` if this kernel does not
/// have one.
pub fn sysctls(proc: &Path) -> Sysctls {
    let core = proc.join("sys/net/core");
    let number = |name: &str| read_line(&core.join(name)).ok()?.parse().ok();
    Sysctls {
        netdev_budget: number("netdev_budget"),
        netdev_budget_usecs: number("netdev_budget_usecs"),
        netdev_max_backlog: number("netdev_max_backlog"),
        dev_weight: number("dev_weight"),
        dev_weight_rx_bias: number("dev_weight_rx_bias"),
        dev_weight_tx_bias: number("dev_weight_tx_bias"),
        gro_normal_batch: number("gro_normal_batch"),
        rps_sock_flow_entries: number("rps_sock_flow_entries"),
        busy_poll: number("busy_poll"),
        busy_read: number("busy_read"),
    }
}

/// The most samples per second that the kernel takes on a CPU before it throttles an event
/// (`kernel.perf_event_max_sample_rate`). It lowers this by itself when samples take long
/// (`perf_sample_event_took` in `kernel/events/core.c`). `None` if it cannot be read.
pub fn sample_limit_per_s(proc: &Path) -> Option<u32> {
    read_line(&proc.join("sys/kernel/perf_event_max_sample_rate")).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::this_machine, *};

    #[test]
    fn of_this_machine() {
        let sysctls = sysctls(&this_machine().join("proc"));
        assert_eq!(sysctls.netdev_budget, Some(300));
        assert_eq!((sysctls.netdev_budget_usecs, sysctls.netdev_max_backlog), (Some(8000), Some(1000)));
        assert_eq!((sysctls.rps_sock_flow_entries, sysctls.gro_normal_batch), (Some(0), Some(8)));
        assert_eq!(super::sysctls(Path::new("/nonexistent")), Sysctls::default());
    }

    #[test]
    fn a_limit_that_cannot_be_read_is_unknown() {
        let proc = tempfile::tempdir().expect("a directory");
        assert_eq!(sample_limit_per_s(proc.path()), None);
        let kernel = proc.path().join("sys/kernel");
        std::fs::create_dir_all(&kernel).expect("a directory");
        std::fs::write(kernel.join("perf_event_max_sample_rate"), "100\n").expect("written");
        assert_eq!(sample_limit_per_s(proc.path()), Some(100));
    }
}
