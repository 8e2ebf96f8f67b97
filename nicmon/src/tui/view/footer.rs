//! The last line: the keys that work here, the filter while it is typed, or what the last key did.

use ratatui::layout::Rect;

use crate::{
    present::text::printable,
    tui::{
        Canvas, State, Theme,
        keys::KEYS,
        paint::{left, text_width},
    },
};

/// Draws as many keys as fit, the most important first.
pub(super) fn render(state: &State, area: Rect, canvas: &mut Canvas) {
    if let Some(notice) = &state.notice {
        left(canvas, (area.x, area.y), area.width, &printable(notice), Theme::mark());
        return;
    }
    let mut x = 0;
    if state.filter.is_typing || !state.filter.text.is_empty() {
        let text =
            printable(&format!("/{}{}", state.filter.text, if state.filter.is_typing { "_" } else { "" }));
        left(canvas, (area.x, area.y), area.width, &text, Theme::mark());
        x = (text_width(&text) + 2).min(area.width);
    }
    if state.filter.is_typing {
        return;
    }
    for key in KEYS.iter().filter(|key| key.works(state)).filter_map(|key| key.short) {
        let text = key(state);
        let width = text_width(&text);
        if x > 0 && x + width > area.width {
            break;
        }
        left(canvas, (area.x + x, area.y), area.width - x, &text, state.theme.quiet());
        x = (x + width + 2).min(area.width);
    }
}
