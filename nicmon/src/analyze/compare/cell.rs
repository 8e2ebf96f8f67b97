//! What comparing keeps of one frame.

/// What a frame says about one driver, all its NICs together; `None` is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cell {
    /// Number of the frame, counted over all recordings joined.
    pub frame: u64,
    /// Which of the joined recordings it belongs to.
    pub run: u32,
    pub interval_ns: u64,
    pub samples: Option<u64>,
    pub busy: Option<u64>,
    /// The time a sample stands for; joined recordings may differ in it.
    pub period_ns: Option<u64>,
    pub hardirq_ns: Option<u64>,
    pub sampled_ns: Option<u64>,
    pub poll_ns: Option<u64>,
    /// Whether a part of `poll_ns` is estimated.
    pub is_threaded: bool,
    pub packets: Option<u64>,
    pub bytes: Option<u64>,
    /// The part of `bytes` that no NIC below its own counted, too.
    pub own_bytes: Option<u64>,
}
