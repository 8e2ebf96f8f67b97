//! Why a stream cannot be read.

use std::io;

use crate::frame::SCHEMA;

/// Why a stream cannot be read, or no further. `name` is the file's, or `standard input`.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("cannot open {name}: {source}; give a file that `nicmon record` made, or - for standard input")]
    Open {
        /// What was to be read.
        name: String,
        /// Why it cannot.
        source: io::Error,
    },
    /// The system cannot read on.
    #[error("cannot read {name}: {source}")]
    Read {
        /// What was read.
        name: String,
        /// Why it cannot be read on.
        source: io::Error,
    },
    /// There is not one byte in it.
    #[error(
        "{name} is empty: nothing was recorded. `nicmon record` makes recordings, `nicmon --json` a stream"
    )]
    Empty {
        /// What was read.
        name: String,
    },
    /// It was never a stream of frames.
    #[error("{name} is no recording of nicmon: {why}. Give what `nicmon record` or `nicmon --json` wrote")]
    Foreign {
        /// What was read.
        name: String,
        /// How that shows.
        why: String,
    },
    /// It is of another version of the schema.
    #[error("{name} holds frames of the schema {schema:?}, but nicmon {} reads {SCHEMA:?}: use a newer nicmon", env!("CARGO_PKG_VERSION"))]
    Newer {
        /// What was read.
        name: String,
        /// The schema that it names.
        schema: String,
    },
    /// Less than one frame is left of it.
    #[error(
        "{name} is cut off in the middle of its first frame: nothing in it can be shown. Record or copy it again"
    )]
    NoWholeFrame {
        /// What was read.
        name: String,
    },
    /// Nothing in it is whole.
    #[error("{name} is damaged: not one frame in it can be read. Copy it again")]
    Damaged {
        /// What was read.
        name: String,
    },
    /// A line longer than any frame.
    #[error(
        "{name} has a line of more than {limit} bytes after {frames} frames: no frame is as long. Is it a recording?"
    )]
    LongLine {
        /// What was read.
        name: String,
        /// The most that a line may have.
        limit: usize,
        /// Frames before it.
        frames: u64,
    },
}
