//! The past in one line: the higher the figure, the higher the bar.

use ratatui::{layout::Rect, style::Style};

use crate::{
    frame::{Frame, Severity},
    tui::{
        Canvas, State, Theme,
        history::{Slot, slot_of},
        paint::{left, text_width},
    },
};

/// What the timeline covers.
const TIMELINE_NS: u64 = 600_000_000_000;
/// Bars from the lowest to the highest, for terminals that have them and for others.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['_', '.', ',', '-', '=', 'o', 'O', '#'];
/// Stands for a time of which nothing is known.
const NOTHING: char = ' ';

/// Bars for these slots, the highest of which stands for `full_pct`.
pub(super) fn bars(state: &State, slots: &[Slot], full_pct: f32) -> String {
    slots.iter().map(|slot| slot.most_pct.map_or(NOTHING, |pct| bar(state, pct / full_pct))).collect()
}

fn bar(state: &State, part: f32) -> char {
    let bars = if state.theme.has_bars() { BARS } else { ASCII };
    let limits = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875];
    bars[limits.iter().filter(|limit| part >= **limit).count()]
}

/// Draws the highest network load of a CPU over the last ten minutes, with findings marked.
pub(super) fn timeline(state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
    let now_ns = state.history.newest().map_or(frame.mono_ns, |newest| newest.mono_ns).max(frame.mono_ns);
    let head = "busiest CPU, 10 min ";
    let from = text_width(head);
    left(canvas, (area.x, area.y), area.width, head, state.theme.head());
    let width = area.width.saturating_sub(from);
    let slots = state.history.timeline(now_ns, TIMELINE_NS, width.into());
    let text = bars(state, &slots, 100.0);
    let ago_ns = now_ns.saturating_sub(frame.mono_ns);
    let shown = slot_of(ago_ns, TIMELINE_NS, slots.len()).filter(|_| ago_ns > 0);
    for (at, (slot, bar)) in slots.iter().zip(text.chars()).enumerate() {
        let x = area.x + from + u16::try_from(at).unwrap_or(u16::MAX);
        let style = if shown == Some(at) { Theme::mark() } else { style(state, slot) };
        left(canvas, (x, area.y), 1, bar.encode_utf8(&mut [0; 4]), style);
    }
}

/// A slot with a finding is marked, so that it is seen without colours, too.
fn style(state: &State, slot: &Slot) -> Style {
    match slot.worst {
        Some(Severity::Critical | Severity::Warning) => state.theme.loud(),
        Some(Severity::Info) | None => state.theme.load(slot.most_pct.map_or(0.0, f64::from).min(29.0)),
    }
}
