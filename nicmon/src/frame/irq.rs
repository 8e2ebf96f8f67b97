//! `irqs[]`: device interrupts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::windowed::Windowed;

/// One action on one device interrupt line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Irq {
    /// Number of the interrupt line.
    #[schemars(title = "Interrupt line")]
    pub irq: u32,
    /// Name of the action, as in `/proc/interrupts`.
    #[schemars(title = "Action")]
    pub action: String,
    /// Name of the NIC; `null` if the interrupt belongs to no NIC or its NIC cannot be identified.
    #[schemars(title = "NIC it belongs to")]
    pub nic: Option<String>,
    /// The queue it serves, taken from the name of the action.
    #[schemars(title = "Queue it serves")]
    pub queue: Option<u32>,
    /// True if only the primary handler is timed and the rest of the work runs in a thread.
    #[schemars(title = "Handler runs mostly in a thread")]
    pub threaded: Option<bool>,
    /// Its handler calls on each CPU. CPUs on which nothing happened are absent.
    #[schemars(title = "Its handler calls on each CPU")]
    pub cpus: Vec<IrqCpu>,
}

/// One interrupt action on one CPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IrqCpu {
    /// The kernel's number of the CPU.
    #[schemars(title = "CPU number")]
    pub cpu: u32,
    /// Number of handler calls; `null` if the kernel's own files are the source, and the CPU came online in
    /// the interval or the line was set up again.
    #[schemars(title = "Handler calls")]
    pub count: Option<u64>,
    /// Total time of these calls.
    #[schemars(title = "Time of these calls")]
    pub ns: Option<u64>,
    /// Time of the longest of these calls.
    #[schemars(title = "Longest call")]
    pub max_ns: Option<u64>,
    /// Total time of the calls, estimated from windows. In a report it may have exact parts. Absent if `ns`
    /// is exact, and if no window has seen the action.
    #[schemars(title = "Time of these calls, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub est_ns: Option<u64>,
    /// The 95 % interval of `est_ns`. Absent until there were 8 windows.
    #[schemars(title = "95 % interval of this time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub est_ci_ns: Option<[u64; 2]>,
    /// Time of the longest call in the windows; others may have been longer.
    #[schemars(title = "Longest call in the windows")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seen_ns: Option<u64>,
    /// What `est_ns` is made from.
    #[schemars(title = "What the windows saw")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windowed: Option<Box<Windowed>>,
}

impl IrqCpu {
    /// The time of the calls, exact or estimated.
    pub fn time_ns(&self) -> Option<u64> {
        self.ns.or(self.est_ns)
    }
}
