//! One file a command: wires the parts together.

mod doctor;
mod live;
mod output;
mod table;

use crate::{
    cli::{Cli, Command},
    collect::CollectError,
};

/// Why a command failed, and with what the process should end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Collecting failed.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
    /// The runtime or its signal handlers could not be set up.
    #[error("cannot set up signals and timers: {0}")]
    Runtime(std::io::Error),
    /// The kernel side's log cannot be read.
    #[error("cannot read what the kernel programs log: {0}; run without --kernel-log")]
    KernelLog(aya_log::Error),
    /// `doctor` found that nicmon cannot work here; it has said so.
    #[error("nicmon cannot measure here: see the lines marked \"no\"")]
    Unfit,
}

impl Failure {
    /// 2 for bad input, 1 for any other failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Collect(CollectError::Filter(_)) => 2,
            _ => 1,
        }
    }
}

/// Does what the command line says.
///
/// # Errors
/// As the command.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Some(Command::Doctor) => doctor::run(),
        None => live::run(cli.live),
    }
}
