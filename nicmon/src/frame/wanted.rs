//! What a frame has only if there is a reason.

use serde::{Deserialize, Serialize};

/// What the next frame should have to explain findings. It would cost too much to read it always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// CPUs whose frequency matters.
    pub freq_of: Vec<u32>,
    /// NICs of which it matters whether they put packets back, by inode of the namespace and interface index.
    pub requeues_of: Vec<(u32, u32)>,
    /// Packets that saturate a CPU for a reason that they alone can tell.
    pub flows_of: Vec<WhoseFlows>,
}

/// Whose packets to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WhoseFlows {
    /// Inode of the network namespace.
    pub netns: u32,
    /// Index of the interface.
    pub ifindex: u32,
    /// The CPU that receives them.
    pub cpu: u32,
}
