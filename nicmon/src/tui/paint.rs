//! Clipped text: whatever the size of the terminal, nothing is drawn outside it.

use ratatui::{layout::Rect, style::Style, text::Span};

use super::Canvas;
use crate::present::text::{no_room, printable};

/// Draws text at the left of a field of this width, and cuts what does not fit.
pub(super) fn left(canvas: &mut Canvas, at: (u16, u16), width: u16, text: &str, style: Style) {
    let field = Rect::new(at.0, at.1, width, 1).intersection(canvas.buffer.area);
    if !field.is_empty() {
        canvas.buffer.set_stringn(field.x, field.y, text, field.width.into(), style);
    }
}

/// Draws a figure at the right of a field of this width. One that does not fit, or that the edge of the
/// screen would cut, is replaced: a part of a number is a wrong number.
pub(super) fn right(canvas: &mut Canvas, at: (u16, u16), width: u16, text: &str, style: Style) {
    let room = width.min(canvas.buffer.area.right().saturating_sub(at.0));
    let taken = text_width(text);
    let free = width.saturating_sub(taken);
    if free.saturating_add(taken) > room {
        left(canvas, at, room, &no_room(room.into()), style);
    } else {
        left(canvas, (at.0.saturating_add(free), at.1), taken, text, style);
    }
}

/// Words in lines of a width. A word that is longer than a line is cut.
pub(super) fn wrapped(text: &str, width: u16) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(line) + 1 + text_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Paragraphs that are safe to draw, in lines of a width.
pub(super) fn paragraphs(text: &[(String, Style)], width: u16) -> Vec<(String, Style)> {
    let in_lines = |(text, style): &(String, Style)| {
        let style = *style;
        wrapped(&printable(text), width).into_iter().map(move |line| (line, style))
    };
    text.iter().flat_map(in_lines).collect()
}

/// Draws lines from the top, as many as fit.
pub(super) fn lines(canvas: &mut Canvas, area: Rect, lines: &[(String, Style)]) {
    for ((text, style), y) in lines.iter().zip(area.y..area.bottom()) {
        left(canvas, (area.x, y), area.width, text, *style);
    }
}

/// Number of terminal columns that a text takes.
pub(super) fn text_width(text: &str) -> u16 {
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the width of the field and the screen: all of a figure, or none of it.
    #[test]
    fn a_figure_is_never_cut() {
        for text in ["0", "?", "50.0k", "8191: 99.9", "4294967295", "[0, 100]", "-1.5k", "漢7"] {
            for width in 0..=12 {
                for screen in 0..=14 {
                    let mut canvas = Canvas::new(screen, 1);
                    right(&mut canvas, (1, 0), width, text, Style::new());
                    let row: String =
                        canvas.buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
                    let row = row.trim().replace(' ', "");
                    let is_whole = row == text.replace(' ', "");
                    let is_replaced = row.chars().all(|c| c == '#');
                    assert!(is_whole || is_replaced, "{text:?} in {width} of {screen}: {row:?}");
                    let fits = text_width(text) <= width && width < screen;
                    assert!(!fits || is_whole, "{text:?} fits in {width} of {screen}: {row:?}");
                }
            }
        }
    }
}
