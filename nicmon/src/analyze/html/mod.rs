//! A recording as a single HTML file. It needs no network and no script, and follows the reader's light or
//! dark theme.
//!
//! The file is also well-formed XML, so a test can parse it. The drawings are hand-written SVG, because they
//! are only rectangles with some text. A chart library would bring fonts and canvases, and none draws a heat
//! map of NICs by CPUs with unknown cells.

mod drivers;
mod findings;
mod flame;
mod functions;
mod header;
mod heat;
mod network;
mod percentiles;
#[cfg(test)]
mod tests;
mod text;

use self::{header::Header, heat::Heat};
use crate::{
    frame::{Frame, Merged},
    stream::Span,
};

const STYLE: &str = include_str!("style.css");

/// What the page needs from the frames. Its size does not grow with their number.
#[derive(Default)]
pub struct Page {
    header: Header,
    heat: Heat,
    whole: Merged,
    /// Start of the first frame, in nanoseconds since 1970.
    start_ns: Option<u64>,
}

impl Page {
    /// Adds the next frame.
    pub fn add(&mut self, frame: &Frame) {
        if self.start_ns.is_none() {
            self.start_ns = Span::of(frame).map(|span| span.start_ns);
        }
        self.header.add(frame);
        self.heat.add(frame);
        self.whole.add(frame);
    }

    /// The whole HTML document.
    pub fn render(&self) -> String {
        let title = self.header.title();
        let whole = self.whole.frame();
        let sections = [
            self.header.section(),
            whole.as_ref().map(|whole| findings::section(whole, self.start_ns)).unwrap_or_default(),
            self.heat.section(),
            whole.as_ref().map(network::section).unwrap_or_default(),
            whole.as_ref().map(percentiles::section).unwrap_or_default(),
            whole.as_ref().map(drivers::section).unwrap_or_default(),
            whole.as_ref().map(functions::section).unwrap_or_default(),
            whole.as_ref().map(flame::section).unwrap_or_default(),
        ]
        .concat();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             {sections}</main>\n</body>\n</html>\n"
        )
    }
}
