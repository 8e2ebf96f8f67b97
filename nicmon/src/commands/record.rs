//! `nicmon record`: frames into a file, while a command runs or until a signal.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, IsTerminal as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::{
    Failure,
    new_file::NewFile,
    output::tell,
    report::{self, Sum},
    runtime,
    signals::EndSignals,
};
use crate::{
    cli::Record,
    collect::{Clock, Collector, Options},
    present::text::{plural, seconds},
    stream::{Span, Writer},
};

pub(super) fn run(args: Record) -> Result<ExitCode, Failure> {
    runtime::block_on(record(args))
}

async fn record(args: Record) -> Result<ExitCode, Failure> {
    if args.output.as_os_str() == "-" {
        return Err(Failure::RecordingToStdout);
    }
    // Signals first: from here on they end the recording cleanly.
    let mut end = EndSignals::listen()?;
    // What a short command did is known by name only if the names are there.
    let collector = Collector::start(Options { wait_for_symbols: true, ..args.measure.options()? })?;
    let cannot_create = |source| Failure::CreateRecording { path: args.output.clone(), source };
    let file = NewFile::create(&args.output, args.force).map_err(cannot_create)?;
    // What came while this took its time came to us alone: there was no command yet that the terminal could tell.
    if !args.command.is_empty()
        && let Some(signal) = end.has_come().await
    {
        return Ok(killed_by(signal.as_raw()));
    }
    // Of a command that cannot run nothing is to be left.
    let mut command = start_command(&args.command)?;
    let mut clock = Clock::start(args.measure.delay);
    let placed = file.take_place().inspect_err(|_| {
        // It has only just begun, and what it is to be recorded for cannot be.
        if let Some(command) = &command {
            pass_on(Signal::TERM, command);
        }
    });
    let (file, kept) = placed.map_err(cannot_create)?;
    if let Some(kept) = kept {
        say(&format!("nicmon: {} was there already: it is {} now\n", args.output.display(), kept.display()));
    }
    let mut recording = Recording::start(collector, file, args.output, command.is_some())?;
    recording.report = match (args.quiet, recording.is_file()) {
        (true, _) => AtEnd::Nothing,
        (false, true) => AtEnd::ReadBack,
        (false, false) => AtEnd::Sum(Box::default()),
    };

    let mut failed = None;
    let status = loop {
        tokio::select! {
            biased;
            signal = end.next() => match &command {
                Some(command) => pass_on(signal, command),
                None => break None,
            },
            status = ended(&mut command) => break Some(status.map_err(Failure::Runtime)?),
            // The command goes on whatever becomes of its recording.
            () = clock.tick(), if failed.is_none() => match recording.add() {
                Ok(()) => {}
                Err(failure) if command.is_none() => return Err(failure),
                Err(failure) => {
                    say(&format!("nicmon: {failure}\n"));
                    failed = Some(failure);
                }
            },
        }
    };
    if failed.is_some() {
        return Ok(ExitCode::FAILURE);
    }
    // The part of an interval that is left: a command of less than a second gives a frame, too.
    recording.add()?;
    recording.finish()?;
    recording.tell();
    Ok(status.map_or(ExitCode::SUCCESS, exit_code))
}

/// Starts the command, if there is one, with our standard input, output and error.
fn start_command(words: &[OsString]) -> Result<Option<Child>, Failure> {
    let Some((program, arguments)) = words.split_first() else { return Ok(None) };
    let name = program.to_string_lossy().into_owned();
    let child = Command::new(program).args(arguments).spawn();
    child.map(Some).map_err(|source| Failure::Command { name, source })
}

/// Waits for the command's end; without one, for ever.
async fn ended(command: &mut Option<Child>) -> io::Result<ExitStatus> {
    match command {
        Some(command) => command.wait().await,
        None => std::future::pending().await,
    }
}

/// SIGINT is the terminal's, which sends it to the command as well; others come to us alone.
fn pass_on(signal: Signal, command: &Child) {
    let pid = command.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && signal != Signal::INT
    {
        // It fails only for one that is gone, of which we shall hear.
        let _ = kill_process(pid, signal);
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    match (status.code(), status.signal()) {
        (None, Some(signal)) => killed_by(signal),
        (code, _) => byte(code),
    }
}

/// As shells tell it: 128 and the signal of a command that was killed.
fn killed_by(signal: i32) -> ExitCode {
    byte(signal.checked_add(128))
}

fn byte(code: Option<i32>) -> ExitCode {
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Tells it on standard error. Where that is closed or full, the recording goes on.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Rows of the report's tables.
const TOP: usize = 20;

/// Where the report at the end comes from.
enum AtEnd {
    /// There is none.
    Nothing,
    /// The recording: its sums are there, and memory does not grow with interfaces and functions that come and go.
    ReadBack,
    /// Frames added up here, of a recording that cannot be read back (a pipe, a device).
    Sum(Box<Sum>),
}

/// A recording that is being made.
struct Recording {
    collector: Collector,
    writer: Writer<File>,
    report: AtEnd,
    path: PathBuf,
    recorded_ns: u64,
    /// Whether somebody watches.
    is_watched: bool,
    has_command: bool,
}

impl Recording {
    fn start(collector: Collector, file: File, path: PathBuf, has_command: bool) -> Result<Self, Failure> {
        let writer = Writer::new(file).map_err(|source| Failure::Recording {
            path: path.clone(),
            source,
            frames: 0,
        })?;
        let is_watched = io::stderr().is_terminal();
        let report = AtEnd::Nothing;
        Ok(Self { collector, writer, report, path, recorded_ns: 0, is_watched, has_command })
    }

    fn is_file(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|there| there.is_file())
    }

    /// Adds what happened since the last time.
    fn add(&mut self) -> Result<(), Failure> {
        let frame = self.collector.frame()?;
        let written = self.writer.write(&frame);
        self.check(written)?;
        if let AtEnd::Sum(sum) = &mut self.report {
            sum.add(&frame, Span::of(&frame), 1);
        }
        self.recorded_ns += frame.interval_ns;
        if self.is_watched {
            // The cursor stays in front, so that what the command prints takes the line.
            let end = if self.has_command { "" } else { "; Ctrl-C ends" };
            say(&format!("recording: {}{end}\x1b[K\r", self.size()));
        }
        Ok(())
    }

    /// Nothing is added after this.
    fn finish(&mut self) -> Result<(), Failure> {
        let finished = self.writer.finish();
        self.check(finished)
    }

    fn check(&self, written: io::Result<()>) -> Result<(), Failure> {
        written.map_err(|source| {
            self.clear_progress();
            let frames = self.writer.frames();
            Failure::Recording { path: self.path.clone(), source, frames }
        })
    }

    /// The last words. Standard output is the command's.
    fn tell(&self) {
        self.clear_progress();
        say(&format!("nicmon: {} in {}\n", self.size(), self.path.display()));
        let report = match &self.report {
            AtEnd::Nothing => Ok(None),
            AtEnd::ReadBack => report::text_of(&self.path, TOP),
            AtEnd::Sum(sum) => Ok(sum.report(&self.path.to_string_lossy(), TOP)),
        };
        match report {
            Ok(Some(report)) => say(&format!("\n{report}")),
            Ok(None) => {}
            // The command may have moved it away.
            Err(failure) => tell(&format!("no report: {failure}")),
        }
    }

    fn clear_progress(&self) {
        if self.is_watched {
            say("\x1b[K");
        }
    }

    fn size(&self) -> String {
        let (frames, bytes) = (self.writer.frames(), self.writer.bytes());
        let length = seconds(self.recorded_ns);
        format!("{length} s, {}, {:.1} kB", plural(frames, "frame"), bytes as f64 / 1e3)
    }
}
