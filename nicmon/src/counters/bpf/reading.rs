//! Reads the programs' counters out of their maps.

use std::{collections::HashMap, mem::offset_of};

use nicmon_common::{Config, CpuState, DropKey, IrqKey, NapiKey, NapiStats, RunStats, SOFTIRQ_VECTORS};

use super::{
    Probe, ProbeError, ProgramId,
    activity::{cpu_between, polls_between, runs_between},
    mapped::MappedArray,
};
use crate::{
    counters::{CpuActivity, DropActivity, IrqActivity, NapiActivity, Reading, Samples},
    host::monotonic_ns,
};

/// How often to repeat a reading if the counters change while it reads them.
const TRIES: usize = 8;

/// A NAPI or irq action that is silent for this long gives its slot back. If it still exists, it gets
/// another one later.
const IDLE_NS: u64 = 60_000_000_000;

/// The counters of the previous reading.
pub(super) struct Before {
    cpus: Vec<CpuState>,
    /// By slot, then by CPU; empty for slots that were never used.
    napis: Vec<Vec<NapiStats>>,
    irqs: Vec<Vec<RunStats>>,
    /// When a NAPI or irq action was last active.
    napis_active: HashMap<NapiKey, u64>,
    irqs_active: HashMap<IrqKey, u64>,
    drops: HashMap<DropKey, u64>,
    recursion_misses: u64,
    /// When they were read, on `CLOCK_MONOTONIC`.
    mono_ns: u64,
}

impl Before {
    pub(super) fn new(cpus: usize, config: &Config) -> Self {
        Self {
            cpus: vec![CpuState::default(); cpus],
            napis: vec![Vec::new(); config.napi_slots as usize],
            irqs: vec![Vec::new(); config.irq_slots as usize],
            napis_active: HashMap::new(),
            irqs_active: HashMap::new(),
            drops: HashMap::new(),
            recursion_misses: 0,
            mono_ns: 0,
        }
    }
}

impl Probe {
    /// Reads the counters, and ends the interval for which maxima are kept.
    ///
    /// # Errors
    /// A map cannot be read or written.
    pub fn read(&mut self) -> Result<Reading, ProbeError> {
        let mono_ns = monotonic_ns();
        let (states, napi_stats) = self.read_cpus()?;
        self.irqs.refresh(states.iter().map(|state| state.new_irqs).sum())?;
        let napis = self.napi_activity(&napi_stats, mono_ns);
        let interval_ns = mono_ns.saturating_sub(std::mem::replace(&mut self.before.mono_ns, mono_ns));
        let irqs = self.read_irqs(mono_ns, interval_ns);
        let drops = self.read_drops(&states)?;

        let both = states.iter().zip(&self.before.cpus);
        let cpus: Vec<CpuActivity> =
            both.map(|(now, before)| cpu_between(now, before, interval_ns)).collect();
        let samples = self.read_samples(&cpus, &napis);
        let mut runs = self.count_runs(&states, &cpus, &napis);
        runs.extend(
            samples.as_ref().map(|samples| (ProgramId::Sample, samples.taken.len() as u64 + samples.lost)),
        );
        let misses = self.recursion_misses();
        let lost =
            lost(&states) - lost(&self.before.cpus) + misses.saturating_sub(self.before.recursion_misses);
        self.before.recursion_misses = misses;
        self.before.cpus = states;
        self.forget_idle(mono_ns)?;

        let bpf_est_ns = self.costs.as_ref().and_then(|costs| costs.estimate(&runs));
        let bpf_runs = runs.iter().map(|(_, count)| count).sum();
        self.runs = runs;
        Ok(Reading {
            mono_ns,
            cpus,
            unknown_cpus: Vec::new(),
            napis: Some(napis),
            irqs,
            drops,
            samples,
            bpf_runs: Some(bpf_runs),
            bpf_est_ns,
            lost: Some(lost),
        })
    }

    /// Learns of the NAPIs that were first polled since the last reading.
    ///
    /// # Errors
    /// Their map cannot be read.
    pub fn look_for_napis(&mut self) -> Result<(), ProbeError> {
        let possible = self.before.cpus.len();
        self.napis
            .refresh((0..possible).filter_map(|cpu| self.cpus.get(cpu)).map(|state| state.new_napis).sum())
    }

    /// The state of each CPU and, for each known NAPI (in the order of [`Slots::iter`]), its counters on
    /// that CPU. This takes the maxima, too: they cover the runs that were counted since the previous
    /// reading.
    ///
    /// All of this must be consistent: sums are compared, and a maximum must not belong to a run that
    /// only the next reading counts. So a CPU is read again if its counters change during the reading,
    /// and all CPUs are read again if a NAPI appeared in the meantime.
    fn read_cpus(&mut self) -> Result<(Vec<CpuState>, Vec<Vec<NapiStats>>), ProbeError> {
        let possible = self.before.cpus.len();
        let mut states: Vec<CpuState> =
            (0..possible).map(|cpu| self.cpus.get(cpu).unwrap_or_default()).collect();
        let mut maxima = vec![Maxima::default(); possible];
        let mut napi_stats = Vec::new();
        for _ in 0..TRIES {
            let new_napis = states.iter().map(|state| state.new_napis).sum();
            self.napis.refresh(new_napis)?;
            let slots: Vec<usize> = self.napis.iter().map(|(_, info)| info.slot as usize).collect();
            napi_stats.clear();
            for (cpu, cpu_state) in states.iter_mut().enumerate() {
                let first = cpu * self.config.napi_slots as usize;
                let mut napis = Vec::new();
                for _ in 0..TRIES {
                    *cpu_state = self.cpus.get(cpu).unwrap_or_default();
                    napis.clear();
                    napis.extend(
                        slots.iter().map(|slot| self.napi_stats.get(first + slot).unwrap_or_default()),
                    );
                    maxima[cpu].take(&self.cpus, cpu);
                    if self.cpus.get(cpu).is_none_or(|now| !moved_between(cpu_state, &now)) {
                        break;
                    }
                }
                napi_stats.push(napis);
            }
            if states.iter().map(|state| state.new_napis).sum::<u64>() == new_napis {
                break;
            }
        }
        for (state, maxima) in states.iter_mut().zip(&maxima) {
            maxima.write_to(state);
        }
        Ok((states, napi_stats))
    }

    /// What each NAPI did. `stats` is what [`Self::read_cpus`] returned.
    fn napi_activity(&mut self, stats: &[Vec<NapiStats>], mono_ns: u64) -> Vec<NapiActivity> {
        let Self { napis, before, .. } = self;
        let mut active = Vec::new();
        for (at, (key, info)) in napis.iter().enumerate() {
            let slot_before = &mut before.napis[info.slot as usize];
            slot_before.resize(stats.len(), NapiStats::default());
            let mut cpus = Vec::new();
            for (cpu, cpu_before) in slot_before.iter_mut().enumerate() {
                let now = stats[cpu][at];
                let activity = polls_between(&now, cpu_before);
                *cpu_before = now;
                if !activity.is_nothing() {
                    cpus.push((number(cpu), activity));
                }
            }
            if cpus.is_empty() {
                before.napis_active.entry(*key).or_insert(mono_ns);
            } else {
                before.napis_active.insert(*key, mono_ns);
                let napi = NapiActivity { key: *key, name: text(&info.name), poll_fn: info.poll_fn, cpus };
                active.push(napi);
            }
        }
        active
    }

    fn read_irqs(&mut self, mono_ns: u64, interval_ns: u64) -> Vec<IrqActivity> {
        let Self { irqs, irq_stats, before, config, .. } = self;
        let possible = before.cpus.len();
        let mut active = Vec::new();
        for (key, info) in irqs.iter() {
            let slot_before = &mut before.irqs[info.slot as usize];
            slot_before.resize(possible, RunStats::default());
            let mut cpus = Vec::new();
            for (cpu, cpu_before) in slot_before.iter_mut().enumerate() {
                let index = cpu * config.irq_slots as usize + info.slot as usize;
                let Some(now) = read_runs(irq_stats, index) else { continue };
                let runs = runs_between(&now, cpu_before, interval_ns);
                *cpu_before = now;
                if runs.count > 0 {
                    cpus.push((number(cpu), Some(runs)));
                }
            }
            if cpus.is_empty() {
                before.irqs_active.entry(*key).or_insert(mono_ns);
            } else {
                before.irqs_active.insert(*key, mono_ns);
                active.push(IrqActivity {
                    irq: key.irq,
                    action: text(&info.name),
                    threaded: Some(info.threaded != 0),
                    cpus,
                });
            }
        }
        active
    }

    fn read_samples(&mut self, activity: &[CpuActivity], active: &[NapiActivity]) -> Option<Samples> {
        let Self { sampler, napis, cpus, .. } = self;
        let napi_of = napis.iter().map(|(key, info)| (info.slot, *key)).collect();
        let mut samples = sampler.as_mut()?.read(cpus, &napi_of)?;
        samples.file_threads(activity, active);
        Some(samples)
    }

    fn read_drops(&mut self, states: &[CpuState]) -> Result<Option<Vec<DropActivity>>, ProbeError> {
        let Some(reasons) = &self.reasons else { return Ok(None) };
        let total = |states: &[CpuState]| states.iter().map(|state| state.drops).sum::<u64>();
        if total(states) == total(&self.before.cpus) {
            return Ok(Some(Vec::new()));
        }
        let mut drops = Vec::new();
        for entry in &self.drops {
            let (key, counts) = entry.map_err(|error| ProbeError::map("DROPS", error))?;
            let now: u64 = counts.iter().sum();
            let count = now.wrapping_sub(self.before.drops.insert(key, now).unwrap_or(0));
            if count > 0 {
                let reason = reasons.get(&key.reason).map_or_else(
                    // Subsystems have lists of their own, in the upper half (include/net/dropreason.h).
                    || format!("SUBSYS_{}_{}", key.reason >> 16, key.reason & 0xffff),
                    |name| name.trim_start_matches("SKB_DROP_REASON_").to_owned(),
                );
                drops.push(DropActivity { reason, location: key.location, count });
            }
        }
        Ok(Some(drops))
    }

    /// Runs of each program, from the events that the programs counted.
    fn count_runs(
        &self,
        states: &[CpuState],
        cpus: &[CpuActivity],
        napis: &[NapiActivity],
    ) -> Vec<(ProgramId, u64)> {
        let softirqs = cpus.iter().flat_map(|cpu| &cpu.vectors).map(|vector| vector.count).sum();
        let since = |field: fn(&CpuState) -> u64| {
            states.iter().zip(&self.before.cpus).map(|(now, before)| field(now) - field(before)).sum::<u64>()
        };
        let irqs = since(|state| state.irq.count);
        let polls = cpus.iter().map(|cpu| cpu.backlog.polls()).sum::<u64>()
            + napis.iter().flat_map(|napi| &napi.cpus).map(|(_, polls)| polls.polls()).sum::<u64>();
        self.attached
            .iter()
            .map(|program| {
                let count = match program {
                    ProgramId::SoftirqEntry | ProgramId::SoftirqExit => softirqs,
                    ProgramId::IrqHandlerEntry | ProgramId::IrqHandlerExit => irqs,
                    ProgramId::NapiPoll => polls,
                    ProgramId::KfreeSkb => since(|state| state.drops),
                    ProgramId::SoftirqRaise => since(|state| state.raises),
                    // It is not on a tracepoint; its runs are in the samples.
                    ProgramId::Sample => 0,
                };
                (*program, count)
            })
            .collect()
    }

    /// Takes back the slots of owners that have been silent for long, and gives out slots that have
    /// rested.
    fn forget_idle(&mut self, now_ns: u64) -> Result<(), ProbeError> {
        let idle = |since: &u64| now_ns.saturating_sub(*since) >= IDLE_NS;
        let napis: Vec<NapiKey> =
            self.before.napis_active.iter().filter(|(_, since)| idle(since)).map(|(key, _)| *key).collect();
        let irqs: Vec<IrqKey> =
            self.before.irqs_active.iter().filter(|(_, since)| idle(since)).map(|(key, _)| *key).collect();
        self.napis.recycle(now_ns)?;
        self.irqs.recycle(now_ns)?;
        if !irqs.is_empty() {
            self.irqs.remove(&irqs, now_ns);
            self.before.irqs_active.retain(|_, since| !idle(since));
            self.new_generation();
        }
        self.forget_napis(&napis, now_ns);
        Ok(())
    }

    /// Takes back the slots of NAPIs whose device no longer exists.
    pub fn forget_napis(&mut self, gone: &[NapiKey], now_ns: u64) {
        if gone.is_empty() {
            return;
        }
        self.napis.remove(gone, now_ns);
        for key in gone {
            self.before.napis_active.remove(key);
        }
        self.new_generation();
    }

    /// Makes every CPU look up its slots again.
    pub(super) fn new_generation(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.cpus.set_all(offset_of!(CpuState, generation), self.generation);
    }
}

/// The maxima taken from one CPU, over all tries of a reading.
#[derive(Clone, Copy, Default)]
struct Maxima {
    net_rx: u64,
    vectors: [u64; SOFTIRQ_VECTORS],
    latency: [u64; SOFTIRQ_VECTORS],
}

impl Maxima {
    fn take(&mut self, cpus: &MappedArray<CpuState>, cpu: usize) {
        let take = |held: &mut u64, offset| {
            *held = (*held).max(cpus.take(cpu, offset + offset_of!(RunStats, max_ns)));
        };
        take(&mut self.net_rx, offset_of!(CpuState, net_rx));
        for vector in 0..SOFTIRQ_VECTORS {
            let at = vector * size_of::<RunStats>();
            take(&mut self.vectors[vector], offset_of!(CpuState, vectors) + at);
            take(&mut self.latency[vector], offset_of!(CpuState, latency) + at);
        }
    }

    fn write_to(&self, state: &mut CpuState) {
        state.net_rx.max_ns = self.net_rx;
        for vector in 0..SOFTIRQ_VECTORS {
            state.vectors[vector].max_ns = self.vectors[vector];
            state.latency[vector].max_ns = self.latency[vector];
        }
    }
}

/// Whether anything that a reading compares changed between two states of a CPU.
fn moved_between(first: &CpuState, second: &CpuState) -> bool {
    let moved = |first: &[RunStats], second: &[RunStats]| {
        first.iter().zip(second).any(|(first, second)| first.count != second.count)
    };
    first.net_rx.ns != second.net_rx.ns
        || first.net_rx.count != second.net_rx.count
        || moved(&first.vectors, &second.vectors)
        || moved(&first.latency, &second.latency)
}

/// Takes an element with its maximum, and reads it again while it changes.
fn read_runs(stats: &MappedArray<RunStats>, index: usize) -> Option<RunStats> {
    let mut max_ns = 0;
    let mut now = stats.get(index)?;
    for _ in 0..TRIES {
        max_ns = stats.take(index, offset_of!(RunStats, max_ns)).max(max_ns);
        let again = stats.get(index)?;
        if again.count == now.count {
            break;
        }
        now = again;
    }
    Some(RunStats { max_ns, ..now })
}

fn lost(states: &[CpuState]) -> u64 {
    states.iter().map(|state| state.softirq_lost + state.irq.lost + state.drops_lost).sum()
}

fn number(cpu: usize) -> u32 {
    u32::try_from(cpu).unwrap_or(u32::MAX)
}

/// A name from the kernel, up to its NUL.
pub(super) fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
