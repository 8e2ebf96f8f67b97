//! What `nicmon overhead` says. Serialised, it is the output of `nicmon overhead --json`.

use schemars::JsonSchema;
use serde::Serialize;

pub use super::estimate::Measure;
use crate::frame::schema_of;

/// The value of [`OverheadReport::schema`].
pub const SCHEMA: &str = "nicmon.overhead/1";

/// What nicmon's programs cost on this machine, for packets that come one per poll.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct OverheadReport {
    /// Name and version of this format: `nicmon.overhead/1`.
    #[schemars(title = "Name and version of this format")]
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The CPU on which it was measured.
    #[schemars(title = "CPU number")]
    pub cpu: u32,
    /// How the programs were attached.
    #[schemars(title = "How the programs were attached")]
    pub attached: Attached,
    /// Whether it lasted as long as asked for.
    #[schemars(title = "Whether it lasted as long as asked for")]
    pub is_whole: bool,
    /// Blocks with nothing attached; as many with empty programs, and as many with nicmon's.
    #[schemars(title = "Blocks of each kind")]
    pub blocks: u32,
    /// How often the programs were loaded anew: where the kernel puts them changes their cost.
    #[schemars(title = "Loads of the programs")]
    pub loads: u32,
    /// Time per packet with nothing attached, in ns.
    #[schemars(title = "Time per packet without programs")]
    pub without_ns: f64,
    /// What three empty programs add to it, in ns.
    #[schemars(title = "What three empty programs add")]
    pub empty_ns: Measure,
    /// What nicmon's programs add to it, in ns.
    #[schemars(title = "What nicmon's programs add")]
    pub nicmon_ns: Measure,
    /// What the kernel needs to call one program, in ns: a third of `empty_ns`.
    #[schemars(title = "What a call of a program costs")]
    pub call_ns: Measure,
    /// The programs' share of the CPU while they were attached, as measured, in percent.
    #[schemars(title = "Share of the CPU, measured")]
    pub measured_pct: Measure,
    /// The same as frames estimate it under `self`, with the measured cost of a call: runs times the cost
    /// of a run.
    #[schemars(title = "Share of the CPU, as frames say")]
    pub self_pct: f64,
    /// `self_pct` less `measured_pct`, in points. Both use the same cost of a call, so it tests the cost
    /// within the programs.
    #[schemars(title = "Difference between the two")]
    pub difference_pct: Measure,
}

/// How programs are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attached {
    /// As BTF tracepoints.
    BtfTracepoint,
    /// As raw tracepoints.
    RawTracepoint,
}

/// The JSON Schema of [`OverheadReport`].
pub fn schema() -> serde_json::Value {
    schema_of::<OverheadReport>()
}
