//! The live view: a frame an interval, as JSON or as a table.

use std::{future::Future, io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, output::Output, table};
use crate::{
    cli::Live,
    collect::{Clock, Collector, Filter, Options},
    frame::Frame,
};

/// How long a reader may take for the last text after a signal.
const PATIENCE: Duration = Duration::from_millis(200);

pub(super) fn run(args: Live) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .enable_io()
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(show(args));
    // A writer that is stuck in a full pipe must not hold up the end.
    runtime.shutdown_timeout(Duration::ZERO);
    result
}

async fn show(args: Live) -> Result<(), Failure> {
    // Signals first: from here on they end the process cleanly.
    let mut end = EndSignals::listen().map_err(Failure::Runtime)?;
    let cpus = args.cpus.as_ref().map(|list| list.0.as_slice()).unwrap_or_default();
    let filter = Filter::new(&args.interfaces, cpus).map_err(crate::collect::CollectError::from)?;
    let options =
        Options { filter, latency: args.latency, kernel_log: args.kernel_log, ..Options::default() };
    let mut collector = Collector::start(options)?;
    let mut kernel_log = None;
    if args.kernel_log {
        kernel_log = Some(collector.probe().take_logger(StderrLog).map_err(Failure::KernelLog)?);
    }
    let mut clock = Clock::start(args.delay);
    let output = Output::start().map_err(Failure::Runtime)?;

    let mut left = args.count.unwrap_or(u64::MAX);
    let mut told_to_end = false;
    while left > 0 {
        told_to_end = end.comes_before(clock.tick()).await;
        if told_to_end {
            break;
        }
        let frame = collector.frame()?;
        if let Some(log) = &mut kernel_log {
            log.flush();
        }
        let text = if args.json { json_line(&frame) } else { table::render(&frame) };
        let mut written = true;
        told_to_end = end.comes_before(async { written = output.write(text).await }).await;
        if told_to_end || !written {
            break;
        }
        left -= 1;
    }
    let mut result = Ok(());
    let finish = async { result = output.finish().await };
    if told_to_end {
        // What was handed over is written if somebody reads; nobody waits for a reader that stalls.
        let _ = tokio::time::timeout(PATIENCE, finish).await;
    } else {
        end.comes_before(finish).await;
    }
    result.map_err(Failure::Output)
}

fn json_line(frame: &Frame) -> String {
    // A frame is numbers, strings and lists of them: there is nothing in it that JSON cannot say.
    let mut line = serde_json::to_string(frame).unwrap_or_default();
    line.push('\n');
    line
}

/// SIGINT, SIGTERM and SIGHUP.
struct EndSignals([Signal; 3]);

impl EndSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    /// True if a signal came before the other thing was done.
    async fn comes_before(&mut self, other: impl Future<Output = ()>) -> bool {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            biased;
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            _ = hangup.recv() => true,
            () = other => false,
        }
    }
}

/// Prints what the kernel side logs.
struct StderrLog;

impl log::Log for StderrLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("nicmon kernel: {}", record.args());
    }

    fn flush(&self) {}
}
