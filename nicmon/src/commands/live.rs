//! The live view: a frame an interval, on the screen, as JSON or as a table.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
};

use super::{
    Failure,
    output::{self, Output, tell},
    runtime,
    screen::{self, Happened, JobScreen},
    signals::EndSignals,
};
use crate::{
    cli::Live,
    collect::{Clock, Collector, Options},
    frame::Frame,
    tui::{Source, Wish},
};

pub(super) fn run(args: Live) -> Result<(), Failure> {
    runtime::block_on(show(args))
}

async fn show(args: Live) -> Result<(), Failure> {
    // Signals first: from here on they end the process cleanly.
    let end = EndSignals::listen()?;
    let frames = Frames::start(&args)?;
    // What the kernel side logs would stand in the midst of the screen.
    let is_disturbed = args.kernel_log && io::stderr().is_terminal();
    if is_disturbed || !screen::is_wanted(args.form) {
        print(&args, frames, end).await
    } else {
        on_screen(&args, frames, end).await
    }
}

/// Frames when they are due.
struct Frames {
    collector: Collector,
    #[cfg(feature = "bpf")]
    kernel_log: Option<aya_log::EbpfLogger<StderrLog>>,
    clock: Clock,
}

impl Frames {
    fn start(args: &Live) -> Result<Self, Failure> {
        let capture = args.capture.clone();
        let options = Options { kernel_log: args.kernel_log, capture, ..args.measure.options()? };
        #[cfg_attr(not(feature = "bpf"), expect(unused_mut, reason = "the log is of the programs"))]
        let mut collector = Collector::start(options)?;
        if let Some(reason) = collector.source_reason() {
            tell(&format!("counts only, every time is unknown: {reason}"));
        }
        #[cfg(feature = "bpf")]
        let kernel_log = match collector.probe().filter(|_| args.kernel_log) {
            Some(probe) => Some(probe.take_logger(StderrLog).map_err(Failure::KernelLog)?),
            None => None,
        };
        Ok(Self {
            #[cfg(feature = "bpf")]
            kernel_log,
            clock: Clock::start(args.measure.delay),
            collector,
        })
    }

    fn collect(&mut self) -> Result<Frame, Failure> {
        let frame = self.collector.frame()?;
        #[cfg(feature = "bpf")]
        if let Some(log) = &mut self.kernel_log {
            log.flush();
        }
        Ok(frame)
    }
}

async fn print(args: &Live, mut frames: Frames, mut end: EndSignals) -> Result<(), Failure> {
    let output = Output::start().map_err(Failure::Runtime)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut told_to_end = false;
    while left > 0 {
        told_to_end = end.comes_before(frames.clock.tick()).await;
        if told_to_end {
            break;
        }
        let text = output::text(&frames.collect()?, args.form.json)?;
        let mut written = true;
        told_to_end = end.comes_before(async { written = output.write(text).await }).await;
        if told_to_end || !written {
            break;
        }
        left -= 1;
    }
    output.end(told_to_end, &mut end).await.map_err(Failure::Output)
}

async fn on_screen(args: &Live, mut frames: Frames, end: EndSignals) -> Result<(), Failure> {
    let mut screen = JobScreen::start(Source::Live { delay: args.measure.delay }, end)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut result = Ok(());
    while left > 0 {
        tokio::select! {
            biased;
            happened = screen.happens() => match happened {
                Happened::Wish(Wish::Delay(delay)) => frames.clock.change(delay),
                // Else the frame that is late by now would be followed by a very short one.
                Happened::WentOn => frames.clock.restart(),
                Happened::Wish(_) => {}
                Happened::End => break,
            },
            () = frames.clock.tick() => match frames.collect() {
                Ok(frame) => {
                    screen.show(Arc::new(frame));
                    left -= 1;
                }
                Err(failure) => {
                    result = Err(failure);
                    break;
                }
            },
        }
    }
    // Whatever there is to say is said on the terminal as it was.
    let ended = screen.end().await;
    result.and(ended)
}

/// Prints what the kernel side logs.
#[cfg(feature = "bpf")]
struct StderrLog;

#[cfg(feature = "bpf")]
impl log::Log for StderrLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        tell(&format!("kernel: {}", record.args()));
    }

    fn flush(&self) {}
}
