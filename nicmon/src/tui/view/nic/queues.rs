//! The queues of a NIC: where each interrupts, where it is polled, and what that costs.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::{
    frame::{
        Frame, Irq, Napi, NapiCpu, Nic, NicCpu, cpu_list, pct_of, per_s,
        topology::{self, QueueKind},
    },
    present::text::{known, pct, printable, scaled},
    tui::{
        State, Theme, lists,
        paint::{left, right},
    },
};

/// A row: a queue, or what belongs to none.
struct Row {
    label: String,
    irqs: String,
    affinity: String,
    polled_on: String,
    figures: [Option<f64>; 5],
}

/// Heads of the figures, and their widths.
const FIGURES: [(&str, u16); 5] = [("IRQ/s", 7), ("POLL/s", 7), ("PKT/s", 7), ("PKT/POLL", 9), ("LOAD%", 7)];
/// Heads of the texts, and their widths.
const TEXTS: [(&str, u16); 4] = [("QUEUE", 9), ("IRQ", 9), ("MEANT FOR", 11), ("POLLED ON", 11)];

/// Draws a row for each queue that fits.
pub(super) fn render(state: &State, frame: &Frame, nic: &Nic, area: Rect, buffer: &mut Buffer) {
    let setup = lists::setup(state, nic);
    let rows = rows(frame, nic, setup);
    if rows.is_empty() || area.is_empty() {
        return by_cpu(state, frame, nic, area, buffer);
    }
    head(state, frame, area, buffer);
    let fit = usize::from(area.height - 1);
    let chosen = state.queue.min(rows.len() - 1);
    let first = lists::first_around(chosen, rows.len(), fit);
    for ((at, row), y) in rows.iter().enumerate().skip(first).zip(area.y + 1..area.bottom()) {
        let mark = if at == chosen { "> " } else { "  " };
        let texts = [&format!("{mark}{}", row.label), &row.irqs, &row.affinity, &row.polled_on];
        let mut x = area.x;
        for ((_, width), text) in TEXTS.iter().zip(texts) {
            left(buffer, (x, y), width - 1, &printable(text), Style::new());
            x += width;
        }
        for (number, ((_, width), figure)) in FIGURES.iter().zip(row.figures).enumerate() {
            let is_load = number == FIGURES.len() - 1;
            let text = known(figure, |value| if is_load { pct(value, 5) } else { scaled(value, 6) });
            let style = match figure {
                Some(load) if is_load => state.theme.load(load),
                Some(value) if value > 0.0 => Style::new(),
                _ => state.theme.quiet(),
            };
            right(buffer, (x + 1, y), width - 1, &text, style);
            x += width;
        }
    }
}

fn head(state: &State, frame: &Frame, area: Rect, buffer: &mut Buffer) {
    let mut x = area.x;
    for (head, width) in TEXTS {
        left(buffer, (x, area.y), width, head, state.theme.head());
        x += width;
    }
    let mark = if frame.window.is_some() { "~" } else { "" };
    for (head, width) in FIGURES {
        let head = if head == "LOAD%" { format!("{mark}{head}") } else { head.to_owned() };
        right(buffer, (x, area.y), width, &head, state.theme.head());
        x += width;
    }
}

fn rows(frame: &Frame, nic: &Nic, setup: Option<&topology::Nic>) -> Vec<Row> {
    let queues = lists::queues(nic, setup);
    let mut rows: Vec<Row> = queues.iter().map(|queue| row(frame, nic, setup, Some(*queue))).collect();
    let without = nic.napis.iter().flatten().any(|napi| napi.queue.is_none());
    let irqs = of_nic(frame, nic).any(|irq| irq.queue.is_none());
    if !rows.is_empty() && (without || irqs) {
        rows.push(row(frame, nic, setup, None));
    }
    rows
}

fn of_nic<'a>(frame: &'a Frame, nic: &'a Nic) -> impl Iterator<Item = &'a Irq> {
    frame.irqs.iter().filter(|irq| irq.nic.as_ref() == Some(&nic.name))
}

/// A queue by its number, or all that belongs to none.
fn row(frame: &Frame, nic: &Nic, setup: Option<&topology::Nic>, queue: Option<u32>) -> Row {
    let irqs: Vec<&Irq> = of_nic(frame, nic).filter(|irq| irq.queue == queue).collect();
    let polls = nic.napis.iter().flatten().filter(|napi: &&Napi| napi.queue == queue);
    let polls: Vec<&NapiCpu> = polls.flat_map(|napi| &napi.cpus).collect();
    let sum = |of: fn(&NapiCpu) -> Option<u64>| {
        polls.iter().map(|on| of(on)).try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)))
    };
    let rate = |count: Option<u64>| per_s(count, frame.interval_ns);
    let fired = irqs.iter().flat_map(|irq| &irq.cpus).map(|on| on.count);
    let fired = fired.into_iter().try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)));
    let (calls, work) = (sum(|on| on.polls), sum(|on| on.work));
    let per_poll =
        calls.zip(work).filter(|(calls, _)| *calls > 0).map(|(calls, work)| work as f64 / calls as f64);
    let load = sum(NapiCpu::poll_time_ns).map(|ns| pct_of(ns, frame.interval_ns));
    let known = setup.iter().flat_map(|setup| setup.irqs.iter().flatten());
    let affinity = known
        .filter(|irq| irq.queue == queue && queue.is_some())
        .filter_map(|irq| irq.affinity_effective.as_ref().or(irq.affinity.as_ref()));
    Row {
        label: queue.map_or_else(|| "others".to_owned(), |queue| label(queue, setup)),
        irqs: list(irqs.iter().map(|irq| irq.irq)),
        affinity: list(affinity.flatten().copied()),
        polled_on: list(polls.iter().map(|on| on.cpu)),
        figures: [rate(fired), rate(calls), rate(work), per_poll, load],
    }
}

/// A queue's number, and whether it only sends.
fn label(queue: u32, setup: Option<&topology::Nic>) -> String {
    let is = |kind: QueueKind| {
        setup.iter().flat_map(|setup| &setup.queues).any(|known| known.kind == kind && known.index == queue)
    };
    if is(QueueKind::Tx) && !is(QueueKind::Rx) { format!("tx {queue}") } else { queue.to_string() }
}

/// Most characters of a list of numbers.
const LIST: usize = 8;

/// Numbers as a list, of which the end may be left out; `-` if there are none.
fn list(numbers: impl Iterator<Item = u32>) -> String {
    let mut all: Vec<u32> = numbers.collect();
    all.sort_unstable();
    all.dedup();
    let list = cpu_list(&all);
    if all.is_empty() {
        return "-".to_owned();
    }
    if list.len() <= LIST {
        return list;
    }
    // Two dots take the place of what is left out.
    let end = list[..LIST - 1].rfind(',').unwrap_or(0);
    format!("{}..", &list[..end])
}

/// Without queues, where it was polled.
fn by_cpu(state: &State, frame: &Frame, nic: &Nic, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    left(buffer, (area.x, area.y), area.width, "CPU   LOAD%  PACKETS/s", state.theme.head());
    for (on, y) in nic.cpus.iter().zip(area.y + 1..area.bottom()) {
        let NicCpu { cpu, work, .. } = on;
        left(buffer, (area.x, y), 5, &cpu.to_string(), Theme::name());
        let load = on.known_load_pct();
        let style = state.theme.load(load.unwrap_or(0.0));
        right(buffer, (area.x + 6, y), 5, &known(load, |load| pct(load, 5)), style);
        let rate = known(per_s(*work, frame.interval_ns), |rate| scaled(rate, 6));
        right(buffer, (area.x + 12, y), 10, &rate, Style::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_never_cut_inside_a_number() {
        let of = |numbers: &[u32]| list(numbers.iter().copied());
        assert_eq!((of(&[]), of(&[3, 1]), of(&[0, 1, 2, 3])), ("-".into(), "1,3".into(), "0-3".into()));
        assert_eq!((of(&[0, 2, 4, 6]), of(&[0, 2, 4, 6, 8])), ("0,2,4,6".into(), "0,2,4..".into()));
        assert_eq!((of(&[100, 102]), of(&[100, 102, 104])), ("100,102".into(), "100..".into()));
        for first in [7, 77, 777, 7777] {
            for number in 1..40 {
                let text = of(&(0..number).map(|at| first + at * 2).collect::<Vec<_>>());
                assert!(text.len() <= LIST, "{text}");
            }
        }
    }
}
