//! `interrupt-storm`: a NIC interrupts a CPU for each packet or two. docs/findings/interrupt-storm.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, compared},
    saturation,
    setup::Origin,
    single_cpu_receive::queue_of,
    view::{CpuView, IN_WINDOWS, Row, View, total},
};
use crate::frame::{FindingId, Irq, Severity, Subject, Unit};

pub(super) const RULE: Rule = Rule { id: FindingId::InterruptStorm, hold: Hold::LASTING, cases };

/// Interrupts per second on one CPU.
const MANY_PER_S: f64 = 20_000.0;
/// Below this, the storm is over.
const FEW_PER_S: f64 = 15_000.0;
/// Packets per interrupt.
const FEW_PACKETS: f64 = 2.0;
/// With so many, it is over, too.
const SOME_PACKETS: f64 = 3.0;
/// Receiving takes at least this much of the CPU.
const RECEIVE_PCT: f64 = 30.0;
/// Below this, it is over, too.
const LITTLE_RECEIVE_PCT: f64 = 20.0;
/// With less idle time, it costs throughput.
const LITTLE_IDLE_PCT: f64 = 10.0;

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    if let Some(why) = view.unjudged() {
        return Err(why);
    }
    if view.is_estimated() {
        return Err(IN_WINDOWS.to_owned());
    }
    let of_cpu = |cpu: &CpuView<'_>| {
        let rate = view.per_s(cpu.interrupts);
        let packets = total(hardware(view, cpu).filter_map(|row| row.on.work));
        let each = packets as f64 / cpu.interrupts.max(1) as f64;
        let receive = cpu.receive_pct?;
        let level = if rate < FEW_PER_S || each >= SOME_PACKETS || receive < LITTLE_RECEIVE_PCT {
            Level::Good
        } else if rate >= MANY_PER_S && each < FEW_PACKETS && receive >= RECEIVE_PCT && !cpu.is_stolen() {
            Level::Bad
        } else {
            Level::Between
        };
        let stands = standing.contains(&Key::Cpu(cpu.cpu.cpu));
        (level != Level::Good || stands).then(|| case(view, cpu, level, rate, each))
    };
    Ok(view.cpus.iter().filter_map(of_cpu).collect::<Vec<Case>>().into())
}

/// The NICs that can interrupt.
fn hardware<'a, 'b>(view: &'b View<'a>, cpu: &'b CpuView<'a>) -> impl Iterator<Item = &'b Row<'a>> {
    let is_hardware = |row: &&Row<'_>| row.nic.netns.is_some() && view.origin(row.nic) == Origin::Hardware;
    cpu.rows.iter().filter(is_hardware)
}

fn case(view: &View<'_>, cpu: &CpuView<'_>, level: Level, rate: f64, each: f64) -> Case {
    let number = cpu.cpu.cpu;
    let line = busiest_line(view, number);
    let severity = if cpu.idle_pct.is_some_and(|idle| idle < LITTLE_IDLE_PCT) {
        Severity::Warning
    } else {
        Severity::Info
    };
    let nic = line.and_then(|(_, irq)| irq.nic.clone());
    let row = hardware(view, cpu).find(|row| Some(&row.nic.name) == nic.as_ref());
    let who = nic.as_deref().unwrap_or("a NIC");
    let why = format!("{who} interrupts CPU {number} {rate:.0} times per second, for {each:.1} packets each");
    let subject = Subject {
        netns: row.and_then(|row| row.nic.netns),
        cpu: Some(number),
        // The line of a NIC with one queue does not say so.
        queue: line.and_then(|(_, irq)| irq.queue).or_else(|| queue_of(view, row?)?.queue),
        irq: line.map(|(_, irq)| irq.irq),
        comm: None,
        nic,
    };
    let mut case = Case::new(Key::Cpu(number), level, severity, subject, why);
    let field = line.map_or_else(|| "/irqs".to_owned(), |(at, _)| format!("/irqs/{at}/cpus"));
    let what = format!("interrupts of NICs on CPU {number}");
    case.evidence.push(compared(what, field, rate, Unit::PerS, MANY_PER_S));
    if let Some(row) = row {
        let what = "packets per interrupt".to_owned();
        case.evidence.push(compared(what, row.field("work"), each, Unit::Packets, FEW_PACKETS));
    }
    case.evidence.push(saturation::receive(cpu, RECEIVE_PCT));
    case.evidence.push(saturation::idle(cpu, LITTLE_IDLE_PCT));
    case.caveats.push("few packets per interrupt may be meant, for the least delay".to_owned());
    case
}

/// The interrupt of a NIC that came most often on a CPU, and its place in the frame.
fn busiest_line<'a>(view: &View<'a>, cpu: u32) -> Option<(usize, &'a Irq)> {
    let count = |irq: &Irq| irq.cpus.iter().find(|on| on.cpu == cpu).and_then(|on| on.count).unwrap_or(0);
    let of_nics = view.frame.irqs.iter().enumerate().filter(|(_, irq)| irq.nic.is_some());
    of_nics.max_by_key(|(_, irq)| count(irq)).filter(|(_, irq)| count(irq) > 0)
}
