//! The queues of a NIC: where each interrupts, where it is polled, and what that costs.

use ratatui::{layout::Rect, style::Style};

use crate::{
    frame::{
        Frame, Irq, Napi, NapiCpu, NapiKind, Nic, NicCpu, cpu_list, per_s,
        topology::{self, QueueKind},
    },
    present::text::{known, pct, printable, scaled},
    tui::{
        Canvas, QueueId, State, Target, Theme, figures, lists,
        paint::{left, right},
        text::Figure,
    },
};

/// A row: a queue, or what belongs to none.
struct Row {
    queue: QueueId,
    label: String,
    irqs: String,
    affinity: String,
    polled_on: String,
    figures: [Figure; 5],
}

/// Heads of the figures, and their widths.
const FIGURES: [(&str, u16); 5] = [("IRQ/s", 7), ("POLL/s", 7), ("PKT/s", 7), ("PKT/POLL", 9), ("LOAD%", 7)];
/// Heads of the texts, and their widths.
const TEXTS: [(&str, u16); 4] = [("QUEUE", 9), ("IRQ", 9), ("MEANT FOR", 11), ("POLLED ON", 11)];

/// Draws a row for each queue that fits.
pub(super) fn render(state: &State, frame: &Frame, nic: &Nic, area: Rect, canvas: &mut Canvas) {
    let setup = lists::setup(state, nic);
    let rows = rows(frame, nic, setup);
    if rows.is_empty() || area.is_empty() {
        return by_cpu(state, frame, nic, area, canvas);
    }
    head(state, frame, area, canvas);
    let fit = usize::from(area.height - 1);
    let queues: Vec<QueueId> = rows.iter().map(|row| row.queue).collect();
    let chosen = lists::chosen_queue(state, &queues);
    let first = lists::first_around(chosen, rows.len(), fit);
    for ((at, row), y) in rows.iter().enumerate().skip(first).zip(area.y + 1..area.bottom()) {
        canvas.is_for((area.x, y), area.width, Target::Queue(row.queue));
        let mark = if at == chosen { "> " } else { "  " };
        let texts = [&format!("{mark}{}", row.label), &row.irqs, &row.affinity, &row.polled_on];
        let mut x = area.x;
        for ((_, width), text) in TEXTS.iter().zip(texts) {
            left(canvas, (x, y), width - 1, &printable(text), Style::new());
            x += width;
        }
        for (number, ((_, width), figure)) in FIGURES.iter().zip(row.figures).enumerate() {
            let (text, style) = cell(state, figure, number == FIGURES.len() - 1);
            right(canvas, (x + 1, y), width - 1, &text, style);
            x += width;
        }
    }
}

/// A figure, coloured if it is a load.
pub(super) fn cell(state: &State, figure: Figure, is_load: bool) -> (String, Style) {
    let text = figure.text(|value| if is_load { pct(value, 5) } else { scaled(value, 6) });
    let style = match figure {
        Figure::Known(load) if is_load => state.theme.load(load),
        Figure::Known(value) if value > 0.0 => Style::new(),
        _ => state.theme.quiet(),
    };
    (text, style)
}

/// Packets per poll; nothing if there was no poll.
pub(super) fn per_poll(work: Option<u64>, polls: Option<u64>) -> Figure {
    match (work, polls) {
        (_, Some(0)) => Figure::Nothing,
        (Some(work), Some(polls)) => Figure::Known(work as f64 / polls as f64),
        _ => Figure::Unknown,
    }
}

fn head(state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
    let mut x = area.x;
    for (head, width) in TEXTS {
        left(canvas, (x, area.y), width, head, state.theme.head());
        x += width;
    }
    let mark = figures::mark(frame);
    for (head, width) in FIGURES {
        let head = if head == "LOAD%" { format!("{mark}{head}") } else { head.to_owned() };
        right(canvas, (x, area.y), width, &head, state.theme.head());
        x += width;
    }
}

fn rows(frame: &Frame, nic: &Nic, setup: Option<&topology::Nic>) -> Vec<Row> {
    lists::queues(frame, nic, setup).into_iter().map(|queue| row(frame, nic, setup, queue)).collect()
}

/// A queue by its number, or all that belongs to none.
fn row(frame: &Frame, nic: &Nic, setup: Option<&topology::Nic>, id: QueueId) -> Row {
    let queue = id.number();
    let irqs: Vec<&Irq> = lists::irqs_of_queue(frame, nic, queue).collect();
    let polls: Vec<&NapiCpu> = lists::napis_of_queue(nic, queue).flat_map(|napi| &napi.cpus).collect();
    let polled = |of: fn(&NapiCpu) -> Option<u64>| sum_of_polls(frame, nic, (queue, &polls), of);
    let rate = |count: Option<u64>| Figure::from(per_s(count, frame.interval_ns));
    let fired = figures::sum(irqs.iter().flat_map(|irq| &irq.cpus).map(|on| on.count));
    let (calls, work) = (polled(|on| on.polls), polled(|on| on.work));
    let load = figures::share(polled(NapiCpu::poll_time_ns), frame.interval_ns);
    let known = setup.iter().flat_map(|setup| setup.irqs.iter().flatten());
    let affinity = known
        .filter(|irq| irq.queue == queue && queue.is_some())
        .filter_map(|irq| irq.affinity_effective.as_ref().or(irq.affinity.as_ref()));
    Row {
        queue: id,
        label: queue.map_or_else(|| "others".to_owned(), |queue| label(queue, setup)),
        irqs: list(irqs.iter().map(|irq| irq.irq)),
        affinity: list(affinity.flatten().copied()),
        polled_on: list(polls.iter().map(|on| on.cpu)),
        figures: [rate(fired), rate(calls), rate(work), per_poll(work, calls), load.into()],
    }
}

/// A sum over the polls of a queue. That there were none is only known if all polls were seen, and if it is
/// known of each NAPI that receives which queue it serves.
pub(super) fn sum_of_polls(
    frame: &Frame,
    nic: &Nic,
    (queue, polls): (Option<u32>, &[&NapiCpu]),
    of: fn(&NapiCpu) -> Option<u64>,
) -> Option<u64> {
    let napis = nic.napis.as_ref()?;
    let may_be_of_it = |napi: &Napi| napi.queue.is_none() && napi.kind != Some(NapiKind::Tx);
    let may_lack_some = frame.window.is_some() || (queue.is_some() && napis.iter().any(may_be_of_it));
    if polls.is_empty() && may_lack_some { None } else { figures::sum(polls.iter().map(|on| of(on))) }
}

/// A queue's number, and whether it only sends.
pub(super) fn label(queue: u32, setup: Option<&topology::Nic>) -> String {
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
fn by_cpu(state: &State, frame: &Frame, nic: &Nic, area: Rect, canvas: &mut Canvas) {
    if area.is_empty() {
        return;
    }
    left(canvas, (area.x, area.y), area.width, "CPU   LOAD%  PACKETS/s", state.theme.head());
    for (on, y) in nic.cpus.iter().zip(area.y + 1..area.bottom()) {
        let NicCpu { cpu, work, .. } = on;
        left(canvas, (area.x, y), 5, &cpu.to_string(), Theme::name());
        let load = on.known_load_pct();
        let style = state.theme.load(load.unwrap_or(0.0));
        right(canvas, (area.x + 6, y), 5, &known(load, |load| pct(load, 5)), style);
        let rate = known(per_s(*work, frame.interval_ns), |rate| scaled(rate, 6));
        right(canvas, (area.x + 12, y), 10, &rate, Style::new());
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
