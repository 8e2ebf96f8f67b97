//! Driver costs, by samples: all drivers, and where the samples of the chosen one fell.

mod list;
mod parts;
mod stages;
mod table;
#[cfg(test)]
mod tests;

use ratatui::{
    layout::{Constraint, Layout, Rect},
    style::Style,
};

use crate::{
    frame::{self, Frame, NetworkLoad, SampleEvent},
    present::text::{plain, printable},
    tui::{
        Canvas, State,
        costs::{self, Cost, Details},
        paint::{left, text_width},
        text::{Figure, short_pct},
        window::Excerpt,
    },
};

/// From this width on, functions and the other tables are side by side.
const WIDE: u16 = 140;
/// Width of the other tables.
const REST: u16 = 56;
/// From this width on, stages are beside processes and companions.
const TWO: u16 = 80;
/// Width of the stages.
const STAGES: u16 = 42;
/// Columns between two tables.
const GAP: u16 = 2;
/// A table with fewer lines than this, including its head, gives way to others.
const LEAST: u16 = 3;
/// From this height on, tables are separated by an empty line.
const TALL: u16 = 30;

/// Draws the whole view.
pub(super) fn render(state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
    let recent = state.drivers.window.until(frame, state.drivers.span);
    let [first, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let Some(newest) = recent.first() else {
        let text = printable(&format!("driver costs are unknown: {}", reason(frame)));
        left(canvas, (first.x, first.y), first.width, &text, state.theme.loud());
        return;
    };
    note(state, newest, &recent, first, canvas);
    let [network, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(body);
    left(canvas, (network.x, network.y), network.width, &side_by_side(&recent), Style::new());
    let rows = costs::rows(&recent);
    let chosen = costs::chosen(&rows, state.drivers.chosen.as_ref());
    let Some(row) = rows.get(chosen) else {
        left(canvas, (body.x, body.y), body.width, "no NIC in this frame has a driver", state.theme.quiet());
        return;
    };
    let list_height = height(rows.len()).min((body.height / 3).max(2));
    let [list, below] = stack(body, [list_height, body.height]);
    list::render(state, &rows, chosen, list, canvas);
    let caveat = row.cost.as_ref().and_then(|cost| caveat(cost, &recent));
    let [first, below] =
        Layout::vertical([Constraint::Length(u16::from(caveat.is_some())), Constraint::Fill(1)]).areas(below);
    if let Some(text) = caveat.filter(|_| !first.is_empty()) {
        let text = printable(&format!("{}: {text}", row.name));
        left(canvas, (first.x, first.y), first.width, &text, Style::new());
    }
    let details = costs::details(&recent, &row.subject);
    if row.cost.is_some() {
        of_driver(state, row.name, &details, below, canvas);
    } else {
        stages::render(state, &details, below, canvas);
    }
}

/// Why driver costs are unknown.
fn reason(frame: &Frame) -> &str {
    let host = &frame.host;
    match &host.drivers_reason {
        Some(reason) => reason,
        None if host.source == frame::Source::Proc => "only the kernel's own counts are available",
        None if host.sampling.is_none() => "the CPUs were not sampled",
        None => "kernel symbols have not been read yet",
    }
}

/// Draws what the shares are shares of.
fn note(state: &State, newest: &Excerpt, recent: &[&Excerpt], area: Rect, canvas: &mut Canvas) {
    let sum =
        |of: fn(&Excerpt) -> u64| recent.iter().fold(0_u64, |sum, excerpt| sum.saturating_add(of(excerpt)));
    let by = newest.event.map_or("?", SampleEvent::label);
    let text = format!(
        "over {:.1} s: {} busy of {} samples ({by}, {}/s on {} CPUs)",
        sum(|excerpt| excerpt.interval_ns) as f64 / 1e9,
        sum(|excerpt| excerpt.sampling.busy),
        sum(|excerpt| excerpt.sampling.samples),
        plain(newest.sampling.frequency_per_s),
        newest.sampling.cpus,
    );
    left(canvas, (area.x, area.y), area.width, &text, Style::new());
    let lost = sum(|excerpt| excerpt.sampling.lost);
    // Unknown with cycles, whose rate depends on the speed of a CPU.
    let missing = sum(|excerpt| {
        excerpt.sampling.busy_expected.map_or(0, |expected| expected.saturating_sub(excerpt.sampling.busy))
    });
    let warning = match (lost, missing) {
        (0, 0) => return,
        (0, missing) => format!("{missing} busy samples missing"),
        (lost, 0) => format!("lost {lost}"),
        (lost, missing) => format!("lost {lost}, {missing} busy samples missing"),
    };
    let x = text_width(&text).saturating_add(2);
    let room = area.width.saturating_sub(x);
    left(canvas, (area.x.saturating_add(x), area.y), room, &warning, state.theme.loud());
}

/// What the network cost, in percent of one CPU. `~` marks estimates.
fn side_by_side(recent: &[&Excerpt]) -> String {
    let load = recent.iter().map(|excerpt| excerpt.network).reduce(NetworkLoad::plus);
    let pct = |part: fn(NetworkLoad) -> Option<f64>| Figure::from(load.and_then(part)).text(short_pct);
    let mark = if load.is_some_and(|load| load.is_estimated) { "~" } else { "" };
    format!(
        "CPU%: {mark}polls {} {mark}irqs {} | ~drivers {} ~stack {} ~receive {} ~send {}",
        pct(|load| load.polls_pct),
        pct(|load| load.irqs_pct),
        pct(|load| load.drivers_pct),
        pct(|load| load.stack_pct),
        pct(|load| load.receive_pct),
        pct(|load| load.send_pct),
    )
}

/// Says if a driver's figures are unknown or do not cover all these frames.
fn caveat(cost: &Cost, recent: &[&Excerpt]) -> Option<String> {
    if let Some(reason) = cost.unknown {
        return Some(format!("its code is unknown: {reason}"));
    }
    let all = recent.iter().fold(0_u64, |sum, excerpt| sum.saturating_add(excerpt.interval_ns));
    let part = cost.interval_ns as f64 / 1e9;
    (cost.interval_ns < all).then(|| format!("figures cover only the last {part:.1} s"))
}

fn of_driver(state: &State, name: &str, details: &Details, area: Rect, canvas: &mut Canvas) {
    let unlisted = usize::from(details.unlisted.is_some());
    let functions = height(details.functions.len() + unlisted);
    let processes = height(details.processes.len() + unlisted);
    let companions = if details.companions.is_empty() { 0 } else { height(details.companions.len()) };
    let stages = height(stages::rows(details));
    let (upper, rest) = if area.width >= WIDE {
        let [upper, _, rest] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(GAP), Constraint::Length(REST)])
                .areas(area);
        (upper, stack(rest, [processes, companions, stages]))
    } else if area.width >= TWO {
        let below = processes.saturating_add(companions).max(stages);
        let [upper, below] = stack(area, [functions, below]);
        let [first, _, stages] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(GAP), Constraint::Length(STAGES)])
                .areas(below);
        let [processes, companions] = stack(first, [processes, companions]);
        (upper, [processes, companions, stages])
    } else {
        let [upper, stages, processes, companions] = stack(area, [functions, stages, processes, companions]);
        (upper, [processes, companions, stages])
    };
    parts::functions(state, name, details, upper, canvas);
    parts::processes(state, details, rest[0], canvas);
    parts::companions(state, details, rest[1], canvas);
    stages::render(state, details, rest[2], canvas);
}

/// Height of a table with its head.
fn height(rows: usize) -> u16 {
    u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(1)
}

/// Areas below each other with the wanted heights. If there is too little room, the highest shrink first, and
/// then the last ones disappear. In a high area, they are separated by empty lines.
fn stack<const N: usize>(area: Rect, wanted: [u16; N]) -> [Rect; N] {
    let gap = u16::from(area.height >= TALL);
    let tables = wanted.iter().filter(|height| **height > 0).count();
    let room = area.height.saturating_sub(gap * u16::try_from(tables.saturating_sub(1)).unwrap_or(0));
    let sum = |heights: &[u16; N], most: u16| {
        heights.iter().map(|height| u32::from(*height.min(&most))).sum::<u32>()
    };
    let mut heights = wanted.map(|height| height.min(room));
    while sum(&heights, LEAST) > room.into() {
        let Some(last) = heights.iter_mut().rev().find(|height| **height > 0) else { break };
        *last = 0;
    }
    while sum(&heights, u16::MAX) > room.into() {
        // Among equals this is the last one, so the first is cut last.
        let Some(highest) = heights.iter_mut().max_by_key(|height| **height) else { break };
        *highest -= 1;
    }
    let mut y = area.y;
    heights.map(|height| {
        let place = Rect { y, height, ..area }.intersection(area);
        if height > 0 {
            y = y.saturating_add(height).saturating_add(gap);
        }
        place
    })
}
