//! Opens what frames are read from.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::Path,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat, tell},
};

use super::error::ReadError;
use crate::present::text::printable;

/// A file, a pipe or standard input, opened once: what a pipe has given cannot be read again.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

/// Where the bytes come from.
pub(super) enum Bytes {
    /// A regular file, at its start.
    File(File),
    /// Anything else. It gives its bytes as they are made.
    Stream(Box<dyn Read + Send>),
}

impl Source {
    /// Opens a file; `-` is standard input. It does not wait for the writer of a FIFO: reading does.
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        if path.as_os_str() == "-" {
            return Ok(Self { name: "standard input".to_owned(), bytes: standard_input() });
        }
        let name = printable(&path.to_string_lossy());
        match open(path) {
            Ok(bytes) => Ok(Self { name, bytes }),
            Err(source) => Err(ReadError::Open { name, source }),
        }
    }

    /// Whether frames arrive as they are made.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.bytes, Bytes::Stream(_))
    }

    pub(super) fn into_read(self) -> (String, Box<dyn Read + Send>) {
        match self.bytes {
            Bytes::File(file) => (self.name, Box::new(file)),
            Bytes::Stream(stream) => (self.name, stream),
        }
    }
}

/// A shell may have read a part of a file already; what is left is read as a stream.
fn standard_input() -> Bytes {
    let file = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let is_whole = |file: &File| {
        kind(file) == Some(FileType::RegularFile) && tell(file).is_ok_and(|position| position == 0)
    };
    match file {
        Ok(file) if is_whole(&file) => Bytes::File(file),
        _ => Bytes::Stream(Box::new(io::stdin())),
    }
}

fn open(path: &Path) -> io::Result<Bytes> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    // Only opening must not block: whoever reads waits for bytes.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(match kind(&file) {
        // Reading says that a directory is one.
        Some(FileType::RegularFile | FileType::Directory) => Bytes::File(file),
        Some(FileType::Fifo) => Bytes::Stream(Box::new(Fifo { file, has_writer: false })),
        _ => Bytes::Stream(Box::new(file)),
    })
}

fn kind(file: &File) -> Option<FileType> {
    fstat(file).ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
}

/// A FIFO that was opened before a process writes to it.
struct Fifo {
    file: File,
    has_writer: bool,
}

impl Read for Fifo {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // Without a writer, reading would end at once. Polling waits for the first one, even if it closes the
        // FIFO without writing (`fifo_open` and `pipe_poll` in fs/pipe.c, Linux 6.18).
        if !self.has_writer {
            poll(&mut [PollFd::new(&self.file, PollFlags::IN)], None)?;
            self.has_writer = true;
        }
        self.file.read(into)
    }
}
