//! `nicmon report`: a merged frame as text, at most 80 columns wide, or as rows of CSV.
//!
//! Exact figures, figures of the kernel's own accounting and sampled figures are never in the same column. A
//! sampled figure has its 95 % interval beside it.

mod cpus;
mod csv;
mod drivers;
mod findings;
mod functions;
mod head;
mod nics;
mod percentiles;
mod recording;
mod sockets;
mod stages;
#[cfg(test)]
mod tests;
mod text;

pub use self::{csv::csv, recording::Report};

impl Report<'_> {
    /// The whole report, in lines of at most 80 columns.
    pub fn text(&self) -> String {
        let sections = [
            head::section(self),
            findings::section(self),
            cpus::section(self),
            drivers::section(self),
            functions::section(self),
            sockets::section(self),
            nics::section(self),
            percentiles::section(self),
            stages::section(self),
        ];
        let sections: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
        sections.join("\n")
    }
}
