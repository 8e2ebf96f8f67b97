//! How a state looks: pure functions of it, one file per part of the screen.

mod cpus;
mod drivers;
mod footer;
mod header;
mod headline;
mod help;
mod nics;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
};

use super::{State, View, figures, paint};
use crate::present::text::printable;

pub(super) use help::lines as help_lines;

#[cfg(test)]
mod tests;

/// Below this height, only the header and the NICs are shown.
const LEAST_FOR_CPUS: u16 = 12;
/// Below this height, the keys are not shown.
const LEAST_FOR_FOOTER: u16 = 10;

/// Draws the whole screen at any size.
pub fn render(state: &State, buffer: &mut Buffer) {
    let area = buffer.area;
    if area.is_empty() {
        return;
    }
    let footer_height = u16::from(area.height >= LEAST_FOR_FOOTER);
    let headline = state.frame.as_ref().and_then(|frame| headline::of(frame));
    let [first, top, body, bottom] = Layout::vertical([
        Constraint::Length(u16::from(headline.is_some())),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(footer_height),
    ])
    .areas(area);
    if let Some(headline) = headline {
        headline::render(state, &headline, first, buffer);
    }
    header::render(state, top, buffer);
    if footer_height > 0 {
        footer::render(state, bottom, buffer);
    }
    if let Some(first) = state.help {
        help::render(state, first, body, buffer);
        return;
    }
    let Some(frame) = &state.frame else {
        let text = "waiting for the first frame";
        paint::left(buffer, (body.x, body.y + body.height / 2), body.width, text, state.theme.quiet());
        return;
    };
    // The screen hides standard error, so it must say itself why times are unknown.
    let reason = frame.host.source_reason.as_deref().filter(|_| body.height > 1);
    let [first, body] =
        Layout::vertical([Constraint::Length(u16::from(reason.is_some())), Constraint::Fill(1)]).areas(body);
    if let Some(reason) = reason {
        let text = printable(&format!("no times: {reason}"));
        paint::left(buffer, (first.x, first.y), first.width, &text, state.theme.loud());
    }
    if state.view == View::Drivers {
        drivers::render(state, frame, body, buffer);
        return;
    }
    let nics = figures::in_order(frame, state.sort);
    if area.height < LEAST_FOR_CPUS {
        nics::render(state, frame, &nics, body, buffer);
        return;
    }
    let [upper, lower] = halves(body, nics.len());
    nics::render(state, frame, &nics, upper, buffer);
    cpus::render(state, frame, &nics, lower, buffer);
}

/// The areas for the NICs and for the CPUs, with an empty line between them if there is room.
fn halves(body: Rect, nics: usize) -> [Rect; 2] {
    let wanted = u16::try_from(nics).unwrap_or(u16::MAX).saturating_add(1);
    // The lower part has a head, the NICs once more and the rows about CPUs.
    let below = wanted.saturating_add(cpus::TOTALS);
    let upper = if wanted.saturating_add(below) <= body.height { wanted } else { body.height * 2 / 5 };
    let upper = upper.min(wanted);
    let free = u16::from(upper.saturating_add(below) < body.height);
    let [upper, _, lower] =
        Layout::vertical([Constraint::Length(upper), Constraint::Length(free), Constraint::Fill(1)])
            .areas(body);
    [upper, lower]
}
