//! What drivers count of their XDP programs. The names are the drivers' choice.

use std::collections::BTreeMap;

use crate::frame::topology::{self, XdpMode};

/// Packets whose way an XDP program in the driver ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct XdpCounts {
    pub(super) dropped: u64,
    /// Sent back through the same NIC.
    pub(super) sent: u64,
    pub(super) redirected: u64,
    /// Whether the driver counts drops at all.
    is_counted: bool,
}

impl XdpCounts {
    /// From `ethtool -S`: `rx_queue_0_xdp_drops` (veth), `rx0_xdp_drops` (`virtio_net`), `rx_xdp_drop`.
    /// Where queues have counters of their own, a counter without a queue is their sum.
    pub(super) fn of(statistics: &BTreeMap<String, u64>) -> Self {
        let sum = |verdicts: &[&str]| {
            let own = statistics.iter().filter_map(|(name, value)| {
                let (queue, verdict) = verdict(name)?;
                verdicts.contains(&verdict).then_some((queue, *value))
            });
            let (by_queue, others): (Vec<_>, Vec<_>) = own.partition(|(is_of_queue, _)| *is_of_queue);
            let chosen = if by_queue.is_empty() { others } else { by_queue };
            (!chosen.is_empty())
                .then(|| chosen.iter().fold(0_u64, |sum, (_, value)| sum.saturating_add(*value)))
        };
        let dropped = sum(&["drop", "drops"]);
        Self {
            dropped: dropped.unwrap_or(0),
            sent: sum(&["tx"]).unwrap_or(0),
            redirected: sum(&["redirect", "redirects"]).unwrap_or(0),
            is_counted: dropped.is_some(),
        }
    }

    /// What is missing if the NIC has such a program.
    pub(super) fn note(&self, nic: &topology::Nic) -> Option<String> {
        let in_driver = |xdp: &topology::Xdp| xdp.mode == XdpMode::Native;
        let has_program = nic.xdp.iter().flatten().any(in_driver);
        (has_program && !self.is_counted).then(|| {
            "The driver does not count what its XDP program does: packets that it drops are unexplained in \
             the stage driver."
                .to_owned()
        })
    }
}

/// Whether a name is of one queue, and the word after `xdp`; `None` if it is not of received packets.
fn verdict(name: &str) -> Option<(bool, &str)> {
    let (before, verdict) = name.split_once("xdp_")?;
    let is_received = before.starts_with("rx") || before.contains("_rx_") || before.starts_with("queue");
    (is_received && !before.starts_with("tx"))
        .then_some((before.contains(|c: char| c.is_ascii_digit()), verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(names: &[(&str, u64)]) -> XdpCounts {
        XdpCounts::of(&names.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())
    }

    #[test]
    fn names_of_drivers() {
        let veth = [
            ("rx_queue_0_xdp_drops", 5),
            ("rx_queue_1_xdp_drops", 6),
            ("rx_queue_0_xdp_tx", 1),
            ("rx_queue_0_xdp_redirect", 2),
            ("rx_queue_0_xdp_redirect_errors", 9),
            ("tx_queue_0_xdp_xmit", 9),
        ];
        assert_eq!(counts(&veth), XdpCounts { dropped: 11, sent: 1, redirected: 2, is_counted: true });
        let virtio =
            [("rx0_xdp_drops", 5), ("rx0_xdp_packets", 9), ("rx0_xdp_redirects", 3), ("tx0_xdp_tx", 9)];
        assert_eq!(counts(&virtio), XdpCounts { dropped: 5, sent: 0, redirected: 3, is_counted: true });
        let mlx5 = [("rx_xdp_drop", 5), ("rx0_xdp_drop", 3), ("rx1_xdp_drop", 2)];
        assert_eq!(counts(&mlx5).dropped, 5);
        assert_eq!(counts(&[("rx_xdp_drop", 5)]).dropped, 5);
        assert_eq!(counts(&[("rx_packets", 5)]), XdpCounts::default());
    }
}
