//! `nicmon report`: a merged frame as text, at most 80 columns wide, or as rows of CSV.
//!
//! What is exact, what the kernel accounts by its ticks and what is sampled never stand in one column. A sampled figure
//! has its 95 % interval beside it.

mod cpus;
mod csv;
mod drivers;
mod functions;
mod head;
mod nics;
mod stages;
#[cfg(test)]
mod tests;
mod text;

pub use self::csv::csv;
use crate::frame::{Frame, Machine};

/// A recording, and how it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What the recording is called.
    pub name: &'a str,
    /// All its frames as one.
    pub frame: &'a Frame,
    /// How many they were.
    pub frames: u64,
    /// When the first began, in nanoseconds since 1970.
    pub start_ns: Option<u64>,
    /// What machines and boots they are of.
    pub machines: &'a [Machine],
    /// Rows of a table at most.
    pub top: usize,
}

impl Report<'_> {
    /// The whole report.
    pub fn text(&self) -> String {
        let sections = [
            head::section(self),
            cpus::section(self),
            drivers::section(self),
            functions::section(self),
            nics::section(self),
            stages::section(self),
        ];
        let sections: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
        sections.join("\n")
    }
}
