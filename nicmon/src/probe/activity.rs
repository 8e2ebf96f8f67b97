//! Differences between two readings of the programs' counters.

use std::{collections::HashMap, mem::offset_of};

use nicmon_common::{
    Config, CpuState, DropKey, IrqKey, NET_RX, NapiKey, NapiStats, PollStats, RunStats, SOFTIRQ_VECTORS,
};

use super::{IDLE_NS, MappedArray, Probe, ProbeError, ProgramId};

/// What the programs counted since the reading before.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When it was read, on `CLOCK_MONOTONIC`.
    pub mono_ns: u64,
    /// By number of the CPU, for all possible ones.
    pub cpus: Vec<CpuActivity>,
    /// NAPIs that were polled.
    pub napis: Vec<NapiActivity>,
    /// Irq actions that fired.
    pub irqs: Vec<IrqActivity>,
    /// Dropped packets; `None` where the kernel gives no reasons.
    pub drops: Option<Vec<DropActivity>>,
    /// Runs of each program.
    pub runs: Vec<(ProgramId, u64)>,
    /// Their time, estimated; `None` where a cost is unknown.
    pub bpf_est_ns: Option<u64>,
    /// Events that could not be counted.
    pub lost: u64,
}

/// Runs of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Runs {
    /// Runs that ended.
    pub count: u64,
    /// Their time.
    pub ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// One CPU.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuActivity {
    /// Time in device interrupts.
    pub hardirq_ns: u64,
    /// Softirqs by vector.
    pub vectors: [Runs; SOFTIRQ_VECTORS],
    /// Raise-to-run delays by vector.
    pub latency: [Runs; SOFTIRQ_VECTORS],
    /// `NET_RX` time of runs without a poll.
    pub other_ns: u64,
    /// `NET_RX` time split by work.
    pub mixed_ns: u64,
    /// The backlog's polls.
    pub backlog: PollActivity,
}

/// Polls of one NAPI on one CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollActivity {
    /// In `NET_RX`.
    pub softirq: PollStats,
    /// Their time.
    pub softirq_ns: u64,
    /// In the NAPI's thread.
    pub threaded: PollStats,
    /// In other tasks.
    pub busy: PollStats,
    /// Pid of the NAPI's thread, once it has one.
    pub thread_pid: Option<u32>,
}

impl PollActivity {
    fn polls(&self) -> u64 {
        self.softirq.polls + self.threaded.polls + self.busy.polls
    }

    fn is_nothing(&self) -> bool {
        self.polls() == 0 && self.softirq_ns == 0
    }

    fn between(now: &NapiStats, before: &NapiStats) -> Self {
        Self {
            softirq: polls_between(now.softirq, before.softirq),
            softirq_ns: now.softirq_ns.wrapping_sub(before.softirq_ns),
            threaded: polls_between(now.threaded, before.threaded),
            busy: polls_between(now.busy, before.busy),
            thread_pid: u32::try_from(now.thread_pid).ok().filter(|pid| *pid != 0),
        }
    }
}

/// One NAPI.
#[derive(Debug, Clone)]
pub struct NapiActivity {
    /// Which.
    pub key: NapiKey,
    /// Its device's name when it was first seen.
    pub name: String,
    /// Address of its poll function.
    pub poll_fn: u64,
    /// By CPU, only those where it was polled.
    pub cpus: Vec<(u32, PollActivity)>,
}

/// One irq action.
#[derive(Debug, Clone)]
pub struct IrqActivity {
    /// The line.
    pub irq: u32,
    /// Name of the action.
    pub action: String,
    /// Most of its work runs in a thread.
    pub threaded: bool,
    /// By CPU, only those where it fired.
    pub cpus: Vec<(u32, Runs)>,
}

/// Packets dropped for one reason at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropActivity {
    /// Name of the reason without its prefix.
    pub reason: String,
    /// Address in the kernel.
    pub location: u64,
    /// Packets.
    pub count: u64,
}

/// The counters of the reading before.
pub(super) struct Before {
    cpus: Vec<CpuState>,
    /// By slot, and in it by CPU; empty for slots never used.
    napis: Vec<Vec<NapiStats>>,
    irqs: Vec<Vec<RunStats>>,
    /// When a NAPI or irq was last active.
    napis_active: HashMap<NapiKey, u64>,
    irqs_active: HashMap<IrqKey, u64>,
    drops: HashMap<DropKey, u64>,
    recursion_misses: u64,
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
        }
    }
}

impl Probe {
    /// Reads the counters, and ends the interval over which maxima are kept.
    ///
    /// # Errors
    /// A map cannot be read or written.
    pub fn read(&mut self) -> Result<Reading, ProbeError> {
        let mono_ns = monotonic_ns();
        let (states, napi_stats) = self.read_cpus()?;
        self.irqs.refresh(states.iter().map(|state| state.new_irqs).sum())?;
        let napis = self.napi_activity(&napi_stats, mono_ns);
        let irqs = self.read_irqs(mono_ns);
        let drops = self.read_drops(&states)?;

        let cpus: Vec<CpuActivity> = states
            .iter()
            .zip(&self.before.cpus)
            .enumerate()
            .map(|(cpu, (now, before))| self.cpu_activity(cpu, now, before))
            .collect();
        let runs = self.count_runs(&states, &cpus, &napis);
        let misses = self.recursion_misses();
        let lost =
            lost(&states) - lost(&self.before.cpus) + misses.saturating_sub(self.before.recursion_misses);
        self.before.recursion_misses = misses;
        self.before.cpus = states;
        self.forget_idle(mono_ns)?;

        let bpf_est_ns = self.costs.as_ref().and_then(|costs| costs.estimate(&runs));
        Ok(Reading { mono_ns, cpus, napis, irqs, drops, runs, bpf_est_ns, lost })
    }

    /// The state of each CPU, and for each known NAPI (in the order of [`Slots::iter`]) its counters on that CPU.
    ///
    /// The two belong together: their sums are compared. So a CPU is read again while its `NET_RX` time moves under the
    /// reading, and all are if a NAPI appeared meanwhile.
    fn read_cpus(&mut self) -> Result<(Vec<CpuState>, Vec<Vec<NapiStats>>), ProbeError> {
        const TRIES: usize = 8;
        let possible = self.before.cpus.len();
        let read = |cpus: &MappedArray<CpuState>, cpu| cpus.get(cpu).unwrap_or_default();
        let mut states: Vec<CpuState> = (0..possible).map(|cpu| read(&self.cpus, cpu)).collect();
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
                    *cpu_state = read(&self.cpus, cpu);
                    napis.clear();
                    napis.extend(
                        slots.iter().map(|slot| self.napi_stats.get(first + slot).unwrap_or_default()),
                    );
                    let net_rx = |state: &CpuState| state.net_rx.ns;
                    if net_rx(&read(&self.cpus, cpu)) == net_rx(cpu_state) {
                        break;
                    }
                }
                napi_stats.push(napis);
            }
            if states.iter().map(|state| state.new_napis).sum::<u64>() == new_napis {
                break;
            }
        }
        Ok((states, napi_stats))
    }

    fn cpu_activity(&self, cpu: usize, now: &CpuState, before: &CpuState) -> CpuActivity {
        let runs = |now: &RunStats, before: &RunStats, offset| {
            Runs::between(now, before, || self.cpus.take(cpu, offset + offset_of!(RunStats, max_ns)))
        };
        let each = |now: &[RunStats; SOFTIRQ_VECTORS], before: &[RunStats; SOFTIRQ_VECTORS], offset| {
            std::array::from_fn(|at| runs(&now[at], &before[at], offset + at * size_of::<RunStats>()))
        };
        let mut vectors: [Runs; SOFTIRQ_VECTORS] =
            each(&now.vectors, &before.vectors, offset_of!(CpuState, vectors));
        vectors[NET_RX as usize] = Runs::growing(&now.net_rx, &before.net_rx, || {
            self.cpus.take(cpu, offset_of!(CpuState, net_rx) + offset_of!(RunStats, max_ns))
        });
        CpuActivity {
            hardirq_ns: now.irq_total_ns.wrapping_sub(before.irq_total_ns),
            vectors,
            latency: each(&now.latency, &before.latency, offset_of!(CpuState, latency)),
            other_ns: now.other_ns.wrapping_sub(before.other_ns),
            mixed_ns: now.mixed_ns.wrapping_sub(before.mixed_ns),
            backlog: PollActivity::between(&now.backlog, &before.backlog),
        }
    }

    /// What each NAPI did. `stats` is as [`Self::read_cpus`] returns it.
    fn napi_activity(&mut self, stats: &[Vec<NapiStats>], mono_ns: u64) -> Vec<NapiActivity> {
        let Self { napis, before, .. } = self;
        let mut active = Vec::new();
        for (at, (key, info)) in napis.iter().enumerate() {
            let slot_before = &mut before.napis[info.slot as usize];
            slot_before.resize(stats.len(), NapiStats::default());
            let mut cpus = Vec::new();
            for (cpu, cpu_before) in slot_before.iter_mut().enumerate() {
                let now = stats[cpu][at];
                let activity = PollActivity::between(&now, cpu_before);
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

    fn read_irqs(&mut self, mono_ns: u64) -> Vec<IrqActivity> {
        let Self { irqs, irq_stats, before, config, .. } = self;
        let possible = before.cpus.len();
        let mut active = Vec::new();
        for (key, info) in irqs.iter() {
            let slot_before = &mut before.irqs[info.slot as usize];
            slot_before.resize(possible, RunStats::default());
            let mut cpus = Vec::new();
            for (cpu, cpu_before) in slot_before.iter_mut().enumerate() {
                let index = cpu * config.irq_slots as usize + info.slot as usize;
                let Some(now) = irq_stats.get(index) else { continue };
                let take_max_ns = || irq_stats.take(index, offset_of!(RunStats, max_ns));
                let runs = Runs::between(&now, cpu_before, take_max_ns);
                *cpu_before = now;
                if runs.count > 0 {
                    cpus.push((number(cpu), runs));
                }
            }
            if cpus.is_empty() {
                before.irqs_active.entry(*key).or_insert(mono_ns);
            } else {
                before.irqs_active.insert(*key, mono_ns);
                active.push(IrqActivity {
                    irq: key.irq,
                    action: text(&info.name),
                    threaded: info.threaded != 0,
                    cpus,
                });
            }
        }
        active
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
                    // Subsystems have their own lists in the upper half (include/net/dropreason.h).
                    || format!("SUBSYS_{}_{}", key.reason >> 16, key.reason & 0xffff),
                    |name| name.trim_start_matches("SKB_DROP_REASON_").to_owned(),
                );
                drops.push(DropActivity { reason, location: key.location, count });
            }
        }
        Ok(Some(drops))
    }

    /// Runs of each program, from the events they counted.
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
                };
                (*program, count)
            })
            .collect()
    }

    /// Takes their slots from whatever has been silent for long, and gives out those that have rested.
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

    /// Takes their slots from NAPIs whose device is gone.
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

    /// Makes every CPU look its slots up again.
    pub(super) fn new_generation(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.cpus.set_all(offset_of!(CpuState, generation), self.generation);
    }
}

impl Runs {
    fn between(now: &RunStats, before: &RunStats, take_max_ns: impl FnOnce() -> u64) -> Self {
        let runs = Self::growing(now, before, take_max_ns);
        // The mean bounds the maximum from below: that of a run which ended while this was read may be in the frame
        // before.
        Self { max_ns: runs.max_ns.max(runs.ns.checked_div(runs.count).unwrap_or(0)), ..runs }
    }

    /// The same where the time of a run may be added before the run ends.
    fn growing(now: &RunStats, before: &RunStats, take_max_ns: impl FnOnce() -> u64) -> Self {
        let count = now.count.wrapping_sub(before.count);
        let ns = now.ns.wrapping_sub(before.ns);
        // A run that ends with the interval, or goes on, has only its part in `ns`: nothing is longer than that. Of
        // `count` runs and one that goes on, one is at least as long as their mean.
        let max_ns = if count == 0 { 0 } else { take_max_ns().clamp(ns / (count + 1), ns) };
        Self { count, ns, max_ns }
    }
}

fn polls_between(now: PollStats, before: PollStats) -> PollStats {
    PollStats {
        polls: now.polls.wrapping_sub(before.polls),
        work: now.work.wrapping_sub(before.work),
        repolls: now.repolls.wrapping_sub(before.repolls),
    }
}

fn lost(states: &[CpuState]) -> u64 {
    states.iter().map(|state| state.softirq_lost + state.irq.lost + state.drops_lost).sum()
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn number(cpu: usize) -> u32 {
    u32::try_from(cpu).unwrap_or(u32::MAX)
}

/// A name of the kernel, up to its NUL.
pub(super) fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
