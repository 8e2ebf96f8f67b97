//! Moves estimated times out of the fields for exact ones.

use super::{
    super::{
        dummies::{Dummies, Home},
        nics::BACKLOG,
    },
    estimates::{Estimates, PolledRow},
};
use crate::{
    counters::SeenInWindows,
    frame::{
        Cpu, Estimate, Frame, Irq, NapiMode, Nic, NicCpu, RecentPolls, Vector, Windowed, Windows,
        sum_of_intervals,
    },
};

/// Marks the times of a frame as what they are.
pub(in super::super) fn mark(
    frame: &mut Frame,
    windows: &SeenInWindows,
    estimates: &Estimates,
    dummies: &Dummies,
) {
    frame.window = Some(Windows { attached_ns: windows.attached_ns(), count: windows.new as u64 });
    for row in &mut frame.cpus {
        cpu(row, windows, estimates);
    }
    let shown: Vec<u32> = frame.cpus.iter().map(|cpu| cpu.cpu).collect();
    for row in &mut frame.nics {
        if let Some(polled) = polled(row, dummies) {
            add_quiet_cpus(row, &shown, |cpu| estimates.nics.contains_key(&(polled, cpu)));
            nic(row, |cpu| estimates.nics.get(&(polled, cpu)));
        }
    }
    for row in &mut frame.irqs {
        irq(row, windows, estimates);
    }
    for driver in frame.drivers.iter_mut().flatten() {
        driver.hardirq_est_ns = driver.hardirq_ns.take();
    }
}

/// What is polled in a row, if anything is.
fn polled(nic: &Nic, dummies: &Dummies) -> Option<PolledRow> {
    match nic.netns {
        Some(netns) => Some(PolledRow::Home(Home::Nic((netns, nic.ifindex)))),
        None if nic.name == BACKLOG => Some(PolledRow::Backlog),
        None => dummies.row_of(&nic.name).map(|row| PolledRow::Home(Home::Row(row))),
    }
}

fn cpu(row: &mut Cpu, windows: &SeenInWindows, estimates: &Estimates) {
    row.hardirq_est_ns = row.hardirq_ns.take();
    let Some(softirqs) = &mut row.softirq else { return };
    softirqs.net_rx.other_est_ns = softirqs.net_rx.other_ns.take();
    softirqs.net_rx.mixed_ns = None;
    for (number, runs) in softirqs.vectors_mut().into_iter().enumerate() {
        let longest = windows
            .new_ones()
            .iter()
            .filter_map(|window| window.cpus.get(row.cpu as usize)?.vectors[number].max_ns);
        vector(runs, estimates.vectors.get(&(row.cpu, number)), longest.max());
    }
}

fn vector(runs: &mut Vector, estimate: Option<&Estimate>, max_seen_ns: Option<u64>) {
    runs.est_ns = runs.ns.take();
    runs.est_ci_ns = estimate.and_then(|estimate| estimate.ci_ns);
    runs.windowed = estimate.map(|estimate| estimate.windowed);
    (runs.max_ns, runs.max_seen_ns) = (None, max_seen_ns);
}

/// Adds CPUs on which the last windows saw polls and those of this interval saw none. In a sum of frames,
/// such windows count, too.
fn add_quiet_cpus(nic: &mut Nic, shown: &[u32], is_known: impl Fn(u32) -> bool) {
    let missing = |cpu: &&u32| is_known(**cpu) && nic.cpus.iter().all(|row| row.cpu != **cpu);
    let missing: Vec<u32> = shown.iter().filter(missing).copied().collect();
    if nic.napis.is_some() && !missing.is_empty() {
        let hardirq_ns = nic.hardirq_ns.map(|_| 0);
        let quiet =
            |cpu| NicCpu { cpu, poll_ns: Some(0), hardirq_ns, load_pct: Some(0.0), ..NicCpu::default() };
        nic.cpus.extend(missing.into_iter().map(quiet));
        nic.cpus.sort_by_key(|row| row.cpu);
    }
}

fn nic<'a>(nic: &mut Nic, polls_on: impl Fn(u32) -> Option<&'a Estimate>) {
    for row in &mut nic.cpus {
        let threads = nic.napis.iter().flatten().filter(|napi| napi.mode == NapiMode::Threaded);
        let has_threads = threads.flat_map(|napi| &napi.cpus).any(|on| on.cpu == row.cpu);
        nic_cpu(row, polls_on(row.cpu), has_threads);
    }
    nic.poll_est_ns = nic.poll_ns.take();
    let intervals = sum_of_intervals(nic.cpus.iter().map(|row| row.poll_est_ci_ns));
    nic.poll_est_ci_ns = intervals.filter(|_| !nic.cpus.is_empty());
    nic.hardirq_est_ns = nic.hardirq_ns.take();
    for row in nic.napis.iter_mut().flatten().flat_map(|napi| &mut napi.cpus) {
        row.poll_est_ns = row.poll_ns.take();
        let seen = row.polls.take().zip(row.work.take()).zip(row.repolls.take());
        row.recent = seen.map(|((polls, work), repolls)| Box::new(RecentPolls { polls, work, repolls }));
    }
}

fn nic_cpu(row: &mut NicCpu, polls: Option<&Estimate>, has_threads: bool) {
    row.poll_est_ns = row.poll_ns.take();
    row.hardirq_est_ns = row.hardirq_ns.take();
    row.load_est_pct = row.load_pct.take();
    (row.polls, row.work, row.repolls) = (None, None, None);
    let Some(poll_est_ns) = row.poll_est_ns else { return };
    let softirq_ns = polls.map_or(0, Estimate::ns);
    // The rest is of threads, whose time the kernel counts.
    let known_ns = if has_threads { poll_est_ns.saturating_sub(softirq_ns) } else { 0 };
    let windowed = polls.map_or(Windowed::default(), |estimate| estimate.windowed);
    row.windowed = Some(Box::new(windowed.plus(Windowed::known(known_ns))));
    // How much interrupted a thread is estimated, too, and nobody knows how well.
    row.poll_est_ci_ns = polls.filter(|_| !has_threads).and_then(|estimate| estimate.ci_ns);
}

fn irq(irq: &mut Irq, windows: &SeenInWindows, estimates: &Estimates) {
    let Irq { irq: line, action, cpus, .. } = irq;
    for row in cpus {
        let cpu = row.cpu;
        let estimate = estimates.irqs.of_action(*line, action, cpu);
        row.est_ns = row.ns.take();
        row.est_ci_ns = estimate.and_then(|estimate| estimate.ci_ns);
        row.windowed = estimate.map(|estimate| Box::new(estimate.windowed));
        let seen = windows.new_ones().iter().flat_map(|window| &window.irqs);
        let seen = seen.filter(|irq| (irq.irq, &irq.action) == (*line, action)).flat_map(|irq| &irq.cpus);
        row.max_seen_ns =
            seen.filter(|(on, _)| *on == cpu).filter_map(|(_, runs)| runs.as_ref()?.max_ns).max();
        row.max_ns = None;
    }
}
