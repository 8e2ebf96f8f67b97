//! Why nothing could be measured: what failed, why, and what to do.

use std::io;

use crate::counters::bpf::ProbeError;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum OverheadError {
    /// The programs failed.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// nicmon may not run on that CPU.
    #[error(
        "cannot run on CPU {cpu}: {source}\nChoose one that is online, and that nicmon may use, with --cpu."
    )]
    NoCpu {
        /// The CPU.
        cpu: u32,
        /// The system's error.
        source: io::Error,
    },
    /// The load failed.
    #[error("{what}: {source}\n{todo}")]
    Load {
        /// What failed.
        what: &'static str,
        /// The system's error.
        source: io::Error,
        /// What to do.
        todo: &'static str,
    },
    /// The cost of a run cannot be measured.
    #[error(
        "cannot switch on the kernel's BPF statistics, without which the cost of a run is unknown\nRun \
         nicmon as root, or give it CAP_SYS_ADMIN."
    )]
    NoStatistics,
    /// A signal came.
    #[error("interrupted before there were enough blocks")]
    Interrupted,
}
