//! The lists of the views in their order, and which of their rows is chosen.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use super::{CpuOrder, Grouping, NicId, QueueId, State, Target, figures};
use crate::{
    frame::{
        Cpu, Finding, Frame, Irq, Napi, Nic,
        topology::{self, Queue},
    },
    present::{
        findings::{of_evidence, title},
        text::printable,
    },
};

/// The NICs that the filter leaves, in the order that the user wants.
pub(super) fn nics<'a>(state: &State, frame: &'a Frame) -> Vec<&'a Nic> {
    let mut nics = figures::in_order(frame, state.sort);
    nics.retain(|nic| {
        state.filter.leaves(&nic.name)
            || nic.driver.as_ref().is_some_and(|driver| state.filter.leaves(driver))
    });
    if state.reversed {
        nics.reverse();
    }
    nics
}

/// Which of them is chosen.
pub(super) fn chosen_nic(state: &State, nics: &[&Nic]) -> usize {
    let chosen = state.nic.as_ref();
    chosen.and_then(|id| nics.iter().position(|nic| id.is(nic))).unwrap_or(0)
}

/// The NIC of the view of one NIC: the chosen one or, if there is none, that of the worst finding or with the
/// most load.
pub(super) fn nic<'a>(state: &State, frame: &'a Frame) -> Option<&'a Nic> {
    if let Some(id) = &state.nic {
        return frame.nics.iter().find(|nic| id.is(nic));
    }
    let found = frame.findings.iter().flatten().find_map(|finding| nic_of(frame, finding));
    found.or_else(|| figures::in_order(frame, super::Sort::Load).into_iter().find(|nic| nic.netns.is_some()))
}

/// The NIC that a finding is about.
pub(super) fn nic_of<'a>(frame: &'a Frame, finding: &Finding) -> Option<&'a Nic> {
    let name = finding.subject.nic.as_ref()?;
    let netns = finding.subject.netns;
    frame.nics.iter().find(|nic| nic.name == *name && (netns.is_none() || nic.netns == netns))
}

/// The CPUs in the order that the user wants, with the network load of each in percent.
pub(super) fn cpus<'a>(state: &State, frame: &'a Frame) -> Vec<(&'a Cpu, f64)> {
    let mut cpus = figures::network_pcts(frame);
    cpus.sort_by(|a, b| {
        let load = match state.cpu_order {
            CpuOrder::Load => b.1.total_cmp(&a.1),
            CpuOrder::Number => Ordering::Equal,
        };
        load.then_with(|| a.0.cpu.cmp(&b.0.cpu))
    });
    if state.reversed {
        cpus.reverse();
    }
    cpus
}

/// Which of them is chosen.
pub(super) fn chosen_cpu(state: &State, cpus: &[(&Cpu, f64)]) -> usize {
    state.cpu.and_then(|chosen| cpus.iter().position(|(cpu, _)| cpu.cpu == chosen)).unwrap_or(0)
}

/// CPUs that are shown together, with their number.
pub(super) struct Group<'a> {
    /// That of the CPU, the node or the package; `None` if it is not known of these CPUs.
    pub(super) number: Option<u32>,
    pub(super) cpus: Vec<&'a Cpu>,
}

/// The CPUs in groups, by number.
pub(super) fn groups<'a>(state: &State, frame: &'a Frame, grouping: Grouping) -> Vec<Group<'a>> {
    if grouping == Grouping::Cpu {
        let alone = |cpu: &'a Cpu| Group { number: Some(cpu.cpu), cpus: vec![cpu] };
        return frame.cpus.iter().map(alone).collect();
    }
    let known = state.setup.as_ref().and_then(|setup| setup.topology.as_ref());
    let known: HashMap<u32, &topology::Cpu> =
        known.iter().flat_map(|topology| &topology.cpus).map(|cpu| (cpu.cpu, cpu)).collect();
    let number = |cpu: &Cpu| match grouping {
        Grouping::Cpu => Some(cpu.cpu),
        Grouping::Node => known.get(&cpu.cpu)?.numa_node,
        Grouping::Package => known.get(&cpu.cpu)?.package,
    };
    let mut groups: BTreeMap<(bool, Option<u32>), Vec<&Cpu>> = BTreeMap::new();
    for cpu in &frame.cpus {
        let number = number(cpu);
        // Those of which nothing is known come last.
        groups.entry((number.is_none(), number)).or_default().push(cpu);
    }
    groups.into_iter().map(|((_, number), cpus)| Group { number, cpus }).collect()
}

/// The NIC that loads each CPU most, with its load in percent.
pub(super) fn nic_on_each(frame: &Frame) -> HashMap<u32, (&Nic, f64)> {
    let mut most: HashMap<u32, (&Nic, f64)> = HashMap::new();
    for (nic, on) in frame.nics.iter().flat_map(|nic| nic.cpus.iter().map(move |on| (nic, on))) {
        let Some(load) = on.known_load_pct().filter(|load| *load > 0.0) else { continue };
        let entry = most.entry(on.cpu).or_insert((nic, load));
        if load > entry.1 {
            *entry = (nic, load);
        }
    }
    most
}

/// The one of a CPU.
pub(super) fn nic_on(frame: &Frame, cpu: u32) -> Option<&Nic> {
    nic_on_each(frame).get(&cpu).map(|(nic, _)| *nic)
}

/// The findings that the filter leaves, the worst first.
pub(super) fn findings<'a>(state: &State, frame: &'a Frame) -> Vec<&'a Finding> {
    let mut findings: Vec<&Finding> = frame.findings.iter().flatten().collect();
    findings.retain(|finding| state.filter.leaves(finding.id.label()) || state.filter.leaves(&finding.why));
    findings
}

/// Which of them is chosen.
pub(super) fn chosen_finding(state: &State, findings: &[&Finding]) -> usize {
    let chosen = state.finding.as_ref();
    chosen.and_then(|key| findings.iter().position(|finding| finding.key() == *key)).unwrap_or(0)
}

/// Whether this is what is chosen: the row with the mark, or the order.
pub(super) fn is_chosen(state: &State, frame: &Frame, target: &Target) -> bool {
    match target {
        Target::Nic(id) => listed_nic(state, frame).is_some_and(|nic| id.is(nic)),
        Target::Cpu(number) => cpu(state, frame).is_some_and(|cpu| cpu.cpu == *number),
        Target::Queue(id) => nic(state, frame).and_then(|nic| queue(state, frame, nic)) == Some(*id),
        Target::Driver(subject) => state.drivers.chosen.as_ref() == Some(subject),
        Target::Finding(key) => finding(state, frame).is_some_and(|finding| finding.key() == *key),
        Target::NicOrder(sort) => state.sort == *sort,
        Target::CpuOrder(order) => state.cpu_order == *order,
    }
}

/// A finding as text to paste.
pub(super) fn as_text(frame: &Frame, finding: &Finding) -> String {
    let mut lines = vec![
        format!("{}: {}", title(finding), finding.why),
        format!("host {}, {}, since {}", frame.host.hostname, frame.time, finding.since),
    ];
    lines.extend(finding.evidence.iter().map(of_evidence));
    lines.extend(finding.caveats.iter().map(|caveat| format!("but: {caveat}")));
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

/// How a NIC is set up, if that is known.
pub(super) fn setup<'a>(state: &'a State, nic: &Nic) -> Option<&'a topology::Nic> {
    let nics = &state.setup.as_ref()?.topology.as_ref()?.nics;
    nics.iter().find(|known| nic.netns == Some(known.netns) && known.ifindex == nic.ifindex)
}

/// The chosen one of them.
pub(super) fn listed_nic<'a>(state: &State, frame: &'a Frame) -> Option<&'a Nic> {
    let nics = nics(state, frame);
    nics.get(chosen_nic(state, &nics)).copied()
}

/// The chosen CPU.
pub(super) fn cpu<'a>(state: &State, frame: &'a Frame) -> Option<&'a Cpu> {
    let cpus = cpus(state, frame);
    cpus.get(chosen_cpu(state, &cpus)).map(|(cpu, _)| *cpu)
}

/// The chosen queue of a NIC; `None` if it has none.
pub(super) fn queue(state: &State, frame: &Frame, nic: &Nic) -> Option<QueueId> {
    let queues = queues(frame, nic, setup(state, nic));
    queues.get(chosen_queue(state, &queues)).copied()
}

/// The chosen finding.
pub(super) fn finding<'a>(state: &State, frame: &'a Frame) -> Option<&'a Finding> {
    let findings = findings(state, frame);
    findings.get(chosen_finding(state, &findings)).copied()
}

/// The interrupts of a NIC.
pub(super) fn irqs<'a>(frame: &'a Frame, nic: &'a Nic) -> impl Iterator<Item = &'a Irq> {
    frame.irqs.iter().filter(|irq| irq.nic.as_ref() == Some(&nic.name))
}

/// Those of a queue by its number, or those that belong to none.
pub(super) fn irqs_of_queue<'a>(
    frame: &'a Frame,
    nic: &'a Nic,
    queue: Option<u32>,
) -> impl Iterator<Item = &'a Irq> {
    irqs(frame, nic).filter(move |irq| irq.queue == queue)
}

/// The NAPIs of a queue by its number, or those of which no queue is known.
pub(super) fn napis_of_queue(nic: &Nic, queue: Option<u32>) -> impl Iterator<Item = &Napi> {
    nic.napis.iter().flatten().filter(move |napi| napi.queue == queue)
}

/// The queues of a NIC by number: those that are set up and those that were polled. The last are the others
/// if anything happened that belongs to no queue. Empty if it has no queues.
pub(super) fn queues(frame: &Frame, nic: &Nic, setup: Option<&topology::Nic>) -> Vec<QueueId> {
    let set_up = setup.iter().flat_map(|setup| &setup.queues).map(|queue: &Queue| queue.index);
    let polled = nic.napis.iter().flatten().filter_map(|napi| napi.queue);
    let mut all: Vec<QueueId> = set_up.chain(polled).map(QueueId::Number).collect();
    all.sort_unstable();
    all.dedup();
    let has_others = nic.napis.iter().flatten().any(|napi| napi.queue.is_none())
        || irqs(frame, nic).any(|irq| irq.queue.is_none());
    if !all.is_empty() && has_others {
        all.push(QueueId::Others);
    }
    all
}

/// Which of them is chosen.
pub(super) fn chosen_queue(state: &State, queues: &[QueueId]) -> usize {
    state.queue.and_then(|chosen| queues.iter().position(|queue| *queue == chosen)).unwrap_or(0)
}

/// The id of a NIC beside the chosen one.
pub(super) fn nic_at(nics: &[&Nic], at: usize) -> Option<NicId> {
    nics.get(at.min(nics.len().saturating_sub(1))).map(|nic| NicId::of(nic))
}

/// The first row to show, such that no room stays empty below the last row.
pub(super) fn first_row(wanted: usize, rows: usize, shown: usize) -> usize {
    wanted.min(rows.saturating_sub(shown))
}

/// The same, with the chosen row in the middle as far as that is possible.
pub(super) fn first_around(chosen: usize, rows: usize, shown: usize) -> usize {
    first_row(chosen.saturating_sub(shown / 2), rows, shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrolling_leaves_no_room_free() {
        assert_eq!(first_row(9, 10, 4), 6);
        assert_eq!(first_row(2, 10, 4), 2);
        assert_eq!(first_row(2, 3, 4), 0);
    }
}
