//! Lines of a stream, plain or compressed.

use std::{
    io::{self, Read},
    mem,
};

use super::{
    summary::SUMMARY_MAGIC,
    unpack::{Input, MAGIC, Step, Unpacker},
};

/// What comes next in a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line, with its end. In a compressed stream, the checksum or the text after it shows that it is
    /// intact.
    Line(Vec<u8>),
    /// Bytes that cannot be read and were skipped.
    Damage {
        /// How many bytes.
        bytes: u64,
    },
    /// The stream ends within a line, or within the zstd frame that contains it.
    Cut {
        /// As much of the line as can be trusted: all of it, if only the line end is missing.
        line: Vec<u8>,
        /// Bytes of it in the stream.
        bytes: u64,
    },
    /// A line has more bytes than the limit.
    TooLong,
    /// The stream has ended.
    End,
}

/// Lines of a stream.
pub(super) struct Lines {
    stream: Stream,
    /// The text read. Its first `given` bytes were returned already.
    text: Vec<u8>,
    given: usize,
    /// There is no line end between `given` and here.
    searched: usize,
    /// Whether all of `text` can be trusted.
    is_sure: bool,
    /// Whether a line of the present zstd frame was returned.
    has_given: bool,
    limit: usize,
}

enum Stream {
    /// Nothing was read yet.
    Unknown(Option<Input>),
    Plain(Input),
    Packed(Box<Unpacker>),
}

impl Lines {
    pub(super) fn new(source: Box<dyn Read + Send>, limit: usize) -> Self {
        Self {
            stream: Stream::Unknown(Some(Input::new(source))),
            text: Vec::new(),
            given: 0,
            searched: 0,
            is_sure: true,
            has_given: false,
            limit,
        }
    }

    /// Lines of a zstd stream, whatever its first bytes are.
    pub(super) fn of_packed(source: Box<dyn Read + Send>, limit: usize) -> io::Result<Self> {
        let unpacker = Box::new(Unpacker::new(Input::new(source))?);
        Ok(Self { stream: Stream::Packed(unpacker), ..Self::new(Box::new(io::empty()), limit) })
    }

    /// The next piece. Do not call it again after a cut, a line that is too long, or the end.
    pub(super) fn next(&mut self) -> io::Result<Piece> {
        loop {
            match self.text[self.searched..].iter().position(|byte| *byte == b'\n') {
                Some(at) => {
                    let end = self.searched + at + 1;
                    if self.is_sure || end < self.text.len() {
                        return Ok(Piece::Line(self.give(end)));
                    }
                    self.searched = end - 1;
                }
                None => self.searched = self.text.len(),
            }
            // All returned lines are removed in one step.
            self.text.drain(..self.given);
            self.searched -= self.given;
            self.given = 0;
            if self.text.len() > self.limit {
                return Ok(Piece::TooLong);
            }
            if let Some(piece) = self.read_on()? {
                return Ok(piece);
            }
        }
    }

    /// The longest line that is returned, in bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    fn give(&mut self, end: usize) -> Vec<u8> {
        let line = self.text[self.given..end].to_vec();
        self.given = end;
        self.searched = end;
        // Text that is sure belongs to zstd frames that have ended.
        self.has_given = !self.is_sure;
        line
    }

    /// Reads more text. Returns a piece if the text ends there.
    fn read_on(&mut self) -> io::Result<Option<Piece>> {
        match &mut self.stream {
            Stream::Unknown(input) => {
                // It is taken only here, and the stream is replaced at once.
                let Some(input) = input.take() else { return Ok(Some(Piece::End)) };
                self.stream = recognise(input)?;
                Ok(None)
            }
            Stream::Plain(input) => {
                if !input.bytes.is_empty() || input.more()? {
                    self.text.append(&mut input.bytes);
                    return Ok(None);
                }
                Ok(Some(self.end()))
            }
            Stream::Packed(unpacker) => match unpacker.step(&mut self.text)? {
                Step::Text => {
                    self.is_sure = false;
                    Ok(None)
                }
                Step::FrameEnd => {
                    self.is_sure = true;
                    self.has_given = false;
                    Ok(None)
                }
                Step::Damage { bytes } => {
                    self.text.clear();
                    self.searched = 0;
                    self.is_sure = true;
                    self.has_given = false;
                    Ok(Some(Piece::Damage { bytes }))
                }
                Step::Cut { bytes } => {
                    let bytes = if self.has_given { self.text.len() as u64 } else { bytes };
                    Ok(Some(Piece::Cut { line: Vec::new(), bytes }))
                }
                Step::End => Ok(Some(self.end())),
            },
        }
    }

    fn end(&mut self) -> Piece {
        self.searched = 0;
        let line = mem::take(&mut self.text);
        if line.is_empty() { Piece::End } else { Piece::Cut { bytes: line.len() as u64, line } }
    }
}

/// Recognises a stream by its first bytes.
fn recognise(mut input: Input) -> io::Result<Stream> {
    while input.bytes.len() < MAGIC.len() && input.more()? {}
    let begin = &input.bytes[..input.bytes.len().min(MAGIC.len())];
    // A recording may end within its first bytes, or start with a summary if what was before is missing.
    if !begin.is_empty() && (MAGIC.starts_with(begin) || SUMMARY_MAGIC.starts_with(begin)) {
        return Ok(Stream::Packed(Box::new(Unpacker::new(input)?)));
    }
    Ok(Stream::Plain(input))
}
