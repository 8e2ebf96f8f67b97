//! The time that frames cover.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::frame::Frame;

/// The time that some frames cover, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Start of the first frame's interval.
    pub start_ns: u64,
    /// The earliest middle of their intervals.
    pub first_middle_ns: u64,
    /// The latest middle of their intervals. If the clock was set, this may be another frame than the last.
    pub last_middle_ns: u64,
}

impl Span {
    /// The span of one frame; `None` if its time cannot be read.
    pub fn of(frame: &Frame) -> Option<Self> {
        let end = humantime::parse_rfc3339(&frame.time).ok()?;
        let end_ns = since_1970(end)?;
        let middle_ns = end_ns.saturating_sub(frame.interval_ns / 2);
        let start_ns = end_ns.saturating_sub(frame.interval_ns);
        Some(Self { start_ns, first_middle_ns: middle_ns, last_middle_ns: middle_ns })
    }

    /// This span and the following frames.
    #[must_use]
    pub fn with(self, next: Self) -> Self {
        Self {
            start_ns: self.start_ns,
            first_middle_ns: self.first_middle_ns.min(next.first_middle_ns),
            last_middle_ns: self.last_middle_ns.max(next.last_middle_ns),
        }
    }
}

/// Nanoseconds; `None` before 1970 and after 2554.
pub fn since_1970(time: SystemTime) -> Option<u64> {
    let since: Duration = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}
