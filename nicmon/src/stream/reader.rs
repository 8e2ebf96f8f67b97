//! Reads frames from a file or a pipe.

use std::{
    io::{self, Read},
    path::Path,
};

use serde::Deserialize;

use super::{
    error::ReadError,
    lines::{Lines, Piece},
    source::Source,
};
use crate::{
    frame::{Frame, SCHEMA},
    present::text::printable,
};

/// The longest line that is read, in bytes. A frame of 256 CPUs and 16 NICs with a queue on each CPU takes 2
/// MB.
const LINE_LIMIT: usize = 64 * 1024 * 1024;
/// Characters of a message about the input, at most.
const QUOTED: usize = 300;
/// All versions of the schema start with this.
const FAMILY: &str = "nicmon.frame/";

/// Reads frames one by one from a recording or from JSON lines. It recognises the format by the content.
///
/// It skips what cannot be read, and [`Self::warning`] reports that.
pub struct Reader {
    name: String,
    lines: Lines,
    is_stream: bool,
    frames: u64,
    damage: Option<Damage>,
    cut_bytes: Option<u64>,
    is_done: bool,
}

/// What was skipped.
#[derive(Default)]
struct Damage {
    places: u64,
    bytes: u64,
    /// Frames before the first place.
    frames_before: u64,
}

impl Reader {
    /// Opens a file; `-` is standard input. It does not wait for the writer of a FIFO: [`Self::next`] does.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Source::open(path).map(Self::of_source)
    }

    pub(super) fn of_source(source: Source) -> Self {
        let is_stream = source.is_stream();
        let (name, bytes) = source.into_read();
        Self { is_stream, ..Self::new(name, bytes, LINE_LIMIT) }
    }

    /// Whether frames arrive as they are made: from a pipe or socket, not from a file.
    pub fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Reads from anything; messages call it "the stream".
    pub fn from_read(source: Box<dyn Read + Send>) -> Self {
        Self::new("the stream".to_owned(), source, LINE_LIMIT)
    }

    /// Reads a part of a recording, after this many frames of it were read.
    pub(super) fn of_rest(name: String, source: Box<dyn Read + Send>, frames: u64) -> io::Result<Self> {
        let lines = Lines::of_packed(source, LINE_LIMIT)?;
        Ok(Self { name, lines, is_stream: false, frames, damage: None, cut_bytes: None, is_done: false })
    }

    pub(super) fn new(name: String, source: Box<dyn Read + Send>, limit: usize) -> Self {
        let lines = Lines::new(source, limit);
        Self { name, lines, is_stream: false, frames: 0, damage: None, cut_bytes: None, is_done: false }
    }

    /// The next frame; `None` at the end. It blocks while a pipe has nothing to read.
    ///
    /// # Errors
    /// The stream does not contain frames, or frames of a newer schema; nothing in it can be read; or reading
    /// fails. After an error there are no more frames.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        if self.is_done {
            return Ok(None);
        }
        let next = self.read_on();
        self.is_done = !matches!(next, Ok(Some(_)));
        self.frames += u64::from(!self.is_done);
        next
    }

    /// A sentence about data that was cut off or skipped; complete after the end. `None` if everything was
    /// read.
    pub fn warning(&self) -> Option<String> {
        let name = &self.name;
        let damage = self.damage.as_ref().map(|Damage { places, bytes, frames_before }| {
            let (before, bytes) = (counted(*frames_before, "frame"), counted(*bytes, "byte"));
            match places {
                1 => format!("{name} is damaged after {before}; skipped {bytes}"),
                _ => {
                    format!("{name} is damaged in {places} places, the first after {before}; skipped {bytes}")
                }
            }
        });
        let cut = self.cut_bytes.map(|bytes| {
            let (frames, bytes) = (counted(self.frames, "frame"), counted(bytes, "byte"));
            format!("{name} is cut off after {frames}; skipped {bytes} of an incomplete one")
        });
        match (damage, cut) {
            (Some(damage), Some(cut)) => Some(format!("{damage}; {cut}")),
            (damage, cut) => damage.or(cut),
        }
    }

    fn read_on(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            let piece = self.lines.next();
            let piece = piece.map_err(|source| ReadError::Read { name: self.name.clone(), source })?;
            match piece {
                // Skip empty lines.
                Piece::Line(line) if line.trim_ascii().is_empty() => {}
                Piece::Line(line) => match parse(&line) {
                    Ok(frame) => return Ok(Some(frame)),
                    Err(Unfit::Newer { schema }) => return Err(self.newer(schema)),
                    Err(Unfit::NoFrame { why }) if self.is_untouched() => return Err(self.foreign(why)),
                    Err(Unfit::NoFrame { .. }) => self.skipped(line.len() as u64),
                },
                Piece::Damage { bytes } => self.skipped(bytes),
                // Perhaps only the line end is missing.
                Piece::Cut { line, bytes } => match parse(&line) {
                    Ok(frame) => return Ok(Some(frame)),
                    Err(Unfit::Newer { schema }) => return Err(self.newer(schema)),
                    Err(Unfit::NoFrame { why }) if self.is_untouched() && !begins_as_frame(&line) => {
                        return Err(self.foreign(why));
                    }
                    Err(Unfit::NoFrame { .. }) => {
                        self.cut_bytes = Some(bytes);
                        return self.end();
                    }
                },
                Piece::TooLong => {
                    let (name, limit) = (self.name.clone(), self.lines.limit());
                    return Err(ReadError::LongLine { name, limit, frames: self.frames });
                }
                Piece::End => return self.end(),
            }
        }
    }

    /// Whether nothing yet shows that nicmon wrote this stream.
    fn is_untouched(&self) -> bool {
        self.frames == 0 && self.damage.is_none()
    }

    fn newer(&self, schema: String) -> ReadError {
        ReadError::Newer { name: self.name.clone(), schema }
    }

    fn foreign(&self, why: String) -> ReadError {
        ReadError::Foreign { name: self.name.clone(), why }
    }

    fn skipped(&mut self, bytes: u64) {
        let frames_before = self.frames;
        let damage = self.damage.get_or_insert_with(|| Damage { frames_before, ..Damage::default() });
        damage.places += 1;
        damage.bytes += bytes;
    }

    fn end(&self) -> Result<Option<Frame>, ReadError> {
        let name = self.name.clone();
        match (self.frames, &self.damage, self.cut_bytes) {
            (1.., _, _) => Ok(None),
            (0, Some(_), _) => Err(ReadError::Damaged { name }),
            (0, None, Some(_)) => Err(ReadError::NoWholeFrame { name }),
            (0, None, None) => Err(ReadError::Empty { name }),
        }
    }
}

/// Why a line is not a frame.
enum Unfit {
    /// It has another version of the schema.
    Newer { schema: String },
    /// It is something else.
    NoFrame { why: String },
}

fn parse(line: &[u8]) -> Result<Frame, Unfit> {
    #[derive(Deserialize)]
    struct Header {
        schema: String,
    }
    let (schema, parsed) = match serde_json::from_slice::<Frame>(line) {
        Ok(frame) => (frame.schema.clone(), Ok(frame)),
        // It may be a frame of a newer nicmon.
        Err(error) => match serde_json::from_slice::<Header>(line) {
            Ok(header) => (header.schema, Err(error)),
            Err(_) => {
                return Err(Unfit::NoFrame {
                    why: format!("its first line is not a frame ({})", quoted(&error.to_string())),
                });
            }
        },
    };
    if schema != SCHEMA {
        return Err(if schema.starts_with(FAMILY) {
            Unfit::Newer { schema: quoted(&schema) }
        } else {
            Unfit::NoFrame { why: format!("its first line has the schema \"{}\"", quoted(&schema)) }
        });
    }
    parsed.map_err(|error| Unfit::NoFrame {
        why: format!("its first line is not a complete frame ({})", quoted(&error.to_string())),
    })
}

/// What came from the input, or a message that quotes it. It may be long, and may contain anything.
fn quoted(text: &str) -> String {
    let message = printable(text);
    match message.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message,
    }
}

/// Whether a truncated line may have been a frame.
fn begins_as_frame(line: &[u8]) -> bool {
    let begin = format!("{{\"schema\":\"{FAMILY}");
    let shorter = line.len().min(begin.len());
    line[..shorter] == begin.as_bytes()[..shorter]
}

/// `1 frame`, `1,734 bytes`.
pub(super) fn counted(number: u64, what: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let plural = if number == 1 { "" } else { "s" };
    format!("{text} {what}{plural}")
}
