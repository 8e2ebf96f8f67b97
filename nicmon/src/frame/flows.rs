//! `nics[].flows`: what the packets have in common that fill a CPU.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Some packets that a saturated CPU received from a NIC, looked at for less than 100 ms. Only hashes of
/// their addresses are kept, and none leaves nicmon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flows {
    /// The CPU that received them.
    #[schemars(title = "CPU that received them")]
    pub cpu: u32,
    /// How long before the end of the interval they were looked at. It happens at most once a minute.
    #[schemars(title = "How long ago that was")]
    pub age_ns: u64,
    /// How long the program that looked at them was attached.
    #[schemars(title = "How long they were looked at")]
    pub attached_ns: u64,
    /// What it cost, by the kernel's own statistics; `null` without the permission to switch them on.
    #[schemars(title = "What it cost")]
    pub cost_ns: Option<u64>,
    /// Packets that were looked at, at most 1,000.
    #[schemars(title = "Packets looked at")]
    pub packets: u32,
    /// Those whose flow is known: by the NIC's hash if it covers ports, else by their headers (one in 64,
    /// and one in 16 of the first 256).
    #[schemars(title = "Packets whose flow is known")]
    pub known: u32,
    /// Different flows among these: addresses, protocol and ports.
    #[schemars(title = "Flows")]
    pub flows: u32,
    /// The part of these that belongs to the largest flow; `null` if none is known.
    #[schemars(title = "Part of the largest flow")]
    pub largest_flow_pct: Option<f64>,
    /// The part of these that has the most frequent pair of addresses; `null` if their headers were not
    /// looked at, because the NIC's hash covers ports.
    #[schemars(title = "Part of the most frequent pair of addresses")]
    pub largest_pair_pct: Option<f64>,
}
