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
    /// The load was not where it should be.
    #[error("no packet was polled on the CPU of the load\nRun it again; if it happens again, report it.")]
    NoPolls,
    /// A packet does not pass the hooks that it should.
    #[error(
        "a packet passes {hooks:.2} hooks instead of 3: is RPS on for new interfaces \
         (net.core.rps_default_mask), or does a thread poll the backlog (thread_backlog_napi, PREEMPT_RT)?\n\
         Here it cannot be measured."
    )]
    OtherHooks {
        /// Runs of nicmon's programs per packet.
        hooks: f64,
    },
    /// Chance would decide.
    #[error("only {rounds} rounds of blocks were done, {fewest} are needed\nMeasure for longer, with --for.")]
    TooFew {
        /// How many there were.
        rounds: usize,
        /// How many it takes.
        fewest: usize,
    },
}
