//! Why the receive work is on just this CPU.

use super::{
    backlog, flows,
    queues::{
        QueueAndIrq, RxNapi, busy_here, enabled, is_meant_for_others, of_napi, part_of_table, possible,
        rx_napis, rx_queues,
    },
};
use crate::{
    diagnose::{
        case::{compared, told},
        setup::Origin,
        view::{BACKLOG, CpuView, Row, View, total},
    },
    frame::{Cause, Evidence, NapiMode, Nic, Unit, topology},
};

/// A queue is uneven if it gets this many times its fair part of the packets.
const UNEVEN: f64 = 1.5;
/// With this part of all packets on one queue, more queues would not help.
const NEARLY_ALL: f64 = 0.9;
/// Interrupts that do not follow their mask come for fewer than one in this many polls.
const POLLS_PER_IRQ: u64 = 10;
/// A NIC with at least this part of the load is to blame alone.
const MOST: f64 = 0.6;
/// With at least this part, a second one shares it.
const MUCH: f64 = 0.25;

/// Who and what is to blame for the work on a CPU.
pub(super) struct Blame<'a> {
    pub(super) cause: Cause,
    pub(super) nic: Option<&'a Nic>,
    pub(super) queue: Option<u32>,
    pub(super) irq: Option<u32>,
    /// The rest of a sentence: "CPU 3 is saturated by eth0: ...".
    pub(super) why: String,
    pub(super) evidence: Vec<Evidence>,
}

impl Blame<'_> {
    pub(super) fn new(cause: Cause, why: String) -> Self {
        Self { cause, nic: None, queue: None, irq: None, why, evidence: Vec::new() }
    }

    pub(super) fn with(mut self, evidence: Option<Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }
}

/// The packets of a VLAN or VXLAN are those of a NIC below it, and what runs in other softirqs is no receive
/// work, so neither is to blame.
pub(super) fn of<'a>(view: &View<'a>, cpu: &CpuView<'a>) -> Blame<'a> {
    let is_source = |row: &&Row<'a>| {
        row.nic.name == BACKLOG || (row.nic.netns.is_some() && view.origin(row.nic) != Origin::Stacked)
    };
    let rows: Vec<&Row<'a>> = cpu.rows.iter().filter(is_source).collect();
    let all: f64 = rows.iter().map(|row| row.load_pct()).sum();
    let Some(row) = rows.first().filter(|row| row.load_pct() > 0.0) else {
        return Blame::new(Cause::Unknown, "which NIC's packets they are is unknown".to_owned());
    };
    if row.load_pct() < all * MOST {
        return of_several_nics(view, &rows, all);
    }
    if row.nic.name == BACKLOG {
        return backlog::cause(view, cpu, row);
    }
    let mut blame = of_nic(view, row);
    blame.nic = Some(row.nic);
    let what = format!("{} on CPU {}", row.nic.name, row.on.cpu);
    blame.evidence.push(told(what, row.field("load_pct"), row.load_pct(), Unit::PctOfCpu));
    blame
}

/// No NIC has most of the load.
fn of_several_nics<'a>(view: &View<'a>, rows: &[&Row<'a>], all: f64) -> Blame<'a> {
    let large = rows.iter().filter(|row| row.load_pct() >= all * MUCH);
    let is_hardware = |row: &&&Row<'_>| row.nic.netns.is_some() && view.origin(row.nic) == Origin::Hardware;
    let names: Vec<&str> = large.filter(is_hardware).map(|row| row.nic.name.as_str()).collect();
    if names.len() > 1 {
        let why = format!("{} all interrupt this CPU", names.join(", "));
        return Blame { nic: Some(rows[0].nic), ..Blame::new(Cause::IrqsShareCpu, why) };
    }
    Blame::new(Cause::Unknown, format!("{} NICs share it, and none has most of the load", rows.len()))
}

fn of_nic<'a>(view: &View<'a>, row: &Row<'a>) -> Blame<'a> {
    let (nic, setup) = (row.nic, view.setup(row.nic));
    let napis = rx_napis(nic, row.on.cpu);
    let busy = busy_here(&napis);
    if busy.len() > 1 && busy.iter().all(|rx| rx.napi.mode == NapiMode::Threaded) {
        let why = format!("the threads of {} of its NAPIs run there", busy.len());
        return Blame::new(Cause::NapiThreadPinned, why);
    }
    if view.origin(nic) == Origin::Local {
        return Blame::new(Cause::SenderCpu, "it delivers packets on the CPU that sends them".to_owned());
    }
    match &busy[..] {
        [] => Blame::new(Cause::Unknown, "which of its queues the packets come from is unknown".to_owned()),
        [only] => {
            let QueueAndIrq { queue, irq } = of_napi(setup, only.napi, row.on.cpu);
            Blame { queue, irq, ..of_one_queue(view, row, setup, &napis, only) }
        }
        several => of_several_queues(view, row, setup, several),
    }
}

/// Several queues are polled on this CPU.
fn of_several_queues<'a>(
    view: &View<'a>,
    row: &Row<'a>,
    setup: Option<&topology::Nic>,
    busy: &[RxNapi<'a>],
) -> Blame<'a> {
    if stays_behind(view, row, setup, busy) {
        return not_followed(busy.len());
    }
    let why = format!("{} of its queues interrupt this CPU", busy.len());
    Blame::new(Cause::IrqsShareCpu, why).with(interrupts_of(view, &row.nic.name, row.on.cpu))
}

fn of_one_queue<'a>(
    view: &View<'a>,
    row: &Row<'a>,
    setup: Option<&topology::Nic>,
    napis: &[RxNapi<'a>],
    only: &RxNapi<'a>,
) -> Blame<'a> {
    if stays_behind(view, row, setup, std::slice::from_ref(only)) {
        return not_followed(1);
    }
    let Some((setup, enabled)) = setup.and_then(|setup| Some((setup, enabled(setup)?))) else {
        return Blame::new(Cause::Unknown, "how many queues it has is unknown".to_owned());
    };
    let fair = 1.0 / f64::from(enabled.max(1));
    let uneven = |why: String, field: String, part: f64| {
        let what = "packets on this queue".to_owned();
        let limit = fair * UNEVEN * 100.0;
        Blame::new(Cause::UnevenRss, why).with(Some(compared(what, field, part * 100.0, Unit::Pct, limit)))
    };
    let queue = of_napi(Some(setup), only.napi, row.on.cpu).queue;
    let in_table = part_of_table(setup, queue).filter(|part| enabled > 1 && *part >= fair * UNEVEN);
    if let Some(part) = in_table {
        let why = format!("the RSS table sends {:.0} % of the hash values to this queue", part * 100.0);
        return uneven(why, view.setup_field(row.nic, "rss/table"), part);
    }
    let part = only.work as f64 / total(napis.iter().map(|rx| rx.work)).max(1) as f64;
    let why = || format!("one of its {enabled} queues gets {:.0} % of the packets", part * 100.0);
    if enabled > 1
        && part >= fair * UNEVEN
        && let Some(blame) = flows::cause(row)
    {
        return blame.with(uneven(why(), row.field("work"), part).evidence.pop());
    }
    if enabled > 1 && part >= (fair * UNEVEN).max(NEARLY_ALL) {
        return uneven(why(), row.field("work"), part);
    }
    let usable = possible(setup).unwrap_or(enabled).min(view.frame.host.cpus_online);
    let queues = |cause: Cause, why: String| {
        let (what, field) = ("enabled queues".to_owned(), view.setup_field(row.nic, "channels"));
        let evidence = compared(what, field, f64::from(enabled), Unit::Count, f64::from(usable));
        Blame::new(cause, why).with(Some(evidence))
    };
    if usable > enabled {
        let why = format!("only {enabled} of the {usable} queues that it could use are enabled");
        queues(Cause::QueuesNotEnabled, why)
    } else if enabled <= 1 {
        queues(Cause::OneQueue, "it has one receive queue".to_owned())
    } else if part >= fair * UNEVEN {
        uneven(why(), row.field("work"), part)
    } else {
        let why = format!("its {enabled} queues are even, and this one is too much for a CPU");
        Blame::new(Cause::Unknown, why)
    }
}

fn not_followed<'a>(queues: usize) -> Blame<'a> {
    let whose = if queues == 1 { "its interrupt is" } else { "the interrupts of its queues are" };
    let why = format!("{whose} meant for other CPUs by now, but the polls never end, so they stay here");
    Blame::new(Cause::AffinityNotFollowed, why)
}

/// Whether the interrupts of the queues polled here are meant for other CPUs, and hardly any comes because
/// the polls never end. `____napi_schedule` puts a NAPI on the CPU of its interrupt, and `net_rx_action`
/// keeps it there until it completes (net/core/dev.c).
fn stays_behind(view: &View<'_>, row: &Row<'_>, setup: Option<&topology::Nic>, busy: &[RxNapi<'_>]) -> bool {
    let cpu = row.on.cpu;
    // In windows, polls are not counted all the time, and cannot be compared with interrupts.
    let Some(setup) = setup.filter(|_| !view.is_estimated()) else { return false };
    let mut lines: Vec<Option<u32>> = busy.iter().map(|rx| of_napi(Some(setup), rx.napi, cpu).irq).collect();
    if lines.iter().any(Option::is_none) {
        lines = rx_queues(setup).map(|queue| queue.irq).collect();
    }
    let all_elsewhere = !lines.is_empty() && lines.iter().all(|line| is_meant_for_others(setup, *line, cpu));
    let polls = total(busy.iter().map(|rx| rx.polls_here));
    let repolls = total(busy.iter().map(|rx| rx.repolls_here));
    let interrupts = count_of(view, &row.nic.name, cpu);
    all_elsewhere && repolls > polls / 2 && interrupts < polls / POLLS_PER_IRQ
}

fn count_of(view: &View<'_>, nic: &str, cpu: u32) -> u64 {
    let lines = view.frame.irqs.iter().filter(|irq| irq.nic.as_deref() == Some(nic));
    total(lines.flat_map(|irq| &irq.cpus).filter(|on| on.cpu == cpu).filter_map(|on| on.count))
}

fn interrupts_of(view: &View<'_>, nic: &str, cpu: u32) -> Option<Evidence> {
    let at = view.frame.irqs.iter().position(|irq| irq.nic.as_deref() == Some(nic))?;
    let what = format!("interrupts of {nic} on CPU {cpu}");
    Some(told(what, format!("/irqs/{at}/cpus"), view.per_s(count_of(view, nic, cpu)), Unit::PerS))
}
