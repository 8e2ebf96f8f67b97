//! Sums of frames between the frames of a recording, so a report need not read every frame.
//!
//! A summary follows the frames that it sums up, in a skippable frame of zstd (RFC 8878, 3.1.2), which other
//! readers of zstd skip:
//!
//! | bytes | |
//! |---|---|
//! | 4, 4 | magic number; size of what follows |
//! | any | a [`Summary`] as JSON, compressed by zstd with a checksum, without zstd's magic number |
//! | 8, 4, 4 | size of the frames before it; its own size with the header; the exclusive or of these words |
//! | 16 | a mark, by which it is found from the end |
//!
//! From the end of a file, each summary leads to the one before it, up to the start. Because the magic number
//! is left out, a search for the next frame after damage does not stop inside a summary.

use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};
use zstd::bulk::Compressor;

use super::{span::Span, unpack::MAGIC};
use crate::frame::{Frame, SCHEMA};

/// The first bytes of a summary: one of the sixteen magic numbers of skippable frames, least significant byte
/// first.
pub(super) const SUMMARY_MAGIC: [u8; 4] = [0x5e, 0x2a, 0x4d, 0x18];
/// Magic number and size.
pub(super) const HEADER: usize = 8;
/// Bytes after the JSON.
pub(super) const FOOTER: usize = 32;
/// The last bytes of a summary.
pub(super) const MARK: &[u8; 16] = b"nicmon.summary/1";
/// The most bytes that a summary may have: many times the summary of a large machine.
pub(super) const LIMIT: usize = 64 * 1024 * 1024;

/// Frames of a recording, merged into one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many frames.
    pub frames: u64,
    /// The time they cover; `None` if a frame's time cannot be read.
    pub span: Option<Span>,
    /// Their sum.
    pub frame: Frame,
}

/// Where a summary is in a file, and what it sums up. In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its start.
    pub(super) at: u64,
    /// Its end.
    pub(super) end: u64,
    /// Size of its frames, which are before it.
    pub(super) covered: u64,
}

impl Summary {
    /// Its bytes in a recording; `covered` is the size of the frames that it sums up.
    pub(super) fn pack(&self, covered: u64, compressor: &mut Compressor<'_>) -> io::Result<Vec<u8>> {
        let packed = compressor.compress(&serde_json::to_vec(self)?)?;
        let body = packed.strip_prefix(&MAGIC).ok_or(ErrorKind::InvalidData)?;
        let number = |size| u32::try_from(size).map_err(io::Error::other);
        let (content, size) = (number(body.len() + FOOTER)?, number(HEADER + body.len() + FOOTER)?);
        let mut bytes = SUMMARY_MAGIC.to_vec();
        bytes.extend(content.to_le_bytes());
        bytes.extend(body);
        bytes.extend(covered.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(check(covered, size).to_le_bytes());
        bytes.extend(MARK);
        Ok(bytes)
    }

    /// Reads a summary; `None` if it is damaged, or has another schema.
    pub(super) fn unpack(bytes: &[u8]) -> Option<Self> {
        let body = bytes.get(HEADER..bytes.len().checked_sub(FOOTER)?)?;
        let packed = [&MAGIC, body].concat();
        // zstd stores the size of what was compressed in one call.
        let size = usize::try_from(zstd::zstd_safe::get_frame_content_size(&packed).ok()??).ok()?;
        if size > LIMIT {
            return None;
        }
        let text = zstd::bulk::decompress(&packed, size).ok()?;
        let summary: Self = serde_json::from_slice(&text).ok()?;
        (summary.frame.schema == SCHEMA).then_some(summary)
    }
}

/// The size of the summary that starts with these bytes.
pub(super) fn size(bytes: &[u8]) -> Option<usize> {
    let content = bytes.strip_prefix(&SUMMARY_MAGIC)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*content)).ok()?.checked_add(HEADER)
}

/// The summary that ends at `end`, which these bytes precede; `None` if no summary ends there.
pub(super) fn place(bytes: &[u8], end: u64) -> Option<Place> {
    let (_, footer) = bytes.split_last_chunk::<FOOTER>()?;
    let (numbers, mark) = footer.split_last_chunk::<16>()?;
    let (covered, rest) = numbers.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (covered, size) = (u64::from_le_bytes(*covered), u32::from_le_bytes(*size));
    if mark != MARK || *rest != check(covered, size).to_le_bytes() {
        return None;
    }
    Some(Place { at: end.checked_sub(size.into())?, end, covered })
}

/// A changed bit in either number changes this.
fn check(covered: u64, size: u32) -> u32 {
    let bytes = covered.to_le_bytes();
    let (words, _) = bytes.as_chunks();
    words.iter().fold(size, |check, word| check ^ u32::from_le_bytes(*word))
}
