//! TCP throughput over a veth pair that polls by NAPI, alternately with and without nicmon.

use std::time::Duration;

use anyhow::Result;
use testkit::{
    load::{VethPair, tcp_throughput},
    process,
};

use crate::{
    Args,
    contenders::start_nicmon,
    figures::{Figures, Verdicts},
};

const RUN: Duration = Duration::from_millis(1500);

pub(crate) fn measure(args: &Args, verdicts: &mut Verdicts) -> Result<()> {
    let pair = VethPair::create("nicmon-bench")?;
    // In seconds per gigabyte, so that smaller is better here as well.
    let run = || -> Result<f64> {
        process::check_signalled()?;
        Ok(1e9 / tcp_throughput(&pair, args.cpu, RUN)?)
    };
    run()?;
    let (mut without, mut with) = (Figures::default(), Figures::default());
    for round in 1..=args.rounds {
        eprintln!("bench: TCP, round {round} of {}", args.rounds);
        // The order alternates, so that a drift favours neither side.
        for nicmon_now in [round % 2 == 0, round % 2 != 0] {
            if nicmon_now {
                let (mut nicmon, _) = start_nicmon(&args.nicmon)?;
                with.add([run()?, run()?]);
                nicmon.stop()?;
            } else {
                without.add([run()?, run()?]);
            }
        }
    }
    println!(
        "TCP over a veth pair, CPU {} sends: {} rounds of 2 runs of {RUN:?} each",
        args.cpu, args.rounds
    );
    println!("  {:<26}{:>10}{:>10}   MB/s", "", "best", "median");
    for (label, figures) in [("without nicmon", &without), ("with nicmon", &with)] {
        let rate = |seconds: Option<f64>| seconds.map_or("-".into(), |s| format!("{:.0}", 1000.0 / s));
        println!("  {label:<26}{:>10}{:>10}", rate(figures.best()), rate(figures.median()));
    }
    let loss = |with: Option<f64>, without: Option<f64>| Some(100.0 * (1.0 - without? / with?));
    let (best, median) = (loss(with.best(), without.best()), loss(with.median(), without.median()));
    let text = |loss: Option<f64>| loss.map_or("-".into(), |l| format!("{l:.2} %"));
    verdicts.add(
        format!(
            "veth TCP throughput lost with nicmon: {}, limit 1 % (medians: {})",
            text(best),
            text(median)
        ),
        best.map(|l| l <= 1.0),
    );
    Ok(())
}
