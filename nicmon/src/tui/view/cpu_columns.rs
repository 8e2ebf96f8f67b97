//! The table of NICs by CPUs, which shows whether one CPU is the bottleneck.

use std::collections::HashMap;

use ratatui::{layout::Rect, style::Style};

use super::nics::NAME_WIDTH;
use crate::{
    frame::{Cpu, Frame, Nic, per_s},
    present::text::{pct, printable, scaled},
    tui::{
        Canvas, Grouping, NicId, State, Target, Theme, Units, figures,
        lists::{self, Group},
        paint::{left, right},
        text::Figure,
    },
};

/// Possible widths of a CPU's column, including a space. The widest that lets all CPUs fit is used.
const WIDTHS: [u16; 3] = [7, 6, 5];
/// The narrowest column, for as many CPUs as possible; wider if there are CPU numbers of four digits.
const NARROWEST: u16 = 4;
/// Characters of a percentage and of a count, at most.
const LONGEST: (usize, usize) = (4, 5);
/// Number of rows below the NICs.
pub(super) const TOTALS: u16 = 14;

/// How the cells of a row look.
enum Kind {
    /// Percent of the CPU, coloured by load.
    Load,
    /// Percent of the CPU, without colours.
    Share,
    /// A count per second.
    Count,
}

/// A row about each CPU as a whole.
struct Total {
    label: &'static str,
    kind: Kind,
    /// Whether it is a time that may be an estimate.
    is_time: bool,
    /// If not all rows fit, those with the lowest ranks stay.
    rank: u16,
    /// The row gives way to all others if no CPU has as much as this.
    least: f64,
    value: fn(&Frame, &Cpu) -> Option<f64>,
}

const ROWS: [Total; TOTALS as usize] = [
    Total {
        label: "all softirqs",
        kind: Kind::Load,
        is_time: true,
        rank: 3,
        least: 0.0,
        value: |f, cpu| share(f, cpu.softirq.and_then(|all| all.all_ns())),
    },
    Total {
        label: "NET_RX",
        kind: Kind::Load,
        is_time: true,
        rank: 0,
        least: 0.0,
        value: |f, cpu| share(f, net_rx(cpu)),
    },
    Total {
        label: "NET_TX",
        kind: Kind::Load,
        is_time: true,
        rank: 10,
        least: 0.0,
        value: |f, cpu| share(f, net_tx(cpu)),
    },
    Total {
        label: "TASKLET",
        kind: Kind::Load,
        is_time: true,
        rank: 4,
        least: 1.0,
        value: |f, cpu| share(f, cpu.softirq?.tasklet.time_ns()),
    },
    Total {
        label: "HRTIMER",
        kind: Kind::Load,
        is_time: true,
        rank: 5,
        least: 1.0,
        value: |f, cpu| share(f, cpu.softirq?.hrtimer.time_ns()),
    },
    Total {
        label: "hard irqs",
        kind: Kind::Load,
        is_time: true,
        rank: 1,
        least: 0.0,
        value: |f, cpu| share(f, cpu.hardirq_time_ns()),
    },
    Total {
        label: "ksoftirqd",
        kind: Kind::Load,
        is_time: false,
        rank: 6,
        least: 0.0,
        value: |f, cpu| share(f, cpu.ksoftirqd_ns),
    },
    Total {
        label: "kernel's soft",
        kind: Kind::Share,
        is_time: false,
        rank: 7,
        least: 0.0,
        value: |_, cpu| Some(cpu.stat?.softirq_pct),
    },
    Total {
        label: "kernel's idle",
        kind: Kind::Share,
        is_time: false,
        rank: 2,
        least: 0.0,
        value: |_, cpu| Some(cpu.stat?.idle_pct),
    },
    Total { label: "squeezed/s", kind: Kind::Count, is_time: false, rank: 8, least: 0.0, value: squeezed },
    Total { label: "dropped/s", kind: Kind::Count, is_time: false, rank: 9, least: 0.0, value: dropped },
    Total { label: "packets/s", kind: Kind::Count, is_time: false, rank: 11, least: 0.0, value: processed },
    Total {
        label: "NET_RX runs/s",
        kind: Kind::Count,
        is_time: false,
        rank: 12,
        least: 0.0,
        value: net_rx_runs,
    },
    Total { label: "hard irqs/s", kind: Kind::Count, is_time: false, rank: 13, least: 0.0, value: hard_irqs },
];

/// Draws as many NICs and rows about CPUs as fit.
pub(super) fn render(state: &State, frame: &Frame, nics: &[&Nic], area: Rect, canvas: &mut Canvas) {
    let columns = Columns::of(state, frame, area.width.saturating_sub(NAME_WIDTH));
    let mut table = Table { state, columns: &columns, area, y: area.y, canvas };
    if let Some(note) = columns.note(frame.cpus.len()) {
        table.note(&note);
    }
    table.head();

    // The NICs get at least a third of the room.
    let room = area.bottom().saturating_sub(table.y);
    let totals = TOTALS.min(room - room / 3);
    let shown = usize::from(room - totals).min(nics.len());
    let chosen = lists::chosen_nic(state, nics);
    let first = lists::first_around(chosen, nics.len(), shown);
    let kind = if state.units == Units::Pct { Kind::Load } else { Kind::Count };
    for nic in nics.iter().skip(first).take(shown) {
        let label = printable(&nic.name);
        table.canvas.is_for((area.x, table.y), NAME_WIDTH, Target::Nic(NicId::of(nic)));
        table.row(&label, Theme::name(), &kind, |cpus| figures::cell(frame, nic, cpus, state.units));
    }
    // Rows get the room that the NICs do not need. Rows that are unknown or too small to matter for every CPU
    // give way to the others.
    let room = area.bottom().saturating_sub(table.y);
    let gives_way = |total: &Total| {
        frame.cpus.iter().all(|cpu| (total.value)(frame, cpu).is_none_or(|value| value < total.least))
    };
    let mut ranks: Vec<_> = ROWS.iter().map(|total| (gives_way(total), total.rank)).collect();
    ranks.sort_unstable();
    ranks.truncate(room.into());
    for total in ROWS.iter().filter(|total| ranks.iter().any(|(_, rank)| *rank == total.rank)) {
        let mark = if frame.window.is_some() && total.is_time { "~" } else { "" };
        let label = format!("{mark}{}", total.label);
        table.row(&label, state.theme.head(), &total.kind, |cpus| {
            figures::total(cpus.iter().map(|cpu| (total.value)(frame, cpu).into()))
        });
    }
}

/// The columns on the screen: CPUs or groups of them.
struct Columns<'a> {
    groups: Vec<Group<'a>>,
    grouping: Grouping,
    width: u16,
    /// If not all fit, the place of the first one shown among all; the busiest CPU then comes first.
    first: Option<usize>,
}

impl<'a> Columns<'a> {
    fn of(state: &State, frame: &'a Frame, room: u16) -> Self {
        let grouping = state.grouping;
        let mut groups = lists::groups(state, frame, grouping);
        let longest = groups.iter().filter_map(|group| group.number).max();
        let longest = longest.map_or(1, |number| number.to_string().len());
        let narrowest = u16::try_from(longest + 1).unwrap_or(u16::MAX).max(NARROWEST);
        let fits = |width: &u16| *width >= narrowest && groups.len() <= usize::from(room / width);
        if let Some(width) = WIDTHS.into_iter().chain([narrowest]).find(fits) {
            return Self { groups, grouping, width, first: None };
        }
        if grouping == Grouping::Cpu {
            let load: HashMap<u32, f64> =
                figures::network_pcts(frame).into_iter().map(|(cpu, load)| (cpu.cpu, load)).collect();
            let of = |group: &Group| group.number.and_then(|cpu| load.get(&cpu)).copied().unwrap_or(0.0);
            groups.sort_by(|a, b| of(b).total_cmp(&of(a)).then_with(|| a.number.cmp(&b.number)));
        }
        let shown = usize::from(room / narrowest);
        let first = lists::first_row(state.column, groups.len(), shown);
        let groups = groups.into_iter().skip(first).take(shown).collect();
        Self { groups, grouping, width: narrowest, first: Some(first) }
    }

    fn note(&self, all: usize) -> Option<String> {
        let first = self.first?;
        let last = first + self.groups.len();
        Some(match (self.grouping, first) {
            (Grouping::Cpu, 0) => format!("Busiest CPUs first; {} more with less load", all - last),
            (Grouping::Cpu, _) => format!("Busiest CPUs first; {}-{last} of {all}", first + 1),
            _ => format!("Columns {}-{last}; there are more", first + 1),
        })
    }
}

/// Draws line by line.
struct Table<'a> {
    state: &'a State,
    columns: &'a Columns<'a>,
    area: Rect,
    y: u16,
    canvas: &'a mut Canvas,
}

impl Table<'_> {
    fn note(&mut self, text: &str) {
        if self.y < self.area.bottom() {
            left(self.canvas, (self.area.x, self.y), self.area.width, text, self.state.theme.quiet());
            self.y += 1;
        }
    }

    fn head(&mut self) {
        let Columns { grouping, width, .. } = *self.columns;
        let prefix = if grouping == Grouping::Cpu && width > NARROWEST + 2 { "CPU " } else { "" };
        let what = match (self.state.units, grouping) {
            (Units::Pct, Grouping::Cpu) => "% OF EACH CPU",
            (Units::NsPerPacket, Grouping::Cpu) => "ns PER PACKET",
            (Units::Packets, Grouping::Cpu) => "PACKETS/s",
            (Units::Pct, Grouping::Node) => "% BY NUMA NODE",
            (Units::NsPerPacket, Grouping::Node) => "ns/PKT BY NODE",
            (Units::Packets, Grouping::Node) => "PKT/s BY NODE",
            (Units::Pct, Grouping::Package) => "% BY PACKAGE",
            (Units::NsPerPacket, Grouping::Package) => "ns/PKT BY PKG.",
            (Units::Packets, Grouping::Package) => "PKT/s BY PKG.",
        };
        for (group, at) in self.columns.groups.iter().zip(0..) {
            if let (Grouping::Cpu, Some(cpu)) = (grouping, group.number) {
                let x = self.area.x + NAME_WIDTH + at * width;
                self.canvas.is_for((x, self.y), width, Target::Cpu(cpu));
            }
        }
        self.line(what, self.state.theme.head(), |state, group| {
            let number = group.number.map_or_else(|| "?".to_owned(), |number| number.to_string());
            (format!("{prefix}{number}"), state.theme.head())
        });
    }

    /// A row of sums over the CPUs of each column. The busiest CPU of a column gives it its colour.
    fn row(&mut self, label: &str, style: Style, kind: &Kind, figure: impl Fn(&[&Cpu]) -> Figure) {
        let room = usize::from(self.columns.width - 1);
        let of_cpu = self.columns.grouping == Grouping::Cpu;
        let most = |longest: usize| if of_cpu { room.min(longest) } else { room };
        self.line(label, style, |state, group| {
            let sum = figure(&group.cpus);
            let text = sum.text(|value| match kind {
                Kind::Count => scaled(value, most(LONGEST.1)),
                Kind::Load | Kind::Share => pct(value, most(LONGEST.0)),
            });
            let hottest = |value: f64| {
                if group.cpus.len() == 1 {
                    return value;
                }
                let each = group.cpus.iter().map(|cpu| figure(std::slice::from_ref(cpu)));
                each.filter_map(|figure| if let Figure::Known(value) = figure { Some(value) } else { None })
                    .fold(0.0, f64::max)
            };
            let style = match (sum, kind) {
                (Figure::Known(value), Kind::Load) => state.theme.load(hottest(value)),
                (Figure::Known(value), _) if value > 0.0 => Style::new(),
                _ => state.theme.quiet(),
            };
            (text, style)
        });
    }

    fn line(&mut self, label: &str, style: Style, cell: impl Fn(&State, &Group) -> (String, Style)) {
        if self.y >= self.area.bottom() {
            return;
        }
        left(self.canvas, (self.area.x, self.y), NAME_WIDTH, label, style);
        let mut x = self.area.x + NAME_WIDTH;
        for group in &self.columns.groups {
            let (text, style) = cell(self.state, group);
            // The space before it has no colour, so neighbours stay separate.
            right(self.canvas, (x + 1, self.y), self.columns.width - 1, &text, style);
            x += self.columns.width;
        }
        self.y += 1;
    }
}

fn share(frame: &Frame, ns: Option<u64>) -> Option<f64> {
    figures::share(ns, frame.interval_ns)
}

fn net_rx(cpu: &Cpu) -> Option<u64> {
    cpu.softirq?.net_rx.vector.time_ns()
}

fn net_tx(cpu: &Cpu) -> Option<u64> {
    cpu.softirq?.net_tx.time_ns()
}

fn net_rx_runs(frame: &Frame, cpu: &Cpu) -> Option<f64> {
    per_s(Some(cpu.softirq?.net_rx.vector.count), frame.interval_ns)
}

fn hard_irqs(frame: &Frame, cpu: &Cpu) -> Option<f64> {
    let on = frame.irqs.iter().flat_map(|irq| &irq.cpus).filter(|on| on.cpu == cpu.cpu);
    per_s(figures::sum(on.map(|on| on.count)), frame.interval_ns)
}

fn squeezed(frame: &Frame, cpu: &Cpu) -> Option<f64> {
    per_s(Some(cpu.softnet?.time_squeeze), frame.interval_ns)
}

fn dropped(frame: &Frame, cpu: &Cpu) -> Option<f64> {
    per_s(Some(cpu.softnet?.dropped), frame.interval_ns)
}

fn processed(frame: &Frame, cpu: &Cpu) -> Option<f64> {
    per_s(Some(cpu.softnet?.processed), frame.interval_ns)
}
