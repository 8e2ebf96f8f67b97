//! `nics[]`.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    KEPT,
    napis::{Napis, PollTime, PollTimes},
    sum::{add_rows, add_time, estimate, gap_of, keep, reported_gap, sum, sum_of_known},
};
use crate::frame::{
    Bounded, Flows, Histogram, HistogramSum, Napi, NapiMode, Nic, NicCounters, NicCpu, NicDrops, Share,
    Stage, StageFunction, StageShare, Windowed, pct_of, softirq_polls, sum_of_intervals,
};

/// What identifies a NIC: namespace, index and name.
type Key = (Option<u32>, u32, String);

/// All NICs that appeared.
#[derive(Debug, Default)]
pub(super) struct Nics(Bounded<Key, NicSum, KEPT>);

/// One NIC.
#[derive(Debug)]
struct NicSum {
    driver: Option<String>,
    /// Time of polls and interrupts, as far as it is known: only to tell which NICs matter.
    load_ns: u64,
    /// `None` until a frame knew all of them.
    counters: Option<NicCounters>,
    /// `None` until a frame had them.
    tx_requeues: Option<u64>,
    /// The last ones.
    flows: Option<Flows>,
    counters_gap_ns: u64,
    hardirq_ns: Option<u64>,
    hardirq_est_ns: Option<u64>,
    /// Whether any of its polls were measured in windows.
    is_windowed: bool,
    /// `None` as soon as a frame had polls in softirqs and did not know how long they took.
    poll_times: Option<HistogramSum>,
    /// The same of their work.
    poll_work: Option<HistogramSum>,
    /// `None` until a frame knew them.
    sampled: Option<Sampled>,
    sampled_gap_ns: u64,
    /// Their times of polls and loads are computed at the end: from the NAPIs or, if it was measured in
    /// windows, from `windowed`, which then has the exact times, too.
    cpus: Vec<NicCpu>,
    /// `None` as soon as a frame did not know them.
    napis: Option<Napis>,
}

/// What samples say about a NIC.
#[derive(Debug)]
struct Sampled {
    driver_est_ns: Option<u64>,
    driver_est_split: bool,
    stack_est_ns: Option<u64>,
    stages: BTreeMap<Stage, StageSum>,
}

/// One stage.
#[derive(Debug, Default)]
struct StageSum {
    samples: u64,
    functions: BTreeMap<String, u64>,
}

impl Nics {
    pub(super) fn add(&mut self, nics: &[Nic], left_out: Option<u64>, interval_ns: u64, is_windowed: bool) {
        self.0.start_frame(left_out);
        for nic in nics {
            let key = (nic.netns, nic.ifindex, nic.name.clone());
            let sum = self.0.of(key);
            sum.is_windowed |= is_windowed && !nic.is_softirq();
            sum.add(nic, interval_ns);
        }
        self.0.end_frame(|sum| (sum.load_ns, sum.counters.as_ref().and_then(NicCounters::packets)));
    }

    /// How many NICs are left out.
    pub(super) fn left_out(&self) -> Option<u64> {
        self.0.left_out()
    }

    /// Highest load first. There are stages only if all samples were taken at the same rate.
    pub(super) fn nics(&self, interval_ns: u64, are_alike: bool) -> Vec<Nic> {
        let mut nics: Vec<Nic> =
            self.0.iter().map(|(key, sum)| sum.nic(key, interval_ns, are_alike)).collect();
        nics.sort_by_cached_key(|nic| {
            let ns = nic.poll_time_ns().unwrap_or(0).saturating_add(nic.hardirq_time_ns().unwrap_or(0));
            (Reverse(ns), nic.name.clone(), nic.netns, nic.ifindex)
        });
        nics
    }
}

impl Default for NicSum {
    fn default() -> Self {
        Self {
            driver: None,
            load_ns: 0,
            counters: None,
            tx_requeues: None,
            flows: None,
            counters_gap_ns: 0,
            hardirq_ns: Some(0),
            hardirq_est_ns: None,
            is_windowed: false,
            poll_times: Some(HistogramSum::default()),
            poll_work: Some(HistogramSum::default()),
            sampled: None,
            sampled_gap_ns: 0,
            cpus: Vec::new(),
            napis: Some(Napis::default()),
        }
    }
}

impl NicSum {
    fn add(&mut self, nic: &Nic, interval_ns: u64) {
        let Nic {
            name: _,
            ifindex: _,
            netns: _,
            driver,
            counters,
            tx_requeues,
            flows,
            counters_gap_ns,
            // These are recomputed from the NAPIs, or from the rows of CPUs.
            poll_ns: _,
            poll_est_ns: _,
            poll_est_ci_ns: _,
            threaded_est_ns: _,
            hardirq_ns,
            hardirq_est_ns,
            cpus,
            napis,
            // For these see `add_sampled`.
            driver_est_ns: _,
            driver_est_split: _,
            stack_est_ns: _,
            stages: _,
            sampled_gap_ns: _,
            // For these see `add_histograms`.
            poll_ns_histogram: _,
            poll_work_histogram: _,
        } = nic;
        self.add_histograms(nic);
        let load_ns = nic.poll_time_ns().unwrap_or(0).saturating_add(nic.hardirq_time_ns().unwrap_or(0));
        self.load_ns = self.load_ns.saturating_add(load_ns);
        keep(&mut self.driver, driver.as_ref());
        let counted = is_known(counters);
        if counted {
            self.counters = Some(match self.counters.take() {
                Some(sums) => add_counters(&sums, counters),
                None => counters.clone(),
            });
        }
        self.tx_requeues = sum_of_known(self.tx_requeues, *tx_requeues);
        keep(&mut self.flows, flows.as_ref());
        self.counters_gap_ns =
            self.counters_gap_ns.saturating_add(gap_of(*counters_gap_ns, interval_ns, counted));
        add_time((&mut self.hardirq_ns, &mut self.hardirq_est_ns), (*hardirq_ns, *hardirq_est_ns));
        self.add_sampled(nic, interval_ns);
        let rows: Vec<NicCpu> =
            cpus.iter().map(|row| NicCpu { windowed: windows_of(nic, row), ..row.clone() }).collect();
        add_rows(&mut self.cpus, &rows, |row| row.cpu, add_row);
        match (&mut self.napis, napis) {
            (Some(sums), Some(napis)) => sums.add(napis),
            _ => self.napis = None,
        }
    }

    fn add_sampled(&mut self, nic: &Nic, interval_ns: u64) {
        let Nic { driver, driver_est_ns, driver_est_split, stack_est_ns, stages, sampled_gap_ns, .. } = nic;
        // A NIC without a driver has no driver time either.
        let known = stages.as_ref().filter(|_| driver.is_none() || driver_est_ns.is_some());
        if let Some(stages) = known {
            let more = Sampled {
                driver_est_ns: *driver_est_ns,
                driver_est_split: *driver_est_split,
                stack_est_ns: *stack_est_ns,
                stages: stages.iter().map(|share| (share.stage, StageSum::of(share))).collect(),
            };
            match &mut self.sampled {
                Some(sums) => sums.add(more),
                None => self.sampled = Some(more),
            }
        }
        self.sampled_gap_ns =
            self.sampled_gap_ns.saturating_add(gap_of(*sampled_gap_ns, interval_ns, known.is_some()));
    }

    /// A NIC that was not polled may have no histogram, which is then none.
    fn add_histograms(&mut self, nic: &Nic) {
        // Windows may have seen no poll.
        let was_polled = !self.is_windowed && (nic.napis.is_none() || nic.softirq_polls() > 0);
        for (sum, more) in
            [(&mut self.poll_times, &nic.poll_ns_histogram), (&mut self.poll_work, &nic.poll_work_histogram)]
        {
            match (sum.as_mut(), more) {
                (Some(sum), Some(more)) => sum.add(more),
                (_, None) if was_polled => *sum = None,
                _ => {}
            }
        }
    }

    /// The sum, unless there was no poll.
    fn histogram(&self, sum: Option<&HistogramSum>) -> Option<Histogram> {
        let napis = self.napis.as_ref()?.napis();
        let was_polled = !self.is_windowed && softirq_polls(napis) > 0;
        sum.map(HistogramSum::histogram).filter(|sum| was_polled || !sum.counts.is_empty())
    }

    fn nic(&self, key: &Key, interval_ns: u64, are_alike: bool) -> Nic {
        let (netns, ifindex, name) = key.clone();
        let napis = self.napis.as_ref().map(Napis::napis);
        let times = napis.map(PollTimes::of);
        let cpus: Vec<NicCpu> = (self.cpus.iter())
            .map(|row| {
                if self.is_windowed {
                    return estimated_row(row, interval_ns);
                }
                let time = times.as_ref().map(|times| times.cpus.get(&row.cpu).copied().unwrap_or_default());
                let poll_ns = time.and_then(PollTime::ns);
                let load_ns = poll_ns.map(|ns| ns.saturating_add(row.hardirq_ns.unwrap_or(0)));
                let load_pct = load_ns.map(|ns| pct_of(ns, interval_ns));
                NicCpu { poll_ns, load_pct, windowed: None, ..row.clone() }
            })
            .collect();
        let estimates = || self.is_windowed.then(|| cpus.iter());
        Nic {
            name,
            ifindex,
            netns,
            driver: self.driver.clone(),
            counters: self.counters.clone().unwrap_or_default(),
            tx_requeues: self.tx_requeues,
            flows: self.flows,
            counters_gap_ns: reported_gap(self.counters_gap_ns, interval_ns, self.counters.is_some()),
            poll_ns: times.as_ref().filter(|_| !self.is_windowed).and_then(|times| times.all.ns()),
            poll_est_ns: estimates().and_then(|mut cpus| {
                cpus.try_fold(0_u64, |sum, row| Some(sum.saturating_add(row.poll_est_ns?)))
            }),
            poll_est_ci_ns: estimates().and_then(|cpus| sum_of_intervals(cpus.map(|row| row.poll_est_ci_ns))),
            poll_ns_histogram: self.histogram(self.poll_times.as_ref()),
            poll_work_histogram: self.histogram(self.poll_work.as_ref()),
            threaded_est_ns: times.as_ref().and_then(|times| times.threaded.ns()),
            hardirq_ns: self.hardirq_ns,
            hardirq_est_ns: self.hardirq_est_ns,
            driver_est_ns: self.sampled.as_ref().and_then(|sampled| sampled.driver_est_ns),
            driver_est_split: self.sampled.as_ref().is_some_and(|sampled| sampled.driver_est_split),
            stack_est_ns: self.sampled.as_ref().and_then(|sampled| sampled.stack_est_ns),
            stages: self.sampled.as_ref().filter(|_| are_alike).map(Sampled::shares),
            sampled_gap_ns: reported_gap(self.sampled_gap_ns, interval_ns, self.sampled.is_some()),
            cpus,
            napis: napis.map(|napis| if self.is_windowed { uncounted(napis) } else { napis.to_vec() }),
        }
    }
}

impl StageSum {
    fn of(share: &StageShare) -> Self {
        let functions = share.functions.iter().map(|function| (function.symbol.clone(), function.samples));
        Self { samples: share.samples, functions: functions.collect() }
    }

    /// Most samples first.
    fn functions(&self) -> Vec<StageFunction> {
        let function =
            |(symbol, samples): (&String, &u64)| StageFunction { symbol: symbol.clone(), samples: *samples };
        let mut functions: Vec<StageFunction> = self.functions.iter().map(function).collect();
        // Those with equal samples stay in the order of their names.
        functions.sort_by_key(|function| Reverse(function.samples));
        functions
    }
}

impl Sampled {
    fn add(&mut self, more: Self) {
        self.driver_est_ns = sum(self.driver_est_ns, more.driver_est_ns);
        self.driver_est_split |= more.driver_est_split;
        self.stack_est_ns = sum(self.stack_est_ns, more.stack_est_ns);
        for (stage, StageSum { samples, functions }) in more.stages {
            let sum = self.stages.entry(stage).or_default();
            sum.samples = sum.samples.saturating_add(samples);
            for (symbol, samples) in functions {
                let sum = sum.functions.entry(symbol).or_default();
                *sum = sum.saturating_add(samples);
            }
        }
    }

    /// Most samples first.
    fn shares(&self) -> Vec<StageShare> {
        let all = self.stages.values().fold(0_u64, |all, stage| all.saturating_add(stage.samples));
        let shares = self.stages.iter().filter_map(|(stage, sum)| {
            let Share { pct, ci_pct } = Share::of(sum.samples, all)?;
            let functions = sum.functions();
            Some(StageShare { stage: *stage, samples: sum.samples, share_pct: pct, ci_pct, functions })
        });
        let mut shares: Vec<StageShare> = shares.collect();
        shares.sort_by_key(|share| Reverse(share.samples));
        shares
    }
}

/// Whether all counters are known. If one was reset, so were the others at the same moment.
fn is_known(counters: &NicCounters) -> bool {
    let NicCounters { rx_packets, rx_bytes, tx_packets, tx_bytes, drops } = counters;
    [rx_packets, rx_bytes, tx_packets, tx_bytes].iter().all(|counter| counter.is_some()) && drops.is_some()
}

fn add_counters(one: &NicCounters, other: &NicCounters) -> NicCounters {
    NicCounters {
        rx_packets: sum(one.rx_packets, other.rx_packets),
        rx_bytes: sum(one.rx_bytes, other.rx_bytes),
        tx_packets: sum(one.tx_packets, other.tx_packets),
        tx_bytes: sum(one.tx_bytes, other.tx_bytes),
        drops: one.drops.zip(other.drops).map(|(one, other)| NicDrops {
            rx_dropped: one.rx_dropped.saturating_add(other.rx_dropped),
            rx_missed: one.rx_missed.saturating_add(other.rx_missed),
            rx_fifo: one.rx_fifo.saturating_add(other.rx_fifo),
            rx_crc: one.rx_crc.saturating_add(other.rx_crc),
            rx_nohandler: one.rx_nohandler.saturating_add(other.rx_nohandler),
            tx_dropped: one.tx_dropped.saturating_add(other.tx_dropped),
        }),
    }
}

/// What windows saw of the polls on a CPU, with the time that was exact; `None` if that is unknown. Busy
/// polls have no time.
fn windows_of(nic: &Nic, row: &NicCpu) -> Option<Box<Windowed>> {
    let here = nic.napis.iter().flatten().filter(|napi| napi.cpus.iter().any(|on| on.cpu == row.cpu));
    let mut modes = here.map(|napi| napi.mode).peekable();
    let only_busy = modes.peek().is_some() && modes.all(|mode| mode == NapiMode::Busy);
    let exact_ns = row.poll_ns.or(only_busy.then_some(0));
    row.windowed.clone().or_else(|| exact_ns.map(|ns| Box::new(Windowed::known(ns))))
}

/// NAPIs of which some frames did not count the polls, also where they had no row.
fn uncounted(napis: &[Napi]) -> Vec<Napi> {
    let mut napis = napis.to_vec();
    for row in napis.iter_mut().flat_map(|napi| &mut napi.cpus) {
        (row.polls, row.work, row.repolls) = (None, None, None);
    }
    napis
}

fn estimated_row(row: &NicCpu, interval_ns: u64) -> NicCpu {
    let (poll_est_ns, poll_est_ci_ns) = estimate(row.windowed.as_deref().copied());
    let load_ns = poll_est_ns.map(|ns| ns.saturating_add(row.hardirq_time_ns().unwrap_or(0)));
    let load_est_pct = load_ns.map(|ns| pct_of(ns, interval_ns));
    let (polls, work, repolls) = (None, None, None);
    NicCpu {
        poll_ns: None,
        load_pct: None,
        poll_est_ns,
        poll_est_ci_ns,
        load_est_pct,
        polls,
        work,
        repolls,
        ..row.clone()
    }
}

fn add_row(to: &mut NicCpu, more: &NicCpu) {
    add_time((&mut to.hardirq_ns, &mut to.hardirq_est_ns), (more.hardirq_ns, more.hardirq_est_ns));
    let both = to.windowed.take().zip(more.windowed.as_ref());
    to.windowed = both.map(|(one, other)| Box::new(one.plus(**other)));
    to.polls = sum(to.polls, more.polls);
    to.work = sum(to.work, more.work);
    to.repolls = sum(to.repolls, more.repolls);
}
