//! Unpacks zstd frames from bytes that may be truncated or damaged.

use std::io::{self, ErrorKind, Read};

use zstd::stream::raw::{Decoder, Operation as _};

use super::summary::{self, SUMMARY_MAGIC};

/// The first bytes of a zstd frame (RFC 8878, 3.1.1).
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;
/// How many bytes of a zstd frame are kept, to look for the next one in it if it is damaged: many times the
/// frame of a large machine.
const KEPT: usize = 8 * 1024 * 1024;

/// The bytes of a stream that are still needed.
pub(super) struct Input {
    source: Box<dyn Read + Send>,
    chunk: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    /// Position of `bytes` in the stream.
    pub(super) start: u64,
}

impl Input {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self { source, chunk: vec![0; CHUNK], bytes: Vec::new(), start: 0 }
    }

    /// Reads more; false at the end.
    pub(super) fn more(&mut self) -> io::Result<bool> {
        loop {
            match self.source.read(&mut self.chunk) {
                Ok(got) => {
                    self.bytes.extend_from_slice(&self.chunk[..got]);
                    return Ok(got > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads until there are this many bytes; false if the stream ends before.
    fn fill(&mut self, count: usize) -> io::Result<bool> {
        while self.bytes.len() < count {
            if !self.more()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Forgets this many bytes at the start.
    pub(super) fn drop_first(&mut self, count: usize) {
        self.bytes.drain(..count);
        self.start += count as u64;
    }
}

/// The result of a step of unpacking.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Some text, perhaps; its checksum comes later.
    Text,
    /// A zstd frame ended, and is intact.
    FrameEnd,
    /// Bytes that are not an intact zstd frame were skipped. The text unpacked from them cannot be trusted.
    Damage {
        /// How many bytes.
        bytes: u64,
    },
    /// The stream ends within a zstd frame.
    Cut {
        /// How many bytes of it there are.
        bytes: u64,
    },
    /// The stream ends between two zstd frames, or within a summary: no frame is missing.
    End,
}

/// Unpacks a stream of zstd frames.
pub(super) struct Unpacker {
    input: Input,
    decoder: Decoder<'static>,
    unpacked: Vec<u8>,
    /// How many bytes of the input the decoder has used.
    taken: usize,
    /// Start of the present zstd frame; `None` between frames.
    frame_at: Option<u64>,
}

impl Unpacker {
    pub(super) fn new(input: Input) -> io::Result<Self> {
        Ok(Self { input, decoder: Decoder::new()?, unpacked: vec![0; 2 * CHUNK], taken: 0, frame_at: None })
    }

    /// Takes one step, and appends the text that it gives to `text`.
    pub(super) fn step(&mut self, text: &mut Vec<u8>) -> io::Result<Step> {
        if self.frame_at.is_none() || self.taken > KEPT {
            self.input.drop_first(self.taken);
            self.taken = 0;
        }
        if self.frame_at.is_none()
            && let Some(step) = self.pass_summary()?
        {
            return Ok(step);
        }
        if self.taken == self.input.bytes.len() && !self.input.more()? {
            let Some(at) = self.frame_at else { return Ok(Step::End) };
            // A damaged header may claim more bytes than there are, and so hide the frames after it.
            let is_damage = self.skip(at)?;
            let bytes = self.position() - at;
            return Ok(if is_damage { Step::Damage { bytes } } else { Step::Cut { bytes } });
        }
        let frame_at = *self.frame_at.get_or_insert(self.input.start);
        let input = &self.input.bytes[self.taken..];
        let Ok(status) = self.decoder.run_on_buffers(input, &mut self.unpacked) else {
            self.skip(frame_at)?;
            return Ok(Step::Damage { bytes: self.position() - frame_at });
        };
        self.taken += status.bytes_read;
        text.extend_from_slice(&self.unpacked[..status.bytes_written]);
        if status.remaining > 0 {
            return Ok(Step::Text);
        }
        self.frame_at = None;
        self.decoder.reinit()?;
        Ok(Step::FrameEnd)
    }

    /// Skips a summary, if one comes next. The decoder would also skip it, but it would trust any size.
    fn pass_summary(&mut self) -> io::Result<Option<Step>> {
        let at = self.input.start;
        let is_whole = self.input.fill(SUMMARY_MAGIC.len())?;
        let begin = &self.input.bytes[..self.input.bytes.len().min(SUMMARY_MAGIC.len())];
        if begin.is_empty() || !SUMMARY_MAGIC.starts_with(begin) {
            return Ok(None);
        }
        if is_whole && self.input.fill(summary::HEADER)? {
            let size = summary::size(&self.input.bytes).filter(|size| *size <= summary::LIMIT);
            if let Some(size) = size
                && self.input.fill(size)?
            {
                let place = summary::place(&self.input.bytes[..size], at + size as u64);
                if place.is_some_and(|place| place.at == at) {
                    self.input.drop_first(size);
                    return Ok(Some(Step::FrameEnd));
                }
            }
        }
        let is_damage = self.skip(at)?;
        Ok(Some(if is_damage { Step::Damage { bytes: self.position() - at } } else { Step::End }))
    }

    /// Position of the decoder in the stream.
    fn position(&self) -> u64 {
        self.input.start + self.taken as u64
    }

    /// Gives up a zstd frame and moves to where the next one may start; false at the end. Four bytes that
    /// only look like a start will fail in turn.
    fn skip(&mut self, frame_at: u64) -> io::Result<bool> {
        self.decoder.reinit()?;
        self.frame_at = None;
        // Do not find its own start again.
        let mut from = if self.input.start == frame_at { 1 } else { self.taken };
        loop {
            let mut fours = self.input.bytes[from..].windows(MAGIC.len());
            if let Some(found) = fours.position(|four| four == MAGIC || four == SUMMARY_MAGIC) {
                self.taken = from + found;
                return Ok(true);
            }
            // The buffer may end within a start.
            let looked = self.input.bytes.len().saturating_sub(MAGIC.len() - 1).max(from);
            self.input.drop_first(looked);
            from = 0;
            if !self.input.more()? {
                self.taken = self.input.bytes.len();
                return Ok(false);
            }
        }
    }
}
