//! Runs the programs under test, reads their output line by line, and always ends them.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nicmon::frame::Frame;
use rustix::process::Signal;
use testkit::process::Running;

use crate::check;

/// How long to wait for a line that is due within a second.
const PATIENCE: Duration = Duration::from_secs(15);

/// A child whose standard output is read line by line as it comes. It is ended when dropped.
pub(crate) struct Lines {
    running: Running,
    incoming: Receiver<(Instant, String)>,
    stderr: File,
}

impl Lines {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        let stderr = tempfile::tempfile()?;
        command.stdin(Stdio::null()).stdout(writer).stderr(stderr.try_clone()?);
        let running = Running::start(&mut command)?;
        // The command still holds the other end of the pipe.
        drop(command);
        let (sender, incoming) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        Ok(Self { running, incoming, stderr })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(Instant, String)>> {
        match self.incoming.recv_timeout(PATIENCE) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                bail!("no line within {PATIENCE:?}; on standard error: {}", self.stderr())
            }
        }
    }

    /// The lines that have come but were not read.
    pub(crate) fn waiting(&mut self) -> Vec<(Instant, String)> {
        self.incoming.try_iter().collect()
    }

    /// Waits until it ends.
    pub(crate) fn status(&mut self) -> Result<ExitStatus> {
        self.running.wait_for(PATIENCE)?.with_context(|| format!("it is still running after {PATIENCE:?}"))
    }

    /// What it has written to standard error.
    pub(crate) fn stderr(&mut self) -> String {
        let mut text = String::new();
        // The child shares the file position, but it no longer writes when this matters.
        let read = self.stderr.rewind().and_then(|()| self.stderr.read_to_string(&mut text));
        read.map_or_else(|error| error.to_string(), |_| text)
    }
}

/// A frame, and when its line arrived.
pub(crate) struct Arrived {
    pub(crate) at: Instant,
    pub(crate) frame: Frame,
}

/// A running `nicmon --json`. Every frame is checked for what must hold in all frames.
pub(crate) struct Nicmon {
    child: Lines,
    pub(crate) started: Instant,
    pub(crate) frames: Vec<Arrived>,
}

impl Nicmon {
    /// Starts nicmon with `--json` and these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_nicmon")), arguments)
    }

    /// Starts nicmon through another command, which takes its arguments.
    pub(crate) fn start_as(mut command: Command, arguments: &[&str]) -> Result<Self> {
        command.arg("--json");
        // What is to be counted must not depend on how busy this machine is.
        if !arguments.contains(&"--max-overhead") {
            command.args(["--max-overhead", "off"]);
        }
        command.args(arguments);
        let started = Instant::now();
        Ok(Self { child: Lines::start(command)?, started, frames: Vec::new() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Waits for the next frame; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&Arrived>> {
        let Some((at, line)) = self.child.next()? else { return Ok(None) };
        self.add(at, &line)?;
        Ok(self.frames.last())
    }

    /// Waits for `count` more frames and returns the last one.
    pub(crate) fn more(&mut self, count: usize) -> Result<&Arrived> {
        for _ in 0..count {
            if self.next()?.is_none() {
                let status = self.child.status()?;
                bail!("nicmon ended early ({status}): {}", self.child.stderr());
            }
        }
        self.frames.last().context("no frame was asked for")
    }

    /// Takes the frames that have arrived already, so that the next one is new.
    pub(crate) fn catch_up(&mut self) -> Result<()> {
        for (at, line) in self.child.waiting() {
            self.add(at, &line)?;
        }
        Ok(())
    }

    /// Reads until it ends, and checks that it ended well.
    pub(crate) fn finish(mut self) -> Result<Vec<Arrived>> {
        while self.next()?.is_some() {}
        let status = self.child.status()?;
        let stderr = self.child.stderr();
        ensure!(status.code() == Some(0), "nicmon ended with {status}: {stderr}");
        ensure!(!stderr.contains("panicked"), "nicmon panicked: {stderr}");
        Ok(self.frames)
    }

    /// Asks it to end, and reads the rest.
    pub(crate) fn stop(self) -> Result<Vec<Arrived>> {
        self.signal(Signal::INT);
        self.finish()
    }

    /// Waits until it ends, however it ends.
    pub(crate) fn status(&mut self) -> Result<ExitStatus> {
        self.child.status()
    }

    fn add(&mut self, at: Instant, line: &str) -> Result<()> {
        let frame = check::parsed(line)?;
        ensure!(
            frame.seq == self.frames.len() as u64,
            "frame {} is number {} in the stream",
            frame.seq,
            self.frames.len()
        );
        self.frames.push(Arrived { at, frame });
        Ok(())
    }
}
