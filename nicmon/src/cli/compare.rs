//! Options of `compare`.

use std::path::PathBuf;

use clap::Args;

use super::{MEASURE, OUTPUT, SHOW, values::parse_run_to_run};
use crate::analyze::compare::{Claim, Wanted};

/// Options of `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// A recording, or several joined with cat; - is standard input
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// The recording to compare with A; without it, two drivers of A
    #[arg(value_name = "B")]
    pub b: Option<PathBuf>,
    /// Compare this driver of A with this driver of B; repeatable
    ///
    /// Without it, nicmon compares the driver that carried nine tenths of the bytes in each recording. If
    /// there is no such driver, it compares all that have traffic in both.
    #[arg(long = "driver", value_name = "A=B", help_heading = SHOW)]
    pub drivers: Vec<Wanted>,
    /// Assumed spread between recordings of the same work
    ///
    /// A standard deviation in percent. It widens the intervals, because recordings of the same work differ
    /// by more than their frames show. It is not used if each side joins three or more recordings.
    #[arg(
        long,
        value_name = "PCT",
        default_value = "15",
        value_parser = parse_run_to_run,
        help_heading = MEASURE
    )]
    pub run_to_run: f64,
    /// Exit with 3 if this claim about B/A holds; repeatable
    ///
    /// A claim is FIGURE > RATIO (or >=, <, <=). FIGURE is `cost_per_gb`, `cost_per_packet`, `busy_share`,
    /// `cost`, `poll_ns_per_packet` or `irq_ns_per_packet`. The claim holds if it is true of the whole 95 %
    /// interval of the ratio. If the ratio or its interval is unknown, nicmon says why and exits with 1.
    #[arg(long, value_name = "CLAIM", help_heading = OUTPUT)]
    pub fail_if: Vec<Claim>,
    /// Print the comparison as one JSON object
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
}
