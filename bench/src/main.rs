//! `cargo xtask bench`: what nicmon costs, measured beside other tools. Slices of the contenders are
//! interleaved. Noise only adds, so the best slice is the figure, and the median stands beside it. `pairs`
//! compares two builds of nicmon more finely than that.

mod contenders;
mod figures;
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
    /// Rounds; in each every contender has its turn
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Only these contenders of the loopback part
    #[arg(long, value_enum, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// The CPU that sends
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// Packets a slice of the loopback part
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    packets: u32,
    /// Slices a turn of the loopback part
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    slices: u32,
    /// Pairs of blocks of the pairs part, in steps of 200
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(400..=1_000_000))]
    pairs: u32,
    /// The other nicmon of the pairs part [default: compare with no programs at all]
    #[arg(long, value_name = "NICMON")]
    against: Option<PathBuf>,
    /// Exit with 1 when a target is missed or was not measured
    #[arg(long)]
    assert: bool,
    /// The nicmon to measure; xtask gives it
    #[arg(long, hide = true)]
    nicmon: PathBuf,
    /// The kernel object, for its program that does nothing; xtask gives it
    #[arg(long, hide = true)]
    kernel_object: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// ns a packet added to UDP over loopback, one packet a poll
    Loopback,
    /// TCP throughput over a veth pair with and without nicmon
    Tcp,
    /// CPU time and memory of nicmon's user side
    User,
    /// Time to the first frame
    Start,
    /// ns a run of each kernel program
    Programs,
    /// CPU time of the samples at 99 and 999 Hz, beside perf's
    Sampler,
    /// ns a packet that the kernel programs add, against those of another nicmon (only if named; about 5
    /// minutes)
    Pairs,
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
        Part::Pairs => args.only.contains(part),
        _ => args.only.is_empty() || args.only.contains(part),
    };
    for part in parts.iter().filter(|part| is_wanted(part)) {
        match part {
            Part::Loopback => loopback::measure(args, &mut verdicts)?,
            Part::Tcp => tcp::measure(args, &mut verdicts)?,
            Part::User => user_side::measure(args, &mut verdicts)?,
            Part::Start => user_side::measure_start(args, &mut verdicts)?,
            Part::Programs => programs::measure(args)?,
            Part::Sampler => sampler::measure(args, &mut verdicts)?,
            Part::Pairs => pairs::measure(args, &mut verdicts)?,
        }
        println!();
    }
    let all_reached = verdicts.print();
    Ok(if args.assert && !all_reached { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
