//! `irqs[]`: device interrupts by line and action.

use super::{Filter, Observation};
use crate::{
    frame::{Irq, IrqCpu},
    host::irqs::queue_of,
};

/// Those that fired on a CPU that is shown. Sorted by time or, if times are unknown, by count, highest
/// first.
pub(super) fn irqs(seen: &Observation, filter: &Filter) -> Vec<Irq> {
    let Observation { reading, facts, .. } = seen;
    let mut irqs: Vec<Irq> = reading
        .irqs
        .iter()
        .map(|activity| {
            let nic = facts.nic_irqs.nic_of(activity.irq, &activity.action).map(str::to_owned);
            Irq {
                irq: activity.irq,
                queue: nic.as_ref().and_then(|nic| queue_of(&activity.action, Some(nic))),
                nic,
                action: activity.action.clone(),
                threaded: activity.threaded,
                cpus: activity
                    .cpus
                    .iter()
                    .filter(|(cpu, _)| filter.shows_cpu(*cpu))
                    .map(|(cpu, runs)| IrqCpu {
                        cpu: *cpu,
                        count: runs.map(|runs| runs.count),
                        ns: runs.and_then(|runs| runs.ns),
                        max_ns: runs.and_then(|runs| runs.max_ns),
                    })
                    .collect(),
            }
        })
        .filter(|irq| !irq.cpus.is_empty())
        .collect();
    irqs.sort_by_cached_key(|irq| {
        let ns: u64 = irq.cpus.iter().filter_map(|cpu| cpu.ns).sum();
        let count: u64 = irq.cpus.iter().filter_map(|cpu| cpu.count).sum();
        (std::cmp::Reverse((ns, count)), irq.irq, irq.action.clone())
    });
    irqs
}
