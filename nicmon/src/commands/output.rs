//! What commands write and say: frames on a thread of its own, so that a reader that stalls never keeps a signal from
//! ending the process.

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

/// Texts that may wait for a slow reader; after that frames become longer instead.
const WAITING: usize = 4;

/// How long a reader may take for the last text after a signal.
const PATIENCE: Duration = Duration::from_millis(200);

/// A frame as a line of JSON, or as a table.
pub(super) fn text(frame: &Frame, is_json: bool) -> Result<String, Failure> {
    if is_json { json_line(frame) } else { Ok(table::render(frame)) }
}

/// What a command prints with `--json`.
pub(super) fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    json::line(value).map_err(|error| Failure::Output(error.into()))
}

/// Writes a text that is at hand. A closed pipe is a normal end.
pub(super) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

/// Says something beside the output. Where nobody can be told, output and exit code stand without it.
///
/// What is said may hold names out of a recording that somebody else made: a terminal must not obey them.
pub fn tell(what: &str) {
    let _ = writeln!(io::stderr(), "nicmon: {}", printable_lines(what));
}

/// Where frames go.
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

    /// Hands over a text; waits while too many others do. False if nobody reads any more.
    pub(super) async fn write(&self, text: String) -> bool {
        self.texts.send(text).await.is_ok()
    }

    /// Waits until all is written, or a signal comes. After a signal, what was handed over is written if somebody
    /// reads; nobody waits for a reader that stalls.
    pub(super) async fn end(self, told_to_end: bool, end: &mut EndSignals) -> io::Result<()> {
        let mut result = Ok(());
        let finish = async { result = self.finish().await };
        if told_to_end {
            let _ = tokio::time::timeout(PATIENCE, finish).await;
        } else {
            end.comes_before(finish).await;
        }
        result
    }

    /// Waits until all is written, or writing has failed. A closed pipe is a normal end.
    async fn finish(self) -> io::Result<()> {
        drop(self.texts);
        let written = tokio::task::spawn_blocking(move || self.writer.join()).await;
        match written {
            Ok(Ok(Err(error))) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}
