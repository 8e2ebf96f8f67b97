//! `irqs[]`: device interrupts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One action of one device interrupt line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Irq {
    /// Number of the interrupt line.
    #[schemars(title = "Interrupt line")]
    pub irq: u32,
    /// Name of the action, as in `/proc/interrupts`.
    #[schemars(title = "Action")]
    pub action: String,
    /// Name of its NIC; `null` where it is no NIC's or cannot be told.
    #[schemars(title = "NIC it belongs to")]
    pub nic: Option<String>,
    /// Its queue, from the action's name.
    #[schemars(title = "Queue it serves")]
    pub queue: Option<u32>,
    /// True where only the primary handler is timed, the rest running in a thread.
    #[schemars(title = "Handler runs mostly in a thread")]
    pub threaded: Option<bool>,
    /// Its handler calls by CPU; CPUs where nothing happened are absent.
    #[schemars(title = "Its handler calls on each CPU")]
    pub cpus: Vec<IrqCpu>,
}

/// One interrupt action on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IrqCpu {
    /// The kernel's number of the CPU.
    #[schemars(title = "CPU number")]
    pub cpu: u32,
    /// Number of handler calls.
    #[schemars(title = "Handler calls")]
    pub count: u64,
    /// Time of these calls.
    #[schemars(title = "Time of these calls")]
    pub ns: Option<u64>,
    /// Time of the longest of these calls.
    #[schemars(title = "Longest call")]
    pub max_ns: Option<u64>,
}
