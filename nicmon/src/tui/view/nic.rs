//! The view of one NIC: what came through, its queues and the CPUs they use, and how it is set up.

mod queues;
mod setup;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::Style,
};

use super::nics::{bits, rate};
use crate::{
    frame::{Frame, Nic, NicDrops},
    present::text::known,
    tui::{
        State, Theme, figures, lists,
        paint::{left, lines, paragraphs},
        text::{Figure, short_pct, whole},
    },
};

/// Draws what is known of the chosen NIC.
pub(super) fn render(state: &State, frame: &Frame, area: Rect, buffer: &mut Buffer) {
    let Some(nic) = lists::nic(state, frame) else {
        let text = if state.nic.is_some() { "this NIC is gone" } else { "there is no NIC" };
        left(buffer, (area.x, area.y), area.width, text, state.theme.quiet());
        return;
    };
    let known = lists::setup(state, nic);
    let mut text: Vec<(String, Style)> =
        vec![(setup::title(nic, known), Theme::name()), (rates(frame, nic), Style::new())];
    text.extend(ledger(frame, nic).into_iter().map(|line| (line, Style::new())));
    text.extend(setup::lines(known).into_iter().map(|line| (line, Style::new())));
    let text = paragraphs(&text, area.width);
    let rows = u16::try_from(text.len()).unwrap_or(u16::MAX);
    // The queues say more than the end of the setup.
    let upper = rows.min(area.height.saturating_sub(area.height / 3));
    let [above, _, below] =
        Layout::vertical([Constraint::Length(upper), Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    lines(buffer, above, &text);
    queues::render(state, frame, nic, below, buffer);
}

fn rates(frame: &Frame, nic: &Nic) -> String {
    let counters = &nic.counters;
    let mark = if frame.window.is_some() { "~" } else { "" };
    format!(
        "receives {} packets/s, {} bit/s; sends {} packets/s, {} bit/s; takes {mark}{} % of a CPU, \
         {mark}{} ns per packet",
        rate(frame, counters.rx_packets),
        bits(frame, counters.rx_bytes),
        rate(frame, counters.tx_packets),
        bits(frame, counters.tx_bytes),
        Figure::from(figures::load_pct(nic, frame.interval_ns)).text(short_pct),
        figures::ns_per_packet(frame, nic).text(whole),
    )
}

/// What became of received packets, in the order in which they pass.
fn ledger(frame: &Frame, nic: &Nic) -> Vec<String> {
    let rate = |count: Option<u64>| rate(frame, count);
    let drop = |of: fn(&NicDrops) -> u64| rate(nic.counters.drops.as_ref().map(of));
    let work = nic.cpus.iter().map(|on| on.work).try_fold(0_u64, |sum, work| Some(sum.saturating_add(work?)));
    let netns = frame.netns.iter().find(|netns| Some(netns.inum) == nic.netns);
    let mut lines = vec![
        format!(
            "lost per second, in the NIC: missed {}, fifo {}, bad {}; in the kernel: dropped {}, no handler \
             {}; sending: dropped {}",
            drop(|drops| drops.rx_missed),
            drop(|drops| drops.rx_fifo),
            drop(|drops| drops.rx_crc),
            drop(|drops| drops.rx_dropped),
            drop(|drops| drops.rx_nohandler),
            drop(|drops| drops.tx_dropped)
        ),
        format!("packets per second: interface {}, polls {}", rate(nic.counters.rx_packets), rate(work)),
    ];
    if let Some(netns) = netns {
        lines.push(format!(
            "its namespace, all NICs: {} packets merged into one by GRO, {} IP packets/s, lost at full UDP \
             sockets {}/s, at full listen queues {}/s",
            known(netns.gro_ratio, |ratio| format!("{ratio:.1}")),
            rate(netns.ip_packets),
            rate(netns.udp_rcvbuf_errors),
            rate(netns.listen_drops)
        ));
    }
    lines
}
