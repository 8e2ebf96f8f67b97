//! The commands, one file each. They only connect the other modules.

mod compare;
mod diagnose;
mod doctor;
mod failure;
#[cfg(test)]
mod hostile;
mod live;
mod manual;
mod new_file;
mod output;
#[cfg(feature = "bpf")]
mod overhead;
#[cfg(feature = "bpf")]
mod path;
mod player;
mod problems;
mod record;
mod replay;
mod report;
mod runtime;
mod schema;
mod screen;
mod settings;
mod signals;
mod start;
mod table;
mod topology;
mod watch;

use std::process::ExitCode;

pub use self::{failure::Failure, output::print_message};
use crate::{
    cli::{Cli, Command, Measure, SourceArg},
    collect::{self, CollectError, Collector, Filter, SourceChoice},
    counters::HowToSample,
    host::{Roots, limits},
    privileges::Privileges,
};

/// Runs the command that the command line names.
///
/// # Errors
/// Whatever made the command fail.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Some(Command::Doctor) => doctor::run()?,
        Some(Command::Topology(args)) => topology::run(&args)?,
        #[cfg(feature = "bpf")]
        Some(Command::Path(args)) => path::run(&args)?,
        #[cfg(not(feature = "bpf"))]
        Some(Command::Path(_)) => return Err(CollectError::NoPrograms.into()),
        #[cfg(feature = "bpf")]
        Some(Command::Overhead(args)) => overhead::run(&args)?,
        #[cfg(not(feature = "bpf"))]
        Some(Command::Overhead(_)) => return Err(CollectError::NoPrograms.into()),
        Some(Command::Record(args)) => return record::run(args),
        Some(Command::Replay(args)) => replay::run(args)?,
        Some(Command::Report(args)) => report::run(&args)?,
        Some(Command::Compare(args)) => return compare::run(&args),
        Some(Command::Diagnose(args)) => return diagnose::run(&args),
        Some(Command::Brief(args)) => diagnose::brief(&args)?,
        Some(Command::Schema(args)) => schema::run(&args)?,
        Some(Command::Man(args)) => manual::man(&args)?,
        Some(Command::Completions(args)) => manual::completions(&args)?,
        None => live::run(cli.live)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts the process that keeps the privileges that are needed while nicmon runs. Nothing else may have been
/// started. Without it, nicmon keeps them all.
fn split() -> Privileges {
    limits::raise();
    Privileges::split(&collect::perform(Roots::default())).unwrap_or_else(|error| {
        print_message(&format!(
            "cannot start the process that would hold the few privileges nicmon needs later, so nicmon keeps \
             all of them: {error}"
        ));
        collect::own(Roots::default())
    })
}

/// Gives up the privileges that this process does not need any more.
fn give_up_privileges(collector: &Collector, signals_others: bool) {
    let confined = collector.give_up_privileges(signals_others);
    if confined.is_some_and(|confined| confined.capabilities.is_none()) {
        print_message("nicmon keeps its capabilities, because the kernel does not let it give them up");
    }
}

impl Measure {
    /// The options of the collector.
    fn options(&self) -> Result<collect::Options, CollectError> {
        let cpus = self.cpus.as_ref().map(|list| list.0.as_slice()).unwrap_or_default();
        let filter = Filter::new(&self.interfaces, cpus)?;
        let source = match self.source {
            SourceArg::Auto => SourceChoice::Auto,
            SourceArg::Bpf => SourceChoice::Bpf,
            SourceArg::Proc => SourceChoice::Proc,
        };
        Ok(collect::Options {
            source,
            filter,
            latency: self.latency,
            max_overhead_pct: self.max_overhead.0,
            windows_everywhere: self.windows,
            flow_window: !self.no_flow_window,
            sampling: Some(HowToSample { frequency: self.frequency, stacks: self.stacks }),
            interval: self.delay,
            ..collect::Options::default()
        })
    }
}
