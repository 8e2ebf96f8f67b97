//! The live view: a frame per interval, on the screen, as JSON or as a table.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    path::PathBuf,
    sync::Arc,
};

use super::{
    Failure, give_up_privileges,
    new_file::{NewFile, Placed, Readers},
    output::{self, Output, print_message},
    problems::Problems,
    runtime,
    screen::{self, JobScreen, ScreenEvent},
    settings::settings,
    signals::EndSignals,
    split,
    start::{self, Started},
};
use crate::{
    cli::Live,
    collect::{Capture, Clock, CollectError, Collector, Options},
    diagnose::Diagnosis,
    frame::Frame,
    privileges::Privileges,
    tui::{Settings, Source, Wish},
};

pub(super) fn run(args: Live) -> Result<(), Failure> {
    // Before anything else: a mistake in it must not cost more than a moment.
    let settings = if screen::is_wanted(args.form) { settings(&args.look)? } else { Settings::default() };
    let privileges = split();
    runtime::block_on(show(args, settings, privileges))
}

async fn show(args: Live, settings: Settings, privileges: Privileges) -> Result<(), Failure> {
    // Signals first: from here on they end the process cleanly.
    let mut end = EndSignals::listen()?;
    if screen::is_wanted(args.form) {
        read_keys_from_terminal();
    }
    let Some(frames) = LiveFrames::start(&args, privileges, &mut end).await? else { return Ok(()) };
    // The log of the eBPF programs would garble the screen.
    let is_disturbed = args.kernel_log && io::stderr().is_terminal();
    if is_disturbed || !screen::is_wanted(args.form) {
        print(&args, frames, end).await
    } else {
        on_screen(&args, settings, frames, end).await
    }
}

/// Has standard input be the terminal: later nicmon may not open that. Without a terminal there are no keys.
fn read_keys_from_terminal() {
    if !io::stdin().is_terminal()
        && let Ok(terminal) = File::options().read(true).write(true).open("/dev/tty")
    {
        let _ = rustix::stdio::dup2_stdin(terminal);
    }
}

/// Makes frames when they are due.
struct LiveFrames {
    collector: Collector,
    #[cfg(feature = "bpf")]
    kernel_log: Option<aya_log::EbpfLogger<StderrLog>>,
    clock: Clock,
    diagnosis: Diagnosis,
}

impl LiveFrames {
    /// `None` if a signal came while it waited for an interface.
    async fn start(
        args: &Live,
        privileges: Privileges,
        end: &mut EndSignals,
    ) -> Result<Option<Self>, Failure> {
        let options = || {
            let privileges = Some(privileges.clone());
            Ok(Options { kernel_log: args.kernel_log, privileges, ..args.measure.options()? })
        };
        let mut collector = match start::start(&args.measure, end, options).await? {
            Started::Collecting(collector) => *collector,
            Started::Signalled(_) => return Ok(None),
        };
        if let Some(path) = args.capture.clone() {
            collector.save_to(create_capture(path)?);
        }
        if let Some(reason) = collector.source_reason() {
            print_message(&format!("counts only, all times are unknown: {reason}"));
        }
        #[cfg(feature = "bpf")]
        let kernel_log = match collector.probe().filter(|_| args.kernel_log) {
            Some(probe) => Some(probe.take_logger(StderrLog).map_err(Failure::KernelLog)?),
            None => None,
        };
        give_up_privileges(&collector, false);
        Ok(Some(Self {
            #[cfg(feature = "bpf")]
            kernel_log,
            clock: Clock::start(args.measure.delay),
            diagnosis: Diagnosis::default(),
            collector,
        }))
    }

    /// Waits until a frame is due.
    async fn due(&mut self) {
        self.clock.frame(&mut self.collector).await;
    }

    fn collect(&mut self) -> Result<Frame, Failure> {
        let mut frame = self.collector.frame()?;
        self.diagnosis.complete(&mut frame);
        self.collector.look_closer(self.diagnosis.wanted());
        #[cfg(feature = "bpf")]
        if let Some(log) = &mut self.kernel_log {
            log.flush();
        }
        Ok(frame)
    }
}

fn create_capture(path: PathBuf) -> Result<Capture, CollectError> {
    match NewFile::create(&path, true, Readers::Caller).and_then(NewFile::put_in_place) {
        Ok(Placed { file, .. }) => Ok(Capture::new(path, file)),
        Err(source) => Err(CollectError::Capture { path, source }),
    }
}

async fn print(args: &Live, mut frames: LiveFrames, mut end: EndSignals) -> Result<(), Failure> {
    let output = Output::start().map_err(Failure::Runtime)?;
    let mut problems = Problems::default();
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut is_signalled = false;
    while left > 0 {
        is_signalled = end.comes_before(frames.due()).await;
        if is_signalled {
            break;
        }
        let frame = frames.collect()?;
        problems.print(&frame.host);
        let text = output::text(&frame, args.form.json)?;
        let mut written = true;
        is_signalled = end.comes_before(async { written = output.write(text).await }).await;
        if is_signalled || !written {
            break;
        }
        left -= 1;
    }
    output.end(is_signalled, &mut end).await.map_err(Failure::Output)
}

async fn on_screen(
    args: &Live,
    settings: Settings,
    mut frames: LiveFrames,
    end: EndSignals,
) -> Result<(), Failure> {
    let mut screen = JobScreen::start(Source::Live { delay: args.measure.delay }, settings, end)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut problems = Problems::default();
    let mut result = Ok(());
    while left > 0 {
        tokio::select! {
            biased;
            event = screen.next_event() => match event {
                ScreenEvent::Key(Wish::Delay(delay)) => frames.clock.change(delay),
                // Otherwise a very short frame would follow the one that is late by now.
                ScreenEvent::Resumed => frames.clock.restart(),
                ScreenEvent::Key(_) => {}
                ScreenEvent::End => break,
            },
            () = frames.due() => match frames.collect() {
                Ok(frame) => {
                    problems.keep(&frame.host);
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
    // Print messages only after the terminal is back to normal.
    let ended = screen.end().await;
    problems.print_kept();
    result.and(ended)
}

/// Prints the log of the eBPF programs.
#[cfg(feature = "bpf")]
struct StderrLog;

#[cfg(feature = "bpf")]
impl log::Log for StderrLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        print_message(&format!("kernel: {}", record.args()));
    }

    fn flush(&self) {}
}
