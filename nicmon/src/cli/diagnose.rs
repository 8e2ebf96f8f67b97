//! Options of `diagnose` and `brief`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{MEASURE, OUTPUT, values::parse_window};

/// Options of `diagnose`.
#[derive(Debug, Args)]
pub struct Diagnose {
    /// A recording, or output of nicmon --json; - is standard input; without it, this machine
    #[arg(value_name = "FILE|-")]
    pub file: Option<PathBuf>,
    /// Watch this machine for so long
    ///
    /// From 5s to 1h. What lasts less than 4 seconds is no finding.
    #[arg(
        long = "for",
        value_name = "TIME",
        default_value = "10s",
        value_parser = parse_window,
        conflicts_with = "file",
        help_heading = MEASURE
    )]
    pub time: Duration,
    /// Never look at packets to explain why a CPU is saturated
    #[arg(long, conflicts_with = "file", help_heading = MEASURE)]
    pub no_flow_window: bool,
    /// Print one JSON object
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
}

/// Options of `brief`.
#[derive(Debug, Args)]
pub struct Brief {
    /// A recording, or output of nicmon --json; - is standard input; without it, this machine
    #[arg(value_name = "FILE|-")]
    pub file: Option<PathBuf>,
    /// Watch this machine for so long, from 5s to 1h
    #[arg(
        long = "for",
        value_name = "TIME",
        default_value = "10s",
        value_parser = parse_window,
        conflicts_with = "file",
        help_heading = MEASURE
    )]
    pub time: Duration,
    /// Never look at packets to explain why a CPU is saturated
    #[arg(long, conflicts_with = "file", help_heading = MEASURE)]
    pub no_flow_window: bool,
}
