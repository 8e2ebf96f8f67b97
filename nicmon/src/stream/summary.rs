//! Sums of frames in between the frames of a recording, so that a report need not read them all.
//!
//! A summary stands behind the frames it sums up, in a skippable frame of zstd (RFC 8878, 3.1.2), which others who read
//! zstd pass over:
//!
//! | bytes | |
//! |---|---|
//! | 4, 4 | magic number; size of what follows |
//! | any | a [`Summary`] as JSON, packed by zstd with a checksum, but without zstd's magic number: who looks for the next frame after damage must not find one in here |
//! | 8, 4, 4 | how many bytes before it hold the frames; its size with the header; these words joined by exclusive or |
//! | 16 | a mark, so that it can be found from behind |
//!
//! So from the end of a file the summaries lead to its begin, each to the one before.

use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};
use zstd::bulk::Compressor;

use super::{span::Span, unpack::MAGIC};
use crate::frame::{Frame, SCHEMA};

/// How a summary begins: one of the sixteen magic numbers of skippable frames, least significant byte first.
pub(super) const SUMMARY_MAGIC: [u8; 4] = [0x5e, 0x2a, 0x4d, 0x18];
/// Magic number and size.
pub(super) const HEADER: usize = 8;
/// What stands behind the JSON.
pub(super) const FOOTER: usize = 32;
/// How a summary ends.
pub(super) const MARK: &[u8; 16] = b"nicmon.summary/1";
/// The most that a summary may take: many times that of a large machine.
pub(super) const LIMIT: usize = 64 * 1024 * 1024;

/// Frames of a recording as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many they are.
    pub frames: u64,
    /// When they were; `None` where a frame's time cannot be read.
    pub span: Option<Span>,
    /// Their sum.
    pub frame: Frame,
}

/// Where a summary stands, and what it sums up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Where it begins.
    pub(super) at: u64,
    /// Where it ends.
    pub(super) end: u64,
    /// As many bytes before it hold its frames.
    pub(super) covered: u64,
}

impl Summary {
    /// As it stands in a recording, behind so many bytes that it sums up.
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

    /// Out of its bytes; `None` where these are damaged, or by a nicmon of another schema.
    pub(super) fn unpack(bytes: &[u8]) -> Option<Self> {
        let body = bytes.get(HEADER..bytes.len().checked_sub(FOOTER)?)?;
        let packed = [&MAGIC, body].concat();
        // Of one that was packed at once zstd knows the size.
        let size = usize::try_from(zstd::zstd_safe::get_frame_content_size(&packed).ok()??).ok()?;
        if size > LIMIT {
            return None;
        }
        let text = zstd::bulk::decompress(&packed, size).ok()?;
        let summary: Self = serde_json::from_slice(&text).ok()?;
        (summary.frame.schema == SCHEMA).then_some(summary)
    }
}

/// The size of a summary that begins with these bytes.
pub(super) fn size(bytes: &[u8]) -> Option<usize> {
    let content = bytes.strip_prefix(&SUMMARY_MAGIC)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*content)).ok()?.checked_add(HEADER)
}

/// What the last bytes before `end` say of the summary that ends there; `None` where none does.
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

/// A changed bit in either shows.
fn check(covered: u64, size: u32) -> u32 {
    let bytes = covered.to_le_bytes();
    let (words, _) = bytes.as_chunks();
    words.iter().fold(size, |check, word| check ^ u32::from_le_bytes(*word))
}
