//! The view of all NICs and CPUs: which CPU is loaded by which NIC, now and in the last minutes.

use ratatui::layout::{Constraint, Layout, Rect};

use super::{cpu_columns, nics, spark};
use crate::{
    frame::Frame,
    tui::{Canvas, State, lists},
};

/// From this height on, there is a timeline.
const TALL: u16 = 18;

/// Draws the timeline, the NICs and the CPUs.
pub(super) fn render(state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
    let has_timeline = area.height >= TALL;
    let [first, body] =
        Layout::vertical([Constraint::Length(u16::from(has_timeline)), Constraint::Fill(1)]).areas(area);
    if has_timeline {
        spark::timeline(state, frame, first, canvas);
    }
    let nics = lists::nics(state, frame);
    let [upper, lower] = halves(body, nics.len());
    nics::render(state, frame, &nics, upper, canvas);
    cpu_columns::render(state, frame, &nics, lower, canvas);
}

/// The areas for the NICs and for the CPUs, with an empty line between them if there is room.
fn halves(body: Rect, nics: usize) -> [Rect; 2] {
    let wanted = u16::try_from(nics).unwrap_or(u16::MAX).saturating_add(1);
    // The lower part has a head, the NICs once more and the rows about CPUs.
    let below = wanted.saturating_add(cpu_columns::TOTALS);
    let upper = if wanted.saturating_add(below) <= body.height { wanted } else { body.height * 2 / 5 };
    let upper = upper.min(wanted);
    let free = u16::from(upper.saturating_add(below) < body.height);
    let [upper, _, lower] =
        Layout::vertical([Constraint::Length(upper), Constraint::Length(free), Constraint::Fill(1)])
            .areas(body);
    [upper, lower]
}
