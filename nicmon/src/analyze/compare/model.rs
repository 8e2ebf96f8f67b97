//! What comparing two recordings gives: serialised as it stands, it is what `nicmon compare --json` prints.
//!
//! As in frames the comment of a field is its meaning, and speaks of `null`.

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
    /// The second recording; the first again where only one was given.
    #[schemars(title = "Second recording")]
    pub b: About,
    /// Confidence of all intervals in which verdicts rest, together.
    #[schemars(title = "Confidence of all verdicts together")]
    pub confidence_pct: f64,
    /// How much two recordings of the same work are taken to differ by themselves: standard deviation of one, in
    /// percent; in `ratio_ci` for each side of which no three recordings or more were drawn.
    #[schemars(title = "How much recordings of the same work differ")]
    pub run_to_run_pct: f64,
    /// In what the recordings differ, and what that makes of the figures.
    #[schemars(title = "How the recordings differ")]
    pub differences: Vec<String>,
    /// What was compared, one entry a pair of drivers.
    #[schemars(title = "What was compared")]
    pub drivers: Vec<Pair>,
    /// Drivers that had traffic and are in no pair.
    #[schemars(title = "Drivers with traffic that are in no pair")]
    pub left_out: Vec<String>,
}

/// A recording, or several on end.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct About {
    /// File name as given.
    #[schemars(title = "Name")]
    pub name: String,
    /// End of the first frame's interval, RFC 3339 in UTC.
    #[schemars(title = "End of the first interval, UTC")]
    pub from: String,
    /// End of the last frame's interval.
    #[schemars(title = "End of the last interval, UTC")]
    pub to: String,
    /// Number of frames.
    #[schemars(title = "Frames")]
    pub frames: u64,
    /// Number of recordings on end.
    #[schemars(title = "Recordings joined into one")]
    pub runs: u32,
    /// Sum of all frames' intervals.
    #[schemars(title = "Sum of all intervals")]
    pub interval_ns: u64,
    /// Samples that were lost.
    #[schemars(title = "Samples lost")]
    pub lost_samples: u64,
    /// Under what it was recorded; more than one where recordings on end differ.
    #[schemars(title = "Conditions of the recording")]
    pub settings: Vec<Setting>,
}

/// Under what frames were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Setting {
    /// Node name.
    #[schemars(title = "Host name")]
    pub hostname: String,
    /// Kernel release.
    #[schemars(title = "Kernel release")]
    pub kernel: String,
    /// Number of online CPUs.
    #[schemars(title = "Online CPUs")]
    pub cpus_online: u32,
    /// True where the kernel is `PREEMPT_RT`.
    #[schemars(title = "PREEMPT_RT kernel")]
    pub preempt_rt: bool,
    /// Who counted.
    #[schemars(title = "Where the counts come from")]
    pub source: Source,
    /// What samples were taken by; `null` where none were.
    #[schemars(title = "What triggered a sample")]
    pub sample_event: Option<SampleEvent>,
}

/// A driver of the first recording and one of the second.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Pair {
    /// Driver in the first recording.
    #[schemars(title = "Driver in the first recording")]
    pub a: String,
    /// Driver in the second.
    #[schemars(title = "Driver in the second recording")]
    pub b: String,
    /// The figures, in the order in which verdicts are sought.
    #[schemars(title = "Figures")]
    pub figures: Vec<Compared>,
    /// What is claimed, each only if the one before is; empty where no difference is supported.
    #[schemars(title = "Differences that hold")]
    pub verdicts: Vec<Verdict>,
    /// The same in a sentence.
    #[schemars(title = "The verdicts in a sentence")]
    pub summary: String,
}

/// One figure of both.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Compared {
    /// Which.
    #[schemars(title = "Figure")]
    pub figure: Figure,
    /// Its unit.
    #[schemars(title = "Unit")]
    pub unit: String,
    /// True where it rests on samples, or on times of NAPI threads; false where every part of it is exact.
    #[schemars(title = "Estimated, at least in part")]
    pub is_estimate: bool,
    /// Its value in the first recording; `null` where it is not known.
    #[schemars(title = "Value in the first recording")]
    pub a: Option<f64>,
    /// Its value in the second.
    #[schemars(title = "Value in the second recording")]
    pub b: Option<f64>,
    /// `b` by `a`; `null` where one is not known or `a` is 0.
    #[schemars(title = "Second value divided by the first")]
    pub ratio: Option<f64>,
    /// Interval of `ratio` that holds the true one with the confidence said above: lower and upper bound; `null` where
    /// it cannot be told.
    #[schemars(title = "Interval of the ratio")]
    pub ratio_ci: Option<[f64; 2]>,
    /// The same without what recordings of the same work differ by.
    #[schemars(title = "Interval of the ratio, by frames alone")]
    pub frames_ci: Option<[f64; 2]>,
    /// True where whole recordings were drawn for it, three or more on each side: then what they differ by is in it, and
    /// `ratio_ci` is `frames_ci`.
    #[schemars(title = "Interval comes from whole recordings")]
    pub is_of_recordings: bool,
    /// Frames that count, of the recording with fewer: those with traffic.
    #[schemars(title = "Frames with traffic")]
    pub frames: Option<u64>,
    /// Why something is `null`.
    #[schemars(title = "Why something is unknown")]
    pub unknown: Option<String>,
}

/// A difference that stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Verdict {
    /// By which figure.
    #[schemars(title = "Figure")]
    pub figure: Figure,
    /// Which costs more.
    #[schemars(title = "Which costs more")]
    pub dearer: Side,
    /// How many times as much.
    #[schemars(title = "How many times as much")]
    pub times: f64,
    /// The interval of `times`.
    #[schemars(title = "Interval of this factor")]
    pub times_ci: [f64; 2],
}

/// One of both.
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
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Comparison>().to_value()
}
