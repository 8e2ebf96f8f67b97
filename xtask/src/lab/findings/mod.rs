//! Guests that are saturated on purpose, and guests that are only busy. nicmon's findings must say what is
//! wrong with the former, and find nothing wrong with the latter.
//!
//! Each scenario is a file `NAME.toml` in this folder; [`scenario::Scenario`] explains its fields. To add
//! one, add a file.

mod check;
mod scenario;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use testkit::process;

use self::scenario::Scenario;
use super::{Args, Lab, frames, results::Results, table::Verdicts};

/// The folder of the guest's results, within the shared folder.
const FOLDER: &str = "findings";

/// Runs the scenarios, each in guests of its own: what a NIC does under load depends on what ran before.
pub(super) fn run(args: &Args, lab: &Lab) -> Result<ExitCode> {
    ensure!(
        args.chosen.is_empty() && args.queues.is_none(),
        "each scenario of this case has a NIC of its own: leave out --device and --queues"
    );
    let scenarios = scenario::all(&args.only)?;
    let kept = args.keep.then(kept_folder).transpose()?;
    println!("Linux {} in a guest for each run\n", lab.kernel.release);
    let mut passed = Vec::new();
    for (name, scenario) in &scenarios {
        let mut of_scenario = 0;
        for number in 1..=args.runs {
            println!("{name}, run {number} of {}: {}", args.runs, scenario.title);
            let kept = kept.as_ref().map(|folder| folder.join(format!("{name}-{number}")));
            let mut verdicts = Verdicts::of(args.kernel);
            if let Err(error) = judge(scenario, args, lab, kept.as_deref(), &mut verdicts) {
                // A guest that fails says nothing about the next one, but a signal ends all.
                process::check_signalled()?;
                verdicts.check(false, &format!("{error:#}"));
            }
            of_scenario += u32::from(verdicts.all_hold());
        }
        passed.push(of_scenario);
    }
    println!("\n{:<20} PASSED", "SCENARIO");
    for ((name, _), passed) in scenarios.iter().zip(&passed) {
        println!("{name:<20} {passed} of {}", args.runs);
    }
    let all = passed.iter().all(|passed| *passed == args.runs);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder for what all guests bring out.
fn kept_folder() -> Result<std::path::PathBuf> {
    let folder = tempfile::Builder::new().prefix("nicmon-findings-").tempdir();
    let folder = folder.context("cannot make a folder")?.keep();
    eprintln!("xtask: the guests' output stays in {}", folder.display());
    Ok(folder)
}

/// Boots a guest for one run of a scenario, and checks its frames.
fn judge(
    scenario: &Scenario,
    args: &Args,
    lab: &Lab,
    kept: Option<&Path>,
    verdicts: &mut Verdicts,
) -> Result<()> {
    let work = super::work_folder()?;
    let booted = lab.boot(&scenario.plan(args)?, work.path());
    let mut out = work.path().join("out");
    if let Some(kept) = kept.filter(|_| out.exists()) {
        fs::rename(&out, kept).with_context(|| format!("cannot move the output to {}", kept.display()))?;
        kept.clone_into(&mut out);
    }
    booted?;
    let results = Results::open(&out.join(FOLDER))?;
    let frames = frames::parse(&results.text("frames")?)?;
    check::all(scenario, &results.interface()?, &frames, verdicts);
    Ok(())
}
