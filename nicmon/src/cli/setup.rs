//! Options of `topology` and `path`.

use std::time::Duration;

use clap::Args;

use super::{MEASURE, OUTPUT, SHOW, values::parse_path_time};

/// Options of `topology`.
#[derive(Debug, Args)]
pub struct Topology {
    /// Show only NICs that match; '!veth*' hides; repeatable
    ///
    /// Give a name or a pattern such as 'eth*'. A pattern that starts with ! hides what it matches.
    /// Alternative names count, too. What follows an @ is ignored, so names can be copied from `ip link`.
    #[arg(short, long = "interface", value_name = "GLOB", help_heading = SHOW)]
    pub interfaces: Vec<String>,
    /// Print JSON, as in frames
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
}

/// Options of `path`.
#[derive(Debug, Args)]
pub struct Path {
    /// The network interface
    #[arg(value_name = "NIC")]
    pub nic: String,
    /// How long to measure
    ///
    /// From 2s to 1h. The first half measures time, the second counts packets.
    #[arg(
        long = "for",
        value_name = "TIME",
        default_value = "10s",
        value_parser = parse_path_time,
        help_heading = MEASURE
    )]
    pub time: Duration,
    /// Print one JSON object
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
}
