//! One queue of a NIC: who polls it, where, and how it is set up.

use ratatui::{layout::Rect, style::Style};

use super::queues::{cell, label, per_poll, sum_of_polls};
use crate::{
    frame::{
        Frame, Irq, Napi, NapiCpu, NapiKind, NapiMode, Nic, cpu_list, per_s,
        topology::{self, QueueKind},
    },
    tui::{
        Canvas, State, Theme, figures, lists,
        paint::{left, lines, paragraphs, right},
        text::Figure,
    },
};

/// Heads of the figures of each CPU; where not all fit, the last are left out.
const HEADS: [&str; 6] = ["LOAD%", "PKT/s", "POLL/s", "REPOLL/s", "PKT/POLL", "IRQ/s"];
/// Width of a figure, and of a CPU's number.
const FIGURE: u16 = 10;
const CPU: u16 = 6;

/// A queue, or what belongs to none, with its interrupts and NAPIs.
struct Of<'a> {
    nic: &'a Nic,
    queue: Option<u32>,
    irqs: Vec<&'a Irq>,
    napis: Vec<&'a Napi>,
}

/// Draws the queue, or what belongs to none.
pub(super) fn render(
    state: &State,
    frame: &Frame,
    nic: &Nic,
    queue: Option<u32>,
    area: Rect,
    canvas: &mut Canvas,
) {
    let setup = lists::setup(state, nic);
    let irqs: Vec<&Irq> = lists::irqs_of_queue(frame, nic, queue).collect();
    let napis: Vec<&Napi> = lists::napis_of_queue(nic, queue).collect();
    let of = Of { nic, queue, irqs, napis };
    let text: Vec<_> = about(frame, &of, setup).into_iter().zip(0..).collect();
    let style = |at| if at == 0 { Theme::name() } else { Style::new() };
    let text: Vec<(String, Style)> = text.into_iter().map(|(line, at)| (line, style(at))).collect();
    let text = paragraphs(&text, area.width);
    lines(canvas, area, &text);
    let rows = u16::try_from(text.len()).unwrap_or(u16::MAX).saturating_add(1).min(area.height);
    let below = Rect { y: area.y + rows, height: area.height - rows, ..area };
    by_cpu(state, frame, &of, below, canvas);
}

/// Its name, who polls it, its interrupts and its steering.
fn about(frame: &Frame, of: &Of, setup: Option<&topology::Nic>) -> Vec<String> {
    let Of { nic, queue, irqs, napis } = of;
    let what = queue.map_or_else(
        || "what belongs to no queue".to_owned(),
        |queue| format!("queue {}", label(queue, setup)),
    );
    let mut text = vec![format!("{}, {what}", nic.name)];
    text.extend(napis.iter().map(|napi| of_napi(napi)));
    if napis.is_empty() && !is_known(frame, of) {
        text.push("which NAPI polls it is not known; its polls may be among the others".to_owned());
    }
    text.extend(irqs.iter().map(|irq| of_irq(irq, setup)));
    text.extend(setup.iter().flat_map(|setup| of_setup(setup, *queue)));
    text
}

/// Whether it would be known if it was polled.
fn is_known(frame: &Frame, of: &Of) -> bool {
    sum_of_polls(frame, of.nic, (of.queue, &[]), |on| on.polls).is_some()
}

fn of_napi(napi: &Napi) -> String {
    let poll = napi.poll_fn.as_deref().map_or_else(String::new, |name| format!(" ({name})"));
    let serves = match napi.kind {
        Some(NapiKind::Rx) => ", for receiving",
        Some(NapiKind::Tx) => ", for sending",
        Some(NapiKind::Combined) => ", for both directions",
        Some(NapiKind::Backlog) | None => "",
    };
    let by = match napi.mode {
        NapiMode::Softirq | NapiMode::Backlog => "in the NET_RX softirq",
        NapiMode::Threaded => "by its own thread",
        NapiMode::Busy => "by tasks that busy-poll their sockets; that time is unknown",
    };
    format!("NAPI {}{poll}{serves}, polled {by}", napi.napi_id)
}

fn of_irq(irq: &Irq, setup: Option<&topology::Nic>) -> String {
    let known = setup.iter().flat_map(|setup| setup.irqs.iter().flatten()).find(|known| known.irq == irq.irq);
    let list = |cpus: Option<&Vec<u32>>| cpus.map_or_else(|| "?".to_owned(), |cpus| cpu_list(cpus));
    let meant = known.map_or_else(String::new, |known| {
        format!(
            ", allowed on CPUs {}, delivered to CPUs {}",
            list(known.affinity.as_ref()),
            list(known.affinity_effective.as_ref())
        )
    });
    format!("interrupt {} ({}){meant}", irq.irq, irq.action)
}

/// Steering of the queue in each direction.
fn of_setup(setup: &topology::Nic, queue: Option<u32>) -> Vec<String> {
    let queues = setup.queues.iter().filter(|known| Some(known.index) == queue);
    let steering = |name: &str, cpus: &Option<Vec<u32>>| match cpus.as_deref() {
        Some([]) => Some(format!("{name} off")),
        Some(cpus) => Some(format!("{name} to CPUs {}", cpu_list(cpus))),
        None => None,
    };
    let of = |known: &topology::Queue| {
        let (direction, steered) = match known.kind {
            QueueKind::Rx => ("receive", steering("RPS", &known.rps_cpus)),
            QueueKind::Tx => ("send", steering("XPS", &known.xps_cpus)),
        };
        let packets =
            known.packets.map(|packets| format!("{packets} packets since its driver began to count"));
        let parts: Vec<String> = steered.into_iter().chain(packets).collect();
        (!parts.is_empty()).then(|| format!("{direction}: {}", parts.join(", ")))
    };
    queues.filter_map(of).collect()
}

/// What it did on each CPU.
fn by_cpu(state: &State, frame: &Frame, of: &Of, area: Rect, canvas: &mut Canvas) {
    if area.height < 2 {
        return;
    }
    let mark = figures::mark(frame);
    left(canvas, (area.x, area.y), CPU, "CPU", state.theme.head());
    let fit = usize::from(area.width.saturating_sub(CPU) / FIGURE);
    for (head, at) in HEADS.into_iter().take(fit).zip(0..) {
        let head = if head == "LOAD%" { format!("{mark}{head}") } else { head.to_owned() };
        right(canvas, (area.x + CPU + at * FIGURE, area.y), FIGURE, &head, state.theme.head());
    }
    let polled = of.napis.iter().flat_map(|napi| &napi.cpus).map(|on| on.cpu);
    let mut cpus: Vec<u32> =
        of.irqs.iter().flat_map(|irq| &irq.cpus).map(|on| on.cpu).chain(polled).collect();
    cpus.sort_unstable();
    cpus.dedup();
    if cpus.is_empty() {
        let text = if is_known(frame, of) { "nothing happened in this interval" } else { "unknown" };
        left(canvas, (area.x, area.y + 1), area.width, text, state.theme.quiet());
    }
    for (cpu, y) in cpus.into_iter().zip(area.y + 1..area.bottom()) {
        left(canvas, (area.x, y), CPU, &cpu.to_string(), Theme::name());
        let figures = on_cpu(frame, of, cpu);
        for ((head, figure), at) in HEADS.iter().zip(figures).take(fit).zip(0..) {
            let (text, style) = cell(state, figure, *head == "LOAD%");
            right(canvas, (area.x + CPU + at * FIGURE + 1, y), FIGURE - 1, &text, style);
        }
    }
}

/// In the order of the heads.
fn on_cpu(frame: &Frame, of: &Of, cpu: u32) -> [Figure; 6] {
    let Of { nic, queue, irqs, napis } = of;
    let on: Vec<_> = napis.iter().flat_map(|napi| &napi.cpus).filter(|on| on.cpu == cpu).collect();
    let fired = irqs.iter().flat_map(|irq| &irq.cpus).filter(|on| on.cpu == cpu).map(|on| on.count);
    let polled = |of: fn(&NapiCpu) -> Option<u64>| sum_of_polls(frame, nic, (*queue, &on), of);
    let [polls, repolls, work, ns] =
        [polled(|on| on.polls), polled(|on| on.repolls), polled(|on| on.work), polled(NapiCpu::poll_time_ns)];
    let rate = |count: Option<u64>| Figure::from(per_s(count, frame.interval_ns));
    [
        figures::share(ns, frame.interval_ns).into(),
        rate(work),
        rate(polls),
        rate(repolls),
        per_poll(work, polls),
        rate(figures::sum(fired)),
    ]
}
