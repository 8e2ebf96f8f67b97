//! Writes recordings.

use std::io::{self, Write};

use zstd::{bulk::Compressor, zstd_safe::CParameter};

use super::{span::Span, summary::Summary};
use crate::{
    frame::{Frame, Merged},
    present::json,
};

/// The fastest of the usual levels. Higher ones save 5 % on small frames, and nothing on large ones.
const LEVEL: i32 = 1;
/// Frames are summed up over this time, in ns. So a report of an hour reads 60 sums, and the frames of one
/// minute if the end is cut off.
const SUMMARY_AFTER_NS: u64 = 60_000_000_000;
/// Fewer frames than this are read as quickly as their sum.
const SUMMARY_FRAMES: u64 = 10;

/// Writes a recording. Each frame is written at once and completely. About every minute, it also writes the
/// sum of the frames.
pub struct Writer<W> {
    inner: W,
    compressor: Compressor<'static>,
    frames: u64,
    bytes: u64,
    unsummed: Unsummed,
}

/// Frames that no summary covers yet.
#[derive(Default)]
struct Unsummed {
    merged: Merged,
    frames: u64,
    bytes: u64,
    span: Option<Span>,
    /// Whether the time of one of them cannot be read.
    lacks_time: bool,
}

impl<W: Write> Writer<W> {
    /// Starts a recording at the present position of `inner`.
    ///
    /// # Errors
    /// There is no memory for the compressor.
    pub fn new(inner: W) -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self { inner, compressor, frames: 0, bytes: 0, unsummed: Unsummed::default() })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// It cannot be written completely. A reader then says that the recording is cut off.
    pub fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let packed = self.compressor.compress(json::line(frame)?.as_bytes())?;
        self.inner.write_all(&packed)?;
        self.inner.flush()?;
        self.frames += 1;
        self.bytes += packed.len() as u64;
        self.unsummed.add(frame, packed.len() as u64);
        if self.unsummed.merged.interval_ns() >= SUMMARY_AFTER_NS {
            self.sum_up()?;
        }
        Ok(())
    }

    /// Writes the sum of the frames that no sum covers yet. Call it last.
    ///
    /// # Errors
    /// The sum cannot be written. The frames are complete without it.
    pub fn finish(&mut self) -> io::Result<()> {
        self.sum_up()
    }

    fn sum_up(&mut self) -> io::Result<()> {
        if self.unsummed.frames < SUMMARY_FRAMES {
            return Ok(());
        }
        let Unsummed { merged, frames, bytes, span, lacks_time } = std::mem::take(&mut self.unsummed);
        let Some(frame) = merged.frame() else { return Ok(()) };
        let span = span.filter(|_| !lacks_time);
        let packed = Summary { frames, span, frame }.pack(bytes, &mut self.compressor)?;
        self.inner.write_all(&packed)?;
        self.inner.flush()?;
        self.bytes += packed.len() as u64;
        Ok(())
    }

    /// Frames written.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes written, with the sums.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Unsummed {
    fn add(&mut self, frame: &Frame, bytes: u64) {
        let span = Span::of(frame);
        self.merged.add(frame);
        self.frames += 1;
        self.bytes += bytes;
        self.lacks_time |= span.is_none();
        self.span = match (self.span, span) {
            (Some(before), Some(span)) => Some(before.with(span)),
            (before, span) => before.or(span),
        };
    }
}
