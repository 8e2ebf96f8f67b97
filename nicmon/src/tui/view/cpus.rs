//! The view of CPUs: what each one does, as a bar and in figures.

use ratatui::{layout::Rect, style::Style};

use super::spark;
use crate::{
    frame::{Cpu, Frame, Nic},
    present::text::printable,
    tui::{
        Canvas, CpuOrder, State, Target, Theme, figures, lists,
        paint::{left, right},
        text::{Figure, short_pct},
    },
};

/// Below this network load, in percent of the CPU, a CPU is idle for the network.
const IDLE_PCT: f64 = 0.1;
/// Width of the CPU's number, with the mark of the chosen one.
const NUMBER: u16 = 6;
/// Width of a figure.
const FIGURE: u16 = 6;
/// Width of the name of the NIC that loads it most, and its load.
const MOST: u16 = 22;
/// The widest bar.
const WIDEST: u16 = 80;
/// Width of the load by NICs in the last minutes, and what it covers.
const PAST: u16 = 20;
const PAST_NS: u64 = 300_000_000_000;
/// From this width on, there is room for it.
const WIDE: u16 = 140;

/// What a CPU does, in percent of the interval; `None` is unknown.
struct Parts {
    irq: Option<f64>,
    rx: Option<f64>,
    other: Option<f64>,
    user: Option<f64>,
    system: Option<f64>,
    steal: Option<f64>,
    idle: Option<f64>,
    kernels_soft: Option<f64>,
}

/// A figure's head, the letter of its part of the bar, and the figure.
type Column = (&'static str, Option<char>, fn(&Parts) -> Option<f64>);

/// In the order of the bar. The last is no part of it.
const COLUMNS: [Column; 8] = [
    ("IRQ", Some('i'), |parts| parts.irq),
    ("RX", Some('R'), |parts| parts.rx),
    ("SOFT", Some('s'), |parts| parts.other),
    ("USER", Some('u'), |parts| parts.user),
    ("SYS", Some('k'), |parts| parts.system),
    ("STEAL", Some('t'), |parts| parts.steal),
    ("IDLE", Some('.'), |parts| parts.idle),
    ("K.SI", None, |parts| parts.kernels_soft),
];

/// Draws a row for each CPU that fits, those without network load together in one.
pub(super) fn render(state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
    let cpus = lists::cpus(state, frame);
    let chosen = lists::chosen_cpu(state, &cpus);
    let fit = usize::from(area.height.saturating_sub(2));
    // If not all fit, those that the network leaves alone give way, but for the chosen one.
    let are_folded = cpus.len() > fit;
    let is_kept = |at: usize, load: f64| !are_folded || load >= IDLE_PCT || at == chosen;
    let rows: Vec<_> = (cpus.iter().enumerate()).filter(|(at, (_, load))| is_kept(*at, *load)).collect();
    let at = rows.iter().position(|(at, _)| *at == chosen).unwrap_or(0);
    let first = lists::first_around(at, rows.len(), fit);
    let layout = Layout::of(area.width);
    layout.head(state, frame, area, canvas);
    let most = lists::nic_on_each(frame);
    for ((at, (cpu, _)), y) in rows.iter().skip(first).zip(area.y + 1..area.bottom().saturating_sub(1)) {
        canvas.is_for((area.x, y), area.width, Target::Cpu(cpu.cpu));
        layout.row(state, frame, (cpu, *at == chosen), most.get(&cpu.cpu), (area.x, y), canvas);
        if layout.has_past {
            let slots = state.history.of_cpu(cpu.cpu, (frame.mono_ns, PAST_NS), PAST.into());
            let x = area.right().saturating_sub(PAST);
            left(canvas, (x, y), PAST, &spark::bars(state, &slots, 100.0), Style::new());
        }
    }
    let folded = cpus.len() - rows.len();
    let below = rows.len().saturating_sub(first + fit);
    let note = match (folded, below) {
        (0, 0) => "bar: i irq, R NET_RX, s other softirqs, u user, k kernel, t stolen, . idle".to_owned(),
        (folded, 0) => format!("{folded} CPUs without network load are not shown"),
        (0, below) => format!("{below} more below"),
        (folded, below) => format!("{below} more below, and {folded} CPUs without network load"),
    };
    let y = area.bottom().saturating_sub(1);
    left(canvas, (area.x, y), area.width, &note, state.theme.quiet());
}

/// What has room.
struct Layout {
    bar: u16,
    figures: usize,
    has_most: bool,
    has_past: bool,
}

impl Layout {
    fn of(width: u16) -> Self {
        let most = if width >= 60 { MOST } else { 0 };
        let past = if width >= WIDE { PAST + 1 } else { 0 };
        let room = width.saturating_sub(NUMBER + most + past);
        // The bar gets at least a third.
        let figures = (usize::from(room - room / 3) / usize::from(FIGURE)).min(COLUMNS.len());
        let taken = u16::try_from(figures).unwrap_or(0) * FIGURE;
        Self {
            bar: room.saturating_sub(taken + 1).min(WIDEST),
            figures,
            has_most: most > 0,
            has_past: past > 0,
        }
    }

    fn head(&self, state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
        let style = state.theme.head();
        let mark = figures::mark(frame);
        canvas.is_for((area.x, area.y), NUMBER, Target::CpuOrder(CpuOrder::Number));
        canvas.is_for((area.x + NUMBER, area.y), self.bar, Target::CpuOrder(CpuOrder::Load));
        left(canvas, (area.x, area.y), NUMBER, "CPU", style);
        left(canvas, (area.x + NUMBER, area.y), self.bar, "% OF ITS TIME", style);
        let mut x = area.x + NUMBER + self.bar;
        for (number, (head, ..)) in COLUMNS.iter().take(self.figures).enumerate() {
            let head = if number < 3 { format!("{mark}{head}") } else { (*head).to_owned() };
            right(canvas, (x, area.y), FIGURE, &head, style);
            x += FIGURE;
        }
        if self.has_most {
            left(canvas, (x + 1, area.y), MOST - 1, "MOST OF IT FOR", style);
        }
        if self.has_past {
            left(canvas, (area.right().saturating_sub(PAST), area.y), PAST, "NICs, 5 MINUTES", style);
        }
    }

    fn row(
        &self,
        state: &State,
        frame: &Frame,
        (cpu, is_chosen): (&Cpu, bool),
        most: Option<&(&Nic, f64)>,
        (x, y): (u16, u16),
        canvas: &mut Canvas,
    ) {
        let parts = Parts::of(frame, cpu);
        let mark = if is_chosen { "> " } else { "  " };
        left(canvas, (x, y), NUMBER, &format!("{mark}{}", cpu.cpu), Theme::name());
        bar(state, &parts, Rect::new(x + NUMBER, y, self.bar, 1), canvas);
        let mut at = x + NUMBER + self.bar;
        for (number, (.., figure)) in COLUMNS.iter().take(self.figures).enumerate() {
            let value = figure(&parts);
            // Loads by the network are coloured, and the rest is not.
            let style = match value {
                Some(value) if number < 3 => state.theme.load(value),
                Some(value) if value > 0.0 => Style::new(),
                _ => state.theme.quiet(),
            };
            right(canvas, (at + 1, y), FIGURE - 1, &Figure::from(value).text(short_pct), style);
            at += FIGURE;
        }
        if let Some((nic, load)) = most.filter(|_| self.has_most) {
            let text = printable(&format!("{} {}", nic.name, short_pct(*load)));
            left(canvas, (at + 1, y), MOST - 1, &text, Style::new());
        }
    }
}

/// Draws the parts one after the other, each as long as its share. What is unknown is left out.
fn bar(state: &State, parts: &Parts, area: Rect, canvas: &mut Canvas) {
    let mut from = 0.0;
    for (number, (_, letter, figure)) in COLUMNS.iter().enumerate() {
        let Some((letter, value)) = letter.zip(figure(parts)) else { continue };
        let to = (from + value).min(100.0);
        let style = state.theme.part(number);
        let (first, end) = (column_of(from, area.width), column_of(to, area.width));
        let part = String::from(letter).repeat(end.saturating_sub(first).into());
        left(canvas, (area.x + first, area.y), end.saturating_sub(first), &part, style);
        from = to;
    }
}

/// The column in which this part of the whole ends.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the width")]
fn column_of(pct: f64, width: u16) -> u16 {
    (pct.clamp(0.0, 100.0) / 100.0 * f64::from(width)).round() as u16
}

impl Parts {
    /// Interrupts and softirqs are nicmon's own. The kernel's accounting divides the rest, since the two do
    /// not add up: it may be sampled, and counts softirqs otherwise.
    fn of(frame: &Frame, cpu: &Cpu) -> Self {
        let share = |ns: Option<u64>| figures::share(ns, frame.interval_ns);
        let irq = share(cpu.hardirq_time_ns());
        let rx = share(cpu.softirq.and_then(|all| all.net_rx.vector.time_ns()));
        let all = share(cpu.softirq.and_then(|all| all.all_ns()));
        let other = all.zip(rx).map(|(all, rx)| (all - rx).max(0.0));
        let stat = cpu.stat;
        let known = irq.unwrap_or(0.0) + rx.unwrap_or(0.0) + other.unwrap_or(0.0);
        let rest = stat.map(|stat| {
            let idle = stat.idle_pct + stat.iowait_pct;
            let sum = stat.user_pct + stat.system_pct + stat.steal_pct + idle;
            // Without times, the kernel's own softirq time is a part of the bar's end that stays empty.
            let whole = if all.is_some() { (100.0 - known).max(0.0) } else { sum.min(100.0) };
            [stat.user_pct, stat.system_pct, stat.steal_pct, idle]
                .map(|part| if sum > 0.0 { part / sum * whole } else { 0.0 })
        });
        let [user, system, steal, idle] = rest.map_or([None; 4], |parts| parts.map(Some));
        let kernels_soft = stat.map(|stat| stat.softirq_pct);
        Self { irq, rx, other, user, system, steal, idle, kernels_soft }
    }
}
