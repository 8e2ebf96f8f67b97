//! All times of an interval, estimated from windows.

use std::collections::HashMap;

use nicmon_common::{NET_RX, NapiKey, SOFTIRQ_VECTORS};

use super::{
    super::dummies::{Dummies, Home},
    irqs::Irqs,
};
use crate::{
    collect::Observation,
    counters::{Counted, SeenInWindow, SeenInWindows},
    frame::{Estimate, Measure},
};

const NET_RX_VECTOR: usize = NET_RX as usize;

/// What the kernel counts all the time and a time may depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Yardstick {
    /// Runs of one softirq.
    Runs(usize),
    Packets,
    Busy,
    Time,
}

impl Yardstick {
    /// `None` if it is unknown.
    fn of(self, counted: &Counted) -> Option<u64> {
        match self {
            Self::Runs(vector) => Some(counted.runs[vector]),
            Self::Packets => counted.packets,
            Self::Busy => counted.busy_ns,
            Self::Time => Some(counted.ns),
        }
    }
}

/// A row of `nics[]` that is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PolledRow {
    Home(Home),
    Backlog,
}

/// The estimates. What is absent is unknown.
#[derive(Debug, Default)]
pub(in super::super) struct Estimates {
    /// By CPU and vector.
    pub(super) vectors: HashMap<(u32, usize), Estimate>,
    /// `NET_RX` time of no NAPI, in ns, by CPU.
    pub(super) other_ns: HashMap<u32, u64>,
    /// Polls in `NET_RX`, in ns, by NAPI and CPU; the backlog is `None`.
    pub(super) napis_ns: HashMap<(Option<NapiKey>, u32), u64>,
    /// The same by row of `nics[]`.
    pub(super) nics: HashMap<(PolledRow, u32), Estimate>,
    pub(super) irqs: Irqs,
}

impl Estimates {
    pub(super) fn of(seen: &Observation, windows: &SeenInWindows, dummies: &Dummies) -> Self {
        let irqs = Irqs::of(windows, &seen.reading.irqs, seen.interval_ns);
        let mut this = Self { irqs, ..Self::default() };
        let elsewhere = Elsewhere::of(windows);
        let polls = Polls::of(windows, dummies);
        for cpu in 0..u32::try_from(windows.counted.len()).unwrap_or(u32::MAX) {
            for vector in (0..SOFTIRQ_VECTORS).filter(|vector| *vector != NET_RX_VECTOR) {
                let Some(runs) = measure(windows, cpu, Yardstick::Runs(vector)) else { continue };
                let seen_ns = vector_ns(windows, cpu, vector);
                let runs = runs.at_most(&seen_ns, seen.interval_ns);
                let estimate =
                    runs.estimate(&seen_ns).or_else(|| elsewhere.estimate(vector, &runs, seen.interval_ns));
                this.vectors.extend(estimate.map(|estimate| ((cpu, vector), estimate)));
            }
            this.add_net_rx(windows, cpu, seen.interval_ns, &polls, &elsewhere);
        }
        this
    }

    /// `NET_RX` of a CPU and the polls in it, by what went with its time best.
    fn add_net_rx(
        &mut self,
        windows: &SeenInWindows,
        cpu: u32,
        interval_ns: u64,
        polls: &Polls,
        elsewhere: &Elsewhere,
    ) {
        let Some(runs) = measure(windows, cpu, Yardstick::Runs(NET_RX_VECTOR)) else { return };
        let seen_ns = vector_ns(windows, cpu, NET_RX_VECTOR);
        let measure = best(windows, cpu, runs, &seen_ns).at_most(&seen_ns, interval_ns);
        let Some(all) = measure.estimate(&seen_ns) else {
            // It ran, but in no window: whose polls these were is unknown.
            if let Some(estimate) = elsewhere.estimate(NET_RX_VECTOR, &measure, interval_ns) {
                self.other_ns.insert(cpu, estimate.ns());
                self.vectors.insert((cpu, NET_RX_VECTOR), estimate);
            }
            return;
        };
        self.vectors.insert((cpu, NET_RX_VECTOR), all);
        let mut polled_ns = 0;
        for (napi, seen_ns) in polls.napis.iter().filter(|((_, on), _)| *on == cpu) {
            let ns = measure.ns(seen_ns).unwrap_or(0);
            polled_ns += ns;
            self.napis_ns.insert(*napi, ns);
        }
        for (nic, seen_ns) in polls.nics.iter().filter(|((_, on), _)| *on == cpu) {
            self.nics.extend(measure.estimate(seen_ns).map(|estimate| (*nic, estimate)));
        }
        self.other_ns.insert(cpu, all.ns().saturating_sub(polled_ns));
    }
}

/// What goes with the `NET_RX` time of a CPU best. Without runs in the interval or in any window, nothing but
/// runs can say what the time was; without a window in the interval, time alone says nothing of it.
fn best(windows: &SeenInWindows, cpu: u32, runs: Measure, seen_ns: &[u64]) -> Measure {
    if runs.all() == 0 || runs.ns(seen_ns).is_none() {
        return runs;
    }
    let others = [Yardstick::Packets, Yardstick::Busy, Yardstick::Time];
    let others = others.into_iter().filter(|other| *other != Yardstick::Time || windows.new > 0);
    let others = others.filter_map(|other| measure(windows, cpu, other));
    Measure::best([runs.clone()].into_iter().chain(others), seen_ns).unwrap_or(runs)
}

/// What the kernel counted on a CPU; `None` if nothing is known of the interval.
fn measure(windows: &SeenInWindows, cpu: u32, yardstick: Yardstick) -> Option<Measure> {
    let on = |counted: &[Option<Counted>]| yardstick.of(counted.get(cpu as usize)?.as_ref()?);
    let each = windows.recent.iter().map(|window| on(&window.counted)).collect();
    Some(Measure::new(each, windows.new, on(&windows.counted)?))
}

/// Times of polls in each window, by NAPI or NIC and CPU.
struct Polls {
    napis: HashMap<(Option<NapiKey>, u32), Vec<u64>>,
    nics: HashMap<(PolledRow, u32), Vec<u64>>,
}

impl Polls {
    fn of(windows: &SeenInWindows, dummies: &Dummies) -> Self {
        let number = windows.recent.len();
        let mut this = Self { napis: HashMap::new(), nics: HashMap::new() };
        for (at, window) in windows.recent.iter().enumerate() {
            let inside = Inside::of(window);
            let mut add = |napi: Option<NapiKey>, cpu: u32, ns: u64| {
                let ns = inside.part(cpu, ns);
                this.napis.entry((napi, cpu)).or_insert_with(|| vec![0; number])[at] += ns;
                // What a NAPI did that belongs to no row is in the time of its CPU alone.
                let row =
                    napi.map_or(Some(PolledRow::Backlog), |key| dummies.home(&key).map(PolledRow::Home));
                let Some(row) = row else { return };
                this.nics.entry((row, cpu)).or_insert_with(|| vec![0; number])[at] += ns;
            };
            for (cpu, activity) in (0..).zip(&window.cpus) {
                add(None, cpu, activity.backlog.softirq_ns);
            }
            for napi in &window.napis {
                napi.cpus.iter().for_each(|(cpu, polls)| add(Some(napi.key), *cpu, polls.softirq_ns));
            }
        }
        this.napis.retain(|_, ns| ns.iter().any(|ns| *ns > 0));
        this.nics.retain(|_, ns| ns.iter().any(|ns| *ns > 0));
        this
    }
}

/// What was filed of `NET_RX` in a window, and what was inside it, by CPU. The edges cut runs, and nothing
/// says whose polls these were.
struct Inside(Vec<(u64, u64)>);

impl Inside {
    fn of(window: &SeenInWindow) -> Self {
        let mut filed: Vec<u64> = (window.cpus.iter())
            .map(|activity| activity.backlog.softirq_ns + activity.other_ns.unwrap_or(0))
            .collect();
        for (cpu, polls) in window.napis.iter().flat_map(|napi| &napi.cpus) {
            if let Some(filed) = filed.get_mut(*cpu as usize) {
                *filed += polls.softirq_ns;
            }
        }
        let inside = window.cpus.iter().map(|activity| activity.vectors[NET_RX_VECTOR].ns);
        Self(filed.iter().zip(inside).map(|(filed, inside)| (*filed, inside.unwrap_or(*filed))).collect())
    }

    /// The part inside of so much time.
    fn part(&self, cpu: u32, ns: u64) -> u64 {
        let Some((filed, inside)) = self.0.get(cpu as usize) else { return 0 };
        let part = u128::from(ns) * u128::from(*inside) / u128::from((*filed).max(1));
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// The time of a softirq in each window.
fn vector_ns(windows: &SeenInWindows, cpu: u32, vector: usize) -> Vec<u64> {
    let on = |window: &SeenInWindow| window.cpus.get(cpu as usize)?.vectors[vector].ns;
    windows.recent.iter().map(|window| on(window).unwrap_or(0)).collect()
}

/// How long runs of each vector took on all CPUs, in ns and in runs: a softirq that ran on a CPU in no window
/// is taken to run as long as on others.
struct Elsewhere([(u64, u64); SOFTIRQ_VECTORS]);

impl Elsewhere {
    fn of(windows: &SeenInWindows) -> Self {
        let mut sums = [(0, 0); SOFTIRQ_VECTORS];
        for (activity, counted) in
            windows.recent.iter().flat_map(|window| window.cpus.iter().zip(&window.counted))
        {
            for (vector, (ns, runs)) in sums.iter_mut().enumerate() {
                *ns += activity.vectors[vector].ns.unwrap_or(0);
                *runs += counted.map_or(0, |counted| counted.runs[vector]);
            }
        }
        Self(sums)
    }

    fn estimate(&self, vector: usize, runs: &Measure, most_ns: u64) -> Option<Estimate> {
        Estimate::as_elsewhere(self.0[vector], runs.all(), most_ns)
    }
}
