//! What the flow window sees.

use nicmon_common::FlowSample;
use serde::{Deserialize, Serialize};

/// Packets that were looked at.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FlowLook {
    /// The packets.
    pub samples: Vec<FlowSample>,
    /// How long the program was attached.
    pub attached_ns: u64,
    /// The time that it took, by the kernel's statistics; `None` if they cannot be switched on.
    pub cost_ns: Option<u64>,
}
