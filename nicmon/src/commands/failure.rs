//! Why a command failed: what failed, why, and what to do.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

#[cfg(feature = "bpf")]
use crate::overhead::OverheadError;
use crate::{
    analyze::compare::PairError,
    collect::CollectError,
    present::text::{plural, printable},
    stream::ReadError,
};

/// Why a command failed. [`Failure::exit_code`] is what the process exits with.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Collecting failed.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The output could not be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// The screen could not take over the terminal.
    #[error("cannot draw on this terminal: {0}; run nicmon with --plain for tables")]
    Screen(io::Error),
    /// The configuration file is wrong.
    #[error("cannot use the configuration {}: {what}", shown(path))]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and why.
        what: String,
    },
    /// The runtime, a thread or the signal handlers could not be set up.
    #[error("cannot start threads, timers or signal handlers: {0}; check the limits with `ulimit -a`")]
    Runtime(io::Error),
    /// The recorded command cannot be waited for.
    #[error("cannot wait for the command to end: {0}")]
    Wait(io::Error),
    /// The log of the kernel programs cannot be read.
    #[cfg(feature = "bpf")]
    #[error("cannot read the log of the eBPF programs: {0}; run nicmon without --kernel-log")]
    KernelLog(aya_log::Error),
    /// `doctor` found that no times can be measured here, and has said why.
    #[error("no times can be measured here: fix the lines marked \"fail\"")]
    Unfit,
    /// A stream of frames cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No frame lies between `--from` and `--to`.
    #[error(
        "{name} has no frame from {from} to {to}: its frames are {there}; choose --from and --to within \
         that time"
    )]
    EmptyRange {
        /// The recording.
        name: String,
        /// Start of the range.
        from: String,
        /// End of the range.
        to: String,
        /// When the recording's frames are.
        there: String,
    },
    /// `--from` is not before `--to`.
    #[error("--from {from} is not before --to {to}, so there is nothing between them; swap them")]
    SwappedRange {
        /// Start of the range.
        from: String,
        /// End of the range.
        to: String,
    },
    /// `path` was asked about an interface that is not here.
    #[error(
        "the interface {name} does not exist in this network namespace\nExisting interfaces: {existing}\n\
         For another namespace: ip netns exec NAMESPACE nicmon path {name}"
    )]
    NoInterface {
        /// What was asked for.
        name: String,
        /// What exists.
        existing: String,
    },
    /// The interface of `path` vanished, or its counters began anew.
    #[error("{name} was removed or reset while its packets were counted; run nicmon path again")]
    InterfaceGone {
        /// Its name.
        name: String,
    },
    /// What nicmon costs cannot be measured.
    #[cfg(feature = "bpf")]
    #[error(transparent)]
    Overhead(#[from] OverheadError),
    /// There is nothing to judge.
    #[error("there are no frames to judge; wait longer, or give a recording that has some")]
    NoFrames,
    /// There is nothing to compare.
    #[error(transparent)]
    Compare(#[from] PairError),
    /// `compare - -`.
    #[error("both recordings are -, but standard input holds only one; give a file name for the other")]
    StandardInputTwice,
    /// Whether a claim of `--fail-if` holds is unknown.
    #[error("cannot judge --fail-if '{claim}': {why}")]
    Claim {
        /// The claim.
        claim: String,
        /// Why it cannot be judged.
        why: String,
    },
    /// The HTML page cannot be created or written.
    #[error("cannot write {}: {source}; name another file with --html", shown(path))]
    Page {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file exists and is not an HTML page: it may be the recording itself.
    #[error(
        "{} exists and is not an HTML page: refusing to overwrite it; name another file with --html",
        shown(path)
    )]
    NoPage {
        /// The file.
        path: PathBuf,
    },
    /// `record -o -`.
    #[error(
        "cannot record to standard output (-o -): it belongs to the recorded command; name a file, or print \
         frames with nicmon --json"
    )]
    RecordingToStdout,
    /// The file of a recording cannot be created.
    #[error("cannot create {}: {source}; name another file with -o", shown(path))]
    CreateRecording {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Writing to the recording failed.
    #[error(
        "cannot write {}: {source}; it holds {}; free some space, or name another file with -o",
        shown(path),
        plural(*frames, "whole frame")
    )]
    Recording {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
        /// Whole frames in the file.
        frames: u64,
    },
    /// The command to record cannot be started.
    #[error("cannot run {name}: {source}; after --, give a program in $PATH or its path, then its arguments")]
    Command {
        /// The program.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// The manual pages cannot be written.
    #[error(
        "cannot write manual pages into {}: {source}; name a directory that you may write to",
        shown(path)
    )]
    ManualPages {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl Failure {
    /// 2 for bad input; 127 and 126, as shells do, for a command that does not exist or may not be run; 1 for
    /// any other failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Page { source, .. } | Self::CreateRecording { source, .. } if is_disk_error(source) => 1,
            Self::Collect(CollectError::Capture { source, .. }) if is_disk_error(source) => 1,
            Self::Read(ReadError::Read { source, .. }) if source.kind() != ErrorKind::IsADirectory => 1,
            Self::Collect(CollectError::Filter(_) | CollectError::Capture { .. })
            | Self::Read(_)
            | Self::EmptyRange { .. }
            | Self::SwappedRange { .. }
            | Self::Compare(_)
            | Self::StandardInputTwice
            | Self::NoInterface { .. }
            | Self::Page { .. }
            | Self::NoPage { .. }
            | Self::RecordingToStdout
            | Self::CreateRecording { .. }
            | Self::ManualPages { .. }
            | Self::Config { .. } => 2,
            #[cfg(feature = "bpf")]
            Self::Overhead(OverheadError::NoCpu { .. }) => 2,
            Self::Command { source, .. } if source.kind() == ErrorKind::NotFound => 127,
            Self::Command { .. } => 126,
            _ => 1,
        }
    }
}

/// Whether the disk failed or is full: the file that was asked for is not at fault.
fn is_disk_error(error: &io::Error) -> bool {
    let no_room = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
    no_room.contains(&error.kind()) || error.raw_os_error() == Some(libc::EIO)
}

/// A path in a message. Its name may have been made to look like another message.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
