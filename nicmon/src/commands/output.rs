//! Output of the commands. A separate thread writes the frames, so a stalled reader never keeps a signal from
//! ending nicmon.

use std::{
    io::{self, ErrorKind, Write as _},
    thread::{self, JoinHandle},
    time::Duration,
};

use serde::Serialize;
use tokio::sync::mpsc;

use super::{Failure, signals::EndSignals, table};
use crate::{
    frame::Frame,
    present::{json, text::printable_lines},
};

/// Texts that may wait for a slow reader. When they do, frames cover longer intervals instead.
const WAITING: usize = 4;

/// How long nicmon waits, after a signal, for the reader to take the last text.
const PATIENCE: Duration = Duration::from_millis(200);

/// A frame as one line of JSON, or as a table.
pub(super) fn text(frame: &Frame, is_json: bool) -> Result<String, Failure> {
    if is_json { json_line(frame) } else { Ok(table::render(frame)) }
}

/// What a command prints with `--json`.
pub(super) fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    json::line(value).map_err(|error| Failure::Output(error.into()))
}

/// Prints text on standard output. A closed pipe is a normal end.
pub(super) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

/// Prints a message on standard error.
///
/// It may contain names from a recording that somebody else made: the terminal must not obey them.
pub fn print_message(message: &str) {
    print_stderr(&self::message(message));
}

/// A message as it is printed.
pub(super) fn message(message: &str) -> String {
    format!("nicmon: {}\n", printable_lines(message))
}

/// Prints text on standard error as it is. If that is closed or full, nicmon goes on, because its output and
/// exit code do not depend on it.
pub(super) fn print_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The thread that writes frames to standard output.
pub(super) struct Output {
    texts: mpsc::Sender<String>,
    writer: JoinHandle<io::Result<()>>,
}

impl Output {
    pub(super) fn start() -> io::Result<Self> {
        let (texts, mut waiting) = mpsc::channel::<String>(WAITING);
        let writer = thread::Builder::new().name("nicmon-output".to_owned()).spawn(move || {
            let mut stdout = io::stdout().lock();
            while let Some(text) = waiting.blocking_recv() {
                stdout.write_all(text.as_bytes())?;
                stdout.flush()?;
            }
            Ok(())
        })?;
        Ok(Self { texts, writer })
    }

    /// Passes a text to the thread; blocks while too many are waiting there. False if nobody reads any more.
    pub(super) async fn write(&self, text: String) -> bool {
        self.texts.send(text).await.is_ok()
    }

    /// Waits until everything is written, or until a signal. If a signal has come already, the reader gets a
    /// short time to take what is left.
    pub(super) async fn end(self, is_signalled: bool, end: &mut EndSignals) -> io::Result<()> {
        let mut result = Ok(());
        let finish = async { result = self.finish().await };
        if is_signalled {
            let _ = tokio::time::timeout(PATIENCE, finish).await;
        } else {
            end.comes_before(finish).await;
        }
        result
    }

    /// Waits until everything is written, or writing failed. A closed pipe is a normal end.
    async fn finish(self) -> io::Result<()> {
        drop(self.texts);
        let written = tokio::task::spawn_blocking(move || self.writer.join()).await;
        match written {
            Ok(Ok(Err(error))) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}
