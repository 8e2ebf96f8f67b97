//! Options of `overhead`.

use std::time::Duration;

use clap::Args;

use super::{MEASURE, OUTPUT, values::parse_overhead_time};

/// Options of `overhead`.
#[derive(Debug, Args)]
pub struct Overhead {
    /// How long to measure
    ///
    /// From 20s to 10m. Four times as long makes the intervals half as wide.
    #[arg(
        long = "for",
        value_name = "TIME",
        default_value = "50s",
        value_parser = parse_overhead_time,
        help_heading = MEASURE
    )]
    pub time: Duration,
    /// The CPU to measure on [default: the first that nicmon may use]
    #[arg(long, value_name = "CPU", help_heading = MEASURE)]
    pub cpu: Option<u32>,
    /// Use raw tracepoints, as nicmon does where the kernel refuses BTF tracepoints
    #[arg(long, help_heading = MEASURE)]
    pub raw: bool,
    /// Print one JSON object
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
}
