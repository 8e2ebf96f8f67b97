//! `cargo xtask bench`: measures what nicmon costs, beside other tools. The contenders take turns in short
//! slices. Noise can only add time, so the figure is the best slice, shown with the median. `pairs` compares
//! two builds of nicmon more precisely than that.

mod contenders;
mod estimate;
mod figures;
mod flow_window;
mod http;
mod loopback;
mod pairs;
mod programs;
mod sampler;
mod tcp;
mod user_side;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser as _;
use contenders::Contender;
use figures::Verdicts;
use testkit::process;

#[derive(clap::Parser)]
#[command(
    name = "cargo xtask bench",
    bin_name = "cargo xtask bench",
    about,
    max_term_width = 110,
    after_help = "\
Examples:
  cargo xtask bench
  cargo xtask bench --only loopback --contenders nothing,empty,nicmon --rounds 3
  cargo xtask bench --only pairs --against ../before/target/dist/nicmon"
)]
struct Args {
    /// Number of rounds; in each round, every contender has one turn
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Run only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Run only these contenders in the loopback part
    #[arg(long, value_enum, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// The CPU that sends
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// Packets per slice in the loopback part
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    packets: u32,
    /// Slices per turn in the loopback part
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    slices: u32,
    /// Pairs of blocks in the pairs part, in steps of 200
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(400..=1_000_000))]
    pairs: u32,
    /// The nicmon to compare with in the pairs part [default: no programs at all]
    #[arg(long, value_name = "NICMON")]
    against: Option<PathBuf>,
    /// Exit with 1 if a target was missed or not measured
    #[arg(long)]
    assert: bool,
    /// The nicmon to measure; xtask passes it
    #[arg(long, hide = true)]
    nicmon: PathBuf,
    /// The kernel object with the empty program; xtask passes it
    #[arg(long, hide = true)]
    kernel_object: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Time added to each packet of UDP over loopback, with one packet per poll
    Loopback,
    /// TCP throughput over a veth pair, with and without nicmon
    Tcp,
    /// Requests, CPU time and latency of nginx over a veth pair (runs only if named with --only; needs nginx
    /// and wrk)
    Http,
    /// CPU time and memory of nicmon's user side
    User,
    /// Time to the first frame
    Start,
    /// Time per run of each kernel program
    Programs,
    /// CPU time of sampling at 99 and 999 Hz, beside perf's
    Sampler,
    /// Time that the kernel programs add to each packet, compared with another nicmon's (runs only if named
    /// with --only; takes about 5 minutes)
    Pairs,
    /// How much slower packets are in an interval with a flow window (runs only if named with --only)
    FlowWindow,
}

fn main() -> ExitCode {
    measure(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn measure(args: &Args) -> Result<ExitCode> {
    process::catch_signals()?;
    let mut verdicts = Verdicts::default();
    let parts = <Part as clap::ValueEnum>::value_variants();
    let is_wanted = |part: &Part| match part {
        Part::Pairs | Part::FlowWindow | Part::Http => args.only.contains(part),
        _ => args.only.is_empty() || args.only.contains(part),
    };
    for part in parts.iter().filter(|part| is_wanted(part)) {
        match part {
            Part::Loopback => loopback::measure(args, &mut verdicts)?,
            Part::Tcp => tcp::measure(args, &mut verdicts)?,
            Part::Http => http::measure(args)?,
            Part::User => user_side::measure(args, &mut verdicts)?,
            Part::Start => user_side::measure_start(args, &mut verdicts)?,
            Part::Programs => programs::measure(args)?,
            Part::Sampler => sampler::measure(args, &mut verdicts)?,
            Part::Pairs => pairs::measure(args, &mut verdicts)?,
            Part::FlowWindow => flow_window::measure(args, &mut verdicts)?,
        }
        println!();
    }
    let all_reached = verdicts.print();
    Ok(if args.assert && !all_reached { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
