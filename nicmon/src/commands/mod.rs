//! One file a command: wires the parts together.

mod compare;
mod doctor;
mod live;
mod new_file;
mod output;
mod papers;
mod player;
mod record;
mod replay;
mod report;
mod runtime;
mod screen;
mod signals;
mod table;
mod topology;

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    process::ExitCode,
};

pub use self::output::tell;
use crate::{
    analyze::compare::PairError,
    cli::{Cli, Command, Measure, SourceArg},
    collect::{self, CollectError, Filter, SourceChoice},
    counters::HowToSample,
    present::text::plural,
    stream::ReadError,
};

/// Why a command failed, and with what the process should end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Collecting failed.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The runtime or its signal handlers could not be set up.
    #[error("cannot set up signals and timers: {0}")]
    Runtime(io::Error),
    /// The kernel side's log cannot be read.
    #[cfg(feature = "bpf")]
    #[error("cannot read what the kernel programs log: {0}; run without --kernel-log")]
    KernelLog(aya_log::Error),
    /// `doctor` found that nicmon cannot work here; it has said so.
    #[error("nicmon cannot measure here: see the lines marked \"no\"")]
    Unfit,
    /// A stream of frames cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No frame is in the range that was asked for.
    #[error("{name} has no frame from {from} to {to}: its frames are {there}. Give --from and --to within")]
    EmptyRange {
        /// What was read.
        name: String,
        /// The begin of the range.
        from: String,
        /// Its end.
        to: String,
        /// When its frames are.
        there: String,
    },
    /// There is nothing to compare.
    #[error(transparent)]
    Compare(#[from] PairError),
    /// Both recordings to compare are to come from standard input.
    #[error("standard input is one recording, not two: give the name of a file for the other")]
    StandardInputTwice,
    /// Whether a claim of `--fail-if` holds cannot be told.
    #[error("cannot judge --fail-if '{claim}': {why}")]
    Claim {
        /// The claim.
        claim: String,
        /// Why it cannot.
        why: String,
    },
    /// The file of a page cannot be made or written.
    #[error("cannot write {}: {source}; name another file with --html", path.display())]
    Page {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is there is no page, and may be the recording itself.
    #[error("{} is there and is no HTML page, so it stays as it is; name another file with --html", path.display())]
    NoPage {
        /// The file.
        path: PathBuf,
    },
    /// `-o -`.
    #[error(
        "-o -: standard output is the command's, a recording is a file. Name one, or print frames with nicmon --json"
    )]
    RecordingToStdout,
    /// The file of a recording cannot be made.
    #[error("cannot create {}: {source}; name another file with -o", path.display())]
    CreateRecording {
        /// Its name.
        path: PathBuf,
        /// Why it cannot.
        source: io::Error,
    },
    /// A recording cannot be written on.
    #[error("cannot write {}: {source}; it holds {}. Make room, or name another file with -o", path.display(), plural(*frames, "whole frame"))]
    Recording {
        /// Its name.
        path: PathBuf,
        /// Why it cannot.
        source: io::Error,
        /// Whole frames that are in it.
        frames: u64,
    },
    /// The command to record cannot be run.
    #[error("cannot run {name}: {source}; after -- give a program of $PATH, or its path, and its arguments")]
    Command {
        /// The program.
        name: String,
        /// Why it cannot.
        source: io::Error,
    },
    /// A file or directory for papers cannot be written.
    #[error("cannot write into {}: {source}", path.display())]
    Papers {
        /// The directory.
        path: PathBuf,
        /// Why it cannot.
        source: io::Error,
    },
}

impl Failure {
    /// 2 for bad input; 127 and 126 for a command that is not there or may not be run, as shells do; 1 for any other
    /// failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Page { source, .. } | Self::CreateRecording { source, .. } if is_no_room(source) => 1,
            Self::Read(ReadError::Read { source, .. }) if source.kind() != ErrorKind::IsADirectory => 1,
            Self::Collect(CollectError::Filter(_))
            | Self::Read(_)
            | Self::EmptyRange { .. }
            | Self::Compare(_)
            | Self::StandardInputTwice
            | Self::Page { .. }
            | Self::NoPage { .. }
            | Self::RecordingToStdout
            | Self::CreateRecording { .. }
            | Self::Papers { .. } => 2,
            Self::Command { source, .. } if source.kind() == ErrorKind::NotFound => 127,
            Self::Command { .. } => 126,
            _ => 1,
        }
    }
}

/// Whether it is the disk, and not what was asked for, that is at fault.
fn is_no_room(error: &io::Error) -> bool {
    let no_room = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
    no_room.contains(&error.kind()) || error.raw_os_error() == Some(libc::EIO)
}

/// Does what the command line says.
///
/// # Errors
/// As the command.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Some(Command::Doctor) => doctor::run()?,
        Some(Command::Topology(args)) => topology::run(&args)?,
        Some(Command::Record(args)) => return record::run(args),
        Some(Command::Replay(args)) => replay::run(args)?,
        Some(Command::Report(args)) => report::run(&args)?,
        Some(Command::Compare(args)) => return compare::run(&args),
        Some(Command::Schema(args)) => papers::schema(&args)?,
        Some(Command::Man(args)) => papers::man(&args)?,
        Some(Command::Completions(args)) => papers::completions(&args)?,
        None => live::run(cli.live)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Measure {
    /// What to collect.
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
            sampling: Some(HowToSample { frequency: self.frequency, stacks: self.stacks }),
            interval: self.delay,
            ..collect::Options::default()
        })
    }
}
