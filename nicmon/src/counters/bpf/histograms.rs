//! The histograms of the programs: what was counted in them between two readings, and who gets which.
//!
//! A NAPI takes one out of its CPU's pool when it is first polled there. It comes back with the NAPI's
//! slot. Counters of a histogram only grow, whoever it belongs to.

use std::{
    collections::{HashMap, HashSet},
    mem::offset_of,
};

use aya::Ebpf;
use nicmon_common::{
    CpuState, HistogramRing, NET_RX, NapiKey, NapiStats, PACKET_BUCKETS, PollHistogram, SOFTIRQ_VECTORS,
    TIME_BUCKETS, Times, packet_bucket,
};

use super::{
    Options, Probe, ProbeError, mapped,
    mapped::MappedArray,
    reading::{ReadSlot, number},
};
use crate::{
    counters::{CpuActivity, Histograms, NapiActivity, PollTimes, Runs, VectorTimes},
    frame::Histogram,
};

/// Where a CPU keeps the number of its backlog's histogram.
const BACKLOG: usize = offset_of!(CpuState, backlog) + offset_of!(NapiStats, histogram);

/// The maps, and what they contained at the previous reading.
pub(super) struct HistogramMaps {
    runs: Vectors,
    /// `None` without `--latency`.
    delays: Option<Vectors>,
    polls: MappedArray<PollHistogram>,
    before_polls: HashMap<usize, (Before, Before)>,
    /// Of slots that were taken back since.
    removed: Vec<PollTimes>,
    ring: MappedArray<u64>,
    /// Histograms per CPU for NAPIs.
    per_cpu: u32,
    given: Vec<u32>,
}

/// Histograms of the vectors of each CPU.
struct Vectors {
    times: MappedArray<Times>,
    before: HashMap<usize, Before>,
}

impl HistogramMaps {
    /// Makes all of them available, before the programs are attached.
    pub(super) fn new(
        ebpf: &mut Ebpf,
        states: &MappedArray<CpuState>,
        per_cpu: u32,
        options: &Options,
    ) -> Result<Self, ProbeError> {
        let cpus = options.cpus as usize;
        let vectors = cpus * SOFTIRQ_VECTORS;
        let mut maps = Self {
            runs: Vectors::new(ebpf, "RUN_TIMES", vectors)?,
            delays: options.latency.then(|| Vectors::new(ebpf, "DELAY_TIMES", vectors)).transpose()?,
            polls: mapped(ebpf, "POLL_HISTOGRAMS", cpus * (per_cpu as usize + 1))?,
            before_polls: HashMap::new(),
            removed: Vec::new(),
            ring: mapped(ebpf, "HISTOGRAM_RING", cpus * per_cpu as usize)?,
            per_cpu,
            given: vec![0; cpus],
        };
        for cpu in 0..cpus {
            for number in 0..per_cpu {
                maps.give(states, cpu, number);
            }
            // The backlog's is the one after those of the pool.
            states.store(cpu, BACKLOG, per_cpu + 1);
        }
        Ok(maps)
    }

    /// Makes a histogram of a CPU available to its NAPIs.
    fn give(&mut self, states: &MappedArray<CpuState>, cpu: usize, number: u32) {
        let Some(given) = self.given.get_mut(cpu) else { return };
        let at = cpu * self.per_cpu as usize + (*given & (self.per_cpu - 1)) as usize;
        self.ring.store_word(at, number.into());
        *given = given.wrapping_add(1);
        states.store(cpu, offset_of!(CpuState, histograms) + offset_of!(HistogramRing, given), *given);
    }

    /// Takes the histogram from a slot that has no owner, and that no program uses any more.
    pub(super) fn take_back(
        &mut self,
        states: &MappedArray<CpuState>,
        slots: &MappedArray<NapiStats>,
        cpu: usize,
        slot: usize,
    ) {
        let number = slots.load(slot, offset_of!(NapiStats, histogram));
        if let Some(number) = number.checked_sub(1) {
            slots.store(slot, offset_of!(NapiStats, histogram), 0);
            // What was filed after the slot was taken back is nobody's.
            self.since(cpu, number);
            self.give(states, cpu, number);
        }
    }

    /// Polls in `NET_RX` since the last call, of the NAPI with these counters on this CPU; `None` if it has
    /// no histogram.
    fn polls(&mut self, cpu: usize, napi: NapiKey, stats: &NapiStats) -> Option<PollTimes> {
        let (times, packets) = self.since(cpu, stats.histogram.checked_sub(1)?)?;
        Some(poll_times(cpu, Some(napi), &times, &packets))
    }

    /// The same of the backlog, with those of its polls that were counted elsewhere.
    fn backlog(&mut self, cpu: usize, single: &Counts<TIME_BUCKETS>) -> Option<PollTimes> {
        let (mut times, mut packets) = self.since(cpu, self.per_cpu)?;
        add(&mut times, single);
        packets[packet_bucket(1)] += single.iter().sum::<u64>();
        Some(poll_times(cpu, None, &times, &packets))
    }

    /// What was counted in a histogram of a CPU since the last call: times, and packets.
    fn since(&mut self, cpu: usize, number: u32) -> Option<(Counts<TIME_BUCKETS>, Counts<PACKET_BUCKETS>)> {
        let at = cpu * (self.per_cpu as usize + 1) + number as usize;
        let now = self.polls.get(at)?;
        let (times, packets) = self.before_polls.entry(at).or_default();
        Some((times.replace(&now.times.0), packets.replace(&now.packets)))
    }

    /// Keeps what was counted for a NAPI whose slot is taken back.
    pub(super) fn keep(&mut self, cpu: usize, napi: NapiKey, last: &NapiStats) {
        let polls = self.polls(cpu, napi, last);
        self.removed.extend(polls);
    }
}

/// What was counted between two readings.
type Counts<const N: usize> = [u64; N];

/// A histogram at the previous reading: the part of it that is not 0. Most buckets never get a value.
#[derive(Default)]
struct Before {
    first: usize,
    counts: Box<[u32]>,
}

impl Before {
    /// Keeps what a histogram contains now, and returns what was counted since. The counters wrap.
    fn replace<const N: usize>(&mut self, now: &[u32; N]) -> Counts<N> {
        let mut counts = now.map(u64::from);
        for (count, before) in counts.iter_mut().skip(self.first).zip(&self.counts) {
            *count = count.wrapping_sub(u64::from(*before)) & u64::from(u32::MAX);
        }
        let first = now.iter().position(|count| *count > 0).unwrap_or(N);
        let end = now.iter().rposition(|count| *count > 0).map_or(N, |last| last + 1);
        *self = Self { first, counts: now[first..end].into() };
        counts
    }
}

fn poll_times(
    cpu: usize,
    napi: Option<NapiKey>,
    times: &Counts<TIME_BUCKETS>,
    packets: &Counts<PACKET_BUCKETS>,
) -> PollTimes {
    let [times, packets] = [times.as_slice(), packets].map(|counts| Histogram::of(counts.iter().copied()));
    PollTimes { cpu: number(cpu), napi, times, packets }
}

fn add<const N: usize>(sum: &mut Counts<N>, more: &Counts<N>) {
    sum.iter_mut().zip(more).for_each(|(count, more)| *count += more);
}

impl Vectors {
    fn new(ebpf: &mut Ebpf, name: &'static str, length: usize) -> Result<Self, ProbeError> {
        Ok(Self { times: mapped(ebpf, name, length)?, before: HashMap::new() })
    }

    /// What was counted since the last call, for those vectors with something to count. Runs of `NET_RX`
    /// that were counted elsewhere are in `single`, by CPU.
    fn read(
        &mut self,
        cpus: &[CpuActivity],
        runs: fn(&CpuActivity) -> &[Runs; SOFTIRQ_VECTORS],
        single: &HashMap<usize, Counts<TIME_BUCKETS>>,
    ) -> Vec<VectorTimes> {
        let mut all = Vec::new();
        for (cpu, activity) in cpus.iter().enumerate() {
            for (vector, _) in runs(activity).iter().enumerate().filter(|(_, runs)| runs.count > 0) {
                let at = cpu * SOFTIRQ_VECTORS + vector;
                let Some(now) = self.times.get(at) else { continue };
                let mut counts = self.before.entry(at).or_default().replace(&now.0);
                if let Some(single) = single.get(&cpu).filter(|_| vector == NET_RX as usize) {
                    add(&mut counts, single);
                }
                all.push(VectorTimes { cpu: number(cpu), vector, times: Histogram::of(counts) });
            }
        }
        all
    }
}

impl Probe {
    /// What was counted since the last reading. The counters were read a moment ago: a run in between is
    /// counted here already.
    pub(super) fn read_histograms(
        &mut self,
        states: &[CpuState],
        cpus: &[CpuActivity],
        slots: &[ReadSlot],
        napis: &[NapiActivity],
    ) -> Histograms {
        let maps = &mut self.histograms;
        let mut polls = std::mem::take(&mut maps.removed);
        let mut single = HashMap::new();
        for (cpu, _) in cpus.iter().enumerate().filter(|(_, cpu)| cpu.backlog.softirq.polls > 0) {
            let (now, before) = (&states[cpu].single_polls.0, &self.before.cpus[cpu].single_polls.0);
            let since = std::array::from_fn(|at| now[at].wrapping_sub(before[at]).into());
            polls.extend(maps.backlog(cpu, &since));
            single.insert(cpu, since);
        }
        let mut without = Vec::new();
        for ReadSlot { cpu, slot, stats } in slots {
            let Some(owner) = self.napis.owner(*cpu, *slot) else { continue };
            match maps.polls(*cpu, owner.key, stats) {
                Some(of_napi) => polls.push(of_napi),
                None => without.push((number(*cpu), owner.key)),
            }
        }
        polls.retain(|polls| !polls.times.counts.is_empty());
        Histograms {
            runs: maps.runs.read(cpus, |cpu| &cpu.vectors, &single),
            delays: maps.delays.as_mut().map(|delays| delays.read(cpus, |cpu| &cpu.latency, &HashMap::new())),
            polls,
            missing: polled(without, napis),
        }
    }
}

/// Those that were polled in `NET_RX`: a thread that polls needs no histogram.
fn polled(without: Vec<(u32, NapiKey)>, napis: &[NapiActivity]) -> Vec<(u32, NapiKey)> {
    if without.is_empty() {
        return without;
    }
    let in_softirqs = |napi: &NapiActivity| {
        let cpus = napi.cpus.iter().filter(|(_, polls)| polls.softirq.polls > 0);
        cpus.map(|(cpu, _)| (*cpu, napi.key)).collect::<Vec<_>>()
    };
    let polled: HashSet<(u32, NapiKey)> = napis.iter().flat_map(in_softirqs).collect();
    without.into_iter().filter(|napi| polled.contains(napi)).collect()
}
