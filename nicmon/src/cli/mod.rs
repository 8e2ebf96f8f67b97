//! The command line: options and commands as types, and what their help says.

mod compare;
mod diagnose;
mod look;
mod manual;
mod notes;
mod overhead;
mod setup;
mod values;
mod wrap;

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process,
    time::Duration,
};

use clap::{
    ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};

use self::values::{
    parse_count, parse_cpus, parse_delay, parse_frequency, parse_max_overhead, parse_moment, parse_rows,
    parse_speed,
};
pub(crate) use self::wrap::wrap;
pub use self::{
    compare::Compare,
    diagnose::{Brief, Diagnose},
    look::{Look, ThemeArg},
    manual::{Completions, Man, Schema, SchemaOf},
    notes::{Example, Notes, Section, notes},
    overhead::Overhead,
    setup::{Path, Topology},
    values::{CpuList, MaxOverhead, Moment},
};
use crate::present::text::printable_lines;

// Headings of `--help` and of the manual pages.
const SHOW: &str = "What to show";
const MEASURE: &str = "How to measure";
const OUTPUT: &str = "Output";
const GENERAL: &str = "General";

/// Show what network drivers cost this machine, by NIC, CPU and queue
///
/// nicmon measures softirq, NAPI and interrupt time in the kernel with eBPF programs, and shows it live. On a
/// terminal it draws a screen; into a pipe it prints a table for every interval. It changes nothing on the
/// machine, and the kernel removes the programs when nicmon ends.
#[derive(Debug, Parser)]
#[command(
    name = "nicmon",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true,
    subcommand_help_heading = "Commands",
    override_usage = "nicmon [OPTIONS] | nicmon COMMAND [OPTIONS]"
)]
pub struct Cli {
    /// What to do instead of the live view.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the live view.
    #[command(flatten)]
    pub live: Live,
    /// Print help: -h a summary, --help everything
    #[arg(short, long, global = true, action = ArgAction::Help, help_heading = GENERAL)]
    help: Option<bool>,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, hide_short_help = true, help_heading = GENERAL)]
    version: Option<bool>,
}

/// Everything but the live view.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record frames into a file, while a command runs or until Ctrl-C
    ///
    /// At the end, nicmon prints a report of the recording on standard error. The last frame covers what is
    /// left of its interval, so even a command that takes 50 ms leaves a frame.
    Record(Record),
    /// Check what works on this machine, and say how to get the rest
    ///
    /// Checks the kernel and the permissions of this process, and attaches the eBPF programs for a moment.
    /// Each check ends in ok (nothing is missing), warn (something will be unknown) or fail (no times can be
    /// measured). The last lines sum up what nicmon will show.
    Doctor,
    /// Show recorded frames, or the frames that another nicmon sends
    ///
    /// A file is played at the speed it was recorded; frames from a pipe are shown as they arrive.
    Replay(Replay),
    /// Sum up a recording: load of CPUs, cost of drivers and NICs
    ///
    /// Exact, tick-sampled and estimated figures are in separate columns, and each estimate has its 95 %
    /// interval.
    Report(Report),
    /// Compare what drivers cost in two recordings
    ///
    /// Prints the ratio B/A of each figure with its 95 % interval. It says that one side costs more only if
    /// the interval excludes 1.
    Compare(Compare),
    /// Say whether a CPU is the bottleneck, why, and what is left
    ///
    /// Watches this machine for some seconds, or reads a recording, and judges it by rules. Each finding has
    /// its figures and what could make it wrong; docs/findings explains it. Traffic that bypasses the kernel
    /// (`AF_XDP`, DPDK, hardware offloads) is not seen.
    Diagnose(Diagnose),
    /// Print what matters in 4 KB of text, for a ticket or a chat
    ///
    /// The verdict, the busiest CPUs, NICs and drivers, how they are set up, and what is unknown. Without
    /// network addresses.
    Brief(Brief),
    /// Show how the network is set up: queues, interrupts, RSS, RPS
    ///
    /// Needs neither root nor eBPF. An offload marked * cannot be turned off.
    Topology(Topology),
    /// Show where the packets of one NIC go, and where they are lost
    ///
    /// A ledger from the NIC to the sockets: how many packets came into each stage, how many were lost there
    /// and by which counter or reason of the kernel, and what nothing explains. Small programs run for each
    /// packet meanwhile, so it costs more than the live view. To look at a NIC in another network namespace,
    /// run nicmon in it: `ip netns exec NAME nicmon path NIC`.
    Path(Path),
    /// Measure what nicmon itself costs on this machine
    ///
    /// Sends packets over loopback, in a network namespace of its own, with and without nicmon's programs,
    /// in short blocks in random order. It keeps one CPU busy while it runs. It stores the measured cost of
    /// calling a program in /run/nicmon until the next boot; nicmon then uses it for the figures under
    /// `self`.
    Overhead(Overhead),
    /// Print the fields of a frame: units and meaning, or JSON Schema
    Schema(Schema),
    /// Print the manual page, or write all pages into a directory
    Man(Man),
    /// Print the completion script for a shell
    Completions(Completions),
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// A recording, or output of nicmon --json; - is standard input
    #[arg(value_name = "FILE|-", default_value = "nicmon.rec")]
    pub file: PathBuf,
    /// Play this many times faster than recorded, from 0.01 to 1000
    ///
    /// The default is 1 for a file; frames from a pipe are shown as they arrive.
    #[arg(long, value_name = "X", value_parser = parse_speed, help_heading = SHOW)]
    pub speed: Option<f64>,
    /// Screen, table or JSON.
    #[command(flatten)]
    pub form: Form,
    /// How the screen looks.
    #[command(flatten)]
    pub look: Look,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// A recording, or output of nicmon --json; - is standard input
    #[arg(value_name = "FILE|-", default_value = "nicmon.rec")]
    pub file: PathBuf,
    /// Only frames from this time on: 90s, 5m, 2026-11-23T06:33:07Z
    ///
    /// A duration counts from the start of the recording.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_moment,
        allow_hyphen_values = true,
        help_heading = SHOW
    )]
    pub from: Option<Moment>,
    /// Only frames before this time
    ///
    /// Same format as --from.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_moment,
        allow_hyphen_values = true,
        help_heading = SHOW
    )]
    pub to: Option<Moment>,
    /// Print at most this many rows of each table
    #[arg(long, value_name = "N", default_value = "20", value_parser = parse_rows, help_heading = SHOW)]
    pub top: u32,
    /// Print one frame whose interval is the whole recording
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
    /// Print each figure of that frame as a CSV row
    ///
    /// The columns are section, subject, part, CPU, name, value and unit.
    #[arg(long, conflicts_with = "json", help_heading = OUTPUT)]
    pub csv: bool,
    /// Write an HTML page: load over time, drivers, flame graph
    ///
    /// The page is one file without scripts, and it loads nothing from the network. It has a flame graph if
    /// the recording was made with --stacks. nicmon refuses to overwrite a file that is not an HTML page. -
    /// is standard output.
    #[arg(long, value_name = "OUT|-", conflicts_with_all = ["json", "csv"], help_heading = OUTPUT)]
    pub html: Option<PathBuf>,
}

/// How to print frames, if not on the screen.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print frames as JSON, one object per line (NDJSON)
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
    /// Print a table for each frame, even on a terminal
    ///
    /// This is what nicmon does without a terminal.
    #[arg(long, conflicts_with = "json", hide_short_help = true, help_heading = OUTPUT)]
    pub plain: bool,
}

/// Options of the live view.
#[derive(Debug, Args)]
pub struct Live {
    /// What to measure.
    #[command(flatten)]
    pub measure: Measure,
    /// Screen, table or JSON.
    #[command(flatten)]
    pub form: Form,
    /// How the screen looks.
    #[command(flatten)]
    pub look: Look,
    /// Exit after this many frames
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        value_parser = parse_count,
        hide_short_help = true,
        help_heading = OUTPUT
    )]
    pub count: Option<u64>,
    /// Print the eBPF programs' log on standard error
    ///
    /// They log rare events, which help to find faults in nicmon itself. If standard error is a terminal,
    /// nicmon prints tables instead of drawing the screen.
    #[arg(long, hide_short_help = true, help_heading = OUTPUT)]
    pub kernel_log: bool,
    /// Also save the observations that the frames are made from, one JSON object per line
    ///
    /// For reports of faults in nicmon itself: another machine can make the same frames from such a file.
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = OUTPUT)]
    pub capture: Option<PathBuf>,
}

/// What to measure, and how often.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Measure {
    /// Show only NICs that match; '!veth*' hides; repeatable
    ///
    /// Give a name or a pattern such as 'eth*'. A pattern that starts with ! hides what it matches.
    /// Alternative names count, too. What follows an @ is ignored, so names can be copied from `ip link`.
    #[arg(short, long = "interface", value_name = "GLOB", help_heading = SHOW)]
    pub interfaces: Vec<String>,
    /// Wait until every -i pattern matches an interface
    ///
    /// Without it, an interface that does not exist is an error. Ctrl-C ends the wait.
    #[arg(long, requires = "interfaces", hide_short_help = true, help_heading = SHOW)]
    pub wait: bool,
    /// Show only these CPUs, such as 0-3,8
    ///
    /// The totals of NICs and drivers then cover only these CPUs.
    #[arg(
        short = 'C',
        long = "cpu",
        value_name = "LIST",
        value_parser = parse_cpus,
        hide_short_help = true,
        help_heading = SHOW
    )]
    pub cpus: Option<CpuList>,
    /// Time between frames: 0.5, 500ms, 2s, 1m
    ///
    /// From 100ms to 24h. A number without a unit is in seconds.
    #[arg(
        short,
        long,
        value_name = "TIME",
        default_value = "1s",
        value_parser = parse_delay,
        allow_hyphen_values = true,
        hide_short_help = true,
        help_heading = MEASURE
    )]
    pub delay: Duration,
    /// Samples per CPU per second
    ///
    /// From 1 to 4999. The samples separate a driver's own time from that of the network stack. More samples
    /// give narrower intervals and cost more.
    #[arg(
        short = 'F',
        long,
        value_name = "HZ",
        default_value = "99",
        value_parser = parse_frequency,
        hide_short_help = true,
        help_heading = MEASURE
    )]
    pub frequency: u32,
    /// Where counts and times come from
    ///
    /// Without the eBPF programs, all times are unknown.
    #[arg(
        long,
        value_enum,
        default_value_t = SourceArg::Auto,
        hide_short_help = true,
        help_heading = MEASURE
    )]
    pub source: SourceArg,
    /// Most that nicmon may cost a CPU, in percent: 5, off
    ///
    /// Judged on the CPU that pays most for the eBPF programs. Above the limit nicmon stops counting dropped
    /// packets if they cost a good part of it, and tries again a minute later. If that is not enough, it
    /// measures in windows: the programs are attached for a part of the time, and times are estimates.
    #[arg(
        long,
        value_name = "PCT|off",
        default_value = "5",
        value_parser = parse_max_overhead,
        hide_short_help = true,
        help_heading = MEASURE
    )]
    pub max_overhead: MaxOverhead,
    /// Measure in windows on machines with isolated or tickless CPUs, too
    ///
    /// Each window interrupts every CPU some forty times. Without this option, nicmon falls back to counts
    /// and samples on such machines, without times, until measuring is affordable again.
    #[arg(long, hide_short_help = true, help_heading = MEASURE)]
    pub windows: bool,
    /// Never look at packets to explain why a CPU is saturated
    ///
    /// If one queue of a NIC saturates a CPU and the counters of its queues do not say why, nicmon looks at
    /// up to 1,000 packets, for at most a tenth of a second, once a minute. It keeps no addresses.
    #[arg(long, hide_short_help = true, help_heading = MEASURE)]
    pub no_flow_window: bool,
    /// Keep the call stacks of network code, for flame graphs
    ///
    /// See `nicmon report --html`. Frames become larger, and each sample costs some microseconds more.
    #[arg(long, hide_short_help = true, help_heading = MEASURE)]
    pub stacks: bool,
    /// Also measure the delay of softirqs
    ///
    /// That is the time from raising a softirq to running it. It takes one more hook in the kernel.
    #[arg(long, hide_short_help = true, help_heading = MEASURE)]
    pub latency: bool,
}

/// Options of `record`.
#[derive(Debug, Args)]
pub struct Record {
    /// Run this command, and record until it ends
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Output file; an existing file is kept as FILE.old
    #[arg(short, long, value_name = "FILE", default_value = "nicmon.rec", help_heading = OUTPUT)]
    pub output: PathBuf,
    /// Overwrite an existing file
    #[arg(short, long, help_heading = OUTPUT)]
    pub force: bool,
    /// Print no report at the end
    #[arg(short, long, help_heading = OUTPUT)]
    pub quiet: bool,
    /// What to measure.
    #[command(flatten)]
    pub measure: Measure,
}

/// Values of `--source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SourceArg {
    /// bpf if the kernel allows it, else proc
    Auto,
    /// the eBPF programs: counts and times; fail if they cannot run
    Bpf,
    /// the kernel's own files in /proc: counts only
    Proc,
}

/// The definition of the command line, with the notes of each command.
pub fn command() -> clap::Command {
    let with_notes = |command: clap::Command| {
        let notes = notes(command.get_name());
        command.after_help(notes.short_text()).after_long_help(notes.text())
    };
    with_notes(Cli::command()).mut_subcommands(with_notes)
}

/// Reads the command line of this process. Prints help or an error, and exits, where there is nothing to run.
pub fn parse() -> Cli {
    let is_summary = env::args_os().any(|argument| {
        let argument = argument.as_encoded_bytes();
        argument.starts_with(b"-") && !argument.starts_with(b"--") && argument.contains(&b'h')
    });
    // The two differ only in how help looks.
    let mut command = if is_summary { compact(command()) } else { command() };
    let parsed = command.try_get_matches_from_mut(env::args_os());
    parsed.and_then(|matches| Cli::from_arg_matches(&matches)).unwrap_or_else(|error| {
        let is_of_record = env::args_os().nth(1).is_some_and(|command| command == "record");
        exit(&if is_of_record { with_tip(error) } else { error })
    })
}

/// Adds what to do instead if `record` is given an option of the live view.
fn with_tip(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error };
    let tip = match argument.as_str() {
        "-n" | "--count" => {
            "record runs until its command ends, or until Ctrl-C. For 3 frames of a second each: nicmon \
             record -- sleep 3"
        }
        "--json" | "--plain" => {
            "record writes a file. nicmon --json prints frames, and nicmon replay --json those of a recording"
        }
        _ => return error,
    };
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

/// Prints help or an error, and exits. An error quotes the command line, which may hold names of files that
/// others chose: a terminal must not obey them.
fn exit(error: &clap::Error) -> ! {
    let text = error.render().to_string();
    if !error.use_stderr() || printable_lines(&text) == text {
        error.exit();
    }
    let _ = io::stderr().write_all(printable_lines(&text).as_bytes());
    process::exit(error.exit_code())
}

/// The form for `-h`: one list of options and few empty lines, so that it fits a screen.
fn compact(command: clap::Command) -> clap::Command {
    const TEMPLATE: &str = "{about}\n{usage-heading} {usage}\n{all-args}{after-help}\n";
    let flat = |command: clap::Command| command.mut_args(|argument| argument.help_heading(None));
    // The list of commands takes most of nicmon's own screen.
    let command = command.mut_arg("json", |argument| argument.hide_short_help(true));
    flat(command).help_template(TEMPLATE).mut_subcommands(flat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
        compact(command()).debug_assert();
    }

    #[test]
    fn every_option_has_a_heading() {
        let mut command = command();
        command.build();
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
                assert!(option.get_help_heading().is_some(), "{} {option}", command.get_name());
            }
        }
    }
}
