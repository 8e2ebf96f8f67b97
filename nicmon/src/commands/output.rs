//! Standard output on a thread of its own, so that a reader that stalls never keeps a signal from ending the process.

use std::{
    io::{self, Write as _},
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc;

/// Texts that may wait for a slow reader; after that frames become longer instead.
const WAITING: usize = 4;

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

    /// Waits until all is written, or writing has failed. A closed pipe is a normal end.
    pub(super) async fn finish(self) -> io::Result<()> {
        drop(self.texts);
        let written = tokio::task::spawn_blocking(move || self.writer.join()).await;
        match written {
            Ok(Ok(Err(error))) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}
