//! How a state looks: pure functions of it, one file per view and per part of the screen.

mod cpu_columns;
mod cpus;
mod drivers;
mod explain;
mod findings;
mod footer;
mod header;
mod headline;
mod help;
mod nic;
mod nics;
mod overview;
mod own;
mod spark;

use ratatui::layout::{Constraint, Layout, Rect};

use super::{Canvas, State, View, paint};
use crate::present::text::printable;

pub use self::nics::nic_columns;
pub(super) use self::{help::lines as help_lines, own::lines as own_lines};

#[cfg(test)]
mod tests;

/// The smallest terminal for more than the headline.
const LEAST: (u16, u16) = (40, 10);

/// Draws the whole screen at any size.
pub fn render(state: &State, canvas: &mut Canvas) {
    let area = canvas.buffer.area;
    if area.is_empty() {
        return;
    }
    let headline = state.frame.as_ref().and_then(|frame| headline::of(frame, area.width));
    let rows = headline.as_ref().map_or(0, headline::Headline::rows).min(area.height);
    let [first, rest] = Layout::vertical([Constraint::Length(rows), Constraint::Fill(1)]).areas(area);
    if let Some(headline) = headline {
        headline.render(state, first, canvas);
    }
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("the rest needs {} columns and {} rows", LEAST.0, LEAST.1);
        let text = paint::paragraphs(&[(text, state.theme.quiet())], area.width);
        paint::lines(canvas, rest, &text);
        return;
    }
    let [top, body, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(rest);
    header::render(state, top, canvas);
    footer::render(state, bottom, canvas);
    if let Some(first) = state.help {
        help::render(state, first, body, canvas);
        return;
    }
    view(state, body, canvas);
}

/// Draws the view itself.
fn view(state: &State, body: Rect, canvas: &mut Canvas) {
    let Some(frame) = state.shown() else {
        let text = "waiting for the first frame";
        paint::left(canvas, (body.x, body.y + body.height / 2), body.width, text, state.theme.quiet());
        return;
    };
    if state.explains {
        explain::render(state, frame, body, canvas);
        return;
    }
    // The screen hides standard error, so it must say itself why times are unknown.
    let reason = frame.host.source_reason.as_deref();
    let [first, body] =
        Layout::vertical([Constraint::Length(u16::from(reason.is_some())), Constraint::Fill(1)]).areas(body);
    if let Some(reason) = reason {
        let text = printable(&format!("no times: {reason}"));
        paint::left(canvas, (first.x, first.y), first.width, &text, state.theme.loud());
    }
    match state.view {
        View::Overview => overview::render(state, frame, body, canvas),
        View::Cpus => cpus::render(state, frame, body, canvas),
        View::Nic => nic::render(state, frame, body, canvas),
        View::Drivers => drivers::render(state, frame, body, canvas),
        View::Findings => findings::render(state, frame, body, canvas),
        View::Own => own::render(state, frame, body, canvas),
    }
}
