//! The receive queues of a NIC, and how its work is spread over them.

use crate::{
    diagnose::view::{Row, View, total},
    frame::{Napi, NapiCpu, NapiKind, NapiMode, Nic, topology},
};

/// A NAPI with a smaller part of the NIC's work on a CPU is of no account there.
const LEAST_PART: f64 = 0.1;
/// A NAPI with at least this part of the NIC's work on a CPU is what matters there.
const MOST_PART: f64 = 0.7;

/// A NAPI that receives.
#[derive(Clone, Copy)]
pub(super) struct RxNapi<'a> {
    pub(super) napi: &'a Napi,
    /// Its work on all CPUs.
    pub(super) work: u64,
    /// On the CPU in question.
    work_here: u64,
    pub(super) polls_here: u64,
    pub(super) repolls_here: u64,
}

impl<'a> RxNapi<'a> {
    fn of(napi: &'a Napi, cpu: u32) -> Self {
        let here = napi.cpus.iter().find(|on| on.cpu == cpu);
        Self {
            napi,
            work: total(napi.cpus.iter().map(NapiCpu::relative_work)),
            work_here: here.map_or(0, NapiCpu::relative_work),
            polls_here: here.map_or(0, NapiCpu::relative_polls),
            repolls_here: here.map_or(0, NapiCpu::relative_repolls),
        }
    }
}

/// The NAPIs of a NIC that receive, the one with the most work on this CPU first.
pub(super) fn rx_napis(nic: &Nic, cpu: u32) -> Vec<RxNapi<'_>> {
    // Before Linux 6.7 the kernel does not say what a NAPI serves; one that only sends has no id.
    let sends = |napi: &Napi| napi.kind == Some(NapiKind::Tx) || (napi.kind.is_none() && napi.napi_id == 0);
    let receives = |napi: &&Napi| !sends(napi) && napi.mode != NapiMode::Busy;
    let rx = |napi| RxNapi::of(napi, cpu);
    let mut napis: Vec<RxNapi<'_>> = nic.napis.iter().flatten().filter(receives).map(rx).collect();
    napis.sort_by_key(|napi| std::cmp::Reverse(napi.work_here));
    napis
}

/// Of these, those that matter on this CPU.
pub(super) fn busy_here<'a>(napis: &[RxNapi<'a>]) -> Vec<RxNapi<'a>> {
    let all = total(napis.iter().map(|napi| napi.work_here)).max(1) as f64;
    let least = match napis.first() {
        Some(first) if first.work_here as f64 >= all * MOST_PART => MOST_PART,
        _ => LEAST_PART,
    };
    napis.iter().filter(|napi| napi.work_here as f64 >= all * least).copied().collect()
}

/// The receive queue that a NAPI serves, and its interrupt.
#[derive(Clone, Copy, Default)]
pub(in crate::diagnose) struct QueueAndIrq {
    pub(in crate::diagnose) queue: Option<u32>,
    pub(in crate::diagnose) irq: Option<u32>,
}

/// What a NAPI serves that is polled on this CPU.
pub(super) fn of_napi(setup: Option<&topology::Nic>, napi: &Napi, cpu: u32) -> QueueAndIrq {
    let Some(setup) = setup else { return QueueAndIrq { queue: napi.queue, irq: None } };
    let is_its = |queue: &&&topology::Queue| {
        napi.queue == Some(queue.index) || (napi.napi_id != 0 && queue.napi_id == Some(napi.napi_id))
    };
    let queues: Vec<&topology::Queue> = rx_queues(setup).collect();
    let found = queues.iter().find(is_its).or_else(|| {
        // Some drivers (virtio_net in Linux 6.12) do not tell which NAPI serves which queue. Then it is the
        // only queue, or the only one whose interrupt comes to this CPU.
        let mut here = queues.iter().filter(|queue| queues.len() == 1 || comes_to(setup, queue.irq, cpu));
        here.next().filter(|_| here.next().is_none())
    });
    QueueAndIrq {
        queue: napi.queue.or(found.map(|queue| queue.index)),
        irq: found.and_then(|queue| queue.irq),
    }
}

/// The receive queues of a NIC that are enabled.
pub(super) fn rx_queues(setup: &topology::Nic) -> impl Iterator<Item = &topology::Queue> {
    let enabled = enabled(setup).unwrap_or(u32::MAX);
    let is_rx =
        move |queue: &&topology::Queue| queue.kind == topology::QueueKind::Rx && queue.index < enabled;
    setup.queues.iter().filter(is_rx)
}

/// Whether an interrupt is delivered to a CPU.
fn comes_to(setup: &topology::Nic, line: Option<u32>, cpu: u32) -> bool {
    let irq = irq_of(setup, line);
    let to = irq.and_then(|irq| irq.affinity_effective.as_ref().or(irq.affinity.as_ref()));
    to.is_some_and(|to| to.contains(&cpu))
}

/// Whether an interrupt is meant for other CPUs than this one. Until the next interrupt comes, the controller
/// may still deliver it to the old one.
pub(super) fn is_meant_for_others(setup: &topology::Nic, line: Option<u32>, cpu: u32) -> bool {
    let mask = irq_of(setup, line).and_then(|irq| irq.affinity.as_ref());
    mask.is_some_and(|mask| !mask.is_empty() && !mask.contains(&cpu))
}

fn irq_of(setup: &topology::Nic, line: Option<u32>) -> Option<&topology::Irq> {
    setup.irqs.iter().flatten().find(|irq| Some(irq.irq) == line)
}

/// The queue behind a NIC's load on a CPU, if there is just one.
pub(in crate::diagnose) fn queue_of(view: &View<'_>, row: &Row<'_>) -> Option<QueueAndIrq> {
    let busy = busy_here(&rx_napis(row.nic, row.on.cpu));
    let [only] = &busy[..] else { return None };
    Some(of_napi(view.setup(row.nic), only.napi, row.on.cpu))
}

/// How many receive queues a NIC has enabled.
pub(super) fn enabled(setup: &topology::Nic) -> Option<u32> {
    let channels = setup.channels.and_then(|channels| match (channels.combined, channels.rx) {
        (None | Some(0), None | Some(0)) => None,
        (combined, rx) => Some(combined.unwrap_or(0).saturating_add(rx.unwrap_or(0))),
    });
    let queues = setup.queues.iter().filter(|queue| queue.kind == topology::QueueKind::Rx).count();
    channels.or_else(|| u32::try_from(queues).ok().filter(|queues| *queues > 0))
}

/// How many it could have.
pub(super) fn possible(setup: &topology::Nic) -> Option<u32> {
    let channels = setup.channels?;
    match (channels.combined_max, channels.rx_max) {
        (None | Some(0), rx) => rx,
        (combined, _) => combined,
    }
}

/// The part of the RSS table that leads to a queue.
pub(super) fn part_of_table(setup: &topology::Nic, queue: Option<u32>) -> Option<f64> {
    let table = setup.rss.as_ref()?.table.as_ref().filter(|table| !table.is_empty())?;
    let to_it = table.iter().filter(|entry| Some(**entry) == queue).count();
    queue.map(|_| to_it as f64 / table.len() as f64)
}
