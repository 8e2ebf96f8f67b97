//! Reads recordings as sums of many frames, as far as they contain sums.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek as _, SeekFrom},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::{
    error::ReadError,
    reader::Reader,
    source::{Bytes, Source},
    span::Span,
    summary::{self, FOOTER, MARK, Place, SUMMARY_MAGIC, Summary},
    unpack::MAGIC,
};
use crate::frame::Frame;

/// How many bytes are searched at a time for the end of a summary.
const CHUNK: u64 = 1024 * 1024;

/// A part of a recording.
#[derive(Debug)]
pub enum Part {
    /// One frame.
    Frame(Box<Frame>),
    /// The sum of many frames.
    Summary(Box<Summary>),
}

/// How the caller wants to read the frames that a summary covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// All of them, as their sum.
    Sum,
    /// Some of them, so they are read one by one.
    Frames,
    /// None of them.
    Nothing,
}

/// Reads a recording, with as many sums as possible.
///
/// It reads frame by frame from a pipe, from JSON lines and from a recording without sums, and where a sum is
/// damaged.
pub struct Parts {
    name: String,
    file: Option<File>,
    /// The pieces that are still to be read.
    plan: VecDeque<Piece>,
    reader: Option<Reader>,
    frames: u64,
    warnings: Vec<String>,
    /// Why a piece could not be read at all.
    failure: Option<ReadError>,
}

/// A piece of the file.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Frames(Range<u64>),
    Summary(Place),
}

impl Parts {
    /// Opens a file; `-` is standard input. It does not wait for the writer of a FIFO: [`Self::next`] does.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::of_source(Source::open(path)?)
    }

    /// Reads a regular file from its start, through this descriptor. `name` is for messages.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_file(name: String, mut file: File) -> Result<Self, ReadError> {
        match file.rewind() {
            Ok(()) => Self::of_source(Source { name, bytes: Bytes::File(file) }),
            Err(source) => Err(ReadError::Read { name, source }),
        }
    }

    fn of_source(source: Source) -> Result<Self, ReadError> {
        let name = source.name.clone();
        let mut parts = Self {
            file: None,
            plan: VecDeque::new(),
            reader: None,
            frames: 0,
            warnings: Vec::new(),
            failure: None,
            name,
        };
        if let Bytes::File(file) = &source.bytes
            && file.metadata().is_ok_and(|file| file.is_file())
        {
            let planned = plan(file);
            let plan = planned.map_err(|source| ReadError::Read { name: parts.name.clone(), source })?;
            if plan.iter().any(|piece| matches!(piece, Piece::Summary(_))) {
                parts.plan = plan;
            }
        }
        match source.bytes {
            Bytes::File(file) if !parts.plan.is_empty() => parts.file = Some(file),
            bytes => parts.reader = Some(Reader::of_source(Source { name: source.name, bytes })),
        }
        Ok(parts)
    }

    /// The next part; `None` at the end. For each summary, `take` gets the time that its frames cover, and
    /// returns what is wanted of them.
    ///
    /// # Errors
    /// As [`Reader::next`]. After an error there are no more parts.
    pub fn next(&mut self, mut take: impl FnMut(Option<Span>) -> Take) -> Result<Option<Part>, ReadError> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.next() {
                    Ok(Some(frame)) => {
                        self.frames += 1;
                        return Ok(Some(Part::Frame(Box::new(frame))));
                    }
                    Ok(None) => self.warnings.extend(reader.warning()),
                    // Other pieces may be intact.
                    Err(error @ (ReadError::Damaged { .. } | ReadError::NoWholeFrame { .. })) => {
                        self.warnings.push(error.to_string());
                        self.failure = Some(error);
                    }
                    Err(error) => {
                        self.plan.clear();
                        self.reader = None;
                        return Err(error);
                    }
                }
                self.reader = None;
            }
            match self.plan.pop_front() {
                Some(Piece::Frames(range)) => self.read(range)?,
                Some(Piece::Summary(place)) => {
                    if let Some(summary) = self.summary(place, &mut take)? {
                        self.frames += summary.frames;
                        return Ok(Some(Part::Summary(Box::new(summary))));
                    }
                }
                None => {
                    return match self.failure.take() {
                        Some(failure) if self.frames == 0 => Err(failure),
                        _ => Ok(None),
                    };
                }
            }
        }
    }

    /// Sentences about data that was cut off or skipped; complete after the end.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The sum, if it is wanted. If its frames are wanted instead, they are read next.
    fn summary(
        &mut self,
        place: Place,
        take: &mut impl FnMut(Option<Span>) -> Take,
    ) -> Result<Option<Summary>, ReadError> {
        let frames = place.at.saturating_sub(place.covered)..place.at;
        let mut bytes = vec![0; usize::try_from(place.end - place.at).unwrap_or(0)];
        let read = self.file.as_ref().map(|file| file.read_exact_at(&mut bytes, place.at));
        read.transpose().map_err(|source| ReadError::Read { name: self.name.clone(), source })?;
        let Some(summary) = Summary::unpack(&bytes) else {
            self.warnings
                .push(format!("a sum of frames in {} is damaged; read the frames instead", self.name));
            self.read(frames)?;
            return Ok(None);
        };
        match take(summary.span) {
            Take::Sum => return Ok(Some(summary)),
            Take::Frames => self.read(frames)?,
            // They exist, so the recording is not empty.
            Take::Nothing => self.frames += summary.frames,
        }
        Ok(None)
    }

    /// Reads the frames in this range of bytes next.
    fn read(&mut self, range: Range<u64>) -> Result<(), ReadError> {
        let Some(file) = &self.file else { return Ok(()) };
        let opened = file.try_clone().and_then(|mut file| {
            file.seek(SeekFrom::Start(range.start))?;
            Reader::of_rest(self.name.clone(), Box::new(file.take(range.end - range.start)), self.frames)
        });
        let opened = opened.map_err(|source| ReadError::Read { name: self.name.clone(), source })?;
        self.reader = Some(opened);
        Ok(())
    }
}

/// The pieces of a file, in order. They are found from its end.
fn plan(file: &File) -> io::Result<VecDeque<Piece>> {
    let mut pieces = VecDeque::new();
    let mut end = file.metadata()?.len();
    let mut begin = [0; MAGIC.len()];
    // JSON lines have no sums.
    if end < MAGIC.len() as u64 || {
        file.read_exact_at(&mut begin, 0)?;
        begin != MAGIC && begin != SUMMARY_MAGIC
    } {
        return Ok(pieces);
    }
    while end > 0 {
        let found = last_summary(file, end)?;
        let after = found.map_or(0, |place| place.end);
        if after < end {
            pieces.push_front(Piece::Frames(after..end));
        }
        let Some(place) = found else { break };
        pieces.push_front(Piece::Summary(place));
        end = place.at - place.covered;
    }
    Ok(pieces)
}

/// The last summary that ends at `end` or before.
fn last_summary(file: &File, end: u64) -> io::Result<Option<Place>> {
    let footer = FOOTER as u64;
    // Usually a summary ends right there, so a short read is enough.
    let mut size = footer;
    let mut upto = end;
    while upto >= footer {
        let from = upto.saturating_sub(size);
        let mut bytes = vec![0; usize::try_from(upto - from).unwrap_or(0)];
        file.read_exact_at(&mut bytes, from)?;
        for at in (0..=bytes.len() - MARK.len()).rev().filter(|at| bytes[*at..].starts_with(MARK)) {
            let place = summary::place(&bytes[..at + MARK.len()], from + (at + MARK.len()) as u64);
            if let Some(place) = place
                && place.covered <= place.at
                && is_summary(file, place)?
            {
                return Ok(Some(place));
            }
        }
        if from == 0 {
            break;
        }
        // A footer may be split between two reads.
        upto = from + footer - 1;
        size = CHUNK;
    }
    Ok(None)
}

/// Whether a summary of this size starts there.
fn is_summary(file: &File, place: Place) -> io::Result<bool> {
    let mut header = [0; summary::HEADER];
    file.read_exact_at(&mut header, place.at)?;
    let size = summary::size(&header).filter(|size| *size <= summary::LIMIT);
    Ok(size.is_some_and(|size| size as u64 == place.end - place.at))
}
