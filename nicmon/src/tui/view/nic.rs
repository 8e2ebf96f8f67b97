//! The view of one NIC: what came through, its queues and the CPUs they use, and how it is set up.

mod path;
mod queue;
mod queues;
mod setup;

use ratatui::{
    layout::{Constraint, Layout, Rect},
    style::Style,
};

use super::nics::bits;
use crate::{
    frame::{Frame, Nic},
    tui::{
        Canvas, State, Theme, figures, lists,
        paint::{left, lines, paragraphs},
        text::{Figure, short_pct, whole},
    },
};

/// Draws what is known of the chosen NIC.
pub(super) fn render(state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
    let Some(nic) = lists::nic(state, frame) else {
        let text = if state.nic.is_some() { "this NIC is gone" } else { "there is no NIC" };
        left(canvas, (area.x, area.y), area.width, text, state.theme.quiet());
        return;
    };
    let known = lists::setup(state, nic);
    if let Some(chosen) = state.queue.filter(|_| state.shows_queue) {
        return queue::render(state, frame, nic, chosen.number(), area, canvas);
    }
    let title = [(setup::title(nic, known), Theme::name()), (rates(frame, nic), Style::new())];
    let mut text = paragraphs(&title, area.width);
    let path = path::lines(frame, nic, area.width).into_iter().enumerate();
    text.extend(path.map(|(at, line)| (line, if at == 0 { state.theme.head() } else { Style::new() })));
    let setup: Vec<_> = setup::lines(known).into_iter().map(|line| (line, Style::new())).collect();
    text.extend(paragraphs(&setup, area.width));
    let rows = u16::try_from(text.len()).unwrap_or(u16::MAX);
    // The queues say more than the end of the setup.
    let upper = rows.min(area.height.saturating_sub(area.height / 3));
    let [above, _, below] =
        Layout::vertical([Constraint::Length(upper), Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    lines(canvas, above, &text);
    queues::render(state, frame, nic, below, canvas);
}

fn rates(frame: &Frame, nic: &Nic) -> String {
    let counters = &nic.counters;
    let mark = figures::mark(frame);
    format!(
        "receives {} bit/s, sends {} bit/s; takes {mark}{} % of a CPU, {mark}{} ns per packet",
        bits(frame.counters_known_ns(nic), counters.rx_bytes),
        bits(frame.counters_known_ns(nic), counters.tx_bytes),
        Figure::from(figures::load_pct(nic, frame.interval_ns)).text(short_pct),
        figures::ns_per_packet(frame, nic).text(whole),
    )
}
