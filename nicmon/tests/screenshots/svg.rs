//! A screen as SVG: a rectangle and a text for each run of cells with the same style.

use std::fmt::Write as _;

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};

/// Size of a cell, in pixels.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;
/// Distance from the top of a cell to the baseline of its text.
const BASE: f64 = 13.5;
const MARGIN: f64 = 12.0;
const PAPER: &str = "#1b1f23";
const INK: &str = "#d7dade";

/// The picture of a screen.
pub(crate) fn picture(buffer: &Buffer) -> String {
    let area = buffer.area;
    let (width, height) =
        (f64::from(area.width) * WIDTH + 2.0 * MARGIN, f64::from(area.height) * HEIGHT + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n"
    );
    for y in 0..area.height {
        let mut x = 0;
        while x < area.width {
            let first = &buffer[(x, y)];
            let run = (x..area.width).take_while(|x| buffer[(*x, y)].style() == first.style()).count();
            let text: String = (x..).take(run).map(|x| buffer[(x, y)].symbol()).collect();
            draw(&mut svg, first, (x, y), run, &text);
            x += u16::try_from(run).unwrap_or(area.width);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, like: &Cell, at: (u16, u16), cells: usize, text: &str) {
    let (x, y) = (MARGIN + f64::from(at.0) * WIDTH, MARGIN + f64::from(at.1) * HEIGHT);
    let is_reversed = like.modifier.contains(Modifier::REVERSED);
    let (ink, paper) = (colour(like.fg, INK), colour(like.bg, PAPER));
    let (ink, paper) = if is_reversed { (paper, ink) } else { (ink, paper) };
    // Writing to a String cannot fail.
    if paper != PAPER {
        let width = cells as f64 * WIDTH;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"{paper}\"/>"
        );
    }
    let words = text.trim();
    if words.is_empty() {
        return;
    }
    let before = text.len() - text.trim_start().len();
    let (x, y) = (x + before as f64 * WIDTH, y + BASE);
    // The length keeps columns aligned with any font.
    let length = words.chars().count() as f64 * WIDTH;
    let weight = if like.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" fill=\"{ink}\"{weight} \
         xml:space=\"preserve\">{words}</text>"
    );
}

/// The terminal colours that the screen uses, as a dark theme shows them.
fn colour(colour: Color, default: &'static str) -> &'static str {
    match colour {
        Color::Black => "#1b1f23",
        Color::Red => "#c93c37",
        Color::Green => "#57ab5a",
        Color::Yellow => "#daaa3f",
        Color::Cyan => "#39c5cf",
        Color::White => "#ffffff",
        Color::DarkGray => "#768390",
        _ => default,
    }
}
