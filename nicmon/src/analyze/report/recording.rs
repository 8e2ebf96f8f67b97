//! What a report is about.

use crate::frame::{Frame, Machine};

/// A recording to report, and how much of it to show.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Name of the recording.
    pub name: &'a str,
    /// All its frames merged into one.
    pub frame: &'a Frame,
    /// Number of frames.
    pub frames: u64,
    /// Start of the first interval, in nanoseconds since 1970; `None` if unknown.
    pub start_ns: Option<u64>,
    /// The machines and boots that the frames come from.
    pub machines: &'a [Machine],
    /// Most rows in a table.
    pub top: usize,
}
