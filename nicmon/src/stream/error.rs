//! Why a stream of frames cannot be read.

use std::io;

use crate::frame::SCHEMA;

/// Why a stream of frames cannot be read, or not to its end. `name` is the file's, or `standard input`.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("cannot open {name}: {source}; {}", remedy(source))]
    Open {
        /// The stream.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// Reading failed.
    #[error("cannot read {name}: {source}; give another file, or copy it again")]
    Read {
        /// The stream.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// It has no bytes at all.
    #[error("{name} is empty: it holds no frames; give what `nicmon record` or `nicmon --json` wrote")]
    Empty {
        /// The stream.
        name: String,
    },
    /// It is something else than frames.
    #[error("{name} is not a nicmon recording: {why}; give what `nicmon record` or `nicmon --json` wrote")]
    Foreign {
        /// The stream.
        name: String,
        /// What shows it.
        why: String,
    },
    /// Its frames have another version of the schema.
    #[error(
        "{name} has frames of the schema \"{schema}\", but nicmon {} reads {SCHEMA:?}; use a newer nicmon",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The stream.
        name: String,
        /// The schema that its frames name.
        schema: String,
    },
    /// It ends before the end of its first frame.
    #[error("{name} is cut off within its first frame, so there is nothing to show; record or copy it again")]
    NoWholeFrame {
        /// The stream.
        name: String,
    },
    /// Every frame in it is damaged.
    #[error("{name} is damaged: none of its frames can be read; copy it again")]
    Damaged {
        /// The stream.
        name: String,
    },
    /// A line is longer than any frame.
    #[error(
        "{name} has a line of more than {limit} bytes after {frames} frames, longer than any frame; give \
         what `nicmon record` or `nicmon --json` wrote"
    )]
    LongLine {
        /// The stream.
        name: String,
        /// The longest line that nicmon accepts, in bytes.
        limit: usize,
        /// Frames before that line.
        frames: u64,
    },
}

/// What to do about a file that cannot be opened.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "a recording can be read only by the user who made it: use sudo, or change its owner with \
             sudo chown"
        }
        _ => "give a file that `nicmon record` made, or - for standard input",
    }
}
