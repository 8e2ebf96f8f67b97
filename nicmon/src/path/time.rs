//! How long each stage takes, per packet that the NIC received.

use super::model::PathStage;
use crate::frame::{Nic, Share, Stage};

/// From the samples in a NIC's polls.
pub(super) struct StageTimes {
    pub(super) poll_ns_per_packet: Option<f64>,
    stages: Vec<(Stage, u64)>,
    samples: u64,
}

impl StageTimes {
    pub(super) fn of(nic: &Nic) -> Self {
        let packets = nic.counters.rx_packets.filter(|packets| *packets > 0);
        // Packets that wait in the backlog are received in its polls, not in those of the NIC.
        let poll_ns = nic.poll_time_ns().filter(|poll_ns| *poll_ns > 0);
        let poll_ns_per_packet =
            poll_ns.zip(packets).map(|(poll_ns, packets)| poll_ns as f64 / packets as f64);
        let stages: Vec<(Stage, u64)> =
            nic.stages.iter().flatten().map(|share| (share.stage, share.samples)).collect();
        let samples = stages.iter().map(|(_, samples)| samples).sum();
        Self { poll_ns_per_packet, stages, samples }
    }

    /// A stage's share of the time of polls, and its 95 % interval.
    pub(super) fn of_stage(&self, stage: PathStage) -> Option<(f64, [f64; 2])> {
        let parts: &[Stage] = match stage {
            PathStage::Driver => &[Stage::Driver],
            PathStage::Gro => &[Stage::Gro],
            PathStage::Netfilter => &[Stage::Netfilter, Stage::Conntrack],
            PathStage::Ip => &[Stage::Ip],
            PathStage::Socket => &[Stage::Tcp, Stage::Udp],
            // BPF programs may be XDP's, tc's or of sockets, so they are in no stage.
            PathStage::Ring | PathStage::Core | PathStage::Queue | PathStage::Transmit => return None,
        };
        let hits = self.stages.iter().filter(|(stage, _)| parts.contains(stage));
        let share = Share::of(hits.map(|(_, samples)| samples).sum(), self.samples)?;
        let ns = |pct: f64| Some(self.poll_ns_per_packet? * pct / 100.0);
        Some((ns(share.pct)?, [ns(share.ci_pct[0])?, ns(share.ci_pct[1])?]))
    }
}
