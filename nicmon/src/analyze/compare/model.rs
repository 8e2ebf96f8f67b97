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
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The first recording.
    pub a: About,
    /// The second recording; the first again where only one was given.
    pub b: About,
    /// Confidence of all intervals in which verdicts rest, together.
    pub confidence_pct: f64,
    /// How much two recordings of the same work are taken to differ by themselves: standard deviation of one, in
    /// percent; in `ratio_ci` for each side of which no three recordings or more were drawn.
    pub run_to_run_pct: f64,
    /// In what the recordings differ, and what that makes of the figures.
    pub differences: Vec<String>,
    /// What was compared, one entry a pair of drivers.
    pub drivers: Vec<Pair>,
    /// Drivers that had traffic and are in no pair.
    pub left_out: Vec<String>,
}

/// A recording, or several on end.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct About {
    /// File name as given.
    pub name: String,
    /// End of the first frame's interval, RFC 3339 in UTC.
    pub from: String,
    /// End of the last frame's interval.
    pub to: String,
    /// Number of frames.
    pub frames: u64,
    /// Number of recordings on end.
    pub runs: u32,
    /// Sum of all frames' intervals.
    pub interval_ns: u64,
    /// Samples that were lost.
    pub lost_samples: u64,
    /// Under what it was recorded; more than one where recordings on end differ.
    pub settings: Vec<Setting>,
}

/// Under what frames were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Setting {
    /// Node name.
    pub hostname: String,
    /// Kernel release.
    pub kernel: String,
    /// Number of online CPUs.
    pub cpus_online: u32,
    /// True where the kernel is `PREEMPT_RT`.
    pub preempt_rt: bool,
    /// Who counted.
    pub source: Source,
    /// What samples were taken by; `null` where none were.
    pub sample_event: Option<SampleEvent>,
}

/// A driver of the first recording and one of the second.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Pair {
    /// Driver in the first recording.
    pub a: String,
    /// Driver in the second.
    pub b: String,
    /// The figures, in the order in which verdicts are sought.
    pub figures: Vec<Compared>,
    /// What is claimed, each only if the one before is; empty where no difference is supported.
    pub verdicts: Vec<Verdict>,
    /// The same in a sentence.
    pub summary: String,
}

/// One figure of both.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Compared {
    /// Which.
    pub figure: Figure,
    /// Its unit.
    pub unit: String,
    /// True where it rests on samples, or on times of NAPI threads; false where every part of it is exact.
    pub is_estimate: bool,
    /// Its value in the first recording; `null` where it is not known.
    pub a: Option<f64>,
    /// Its value in the second.
    pub b: Option<f64>,
    /// `b` by `a`; `null` where one is not known or `a` is 0.
    pub ratio: Option<f64>,
    /// Interval of `ratio` that holds the true one with the confidence said above: lower and upper bound; `null` where
    /// it cannot be told.
    pub ratio_ci: Option<[f64; 2]>,
    /// The same without what recordings of the same work differ by.
    pub frames_ci: Option<[f64; 2]>,
    /// True where whole recordings were drawn for it, three or more on each side: then what they differ by is in it, and
    /// `ratio_ci` is `frames_ci`.
    pub is_of_recordings: bool,
    /// Frames that count, of the recording with fewer: those with traffic.
    pub frames: Option<u64>,
    /// Why something is `null`.
    pub unknown: Option<String>,
}

/// A difference that stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Verdict {
    /// By which figure.
    pub figure: Figure,
    /// Which costs more.
    pub dearer: Side,
    /// How many times as much.
    pub times: f64,
    /// The interval of `times`.
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
