//! `irqs[]`.

use std::{cmp::Reverse, collections::HashMap};

use super::sum::{add_rows, add_windows, estimate, keep, longest, longest_known, sum};
use crate::frame::{Irq, IrqCpu};

/// The actions, and where to find those of each line.
#[derive(Debug, Default)]
pub(super) struct Irqs {
    sums: Vec<Irq>,
    by_line: HashMap<u32, Vec<usize>>,
}

impl Irqs {
    pub(super) fn add(&mut self, irqs: &[Irq]) {
        for irq in irqs {
            let places = self.by_line.entry(irq.irq).or_default();
            if let Some(at) = places.iter().find(|at| self.sums[**at].action == irq.action) {
                add(&mut self.sums[*at], irq);
            } else {
                places.push(self.sums.len());
                self.sums.push(irq.clone());
            }
        }
    }

    /// Those with the most time first or, if times are unknown, the most frequent.
    pub(super) fn irqs(&self) -> Vec<Irq> {
        let mut irqs = self.sums.clone();
        irqs.sort_by_cached_key(|irq| {
            let ns: u64 = irq.cpus.iter().filter_map(IrqCpu::time_ns).sum();
            let count: u64 = irq.cpus.iter().filter_map(|cpu| cpu.count).sum();
            (Reverse((ns, count)), irq.irq, irq.action.clone())
        });
        irqs
    }
}

fn add(to: &mut Irq, more: &Irq) {
    let Irq { irq: _, action: _, nic, queue, threaded, cpus } = more;
    keep(&mut to.nic, nic.as_ref());
    keep(&mut to.queue, queue.as_ref());
    keep(&mut to.threaded, threaded.as_ref());
    add_rows(&mut to.cpus, cpus, |row| row.cpu, add_row);
}

fn add_row(to: &mut IrqCpu, more: &IrqCpu) {
    to.count = sum(to.count, more.count);
    let longest_seen = longest_known([to.max_ns, to.max_seen_ns, more.max_ns, more.max_seen_ns]);
    let of = |row: &IrqCpu| (row.ns, row.windowed.as_deref().copied());
    let (ns, windows) = add_windows(of(to), of(more));
    (to.ns, to.windowed) = (ns, windows.map(Box::new));
    (to.est_ns, to.est_ci_ns) = estimate(windows);
    to.max_ns = longest(to.max_ns, more.max_ns);
    to.max_seen_ns = longest_seen.filter(|_| to.windowed.is_some());
}
