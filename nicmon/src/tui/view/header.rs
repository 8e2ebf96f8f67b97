//! The first line: which machine and time the frame is from, and what nicmon itself costs.

use std::sync::Arc;

use ratatui::{layout::Rect, style::Style};

use crate::{
    frame::{self, Accounting, Frame},
    present::text::printable,
    tui::{
        Canvas, Source, State, Theme,
        paint::{left, text_width},
        text::short_pct,
    },
};

/// A part of the line.
struct Part {
    /// The part with the highest number is left out first.
    leave: u8,
    text: String,
    style: Style,
}

/// Draws as many parts as fit.
pub(super) fn render(state: &State, area: Rect, canvas: &mut Canvas) {
    let mut parts = state.frame.as_ref().map_or_else(Vec::new, |frame| of_frame(state, frame));
    parts.extend(marks(state));
    let width = |parts: &[Part]| parts.iter().map(|part| text_width(&part.text) + 2).sum::<u16>();
    while parts.len() > 1 && width(&parts) > area.width + 2 {
        let last = parts.iter().enumerate().max_by_key(|(_, part)| part.leave).map(|(at, _)| at);
        parts.remove(last.unwrap_or(0));
    }
    let mut x = area.x;
    for part in parts {
        let room = area.right().saturating_sub(x);
        left(canvas, (x, area.y), room, &part.text, part.style);
        x = x.saturating_add(text_width(&part.text)).saturating_add(2);
    }
}

fn of_frame(state: &State, frame: &Frame) -> Vec<Part> {
    let theme = state.theme;
    let plain = Style::new();
    let part = |leave, text, style| Part { leave, text, style };
    let host = &frame.host;
    let accounting = host.accounting.map_or("?", Accounting::label);
    // In RFC 3339, the time follows the date and a T. A recording may contain anything.
    let time = frame.time.get(11..19).map_or_else(|| printable(&frame.time), |time| format!("{time}Z"));
    let own =
        frame.own.overhead_pct.map_or_else(|| "?".to_owned(), |own| format!("{} % of a CPU", short_pct(own)));
    let mut parts = vec![
        part(2, state.view.name().to_uppercase(), Theme::mark()),
        part(4, short(&host.hostname), Theme::name()),
        part(6, short(&host.kernel), plain),
        part(1, time, plain),
        part(3, format!("{:.2} s", frame.interval_ns as f64 / 1e9), plain),
        part(7, format!("accounting {accounting}"), theme.quiet()),
        part(5, format!("itself {own}"), plain),
    ];
    if let Some(sum) =
        state.sum.as_ref().filter(|sum| state.shown().is_some_and(|shown| Arc::ptr_eq(sum, shown)))
    {
        parts.push(part(2, format!("~ over {:.0} s", sum.interval_ns as f64 / 1e9), plain));
    }
    if host.preempt_rt {
        parts.push(part(6, "PREEMPT_RT".to_owned(), plain));
    }
    if host.source == frame::Source::Proc {
        parts.push(part(2, "counts only".to_owned(), Theme::mark()));
    }
    if let Some(lost) = frame.own.lost.filter(|lost| *lost > 0) {
        parts.push(part(0, format!("lost {lost}"), theme.loud()));
    }
    parts
}

/// Marks that show that the screen is not live.
fn marks(state: &State) -> Vec<Part> {
    let mut texts = Vec::new();
    if state.paused {
        let newest = state.history.newest().zip(state.frame.as_ref());
        let ago_ns = newest.map_or(0, |(newest, shown)| newest.mono_ns.saturating_sub(shown.mono_ns));
        texts.push(match ago_ns / 1_000_000_000 {
            0 => "PAUSED".to_owned(),
            ago => format!("PAUSED {ago} s ago"),
        });
    }
    if let Source::Replay { speed, end } = &state.source {
        match (end, speed) {
            (Some(end), _) => {
                texts.push(if end.is_empty() { "END".to_owned() } else { format!("END: {end}") });
            }
            (None, Some(speed)) => texts.push(format!("replay x{speed}")),
            (None, None) => texts.push("replay".to_owned()),
        }
    }
    let mark = |text: String| Part { leave: 0, text: printable(&text), style: Theme::mark() };
    texts.into_iter().map(mark).collect()
}

/// The start of a name; names of hosts and kernels can be long.
fn short(name: &str) -> String {
    printable(name).chars().take(24).collect()
}
