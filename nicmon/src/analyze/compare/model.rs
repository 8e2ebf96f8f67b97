//! The result of a comparison. Serialised, it is what `nicmon compare --json` prints.
//!
//! As in frames, each field has a title for people, and its comment is the definition and speaks of `null`.

use schemars::JsonSchema;
use serde::Serialize;

use super::figures::Figure;
use crate::frame::{SampleEvent, Source};

/// The value of [`Comparison::schema`].
pub const SCHEMA: &str = "nicmon.compare/1";

/// Two recordings side by side.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// Name and version of this schema: `nicmon.compare/1`.
    #[schemars(title = "Name and version of this format")]
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The first recording.
    #[schemars(title = "First recording")]
    pub a: About,
    /// The second recording; the first one again if only one was given.
    #[schemars(title = "Second recording")]
    pub b: About,
    /// Confidence of all intervals that the verdicts rest on, taken together.
    #[schemars(title = "Confidence of all verdicts together")]
    pub confidence_pct: f64,
    /// How much two recordings of the same work are assumed to differ: the standard deviation of one
    /// recording, in percent. It is part of `ratio_ci` for each side that has fewer than three recordings.
    #[schemars(title = "How much recordings of the same work differ")]
    pub run_to_run_pct: f64,
    /// How the recordings differ, and what that means for the figures.
    #[schemars(title = "How the recordings differ")]
    pub differences: Vec<String>,
    /// What was compared, one entry per pair of drivers.
    #[schemars(title = "What was compared")]
    pub drivers: Vec<Pair>,
    /// Drivers that had traffic and are in no pair.
    #[schemars(title = "Drivers with traffic that are in no pair")]
    pub left_out: Vec<String>,
}

/// A recording, or several joined into one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct About {
    /// Name of the file as given.
    #[schemars(title = "Name")]
    pub name: String,
    /// End of the first frame's interval, in UTC (RFC 3339).
    #[schemars(title = "End of the first interval, UTC")]
    pub from: String,
    /// End of the last frame's interval.
    #[schemars(title = "End of the last interval, UTC")]
    pub to: String,
    /// Number of frames.
    #[schemars(title = "Frames")]
    pub frames: u64,
    /// Number of recordings joined into one.
    #[schemars(title = "Recordings joined into one")]
    pub runs: u32,
    /// Sum of the intervals of all frames.
    #[schemars(title = "Sum of all intervals")]
    pub interval_ns: u64,
    /// Samples that were lost.
    #[schemars(title = "Samples lost")]
    pub lost_samples: u64,
    /// The conditions under which it was recorded; more than one if joined recordings differ in them.
    #[schemars(title = "Conditions of the recording")]
    pub settings: Vec<Setting>,
}

/// The conditions under which frames were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Setting {
    /// Node name of the machine.
    #[schemars(title = "Host name")]
    pub hostname: String,
    /// Kernel release.
    #[schemars(title = "Kernel release")]
    pub kernel: String,
    /// Number of online CPUs.
    #[schemars(title = "Online CPUs")]
    pub cpus_online: u32,
    /// True on a `PREEMPT_RT` kernel.
    #[schemars(title = "PREEMPT_RT kernel")]
    pub preempt_rt: bool,
    /// What counted softirqs and interrupts.
    #[schemars(title = "Where the counts come from")]
    pub source: Source,
    /// What triggered a sample; `null` if the CPUs were not sampled.
    #[schemars(title = "What triggered a sample")]
    pub sample_event: Option<SampleEvent>,
}

/// A driver of the first recording and a driver of the second.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Pair {
    /// Driver in the first recording.
    #[schemars(title = "Driver in the first recording")]
    pub a: String,
    /// Driver in the second recording.
    #[schemars(title = "Driver in the second recording")]
    pub b: String,
    /// The figures, in the order in which verdicts are sought.
    #[schemars(title = "Figures")]
    pub figures: Vec<Compared>,
    /// The differences that hold, each only if the one before it does; empty if the data supports no
    /// difference.
    #[schemars(title = "Differences that hold")]
    pub verdicts: Vec<Verdict>,
    /// The verdicts in a sentence.
    #[schemars(title = "The verdicts in a sentence")]
    pub summary: String,
}

/// One figure of both drivers.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Compared {
    /// Which figure this is.
    #[schemars(title = "Figure")]
    pub figure: Figure,
    /// Its unit.
    #[schemars(title = "Unit")]
    pub unit: String,
    /// True if it rests on samples or on times of NAPI threads; false if every part of it is exact.
    #[schemars(title = "Estimated, at least in part")]
    pub is_estimate: bool,
    /// Its value in the first recording; `null` if it is unknown.
    #[schemars(title = "Value in the first recording")]
    pub a: Option<f64>,
    /// Its value in the second recording; `null` if it is unknown.
    #[schemars(title = "Value in the second recording")]
    pub b: Option<f64>,
    /// `b` divided by `a`; `null` if either is unknown or `a` is 0.
    #[schemars(title = "Second value divided by the first")]
    pub ratio: Option<f64>,
    /// Interval that holds the true `ratio` with the stated confidence: lower and upper bound; `null` if it
    /// cannot be determined.
    #[schemars(title = "Interval of the ratio")]
    pub ratio_ci: Option<[f64; 2]>,
    /// The same interval without an allowance for how much recordings of the same work differ.
    #[schemars(title = "Interval of the ratio, by frames alone")]
    pub frames_ci: Option<[f64; 2]>,
    /// True if whole recordings were compared, three or more on each side. The interval then contains how
    /// much they differ, and `ratio_ci` equals `frames_ci`.
    #[schemars(title = "Interval comes from whole recordings")]
    pub is_of_recordings: bool,
    /// Number of frames with traffic in the recording that has fewer of them.
    #[schemars(title = "Frames with traffic")]
    pub frames: Option<u64>,
    /// Why something is `null`.
    #[schemars(title = "Why something is unknown")]
    pub unknown: Option<String>,
}

/// A difference that holds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Verdict {
    /// The figure that differs.
    #[schemars(title = "Figure")]
    pub figure: Figure,
    /// Which side costs more.
    #[schemars(title = "Which costs more")]
    pub dearer: Side,
    /// How many times as much it costs.
    #[schemars(title = "How many times as much")]
    pub times: f64,
    /// The interval of `times`.
    #[schemars(title = "Interval of this factor")]
    pub times_ci: [f64; 2],
}

/// One side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// The JSON Schema (draft 2020-12) of what `nicmon compare --json` writes.
pub fn schema() -> serde_json::Value {
    crate::frame::schema_of::<Comparison>()
}
