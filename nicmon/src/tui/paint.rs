//! Clipped text: whatever the size of the terminal, nothing is drawn outside it.

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Span};

/// Draws text at the left of a field of this width, and cuts what does not fit.
pub(super) fn left(buffer: &mut Buffer, at: (u16, u16), width: u16, text: &str, style: Style) {
    let field = Rect::new(at.0, at.1, width, 1).intersection(buffer.area);
    if !field.is_empty() {
        buffer.set_stringn(field.x, field.y, text, field.width.into(), style);
    }
}

/// Draws text at the right of a field of this width.
pub(super) fn right(buffer: &mut Buffer, at: (u16, u16), width: u16, text: &str, style: Style) {
    let free = width.saturating_sub(text_width(text));
    left(buffer, (at.0.saturating_add(free), at.1), width - free, text, style);
}

/// Number of terminal columns that a text takes.
pub(super) fn text_width(text: &str) -> u16 {
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}
