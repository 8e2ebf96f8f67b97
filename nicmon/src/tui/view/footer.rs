//! The last line, with the keys.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::tui::{
    Source, State, View,
    paint::{left, text_width},
};

/// Draws as many keys as fit, the most important first.
pub(super) fn render(state: &State, area: Rect, buffer: &mut Buffer) {
    let mut keys = vec!["q quit".to_owned(), "? help".to_owned()];
    keys.push(format!("Tab {}", state.view.other().name()));
    keys.push("p pause".to_owned());
    match &state.source {
        Source::Live { delay } => keys.push(format!("+/- every {}", humantime::format_duration(*delay))),
        Source::Replay { speed: Some(_), .. } => keys.push("n/b step  </> speed".to_owned()),
        Source::Replay { speed: None, .. } => keys.push("n/b step".to_owned()),
    }
    let own = match state.view {
        View::Nics => [format!("s by {}", state.sort.name()), "arrows scroll".to_owned()],
        View::Drivers => ["j/k choose".to_owned(), format!("w over {}", state.drivers.span.name())],
    };
    keys.extend(own);
    let mut x = 0;
    for key in keys {
        let width = text_width(&key);
        if x > 0 && x + width > area.width {
            break;
        }
        left(buffer, (area.x + x, area.y), area.width - x, &key, state.theme.quiet());
        x = (x + width + 2).min(area.width);
    }
}
