//! The command line: types only.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::host::cpus::parse_list;

/// The shortest `--delay`: shorter intervals would hold single softirq runs longer than themselves.
const SHORTEST_DELAY: Duration = Duration::from_millis(100);
/// The longest `--delay`.
const LONGEST_DELAY: Duration = Duration::from_hours(24);

/// Shows live what network drivers cost this machine, by NIC, CPU and queue.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        nicmon                        a table every second, until Ctrl-C\n  \
        nicmon --json -n 10 | jq .    ten frames, one JSON object a line\n  \
        nicmon -i 'eth*' -C 0-3       only these interfaces on these CPUs\n  \
        nicmon doctor                 what this kernel and these permissions allow"
)]
pub struct Cli {
    /// What to do instead of showing live frames.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the live view.
    #[command(flatten)]
    pub live: Live,
}

/// Everything but the live view.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell what this kernel and these permissions allow, and how to get what is missing
    Doctor,
}

/// Options of the live view.
#[derive(Debug, Args)]
pub struct Live {
    /// Print frames as JSON, one object a line (NDJSON)
    #[arg(long)]
    pub json: bool,
    /// Time between frames: seconds, or with a unit (500ms, 2s, 1m)
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = parse_delay, allow_hyphen_values = true)]
    pub delay: Duration,
    /// End after this many frames
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Show only interfaces that match; may be repeated
    #[arg(short, long = "interface", value_name = "GLOB")]
    pub interfaces: Vec<String>,
    /// Show only these CPUs, as in 0-3,8; totals are then over these
    #[arg(short = 'C', long = "cpu", value_name = "LIST", value_parser = parse_cpus)]
    pub cpus: Option<CpuList>,
    /// Also measure the delay from raising a softirq to running it (one more kernel hook)
    #[arg(long)]
    pub latency: bool,
    /// Print what the kernel programs log about rare events to standard error
    #[arg(long)]
    pub kernel_log: bool,
}

/// CPUs by number.
#[derive(Debug, Clone)]
pub struct CpuList(pub Vec<u32>);

fn parse_cpus(text: &str) -> Result<CpuList, String> {
    parse_list(text).map(CpuList).map_err(|error| error.to_string())
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    const HOW: &str = "give seconds, or a number with a unit, such as 0.5, 500ms or 2s";
    let delay = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("{text} seconds is no time between frames; {HOW}"))?,
        Err(_) => humantime::parse_duration(text).map_err(|_| format!("this is no time; {HOW}"))?,
    };
    if delay < SHORTEST_DELAY {
        return Err("the shortest is 100ms: single softirq runs can be longer than less".to_owned());
    }
    if delay > LONGEST_DELAY {
        return Err("the longest is 24h".to_owned());
    }
    Ok(delay)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn delays() {
        assert_eq!(parse_delay("1"), Ok(Duration::from_secs(1)));
        assert_eq!(parse_delay("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_delay("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_delay("1m"), Ok(Duration::from_mins(1)));
        for wrong in ["0", "-1", "nan", "inf", "1e99", "", "s", "50ms", "25h", "1 parsec"] {
            assert!(parse_delay(wrong).is_err(), "{wrong}");
        }
    }
}
