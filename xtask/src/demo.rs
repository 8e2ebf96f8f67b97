//! `cargo xtask demo`: nicmon on a veth pair under a known load.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, ExitCode, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use testkit::{
    load::{Receive, UdpLoad, UdpPlan, VethPair},
    process::{self, Running},
};

use crate::workspace::{self, Profile};

/// A demo that someone forgot ends after this many seconds.
const LONGEST: u64 = 600;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask demo -- --json -n 5
  cargo xtask demo --cpu 1 --mode threaded --seconds 20")]
pub(crate) struct Args {
    /// The CPU that sends, and that receives in softirq unless --mode is rps
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// Packets per second
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pps: u32,
    /// Stop nicmon after this many seconds [default: run until it ends, at most 600]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    seconds: Option<u64>,
    /// How the receiving side handles packets
    #[arg(long, value_enum, default_value_t = Mode::Napi)]
    mode: Mode,
    /// Run this program instead of building nicmon
    #[arg(long, hide = true)]
    nicmon: Option<PathBuf>,
    /// Arguments for nicmon
    #[arg(last = true, value_name = "NICMON ARGS")]
    arguments: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// The veth's own NAPI, in softirq
    Napi,
    /// No NAPI of the veth: the per-CPU backlog
    Backlog,
    /// The veth's NAPI in a kernel thread
    Threaded,
    /// The veth's NAPI, then by RPS to another CPU's backlog
    Rps,
    /// The receiver polls the NIC itself (`SO_BUSY_POLL`)
    Busy,
}

impl Mode {
    fn receive(self) -> Receive {
        match self {
            Self::Napi | Self::Busy => Receive::Napi,
            Self::Backlog => Receive::Backlog,
            Self::Threaded => Receive::Threaded,
            Self::Rps => Receive::Rps,
        }
    }
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let nicmon = workspace::as_root_with_nicmon(args.nicmon.as_ref(), Profile::Quick)?;
    process::catch_signals()?;
    let limit = Duration::from_secs(args.seconds.unwrap_or(LONGEST));

    let pair = VethPair::create("nicmon-demo")?;
    pair.receive_by(args.mode.receive(), args.cpu)?;
    let plan = UdpPlan {
        pps: args.pps,
        // The load outlasts nicmon and stops when nicmon ends. If that fails, it stops at this limit.
        limit: limit + Duration::from_secs(10),
        sender_cpu: args.cpu,
        busy_poll: args.mode == Mode::Busy,
    };
    let load = UdpLoad::start(&pair, plan)?;
    eprintln!(
        "xtask: {} packets per second from CPU {} to {} in namespace {}, mode {:?}",
        args.pps,
        args.cpu,
        VethPair::RX_NAME,
        pair.rx.name(),
        args.mode
    );

    let mut child = Running::start(Command::new(&nicmon).args(&args.arguments))?;
    let status = wait(&mut child, &load, limit)?;
    let totals = load.stop()?;
    let rate = totals.sent as f64 / totals.time.as_secs_f64();
    eprintln!(
        "xtask: sent {} packets in {:.2} s ({rate:.0} per second), {} received",
        totals.sent,
        totals.time.as_secs_f64(),
        totals.received
    );
    let status = status.context("the load ended before nicmon did")?;
    let code =
        status.code().or_else(|| Some(128 + status.signal()?)).context("nicmon ended in an unknown way")?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Waits until nicmon ends: on its own, at the limit, or after a signal to us, which is passed on. Returns
/// `None` if the load ended first, which only happens if the load fails.
fn wait(child: &mut Running, load: &UdpLoad, limit: Duration) -> Result<Option<ExitStatus>> {
    /// How long a child may take to end after a signal.
    const PATIENCE: Duration = Duration::from_secs(10);
    let start = Instant::now();
    let told = loop {
        if let Some(status) = child.wait_for(Duration::from_millis(20))? {
            return Ok(Some(status));
        }
        if !load.is_sending() {
            return Ok(None);
        }
        if let Some(signal) = process::signalled() {
            // Ctrl-C reaches the whole group: let the child act on its own copy first.
            if signal == Signal::INT
                && let Some(status) = child.wait_for(Duration::from_millis(500))?
            {
                return Ok(Some(status));
            }
            break signal;
        }
        if start.elapsed() >= limit {
            break Signal::TERM;
        }
    };
    child.signal(told);
    let status = child.wait_for(PATIENCE)?;
    status.context("nicmon did not end within 10 s of the signal; killing it").map(Some)
}
