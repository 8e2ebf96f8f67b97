//! The command line: types only.

use std::{ffi::OsString, ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    analyze::compare::{Claim, Wanted},
    host::cpus::parse_list,
    stream::since_1970,
};

/// The shortest `--delay`: shorter intervals would hold single softirq runs longer than themselves.
const SHORTEST_DELAY: Duration = Duration::from_millis(100);
/// The longest `--delay`.
const LONGEST_DELAY: Duration = Duration::from_hours(24);
/// The slowest and the fastest `--speed`.
const SPEEDS: RangeInclusive<f64> = 0.01..=1000.0;

/// Shows live what network drivers cost this machine, by NIC, CPU and queue.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    help_template = HELP,
    override_usage = "nicmon [OPTIONS] | nicmon COMMAND [OPTIONS]",
    after_help = "Examples:\n  \
        nicmon record -- iperf3 -c srv  while iperf3 runs, and then report\n  \
        ssh host nicmon --json | nicmon replay -"
)]
pub struct Cli {
    /// What to do instead of showing live frames.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the live view.
    #[command(flatten)]
    pub live: Live,
    // The short form for both names: the long one puts every description on a line of its own, two screens in all.
    /// Print help
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
}

/// The usual one without empty lines that would push it off a screen of 24.
const HELP: &str = "{about}\n{usage-heading} {usage}\n{all-args}{after-help}\n";

/// Everything but the live view.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record frames into a file, while a command runs or until Ctrl-C
    Record(Record),
    /// Tell what works here, and how to get what is missing
    Doctor,
    /// Show frames that were recorded, or that another nicmon sends
    Replay(Replay),
    /// Sum up a recording: load of CPUs, cost of drivers and NICs
    Report(Report),
    /// Compare what drivers cost in two recordings
    Compare(Compare),
    /// Show how the network is set up: queues, interrupts, RSS, RPS
    Topology(Topology),
    /// Print what a frame holds: every field with its unit and meaning
    Schema(Schema),
    /// Print the manual page, or write all pages into a directory
    #[command(hide = true)]
    Man(Man),
    /// Print completions for a shell
    #[command(hide = true)]
    Completions(Completions),
}

/// Options of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ssh host nicmon --json | nicmon replay -   watch another machine
  nicmon replay --speed 4 nicmon.rec         four times as fast")]
pub struct Replay {
    /// A recording, or frames as nicmon --json prints them; - is standard input
    #[arg(value_name = "FILE|-", default_value = "nicmon.rec")]
    pub file: PathBuf,
    /// So many times faster than recorded [default: 1; what comes through a pipe is shown as it comes]
    #[arg(long, value_name = "X", value_parser = parse_speed)]
    pub speed: Option<f64>,
    /// Screen, table or JSON.
    #[command(flatten)]
    pub form: Form,
}

/// Options of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Times are from the recording's begin (90s, 5m) or in full (2026-11-23T06:33:07Z).

Examples:
  nicmon report --from 10s --to 1m a.rec  of 50 seconds
  nicmon report --json a.rec | jq .drivers")]
pub struct Report {
    /// A recording, or frames as nicmon --json prints them; - is standard input
    #[arg(value_name = "FILE|-", default_value = "nicmon.rec")]
    pub file: PathBuf,
    /// Print one frame whose interval is the whole recording
    #[arg(long)]
    pub json: bool,
    /// Print each figure of that frame as a row of CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Write one HTML file: load over time, cost of drivers, call stacks
    #[arg(long, value_name = "OUT|-", conflicts_with_all = ["json", "csv"])]
    pub html: Option<PathBuf>,
    /// Rows of each table at most
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Only frames from here on
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    pub from: Option<Moment>,
    /// Only frames before
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    pub to: Option<Moment>,
}

/// A moment of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long after its begin.
    After(Duration),
    /// At this time, in nanoseconds since 1970.
    At(u64),
}

/// Options of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
A claim is FIGURE > RATIO (or >=, <, <=), of B by A; FIGURE is cost_per_gb,
cost_per_packet, busy_share, cost, poll_ns_per_packet or irq_ns_per_packet.
It holds if the whole interval does. If that cannot be told the exit code is 1.

Examples:
  nicmon compare 8139.rec virtio.rec
  nicmon compare --driver 8139cp=virtio_net both.rec
  nicmon compare --fail-if 'cost_per_gb > 1.1' <(cat old*.rec) <(cat new*.rec)")]
pub struct Compare {
    /// A recording, or several joined by cat; - is standard input
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// Another [default: two drivers of A are compared]
    #[arg(value_name = "B")]
    pub b: Option<PathBuf>,
    /// Compare this driver of A with this of B
    ///
    /// May be repeated. Without it those that carried nine tenths of the bytes are compared, else all with traffic in both.
    #[arg(long = "driver", value_name = "A=B")]
    pub drivers: Vec<Wanted>,
    /// End with 3 if a claim holds (below)
    ///
    /// May be repeated. It holds if the whole interval of a ratio B/A does: where that may be chance, it does not hold.
    #[arg(long, value_name = "CLAIM")]
    pub fail_if: Vec<Claim>,
    /// By what recordings of the same work differ [default: 15]
    ///
    /// As standard deviation, in percent. It is not used where each side is of three or more recordings.
    #[arg(long, value_name = "PCT", default_value = "15", hide_default_value = true, value_parser = parse_run_to_run)]
    pub run_to_run: f64,
    /// Print it as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What becomes of frames, other than the screen.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print frames as JSON, one object a line (NDJSON)
    #[arg(long)]
    pub json: bool,
    /// Print a table for each frame, also on a terminal
    #[arg(long, conflicts_with = "json", hide_short_help = true)]
    pub plain: bool,
}

/// Options of the live view.
#[derive(Debug, Args)]
pub struct Live {
    /// Screen, table or JSON.
    #[command(flatten)]
    pub form: Form,
    /// End after this many frames
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// What to measure.
    #[command(flatten)]
    pub measure: Measure,
    /// Print what the kernel programs log to standard error
    ///
    /// They log rare events, of use to find faults in nicmon itself.
    #[arg(long, hide_short_help = true)]
    pub kernel_log: bool,
    /// Also write what each frame is made of to this file: for tests and reports of faults
    #[arg(long, value_name = "FILE", hide = true)]
    pub capture: Option<PathBuf>,
}

/// What to measure, and how often.
#[derive(Debug, Args)]
pub struct Measure {
    /// Time between frames: 0.5, 500ms, 2s, 1m
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = parse_delay, allow_hyphen_values = true)]
    pub delay: Duration,
    /// Show only interfaces that match; may be repeated
    #[arg(short, long = "interface", value_name = "GLOB")]
    pub interfaces: Vec<String>,
    /// Show only these CPUs, as 0-3,8; totals are then theirs
    #[arg(short = 'C', long = "cpu", value_name = "LIST", value_parser = parse_cpus)]
    pub cpus: Option<CpuList>,
    /// auto, bpf (counts and times) or proc (counts only)
    #[arg(long, value_enum, default_value_t = SourceArg::Auto, hide_possible_values = true, hide_default_value = true, hide_short_help = true)]
    pub source: SourceArg,
    /// Samples a second and CPU
    ///
    /// By them a driver's own time is told from the stack's.
    #[arg(short = 'F', long, value_name = "HZ", default_value = "99", value_parser = clap::value_parser!(u32).range(1..=4999))]
    pub frequency: u32,
    /// Keep call stacks of network code, for flame graphs
    #[arg(long, hide_short_help = true)]
    pub stacks: bool,
    /// Also measure delays of softirqs (one more kernel hook)
    ///
    /// From raising a softirq to running it.
    #[arg(long, hide_short_help = true)]
    pub latency: bool,
}

/// Options of `record`.
#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is the command's; 128 and the signal if one killed it.
The last frame is of the part of an interval that is left at the end.

Examples:
  nicmon record -- iperf3 -c srv     into nicmon.rec while iperf3 runs
  nicmon record -d 100ms -o a.rec    ten frames a second until Ctrl-C")]
pub struct Record {
    /// Where to [nicmon.rec]; what is there becomes FILE.old
    #[arg(short, long, value_name = "FILE", default_value = "nicmon.rec", hide_default_value = true)]
    pub output: PathBuf,
    /// Overwrite a file that is there
    #[arg(short, long)]
    pub force: bool,
    /// No report on standard error at the end
    #[arg(short, long)]
    pub quiet: bool,
    /// What to measure.
    #[command(flatten)]
    pub measure: Measure,
    /// Run this command, and record until it ends
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Options of `topology`.
#[derive(Debug, Args)]
pub struct Topology {
    /// Print it as JSON, as in frames
    #[arg(long)]
    pub json: bool,
    /// Show only interfaces that match; may be repeated
    #[arg(short, long = "interface", value_name = "GLOB")]
    pub interfaces: Vec<String>,
}

/// Options of `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// frame (what --json prints) or comparison (what compare --json prints)
    #[arg(value_enum, value_name = "OF", default_value_t = SchemaOf::Frame, hide_possible_values = true, hide_default_value = true)]
    pub of: SchemaOf,
    /// Print a table in Markdown instead of the JSON Schema
    #[arg(long)]
    pub markdown: bool,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write nicmon.1 and a page for each command into this directory
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// Values of `--source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "clap would print it under each value, and make of a line of help eight")]
pub enum SourceArg {
    Auto,
    Bpf,
    Proc,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "the help of the argument says it")]
pub enum SchemaOf {
    Frame,
    Comparison,
}

/// CPUs by number.
#[derive(Debug, Clone)]
pub struct CpuList(pub Vec<u32>);

fn parse_cpus(text: &str) -> Result<CpuList, String> {
    parse_list(text).map(CpuList).map_err(|error| error.to_string())
}

fn parse_run_to_run(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("give a number of percent from 0 to 100".to_owned()),
    }
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if SPEEDS.contains(&speed) => Ok(speed),
        _ => Err(format!("give a number from {} to {}", SPEEDS.start(), SPEEDS.end())),
    }
}

fn parse_moment(text: &str) -> Result<Moment, String> {
    const HOW: &str = "give a time after the begin, such as 90s or 5m, or one such as 2026-11-23T06:33:07Z";
    // Digits, a hyphen: no duration has one.
    if text.contains('-') {
        let at = humantime::parse_rfc3339_weak(text).ok().and_then(since_1970);
        return at.map(Moment::At).ok_or_else(|| format!("this is no time; {HOW}"));
    }
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| format!("this is no time; {HOW}")),
        Err(_) => humantime::parse_duration(text).map_err(|_| format!("this is no time; {HOW}")),
    }
    .map(Moment::After)
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
    fn speeds() {
        assert_eq!(parse_speed("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "nan", "inf", "1e9", "fast"] {
            assert!(parse_speed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!(parse_moment("90s"), Ok(Moment::After(Duration::from_secs(90))));
        assert_eq!(parse_moment("1.5"), Ok(Moment::After(Duration::from_millis(1500))));
        assert_eq!(parse_moment("1970-01-01T00:00:02Z"), Ok(Moment::At(2_000_000_000)));
        assert_eq!(parse_moment("1970-01-01 00:00:02"), Ok(Moment::At(2_000_000_000)));
        for wrong in ["", "soon", "-5", "nan", "1e30", "2026-13-01T00:00:00Z", "1969-01-01T00:00:00Z"] {
            assert!(parse_moment(wrong).is_err(), "{wrong}");
        }
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
