//! Reads the programs' counters out of their maps.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    mem::offset_of,
};

use nicmon_common::{
    BACKLOG_SLOT, CpuState, DropKey, IrqOwner, IrqStats, NapiKey, NapiOwner, NapiStats, RunStats,
    SEVERAL_NICS, SOFTIRQ_VECTORS, UNSLOTTED, UNSLOTTED_CELLS,
};

use super::{
    Probe, ProbeError,
    activity::{cpu_between, polls_between, runs_between},
    mapped::MappedArray,
    own_runs::{self, OwnRuns},
    slots::{Irqs, Napis, Removed, Slots},
};
use crate::{
    counters::{
        CpuActivity, DropActivity, IrqActivity, NapiActivity, PollActivity, Reading, Runs, Samples, Unfiled,
    },
    host::monotonic_ns,
};

/// How often to repeat a reading if the counters change while it reads them.
const TRIES: usize = 8;

/// A NAPI or irq action that is silent for this long gives its slots back. If it still exists, it gets
/// others later.
pub(super) const IDLE_NS: u64 = 60_000_000_000;
/// How often to look for silent ones.
const LOOK_FOR_IDLE_NS: u64 = 10_000_000_000;

/// The counters of the previous reading; those of slots are with the slots.
pub(super) struct Before {
    pub(super) cpus: Vec<CpuState>,
    /// When each of them was read.
    pub(super) read_ns: Vec<u64>,
    drops: HashMap<DropKey, u64>,
    recursion_misses: u64,
    /// When they were read, on `CLOCK_MONOTONIC`.
    mono_ns: u64,
    /// When silent owners were last looked for.
    looked_ns: u64,
    /// What was filed since then to slots that were taken back.
    removed_napis: NapiSums,
    removed_irqs: IrqSums,
}

impl Before {
    pub(super) fn new(cpus: usize) -> Self {
        Self {
            cpus: vec![CpuState::default(); cpus],
            read_ns: vec![0; cpus],
            drops: HashMap::new(),
            recursion_misses: 0,
            mono_ns: 0,
            looked_ns: 0,
            removed_napis: NapiSums::default(),
            removed_irqs: IrqSums::default(),
        }
    }
}

/// What NAPIs did, by what identifies them, in a stable order.
#[derive(Default)]
struct NapiSums(BTreeMap<(u32, u32, u32, u64), NapiActivity>);

impl NapiSums {
    fn add(&mut self, owner: &NapiOwner, cpu: usize, polls: PollActivity) {
        let NapiKey { napi, napi_id, ifindex, netns, .. } = owner.key;
        let entry = self.0.entry((netns, ifindex, napi_id, napi)).or_insert_with(|| NapiActivity {
            key: owner.key,
            name: text(&owner.name),
            poll_fn: owner.poll_fn,
            cpus: Vec::new(),
        });
        entry.add(number(cpu), polls);
    }
}

/// What irq actions did, likewise.
#[derive(Default)]
struct IrqSums(BTreeMap<(u32, u64), IrqActivity>);

impl IrqSums {
    fn add(&mut self, owner: &IrqOwner, cpu: usize, runs: Runs) {
        let entry = self.0.entry((owner.key.irq, owner.key.action)).or_insert_with(|| IrqActivity {
            irq: owner.key.irq,
            action: text(&owner.name),
            threaded: Some(owner.threaded != 0),
            cpus: Vec::new(),
        });
        match entry.cpus.binary_search_by_key(&number(cpu), |(cpu, _)| *cpu) {
            Ok(at) => entry.cpus[at].1 = entry.cpus[at].1.map(|sum| sum.plus(runs)),
            Err(at) => entry.cpus.insert(at, (number(cpu), Some(runs))),
        }
    }
}

/// A slot as it was read.
pub(super) struct ReadSlot {
    pub(super) cpu: usize,
    pub(super) slot: u32,
    pub(super) stats: NapiStats,
}

impl Probe {
    /// Reads the counters, and ends the interval for which maxima are kept.
    ///
    /// # Errors
    /// A map cannot be read or written.
    pub fn read(&mut self) -> Result<Reading, ProbeError> {
        self.runs = OwnRuns::default();
        self.read_more()
    }

    /// The same, but the runs and the cost of the programs go on adding up.
    ///
    /// # Errors
    /// As for [`Probe::read`].
    pub fn read_more(&mut self) -> Result<Reading, ProbeError> {
        let mono_ns = monotonic_ns();
        let (states, slots) = self.read_cpus();
        let napis = self.napi_activity(&slots, mono_ns);
        let interval_ns = mono_ns.saturating_sub(std::mem::replace(&mut self.before.mono_ns, mono_ns));
        let irqs = self.read_irqs(mono_ns, interval_ns);
        let drops = self.read_drops(&states)?;
        let unfiled = self.unfiled(&states);

        let both = states.iter().zip(&self.before.cpus);
        let cpus: Vec<CpuActivity> =
            both.map(|(now, before)| cpu_between(now, before, interval_ns)).collect();
        let histograms = self.read_histograms(&states, &cpus, &slots, &napis);
        let samples = self.read_samples(&cpus, &napis);
        let runs = own_runs::count(
            self.running(),
            (mono_ns, interval_ns),
            &states,
            &self.before.cpus,
            &cpus,
            &napis,
        );
        self.runs.add(runs);
        let misses = self.recursion_misses();
        let lost =
            lost(&states) - lost(&self.before.cpus) + misses.saturating_sub(self.before.recursion_misses);
        self.before.recursion_misses = misses;
        self.before.cpus = states;
        self.forget_idle(mono_ns);

        let programs = self.runs.costs(self.costs.as_ref());
        let costs = programs.cpus.iter().map(|cpu| Some(cpu.cost?.ns));
        let bpf_est_ns = self.costs.as_ref().and_then(|_| costs.sum());
        Ok(Reading {
            mono_ns,
            cpus,
            unknown_cpus: Vec::new(),
            napis: Some(napis),
            irqs,
            drops,
            histograms: Some(histograms),
            samples,
            bpf_runs: Some(programs.cpus.iter().map(|cpu| cpu.runs).sum()),
            bpf_est_ns,
            programs: Some(programs),
            lost: Some(lost),
            drops_paused: self.not_counting_drops(),
            unfiled,
            windows_refused: None,
            windows: None,
        })
    }

    /// Learns of the NAPIs that were first polled since the last reading.
    pub fn look_for_napis(&mut self) {
        for cpu in 0..self.before.cpus.len() {
            self.napis.learn(&self.cpus, cpu);
        }
    }

    /// The state of each CPU, and the slots of NAPIs to which something may have been filed. This takes the
    /// maxima, too: they cover the runs that were counted since the previous reading.
    ///
    /// What is read of a CPU must be consistent: sums are compared, and a maximum must not belong to a run
    /// that only the next reading counts. So a CPU is read again if its counters change during the reading.
    fn read_cpus(&mut self) -> (Vec<CpuState>, Vec<ReadSlot>) {
        let possible = self.before.cpus.len();
        let mut states = Vec::with_capacity(possible);
        let mut slots = Vec::new();
        for cpu in 0..possible {
            self.napis.begin_reading(&self.cpus, cpu);
            let mut maxima = Maxima::default();
            let mut state = CpuState::default();
            let first = slots.len();
            for _ in 0..TRIES {
                state = self.cpus.get(cpu).unwrap_or_default();
                slots.truncate(first);
                let active = self.napis.look(&self.cpus, cpu);
                slots.extend(
                    active
                        .into_iter()
                        .filter_map(|slot| Some(ReadSlot { cpu, slot, stats: self.napis.stats(cpu, slot)? })),
                );
                maxima.take(&self.cpus, cpu);
                if self.cpus.get(cpu).is_none_or(|now| !moved_between(&state, &now)) {
                    break;
                }
            }
            maxima.write_to(&mut state);
            states.push(state);
            self.before.read_ns[cpu] = monotonic_ns();
        }
        (states, slots)
    }

    /// What each NAPI did.
    fn napi_activity(&mut self, slots: &[ReadSlot], mono_ns: u64) -> Vec<NapiActivity> {
        let mut napis = std::mem::take(&mut self.before.removed_napis);
        for ReadSlot { cpu, slot, stats } in slots {
            let Some(held) = self.napis.owned_mut(*cpu, *slot) else { continue };
            let polls = polls_between(stats, &held.before);
            held.before = *stats;
            if !polls.is_nothing() {
                held.active_ns = mono_ns;
                napis.add(&held.owner, *cpu, polls);
            }
        }
        napis.0.into_values().collect()
    }

    fn read_irqs(&mut self, mono_ns: u64, interval_ns: u64) -> Vec<IrqActivity> {
        let mut irqs = std::mem::take(&mut self.before.removed_irqs);
        for cpu in 0..self.before.cpus.len() {
            self.irqs.begin_reading(&self.cpus, cpu);
            for slot in self.irqs.look(&self.cpus, cpu) {
                let Some(now) = read_runs(&self.irqs, cpu, slot) else { continue };
                let Some(held) = self.irqs.owned_mut(cpu, slot) else { continue };
                let runs = runs_between(&now, &held.before.runs, interval_ns);
                held.before.runs = now;
                if runs.count > 0 {
                    held.active_ns = mono_ns;
                    irqs.add(&held.owner, cpu, runs);
                }
            }
        }
        irqs.0.into_values().collect()
    }

    /// Whose events found no slot since the last reading.
    fn unfiled(&self, states: &[CpuState]) -> Unfiled {
        let mut nics = BTreeSet::new();
        let mut other_nics = false;
        for cpu in 0..states.len() {
            for cell in 0..UNSLOTTED_CELLS {
                let offset = offset_of!(CpuState, unslotted) + cell * size_of::<u64>();
                match self.cpus.take(cpu, offset) {
                    0 => {}
                    SEVERAL_NICS => other_nics = true,
                    #[expect(clippy::cast_possible_truncation, reason = "two halves of a word")]
                    nic => {
                        nics.insert(((nic >> 32) as u32, (nic & !UNSLOTTED) as u32));
                    }
                }
            }
        }
        let mut both = states.iter().zip(&self.before.cpus);
        let irqs = both.any(|(now, before)| now.irq.no_slot != before.irq.no_slot);
        Unfiled { nics: nics.into_iter().collect(), other_nics, irqs }
    }

    fn read_samples(&mut self, activity: &[CpuActivity], active: &[NapiActivity]) -> Option<Samples> {
        let Self { sampler, napis, cpus, .. } = self;
        let napi_of = |cpu, slot| napis.owner(cpu, slot).map(|owner| owner.key);
        let mut samples = sampler.as_mut()?.read(cpus, &napi_of)?;
        samples.file_threads(activity, active);
        Some(samples)
    }

    fn read_drops(&mut self, states: &[CpuState]) -> Result<Option<Vec<DropActivity>>, ProbeError> {
        let Some(reasons) = &self.reasons else { return Ok(None) };
        if self.not_counting_drops().is_some() {
            return Ok(None);
        }
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
                let reason = drop_reason(reasons, key.reason);
                drops.push(DropActivity { reason, location: key.location, count });
            }
        }
        Ok(Some(drops))
    }

    /// Takes back the slots of owners that have been silent for long, and gives out slots that have
    /// rested.
    pub(super) fn forget_idle(&mut self, now_ns: u64) {
        if self.napis.are_resting() {
            self.forget_threads();
        }
        if self.recycle(now_ns) {
            self.new_generation();
        }
        if now_ns.saturating_sub(self.before.looked_ns) < LOOK_FOR_IDLE_NS {
            return;
        }
        self.before.looked_ns = now_ns;
        let idle = |since: u64| now_ns.saturating_sub(since) >= IDLE_NS;
        let napis = self.napis.remove(|owned| idle(owned.active_ns), now_ns);
        let irqs = self.irqs.remove(|owned| idle(owned.active_ns), now_ns);
        let any = !napis.is_empty() || !irqs.is_empty();
        self.keep_napis(napis);
        for Removed { cpu, owned, now, .. } in irqs {
            let runs = runs_between(&now.runs, &owned.before.runs, u64::MAX);
            if runs.count > 0 {
                self.before.removed_irqs.add(&owned.owner, cpu, runs);
            }
        }
        if any {
            self.new_generation();
        }
    }

    /// Gives out slots that have rested. True if there are any: the caller must then raise the generation.
    pub(super) fn recycle(&mut self, now_ns: u64) -> bool {
        let Self { napis, irqs, cpus, histograms, .. } = self;
        let napis = napis.recycle(cpus, now_ns, |stats, cpu, at| histograms.take_back(cpus, stats, cpu, at));
        let irqs = irqs.recycle(cpus, now_ns, |_, _, _| {});
        napis || irqs
    }

    /// Takes back slots between readings that are far apart.
    pub fn forget_between_readings(&mut self) {
        let now_ns = monotonic_ns();
        self.napis.look_between(&self.cpus, now_ns);
        self.irqs.look_between(&self.cpus, now_ns);
        self.forget_idle(now_ns);
    }

    /// Keeps what was filed to slots of NAPIs that are taken back.
    fn keep_napis(&mut self, removed: Vec<Removed<Napis>>) {
        for Removed { cpu, owned, now } in removed {
            let polls = polls_between(&now, &owned.before);
            if !polls.is_nothing() {
                self.histograms.keep(cpu, owned.owner.key, &now);
                self.before.removed_napis.add(&owned.owner, cpu, polls);
            }
        }
    }

    /// Takes back the slots of NAPIs whose device no longer exists.
    pub fn forget_napis(&mut self, gone: &[NapiKey], now_ns: u64) {
        if gone.is_empty() {
            return;
        }
        let gone: HashSet<&NapiKey> = gone.iter().collect();
        let removed = self.napis.remove(|owned| gone.contains(&owned.owner.key), now_ns);
        self.keep_napis(removed);
        self.new_generation();
    }

    /// Empties the cells of threads that polled to a slot that no longer has an owner, before it gets another
    /// one. By then no program uses the old owner's slot, so none fills the cell again.
    fn forget_threads(&self) {
        let states = (0..self.before.cpus.len()).filter_map(|cpu| Some((cpu, self.cpus.get(cpu)?)));
        for (cpu, state) in states {
            for (cell, entry) in state.threads.iter().enumerate().filter(|(_, entry)| **entry != 0) {
                #[expect(clippy::cast_possible_truncation, reason = "the low half is the slot")]
                let slot = *entry as u32;
                if slot != BACKLOG_SLOT && self.napis.owner(cpu, slot).is_none() {
                    let offset = offset_of!(CpuState, threads) + cell * size_of::<u64>();
                    self.cpus.empty_if(cpu, offset, *entry);
                }
            }
        }
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

/// Takes a slot with its maximum, and reads it again while it changes.
fn read_runs(irqs: &Slots<Irqs>, cpu: usize, slot: u32) -> Option<RunStats> {
    let maximum = offset_of!(IrqStats, runs) + offset_of!(RunStats, max_ns);
    let mut max_ns = 0;
    let mut now = irqs.stats(cpu, slot)?;
    for _ in 0..TRIES {
        max_ns = irqs.take(cpu, slot, maximum).max(max_ns);
        let again = irqs.stats(cpu, slot)?;
        if again.runs.count == now.runs.count {
            break;
        }
        now = again;
    }
    Some(RunStats { max_ns, ..now.runs })
}

fn lost(states: &[CpuState]) -> u64 {
    states.iter().map(|state| state.softirq_lost + state.irq.lost + state.drops_lost).sum()
}

pub(super) fn number(cpu: usize) -> u32 {
    u32::try_from(cpu).unwrap_or(u32::MAX)
}

/// A name from the kernel, up to its NUL.
pub(super) fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
/// The name of a drop reason, without its prefix.
pub(super) fn drop_reason(names: &HashMap<u32, String>, reason: u32) -> String {
    names.get(&reason).map_or_else(
        // Subsystems have lists of their own, in the upper half (include/net/dropreason.h).
        || format!("SUBSYS_{}_{}", reason >> 16, reason & 0xffff),
        |name| name.trim_start_matches("SKB_DROP_REASON_").to_owned(),
    )
}
