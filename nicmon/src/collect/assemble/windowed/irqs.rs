//! Times of interrupt handlers, by how often they were called.
//!
//! The kernel counts calls by line, and calls each action of a line each time. So the calls of a line are
//! those of each of its actions, and all of a CPU's are those of its lines.

use std::collections::{BTreeMap, HashMap};

use crate::{
    counters::{IrqActivity, Runs, SeenInWindow, SeenInWindows},
    frame::{Estimate, Measure},
};

/// The estimates. What is absent is unknown.
#[derive(Debug, Default)]
pub(super) struct Irqs {
    /// By line, action and CPU.
    actions: HashMap<(u32, String, u32), Estimate>,
    /// All handlers of a CPU.
    cpus: HashMap<u32, Estimate>,
    /// Each action that was seen, with the number of its calls that the kernel counted, and lines of which no
    /// action was seen.
    pub(super) activity: Vec<IrqActivity>,
}

impl Irqs {
    pub(super) fn of(windows: &SeenInWindows, counted: &[IrqActivity], interval_ns: u64) -> Self {
        let calls = Calls::of(windows);
        let mut this = Self::default();
        for (line, action) in last_actions(&windows.recent) {
            this.add_action((windows, interval_ns), counted, &calls, line, action);
        }
        this.add_unseen_lines((windows, interval_ns), counted, &calls);
        let cpus = windows.counted.len().max(windows.recent.last().map_or(0, |window| window.cpus.len()));
        for cpu in 0..u32::try_from(cpus).unwrap_or(u32::MAX) {
            let seen_ns =
                |window: &SeenInWindow| window.cpus.get(cpu as usize).and_then(|cpu| cpu.hardirq_ns);
            let seen_ns: Vec<u64> =
                windows.recent.iter().map(|window| seen_ns(window).unwrap_or(0)).collect();
            let on_cpu = || counted.iter().flat_map(|irq| &irq.cpus).filter(|(on, _)| *on == cpu);
            let all = on_cpu().map(|(_, runs)| runs.map(|runs| runs.count)).sum::<Option<u64>>();
            let Some(all) = all else { continue };
            let measure = Measure::new(calls.of_cpu(cpu), windows.new, all).at_most(&seen_ns, interval_ns);
            let elsewhere = || calls.as_elsewhere(windows, all, interval_ns);
            let estimate = measure.estimate(&seen_ns).or_else(elsewhere);
            this.cpus.extend(estimate.map(|estimate| (cpu, estimate)));
        }
        this
    }

    pub(super) fn of_action(&self, line: u32, action: &str, cpu: u32) -> Option<&Estimate> {
        self.actions.get(&(line, action.to_owned(), cpu))
    }

    pub(super) fn of_cpu(&self, cpu: u32) -> Option<&Estimate> {
        self.cpus.get(&cpu)
    }

    fn add_action(
        &mut self,
        (windows, interval_ns): (&SeenInWindows, u64),
        counted: &[IrqActivity],
        calls: &Calls,
        line: u32,
        action: &IrqActivity,
    ) {
        let same = |irq: &&IrqActivity| (irq.irq, &irq.action) == (line, &action.action);
        let seen_ns = |cpu: u32| -> Vec<u64> {
            let in_window = |window: &SeenInWindow| {
                let rows = window.irqs.iter().filter(same).flat_map(|irq| &irq.cpus);
                rows.filter(|(on, _)| *on == cpu).filter_map(|(_, runs)| runs.as_ref()?.ns).sum()
            };
            windows.recent.iter().map(|window| in_window(window)).collect()
        };
        let mut cpus = Vec::new();
        for (cpu, all) in calls_of_line(counted, line) {
            let estimate = all.and_then(|all| {
                let of_line = calls.of_line(line, cpu);
                let measure = Measure::new(of_line, windows.new, all);
                let seen_ns = seen_ns(cpu);
                let measure = measure.at_most(&seen_ns, interval_ns);
                measure.estimate(&seen_ns).or_else(|| calls.as_elsewhere(windows, all, interval_ns))
            });
            cpus.push((cpu, all.map(|count| Runs { count, ns: estimate.map(|one| one.ns()), max_ns: None })));
            self.actions.extend(estimate.map(|one| ((line, action.action.clone(), cpu), one)));
        }
        if !cpus.is_empty() {
            self.activity.push(IrqActivity { cpus, ..action.clone() });
        }
    }

    /// Lines that fired in no window are taken to take as long as others.
    fn add_unseen_lines(
        &mut self,
        (windows, interval_ns): (&SeenInWindows, u64),
        counted: &[IrqActivity],
        calls: &Calls,
    ) {
        let unseen = counted.iter().filter(|line| self.activity.iter().all(|seen| seen.irq != line.irq));
        let mut unseen: Vec<IrqActivity> = unseen.cloned().collect();
        for irq in &mut unseen {
            for (cpu, runs) in irq.cpus.iter_mut().filter_map(|(cpu, runs)| Some((*cpu, runs.as_mut()?))) {
                let Some(one) = calls.as_elsewhere(windows, runs.count, interval_ns) else { continue };
                runs.ns = Some(one.ns());
                self.actions.insert((irq.irq, irq.action.clone(), cpu), one);
            }
        }
        self.activity.extend(unseen);
    }
}

/// How often the kernel called the handlers of a line, by CPU; `None` if that is unknown.
fn calls_of_line(counted: &[IrqActivity], line: u32) -> impl Iterator<Item = (u32, Option<u64>)> {
    let rows = counted.iter().filter(move |irq| irq.irq == line).flat_map(|irq| &irq.cpus);
    rows.map(|(cpu, runs)| (*cpu, runs.map(|runs| runs.count)))
}

/// The actions of each line in the last window in which it fired: drivers that set up their queues anew use
/// their lines for others.
fn last_actions(windows: &[std::sync::Arc<SeenInWindow>]) -> Vec<(u32, &IrqActivity)> {
    let mut lines: BTreeMap<u32, Vec<&IrqActivity>> = BTreeMap::new();
    for window in windows {
        let mut now: BTreeMap<u32, Vec<&IrqActivity>> = BTreeMap::new();
        for irq in &window.irqs {
            let actions = now.entry(irq.irq).or_default();
            if actions.iter().all(|known| known.action != irq.action) {
                actions.push(irq);
            }
        }
        lines.extend(now);
    }
    lines.into_iter().flat_map(|(line, actions)| actions.into_iter().map(move |one| (line, one))).collect()
}

/// Calls in each window, by line and CPU.
struct Calls {
    lines: HashMap<(u32, u32), Vec<u64>>,
    windows: usize,
}

impl Calls {
    fn of(windows: &SeenInWindows) -> Self {
        let number = windows.recent.len();
        let mut lines: HashMap<(u32, u32), Vec<u64>> = HashMap::new();
        for (at, window) in windows.recent.iter().enumerate() {
            for irq in &window.irqs {
                for (cpu, runs) in &irq.cpus {
                    let calls = &mut lines.entry((irq.irq, *cpu)).or_insert_with(|| vec![0; number])[at];
                    *calls = (*calls).max(runs.map_or(0, |runs| runs.count));
                }
            }
        }
        Self { lines, windows: number }
    }

    fn of_line(&self, line: u32, cpu: u32) -> Vec<Option<u64>> {
        let known = self.lines.get(&(line, cpu));
        known.map_or_else(|| vec![Some(0); self.windows], |calls| calls.iter().copied().map(Some).collect())
    }

    fn of_cpu(&self, cpu: u32) -> Vec<Option<u64>> {
        let mut sums = vec![0; self.windows];
        for (_, calls) in self.lines.iter().filter(|((_, on), _)| *on == cpu) {
            sums.iter_mut().zip(calls).for_each(|(sum, calls)| *sum += calls);
        }
        sums.into_iter().map(Some).collect()
    }

    /// Handlers that ran on a CPU in no window are taken to run as long as those of others.
    fn as_elsewhere(&self, windows: &SeenInWindows, all: u64, most_ns: u64) -> Option<Estimate> {
        let calls: u64 = self.lines.values().flatten().sum();
        let cpus = windows.recent.iter().flat_map(|window| &window.cpus);
        let ns: u64 = cpus.filter_map(|cpu| cpu.hardirq_ns).sum();
        Estimate::as_elsewhere((ns, calls), all, most_ns)
    }
}
