//! `nicmon record`: writes frames to a file, while a command runs or until a signal.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::{
    Failure,
    failure::shown,
    give_up_privileges,
    new_file::{NewFile, Placed, Readers},
    output::{print_message, print_stderr},
    problems::Problems,
    report::{self, Sum},
    runtime,
    signals::EndSignals,
    split,
    start::{self, Started},
};
use crate::{
    cli::Record,
    collect::{Clock, Collector, Options},
    diagnose::Diagnosis,
    host::limits::Limits,
    present::text::{plural, seconds},
    privileges::Privileges,
    stream::{Span, Writer},
};

pub(super) fn run(args: Record) -> Result<ExitCode, Failure> {
    let privileges = split();
    runtime::block_on(record(args, privileges))
}

async fn record(args: Record, privileges: Privileges) -> Result<ExitCode, Failure> {
    if args.output.as_os_str() == "-" {
        return Err(Failure::RecordingToStdout);
    }
    // Signals first: from here on they end the recording cleanly.
    let mut end = EndSignals::listen()?;
    // Wait for the symbols: a short command may end before they are read, and its driver functions would
    // have no names.
    let options = || {
        let privileges = Some(privileges.clone());
        Ok(Options { wait_for_symbols: true, privileges, ..args.measure.options()? })
    };
    let collector = match start::start(&args.measure, &mut end, options).await? {
        Started::Collecting(collector) => *collector,
        Started::Signalled(signal) => return Ok(killed_by(signal.as_raw())),
    };
    let file = NewFile::create(&args.output, args.force, Readers::Caller)
        .map_err(|source| Failure::CreateRecording { path: args.output.clone(), source })?;
    // The terminal could not have sent these signals to the command, which did not exist yet.
    if !args.command.is_empty()
        && let Some(signal) = end.received().await
    {
        return Ok(killed_by(signal.as_raw()));
    }
    // If the command cannot run, the new file is dropped and leaves no trace.
    let mut command = start_command(&args.command)?;
    let clock = Clock::start(args.measure.delay);
    let file = put_in_place(file, &args.output, command.as_ref())?;
    // The command, which runs already, keeps what it has.
    give_up_privileges(&collector, command.is_some());
    let mut recording = Recording::start(collector, file, &args, command.is_some())?;
    let status = match recording.run(clock, &mut end, &mut command).await? {
        Ended::Complete(status) => status,
        Ended::Incomplete => return Ok(ExitCode::FAILURE),
    };
    // The rest of the interval: even a command that takes less than a second has a frame.
    recording.add()?;
    recording.finish()?;
    recording.print_summary();
    Ok(status.map_or(ExitCode::SUCCESS, exit_code))
}

/// Gives the recording its name, and says where an existing file of that name is now.
fn put_in_place(file: NewFile, path: &Path, command: Option<&Child>) -> Result<Placed, Failure> {
    let placed = file.put_in_place().inspect_err(|_| {
        // The command has only just started, and cannot be recorded.
        if let Some(command) = command {
            pass_on(Signal::TERM, command);
        }
    });
    let placed = placed.map_err(|source| Failure::CreateRecording { path: path.to_owned(), source })?;
    if let Some(kept) = &placed.kept {
        print_message(&format!("the existing {} is now {}", shown(path), shown(kept)));
    }
    Ok(placed)
}

/// Starts the command, if there is one, with our standard input, output and error.
fn start_command(words: &[OsString]) -> Result<Option<Child>, Failure> {
    let Some((program, arguments)) = words.split_first() else { return Ok(None) };
    let name = shown(Path::new(program));
    let mut command = Command::new(program);
    command.args(arguments);
    restore_limits(&mut command);
    let child = command.spawn();
    child.map(Some).map_err(|source| Failure::Command { name, source })
}

/// Has the command start with the limits that it would have without nicmon, which raises its own.
#[expect(unsafe_code, reason = "nothing else runs in a child between fork and exec")]
fn restore_limits(command: &mut Command) {
    let Some(limits) = Limits::at_start() else { return };
    // SAFETY: between fork and exec the child may only do what is safe in a signal handler. This makes two
    // system calls on memory that the parent allocated, and takes no lock.
    unsafe {
        command.pre_exec(move || limits.set());
    }
}

/// Waits for the command to end; without a command, forever.
async fn ended(command: &mut Option<Child>) -> io::Result<ExitStatus> {
    match command {
        Some(command) => command.wait().await,
        None => std::future::pending().await,
    }
}

/// Passes a signal on to the command, except SIGINT, which the terminal sends to both.
fn pass_on(signal: Signal, command: &Child) {
    let pid = command.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && signal != Signal::INT
    {
        // It fails only if the command has ended, which the caller learns by waiting for it.
        let _ = kill_process(pid, signal);
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    match (status.code(), status.signal()) {
        (None, Some(signal)) => killed_by(signal),
        (code, _) => byte(code),
    }
}

/// The exit code that shells give for a command that a signal killed: 128 plus the signal.
fn killed_by(signal: i32) -> ExitCode {
    byte(signal.checked_add(128))
}

fn byte(code: Option<i32>) -> ExitCode {
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Rows of the report's tables.
const TOP: usize = 20;

/// Where the report at the end comes from.
enum ReportFrom {
    /// No report was asked for.
    Nowhere,
    /// The finished recording, through its own descriptor: by now its name may lead to something else. It
    /// contains the sums, so memory does not grow with interfaces and functions that come and go.
    File(File),
    /// Frames added up here, because the recording cannot be read back: it is a pipe, a device, or appended
    /// to what somebody else wrote.
    Sum(Box<Sum>),
}

/// How recording ended.
enum Ended {
    /// Everything was recorded. Contains the status of the command, if there was one.
    Complete(Option<ExitStatus>),
    /// The command ran to its end, but recording failed, and the user was told.
    Incomplete,
}

/// A recording in progress.
struct Recording {
    collector: Collector,
    diagnosis: Diagnosis,
    writer: Writer<File>,
    report: ReportFrom,
    path: PathBuf,
    problems: Problems,
    recorded_ns: u64,
    /// Whether standard error is a terminal, which gets a line of progress.
    shows_progress: bool,
    has_command: bool,
}

impl Recording {
    fn start(
        collector: Collector,
        placed: Placed,
        args: &Record,
        has_command: bool,
    ) -> Result<Self, Failure> {
        let path = args.output.clone();
        let failure = |source| Failure::Recording { path: path.clone(), source, frames: 0 };
        let Placed { file, is_own, .. } = placed;
        let report = match (args.quiet, is_own) {
            (true, _) => ReportFrom::Nowhere,
            (false, true) => ReportFrom::File(file.try_clone().map_err(failure)?),
            (false, false) => ReportFrom::Sum(Box::default()),
        };
        let writer = Writer::new(file).map_err(failure)?;
        let shows_progress = io::stderr().is_terminal();
        let problems = Problems::default();
        Ok(Self {
            collector,
            diagnosis: Diagnosis::default(),
            writer,
            report,
            path,
            problems,
            recorded_ns: 0,
            shows_progress,
            has_command,
        })
    }

    /// Records until the command ends, or without one until a signal.
    async fn run(
        &mut self,
        mut clock: Clock,
        end: &mut EndSignals,
        command: &mut Option<Child>,
    ) -> Result<Ended, Failure> {
        let mut has_failed = false;
        let status = loop {
            tokio::select! {
                biased;
                signal = end.next() => match command {
                    Some(command) => pass_on(signal, command),
                    None => break None,
                },
                status = ended(command) => break Some(status.map_err(Failure::Wait)?),
                // If recording fails, the command still runs to its end.
                () = clock.frame(&mut self.collector), if !has_failed => match self.add() {
                    Ok(()) => {}
                    Err(failure) if command.is_none() => return Err(failure),
                    Err(failure) => {
                        print_message(&failure.to_string());
                        has_failed = true;
                    }
                },
            }
        };
        Ok(if has_failed { Ended::Incomplete } else { Ended::Complete(status) })
    }

    /// Adds a frame: what happened since the last one.
    fn add(&mut self) -> Result<(), Failure> {
        let mut frame = self.collector.frame()?;
        self.diagnosis.complete(&mut frame);
        self.collector.look_closer(self.diagnosis.wanted());
        self.problems.print(&frame.host);
        let written = self.writer.write(&frame);
        self.check(written)?;
        if let ReportFrom::Sum(sum) = &mut self.report {
            sum.add(&frame, Span::of(&frame), 1);
        }
        self.recorded_ns += frame.interval_ns;
        if self.shows_progress {
            // The cursor stays at the start of the line, so the command's output overwrites it.
            let end = if self.has_command { "" } else { "; press Ctrl-C to end" };
            print_stderr(&format!("recording: {}{end}\x1b[K\r", self.size()));
        }
        Ok(())
    }

    /// Writes the last sum. No frame may be added after this.
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

    /// Prints a summary of the recording, and the report. They go to standard error, because standard output
    /// belongs to the command.
    fn print_summary(self) {
        self.clear_progress();
        print_message(&format!("{} in {}", self.size(), shown(&self.path)));
        let name = shown(&self.path);
        let report = match self.report {
            ReportFrom::Nowhere => Ok(None),
            ReportFrom::File(file) => report::text_of(&name, file, TOP),
            ReportFrom::Sum(sum) => Ok(sum.report(&name, TOP)),
        };
        match report {
            Ok(Some(report)) => print_stderr(&format!("\n{report}")),
            Ok(None) => {}
            // The command may have changed the file.
            Err(failure) => print_message(&format!("cannot print the report: {failure}")),
        }
    }

    fn clear_progress(&self) {
        if self.shows_progress {
            print_stderr("\x1b[K");
        }
    }

    fn size(&self) -> String {
        let (frames, bytes) = (self.writer.frames(), self.writer.bytes());
        let length = seconds(self.recorded_ns);
        format!("{length} s, {}, {:.1} kB", plural(frames, "frame"), bytes as f64 / 1e3)
    }
}
