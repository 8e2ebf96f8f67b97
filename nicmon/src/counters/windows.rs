//! What the programs counted in windows, and what the kernel counted meanwhile and all the time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use nicmon_common::SOFTIRQ_VECTORS;

use super::{CpuActivity, IrqActivity, NapiActivity};

/// The windows of an interval, and those before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SeenInWindows {
    /// Why it is not measured all the time.
    pub why: String,
    /// The last windows, oldest first.
    pub recent: Vec<Arc<SeenInWindow>>,
    /// How many of them were in this interval: the last ones.
    pub new: usize,
    /// What the kernel counted in the interval, by CPU number; `None` where that is unknown.
    pub counted: Vec<Option<Counted>>,
}

impl SeenInWindows {
    /// The windows in this interval.
    pub fn new_ones(&self) -> &[Arc<SeenInWindow>] {
        &self.recent[self.recent.len().saturating_sub(self.new)..]
    }

    /// Whether the programs are detached for good: there are no times, only counts and samples.
    pub fn counts_only(&self) -> bool {
        self.recent.is_empty()
    }

    /// For how long the programs measured in this interval.
    pub fn attached_ns(&self) -> u64 {
        self.new_ones().iter().map(|window| window.ns).sum()
    }
}

/// What was seen in one window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SeenInWindow {
    /// How long it was.
    pub ns: u64,
    /// What the programs counted, by CPU number. Softirqs that an edge of the window cuts have the part of
    /// their time that is inside.
    pub cpus: Vec<CpuActivity>,
    /// NAPIs that were polled.
    pub napis: Vec<NapiActivity>,
    /// Irq actions that fired.
    pub irqs: Vec<IrqActivity>,
    /// What the kernel counted, as in [`SeenInWindows::counted`].
    pub counted: Vec<Option<Counted>>,
}

/// What the kernel counts on a CPU all the time, at no cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// Runs of softirqs, by vector.
    pub runs: [u64; SOFTIRQ_VECTORS],
    /// Packets that `__netif_receive_skb` took; `None` if that is unknown.
    pub packets: Option<u64>,
    /// Time that was not idle; `None` if that is unknown.
    pub busy_ns: Option<u64>,
    /// The time itself.
    pub ns: u64,
}
