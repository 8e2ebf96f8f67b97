//! The heat map: the load of each NIC on each CPU over time.

use std::{collections::BTreeMap, fmt::Write as _};

use super::text::escape;
use crate::frame::{Bounded, Frame, cpu_list, pct_of};

/// Most columns, an even number. A longer recording has more frames per column.
const COLUMNS: usize = 200;
/// Most rows drawn; those with the highest load.
const ROWS: usize = 32;
/// How many NICs that are gone are kept; those with the least load would not be drawn.
const GONE: usize = 128;
/// Percent of the CPU at which the next colour starts. The last two are where the screen turns yellow and
/// red.
const STEPS: [f64; 6] = [0.0, 1.0, 5.0, 15.0, 30.0, 70.0];
const LABEL: usize = 180;
const WIDTH: usize = 1000;
const HEIGHT: usize = 18;

/// Name, index and namespace: the same name may exist in several namespaces.
type NicKey = (String, u32, Option<u32>);

/// The load in one cell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Load {
    ns: u64,
    /// True if it is unknown in some frame.
    is_unknown: bool,
}

impl Load {
    fn plus(self, other: Self) -> Self {
        Self { ns: self.ns.saturating_add(other.ns), is_unknown: self.is_unknown || other.is_unknown }
    }
}

/// A column: one or more consecutive frames.
#[derive(Debug, Clone, Default)]
struct Column {
    from: String,
    to: String,
    interval_ns: u64,
}

/// A NIC on a CPU.
struct Row<'a> {
    name: String,
    cpu: u32,
    loads: &'a [Load],
    sum: Load,
}

/// The loads gathered so far.
#[derive(Default)]
pub(super) struct Heat {
    columns: Vec<Column>,
    /// Loads by NIC and CPU, one per column. Missing ones at the end are zero.
    rows: Bounded<NicKey, BTreeMap<u32, Vec<Load>>, GONE>,
    /// Number of frames in each column, and in the last one so far.
    frames_each: u64,
    frames_last: u64,
}

impl Heat {
    pub(super) fn add(&mut self, frame: &Frame) {
        if self.frames_last == self.frames_each {
            if self.columns.len() == COLUMNS {
                self.halve();
            }
            self.columns.push(Column { from: frame.time.clone(), ..Column::default() });
            self.frames_each = self.frames_each.max(1);
            self.frames_last = 0;
        }
        self.frames_last += 1;
        let at = self.columns.len() - 1;
        if let Some(column) = self.columns.last_mut() {
            column.to.clone_from(&frame.time);
            column.interval_ns = column.interval_ns.saturating_add(frame.interval_ns);
        }
        self.rows.start_frame(None);
        for nic in &frame.nics {
            let rows = self.rows.of((nic.name.clone(), nic.ifindex, nic.netns));
            for on in &nic.cpus {
                let load = Load {
                    ns: on.poll_time_ns().unwrap_or(0).saturating_add(on.hardirq_time_ns().unwrap_or(0)),
                    is_unknown: on.poll_time_ns().is_none(),
                };
                let row = rows.entry(on.cpu).or_default();
                row.resize(at + 1, Load::default());
                row[at] = row[at].plus(load);
            }
        }
        self.rows
            .end_frame(|cpus| cpus.values().flatten().fold(0_u64, |sum, load| sum.saturating_add(load.ns)));
    }

    /// Merges columns two by two. All of them must be full.
    fn halve(&mut self) {
        self.columns = self
            .columns
            .chunks(2)
            .map(|pair| Column {
                from: pair[0].from.clone(),
                to: pair[pair.len() - 1].to.clone(),
                interval_ns: pair.iter().fold(0, |sum, column| sum.saturating_add(column.interval_ns)),
            })
            .collect();
        for row in self.rows.sums_mut().flat_map(BTreeMap::values_mut) {
            *row = row.chunks(2).map(|pair| pair.iter().copied().fold(Load::default(), Load::plus)).collect();
        }
        self.frames_each *= 2;
        self.frames_last = self.frames_each;
    }

    pub(super) fn section(&self) -> String {
        let sum = |row: &[Load]| row.iter().copied().fold(Load::default(), Load::plus);
        let all = self.rows.iter().flat_map(|(nic, cpus)| {
            let name = self.name(nic);
            cpus.iter().map(move |(cpu, loads)| Row { name: name.clone(), cpu: *cpu, loads, sum: sum(loads) })
        });
        let (mut rows, others): (Vec<Row>, Vec<Row>) = all.partition(|row| row.sum.ns > 0);
        let unknown = others.iter().filter(|row| row.sum.is_unknown).count();
        rows.sort_by(|a, b| b.sum.ns.cmp(&a.sum.ns).then_with(|| (&a.name, a.cpu).cmp(&(&b.name, b.cpu))));
        let mut html = "<h2>Load by NIC and CPU</h2>\n\
            <p>Polls (driver and stack) and, if known, device interrupts, in percent of the CPU. Highest \
            load \
            first.</p>\n"
            .to_owned();
        if rows.is_empty() {
            html += "<p class=\"note\">No load was measured.</p>\n";
        } else {
            html += &legend();
            self.draw(&mut html, &rows[..rows.len().min(ROWS)]);
        }
        if rows.len() > ROWS {
            let mut rest: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
            for row in &rows[ROWS..] {
                rest.entry(&row.name).or_default().push(row.cpu);
            }
            let rest = rest.into_iter().map(|(name, mut cpus)| {
                cpus.sort_unstable();
                format!("{} on {}", escape(name), cpu_list(&cpus))
            });
            let _ = writeln!(
                html,
                "<p class=\"note\">Not drawn, because their load is lower: {}.</p>",
                rest.collect::<Vec<_>>().join("; ")
            );
        }
        if let Some(left_out) = self.rows.left_out() {
            let _ = writeln!(
                html,
                "<p class=\"note\">Left out: {left_out} NICs that came and went, with less load than those \
                 kept.</p>"
            );
        }
        if unknown > 0 {
            let _ = writeln!(
                html,
                "<p class=\"note\">For {unknown} pairs of NIC and CPU, the load is unknown.</p>"
            );
        }
        html
    }

    /// The name of a NIC, with its namespace if the name is not unique.
    fn name(&self, nic: &NicKey) -> String {
        let (name, _, netns) = nic;
        let namesakes = self.rows.iter().filter(|(other, _)| other.0 == *name).count();
        match netns {
            Some(netns) if namesakes > 1 => format!("{name} in netns {netns}"),
            _ => name.clone(),
        }
    }

    fn draw(&self, html: &mut String, rows: &[Row]) {
        let (height, width) = (rows.len() * HEIGHT, WIDTH - LABEL);
        // Writing to a String cannot fail.
        let _ = writeln!(
            html,
            "<div class=\"wide\"><svg class=\"heat\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
             aria-label=\"Load by NIC and CPU over time\">",
            height + 20
        );
        let _ = writeln!(
            html,
            "<rect class=\"h0\" x=\"{LABEL}\" y=\"0\" width=\"{width}\" height=\"{height}\"/>"
        );
        let x = |at: usize| LABEL as f64 + width as f64 * at as f64 / self.columns.len() as f64;
        for (at, Row { name, cpu, loads, .. }) in rows.iter().enumerate() {
            let y = at * HEIGHT;
            let cell = format!("{} · CPU {cpu}", escape(name));
            let _ = writeln!(
                html,
                "<text class=\"label\" x=\"{}\" y=\"{}\">{cell}</text>",
                LABEL - 6,
                y + HEIGHT - 5
            );
            for (column, load) in loads.iter().enumerate().filter(|(_, load)| **load != Load::default()) {
                let Column { from, to, interval_ns } = &self.columns[column];
                let pct = pct_of(load.ns, *interval_ns);
                let (class, value) = if load.is_unknown {
                    ("hx".to_owned(), format!("at least {pct:.1} %, some of it is unknown"))
                } else {
                    (format!("h{}", step(pct)), format!("{pct:.1} %"))
                };
                let span =
                    if from == to { escape(to) } else { format!("{} to {}", escape(from), escape(to)) };
                let _ = writeln!(
                    html,
                    "<rect class=\"{class}\" x=\"{:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"{}\">\
                     <title>{cell}, {span}: {value}</title></rect>",
                    x(column),
                    x(column + 1) - x(column),
                    HEIGHT - 1
                );
            }
        }
        let clock = |time: &str| escape(time.get(11..19).unwrap_or(time));
        let ends = self.columns.first().zip(self.columns.last());
        if let Some((first, last)) = ends {
            let y = height + 14;
            let _ = writeln!(html, "<text x=\"{LABEL}\" y=\"{y}\">{}</text>", clock(&first.from));
            let _ =
                writeln!(html, "<text class=\"label\" x=\"{WIDTH}\" y=\"{y}\">{}</text>", clock(&last.to));
        }
        html.push_str("</svg></div>\n");
        let frames = if self.frames_each == 1 {
            "one frame".to_owned()
        } else {
            format!("{} frames", self.frames_each)
        };
        let _ = writeln!(html, "<p class=\"note\">Each column covers {frames}. Times are in UTC.</p>");
    }
}

/// The colour of a load in percent.
fn step(pct: f64) -> usize {
    STEPS.iter().filter(|from| pct >= **from).count()
}

fn legend() -> String {
    let mut html = "<p class=\"legend\"><span class=\"h0\"></span> 0".to_owned();
    for (at, from) in STEPS.iter().enumerate() {
        let text = match STEPS.get(at + 1) {
            Some(to) => format!("{from} to {to}"),
            None => format!("{from} or more"),
        };
        let _ = write!(html, " <span class=\"h{}\"></span> {text}", at + 1);
    }
    html + " % <span class=\"hx\"></span> partly unknown</p>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        assert_eq!([0.0, 0.99, 1.0, 29.9, 70.0, 150.0].map(step), [1, 1, 2, 4, 6, 6]);
    }

    #[test]
    fn columns_are_bounded() {
        const RECORDING: &str = include_str!("../../../tests/fixtures/frames/demo-cpu1.ndjson");
        let line = RECORDING.lines().next().expect("the recording has frames");
        let mut frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        let on = frame.nics[0].cpus[0].clone();
        let mut heat = Heat::default();
        for at in 0..1001_u64 {
            // Only the last frame has this CPU.
            if at == 1000 {
                frame.nics[0].cpus = vec![crate::frame::NicCpu { cpu: 77, ..on.clone() }];
            }
            heat.add(&frame);
        }
        assert_eq!((heat.columns.len(), heat.frames_each), (126, 8));
        let whole: u64 = heat.columns.iter().map(|column| column.interval_ns).sum();
        assert_eq!(whole, frame.interval_ns * 1001);
        for (cpu, row) in heat.rows.iter().flat_map(|(_, cpus)| cpus) {
            let times = if *cpu == 77 { 1 } else { 1000 };
            let sum: u64 = row.iter().map(|load| load.ns).sum();
            if *cpu == on.cpu || *cpu == 77 {
                assert_eq!(sum, times * (on.poll_ns.unwrap_or(0) + on.hardirq_ns.unwrap_or(0)));
            }
        }
    }

    #[test]
    fn nics_that_come_and_go_do_not_fill_the_memory() {
        const RECORDING: &str = include_str!("../../../tests/fixtures/frames/demo-cpu1.ndjson");
        let line = RECORDING.lines().next().expect("the recording has frames");
        let mut frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        frame.nics.truncate(1);
        let mut nic = frame.nics[0].clone();
        let mut heat = Heat::default();
        for number in 0..2000 {
            nic.name = format!("veth{number}");
            nic.cpus.truncate(1);
            nic.cpus[0].poll_ns = Some(number);
            frame.nics.truncate(1);
            frame.nics.push(nic.clone());
            heat.add(&frame);
            assert!(heat.rows.iter().count() <= 2 * GONE + 2, "{number}");
        }
        assert!(heat.rows.iter().any(|((name, ..), _)| *name == frame.nics[0].name), "it is still there");
        let left_out = heat.rows.left_out().expect("some are left out");
        assert_eq!(heat.rows.iter().count() as u64 + left_out, 2001);
        let section = heat.section();
        assert!(section.contains(&format!("Left out: {left_out} NICs")), "{section}");
    }
}
