//! Frames as bytes: one JSON object per line (NDJSON), and recordings, which are that stream compressed with
//! zstd.
//!
//! In a recording, each frame is a separate zstd frame with a checksum. So a truncated recording (SIGKILL, a
//! full disk, an aborted copy) loses only its last frame, and a damaged one loses only the damaged frames.
//! Recordings can be joined with `cat`, and `zstdcat` prints the JSON lines. The price is that a frame cannot
//! refer to the one before it. It takes 900 bytes instead of 230 on an idle machine with two CPUs; on a
//! large, busy machine there is no difference.
//!
//! About every minute, and at the end, a recording also contains the sum of the frames since the last sum
//! ([`Summary`]), in a form that zstd readers skip. [`Parts`] returns these sums, and the frames that no sum
//! covers, so a report of an hour reads 1/60 of it.

mod error;
mod lines;
mod parts;
mod reader;
mod source;
mod span;
mod summary;
#[cfg(test)]
mod tests;
mod unpack;
mod writer;

pub use self::{
    error::ReadError,
    parts::{Part, Parts, Take},
    reader::Reader,
    span::{Span, since_1970},
    summary::Summary,
    writer::Writer,
};
