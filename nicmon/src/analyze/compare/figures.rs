//! The figures that are compared, each a ratio of two sums.

use schemars::JsonSchema;
use serde::Serialize;

use super::cell::Cell;
use crate::frame::cost_ns;

/// Fewest samples of a driver that are compared. With fewer, a recording without any would be no surprise.
pub(super) const FEWEST_SAMPLES: u64 = 5;

/// A figure to compare, in the order in which verdicts are sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// CPU seconds per 10^9 bytes received or sent: exact interrupt time plus samples.
    CostPerGb,
    /// The same per packet, in nanoseconds.
    CostPerPacket,
    /// The driver's share of the samples that were not idle, in percent.
    BusyShare,
    /// Exact interrupt time plus samples, in percent of one CPU.
    Cost,
    /// Time of polls (driver and stack) per packet, in nanoseconds.
    PollNsPerPacket,
    /// Time of interrupt handlers per packet, in nanoseconds.
    IrqNsPerPacket,
}

impl Figure {
    /// All figures, in this order.
    pub const ALL: [Self; 6] = [
        Self::CostPerGb,
        Self::CostPerPacket,
        Self::BusyShare,
        Self::Cost,
        Self::PollNsPerPacket,
        Self::IrqNsPerPacket,
    ];

    /// Its name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::CostPerGb => "cost_per_gb",
            Self::CostPerPacket => "cost_per_packet",
            Self::BusyShare => "busy_share",
            Self::Cost => "cost",
            Self::PollNsPerPacket => "poll_ns_per_packet",
            Self::IrqNsPerPacket => "irq_ns_per_packet",
        }
    }

    /// Its unit, as people write it.
    pub fn unit(self) -> &'static str {
        match self {
            Self::CostPerGb => "s/GB",
            Self::CostPerPacket | Self::PollNsPerPacket | Self::IrqNsPerPacket => "ns",
            Self::BusyShare | Self::Cost => "%",
        }
    }

    /// Whether it rests on samples.
    pub(super) fn is_sampled(self) -> bool {
        !matches!(self, Self::PollNsPerPacket | Self::IrqNsPerPacket)
    }

    /// The factor on the ratio of sums. Nanoseconds per byte are seconds per 10^9 bytes.
    pub(super) fn scale(self) -> f64 {
        match self {
            Self::BusyShare | Self::Cost => 100.0,
            _ => 1.0,
        }
    }

    /// What a frame adds to the dividend and to the divisor; `None` if the frame does not know.
    pub(super) fn of(self, cell: &Cell) -> Option<(u64, u64)> {
        let cost_ns = cost_ns(cell.hardirq_ns, cell.sampled_ns);
        match self {
            Self::CostPerGb => cost_ns.zip(cell.bytes),
            Self::CostPerPacket => cost_ns.zip(cell.packets),
            Self::BusyShare => {
                let ns = |samples: u64| samples.checked_mul(cell.period_ns?);
                ns(cell.samples?).zip(ns(cell.busy?))
            }
            Self::Cost => cost_ns.map(|cost_ns| (cost_ns, cell.interval_ns)),
            Self::PollNsPerPacket => cell.poll_ns.zip(cell.packets),
            Self::IrqNsPerPacket => cell.hardirq_ns.zip(cell.packets),
        }
    }

    /// The variance of the dividend that comes from counting samples: each stands for the same time, and
    /// their number varies by its square root (S. D. Poisson, 1837).
    pub(super) fn chance(self, cell: &Cell) -> f64 {
        let estimated_ns = match self {
            Self::BusyShare => self.of(cell).map(|(above, _)| above),
            Self::CostPerGb | Self::CostPerPacket | Self::Cost => cell.sampled_ns,
            Self::PollNsPerPacket | Self::IrqNsPerPacket => None,
        };
        match estimated_ns.zip(cell.samples) {
            Some((ns, samples)) if samples > 0 => ns as f64 * ns as f64 / samples as f64,
            _ => 0.0,
        }
    }
}
