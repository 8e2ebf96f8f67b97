//! nicmon shows what network drivers cost a Linux machine, by NIC, CPU and queue.
//!
//! The program `nicmon` is made of this library. Other programs can read what nicmon recorded: [`stream`]
//! reads and writes [`frame`]s, and [`analyze`] makes reports and comparisons of them.
//!
//! ```
//! use std::path::Path;
//!
//! use nicmon::stream::{ReadError, Reader};
//!
//! /// The time of NAPI polls in a recording, in nanoseconds.
//! fn poll_ns(recording: &Path) -> Result<u64, ReadError> {
//!     let mut frames = Reader::open(recording)?;
//!     let mut total = 0;
//!     while let Some(frame) = frames.next()? {
//!         // `None` is unknown: without the eBPF programs, there are only counts.
//!         total += frame.nics.iter().filter_map(|nic| nic.poll_ns).sum::<u64>();
//!     }
//!     Ok(total)
//! }
//!
//! let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/demo-cpu1.ndjson");
//! assert!(poll_ns(Path::new(recording))? > 0);
//! # Ok::<(), ReadError>(())
//! ```
//!
//! ARCHITECTURE.md describes how the parts work together.

pub mod analyze;
pub mod diagnose;
pub mod frame;
pub mod stream;

// What the program and its tests use. It may change in any version.
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod collect;
#[doc(hidden)]
pub mod commands;
#[doc(hidden)]
pub mod counters;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod overhead;
#[doc(hidden)]
pub mod path;
#[doc(hidden)]
pub mod privileges;
#[doc(hidden)]
pub mod symbols;
#[doc(hidden)]
pub mod tui;

mod present;
