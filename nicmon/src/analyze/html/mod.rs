//! A recording as one HTML file: it needs no network and no script, and is light or dark as the reader's screen is.
//!
//! It is well-formed XML as well, so that a test can parse it. The drawings are SVG by hand: a chart library would bring
//! fonts and canvases for what is rectangles and some text, and none draws a heat map of NICs by CPUs with unknown cells.

mod drivers;
mod flame;
mod functions;
mod header;
mod heat;
#[cfg(test)]
mod tests;
mod text;

use self::{header::Header, heat::Heat};
use crate::frame::{Frame, Merged};

const STYLE: &str = include_str!("style.css");

/// What is gathered of frames for the page; its size does not grow with their number.
#[derive(Default)]
pub struct Page {
    header: Header,
    heat: Heat,
    whole: Merged,
}

impl Page {
    /// Adds the next frame.
    pub fn add(&mut self, frame: &Frame) {
        self.header.add(frame);
        self.heat.add(frame);
        self.whole.add(frame);
    }

    /// The whole document.
    pub fn render(&self) -> String {
        let title = self.header.title();
        let whole = self.whole.frame();
        let sections = [
            self.header.section(),
            self.heat.section(),
            whole.as_ref().map(drivers::section).unwrap_or_default(),
            whole.as_ref().map(functions::section).unwrap_or_default(),
            whole.as_ref().map(flame::section).unwrap_or_default(),
        ]
        .concat();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{sections}</main>\n</body>\n</html>\n"
        )
    }
}
