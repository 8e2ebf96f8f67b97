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
                        ..IrqCpu::default()
                    })
                    .collect(),
            }
        })
        .filter(|irq| !irq.cpus.is_empty())
        .collect();
    join_namesakes(&mut irqs);
    irqs.sort_by_cached_key(|irq| {
        let ns: u64 = irq.cpus.iter().filter_map(|cpu| cpu.ns).sum();
        let count: u64 = irq.cpus.iter().filter_map(|cpu| cpu.count).sum();
        (std::cmp::Reverse((ns, count)), irq.irq, irq.action.clone())
    });
    irqs
}

/// Adds up the actions of one line that have one name: to a reader they are one.
fn join_namesakes(irqs: &mut Vec<Irq>) {
    irqs.sort_by(|one, other| (one.irq, &one.action).cmp(&(other.irq, &other.action)));
    irqs.dedup_by(|more, first| {
        let are_namesakes = (more.irq, &more.action) == (first.irq, &first.action);
        if are_namesakes {
            first.threaded = first.threaded.filter(|_| first.threaded == more.threaded);
            more.cpus.iter().for_each(|row| add(&mut first.cpus, row));
        }
        are_namesakes
    });
}

fn add(rows: &mut Vec<IrqCpu>, more: &IrqCpu) {
    match rows.binary_search_by_key(&more.cpu, |row| row.cpu) {
        Ok(at) => {
            let row = &mut rows[at];
            row.count = row.count.zip(more.count).map(|(one, other)| one + other);
            row.ns = row.ns.zip(more.ns).map(|(one, other)| one + other);
            row.max_ns = row.max_ns.zip(more.max_ns).map(|(one, other)| one.max(other));
        }
        Err(at) => rows.insert(at, more.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_actions_of_one_name_on_one_line_are_one_row() {
        let irq = |irq, action: &str, cpus: &[(u32, u64)]| Irq {
            irq,
            action: action.to_owned(),
            nic: None,
            queue: None,
            threaded: Some(false),
            cpus: cpus
                .iter()
                .map(|(cpu, ns)| IrqCpu {
                    cpu: *cpu,
                    count: Some(1),
                    ns: Some(*ns),
                    max_ns: Some(*ns),
                    ..IrqCpu::default()
                })
                .collect(),
        };
        let mut irqs = vec![
            irq(10, "8139cp", &[(2, 50)]),
            irq(11, "8139cp", &[(0, 7)]),
            irq(10, "eth0", &[(0, 9)]),
            irq(10, "8139cp", &[(0, 30), (2, 20)]),
        ];
        join_namesakes(&mut irqs);
        let mut joined = irq(10, "8139cp", &[(0, 30), (2, 70)]);
        (joined.cpus[1].count, joined.cpus[1].max_ns) = (Some(2), Some(50));
        assert_eq!(irqs, [joined, irq(10, "eth0", &[(0, 9)]), irq(11, "8139cp", &[(0, 7)])]);
    }
}
