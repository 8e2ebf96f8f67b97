//! Measuring in windows.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;

use super::{
    kernel_counts::KernelCounts,
    schedule::{Plan, Schedule, WARM_UP},
};
use crate::{
    collect::CollectError,
    counters::{
        Counted, CpuActivity, DropActivity, Histograms, NapiActivity, Reading, Samples, SeenInWindow,
        SeenInWindows, TakenSample, Unfiled,
        bpf::{CpuShare, CutRun, Probe, cut_to_window},
        counted::AtMoment,
    },
    frame::pct_of,
    host::{Roots, monotonic_ns},
};

/// How many windows to remember: what is expected of the next one comes from them.
const REMEMBERED: usize = 30;

/// What is attached now.
enum State {
    /// No program that costs much.
    Detached,
    /// The programs, since then; nothing that they count is used yet.
    WarmingUp(Instant),
    /// The programs, and what they count is used.
    Measuring(Measuring),
}

/// A window that is open.
struct Measuring {
    attached: Instant,
    /// When it is to end; `None` if with the interval.
    until: Option<Instant>,
    /// What ran when it began.
    cut_runs: Vec<CutRun>,
    counted: AtMoment,
    mono_ns: u64,
}

/// Measures in windows.
pub(super) struct InWindows {
    why: String,
    max_pct: f64,
    interval: Duration,
    /// How long windows are.
    length: Duration,
    schedule: Schedule,
    kernel: KernelCounts,
    state: State,
    /// When windows of this interval are still to begin.
    starts: VecDeque<Instant>,
    seen: Seen,
    recent: VecDeque<Arc<SeenInWindow>>,
    /// What the programs of windows had cost so far in this interval, by CPU.
    cost_ns: Vec<(u32, u64)>,
    /// Whether nothing of this interval was read yet.
    is_new: bool,
    /// Why a window failed.
    problem: Option<String>,
    /// Whether the programs stay attached after the interval that was read last.
    has_left: bool,
}

/// What was seen in this interval so far.
#[derive(Default)]
struct Seen {
    windows: usize,
    /// Those taken in windows, and whether they are all that were.
    samples: Vec<TakenSample>,
    samples_lost: u64,
    no_sockets: bool,
    histograms: Histograms,
    drops: Vec<DropActivity>,
    lost: u64,
    unfiled: Unfiled,
}

impl InWindows {
    /// Begins at the end of the interval `last`, with all programs attached.
    ///
    /// # Errors
    /// What the kernel counts cannot be read. Everything stays attached.
    pub(super) fn begin(
        probe: &mut Probe,
        roots: &Roots,
        (max_pct, costliest): (f64, CpuShare),
        because: &str,
        last: &Reading,
    ) -> Result<Self, CollectError> {
        let kernel = KernelCounts::begin(roots)?;
        probe.close_window();
        let why = format!(
            "{because}, so they are attached for a part of the time only, and times are estimates; to \
             measure all the time, use --max-overhead off"
        );
        let mut begun = Self {
            why,
            max_pct,
            interval: Duration::from_nanos(probe.interval_ns()),
            length: Duration::ZERO,
            schedule: Schedule::new(costliest.windowed_pct, Rng::with_seed(monotonic_ns())),
            kernel,
            state: State::Detached,
            starts: VecDeque::new(),
            seen: Seen::default(),
            recent: VecDeque::from([Arc::new(whole(last, probe.interval_ns()))]),
            cost_ns: Vec::new(),
            is_new: true,
            problem: None,
            has_left: false,
        };
        begun.plan(Some(costliest));
        Ok(begun)
    }

    /// Whether the programs stay attached after the interval that was read last.
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    /// What the programs cost while they are attached, in percent of the CPU that pays most.
    pub(super) fn attached_pct(&self) -> f64 {
        self.schedule.attached_pct()
    }

    /// When something is to be done before the interval ends.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Detached => self.starts.front().copied(),
            State::WarmingUp(since) => Some(*since + WARM_UP),
            State::Measuring(window) => window.until,
        }
    }

    /// Does what is due. If it fails, nothing stays attached until the next window.
    pub(super) fn step(&mut self, probe: &mut Probe) {
        match self.try_step(probe) {
            Ok(()) => self.problem = None,
            Err(error) => {
                self.problem = Some(error.to_string());
                self.state = State::Detached;
                probe.close_window();
            }
        }
    }

    fn try_step(&mut self, probe: &mut Probe) -> Result<(), CollectError> {
        match std::mem::replace(&mut self.state, State::Detached) {
            State::Detached => {
                self.starts.pop_front();
                probe.open_window()?;
                self.state = State::WarmingUp(Instant::now());
            }
            State::WarmingUp(since) => {
                self.state = State::Measuring(self.begin_window(probe, since)?);
                // This takes a part of the window, and makes it no longer.
                probe.calibrate_again();
            }
            State::Measuring(window) => {
                self.end_window(probe, window)?;
                probe.close_window();
            }
        }
        Ok(())
    }

    /// What the programs counted since the last call.
    fn read_on(&mut self, probe: &mut Probe) -> Result<Reading, CollectError> {
        let is_new = std::mem::replace(&mut self.is_new, false);
        Ok(if is_new { probe.read()? } else { probe.read_more()? })
    }

    fn begin_window(&mut self, probe: &mut Probe, attached: Instant) -> Result<Measuring, CollectError> {
        // What came before belongs to no window.
        let mut before = self.read_on(probe)?;
        self.seen.add(&mut before);
        let until = Some(Instant::now() + self.length);
        Ok(Measuring {
            attached,
            until,
            cut_runs: probe.cut_runs(),
            counted: self.kernel.now()?,
            mono_ns: before.mono_ns,
        })
    }

    fn end_window(&mut self, probe: &mut Probe, window: Measuring) -> Result<(), CollectError> {
        let mut reading = self.read_on(probe)?;
        let counted = self.kernel.now()?.since(&window.counted);
        let ends = probe.cut_runs();
        for ((cpu, start), end) in reading.cpus.iter_mut().zip(window.cut_runs).zip(ends) {
            cut_to_window(cpu, start, end);
        }
        self.learn(probe, window.attached.elapsed());
        let seen = SeenInWindow {
            ns: reading.mono_ns.saturating_sub(window.mono_ns),
            cpus: std::mem::take(&mut reading.cpus),
            napis: reading.napis.take().unwrap_or_default(),
            irqs: std::mem::take(&mut reading.irqs),
            counted,
        };
        self.seen.add_inside(reading);
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::new(seen));
        Ok(())
    }

    /// Learns what the window cost.
    fn learn(&mut self, probe: &Probe, attached: Duration) {
        let now = probe.windowed_cost();
        let before = |cpu| self.cost_ns.iter().find(|(other, _)| *other == cpu).map_or(0, |(_, ns)| *ns);
        let most_ns = now.iter().map(|(cpu, ns)| ns.saturating_sub(before(*cpu))).max();
        let attached_ns = u64::try_from(attached.as_nanos()).unwrap_or(u64::MAX);
        self.schedule.learn(pct_of(most_ns.unwrap_or(0), attached_ns));
        self.cost_ns = now;
    }

    /// Ends the interval.
    pub(super) fn read(&mut self, probe: &mut Probe, roots: &Roots) -> Result<Reading, CollectError> {
        match std::mem::replace(&mut self.state, State::Detached) {
            State::Detached => {}
            // It would be of the next interval.
            State::WarmingUp(_) => probe.close_window(),
            State::Measuring(window) => {
                self.has_left = window.until.is_none();
                self.end_window(probe, window)?;
                if !self.has_left {
                    probe.close_window();
                }
            }
        }
        let last = self.read_on(probe)?;
        let mut interval = self.kernel.end(roots)?;
        let mut seen = std::mem::take(&mut self.seen);
        let problem = self.problem.as_ref().map(|problem| format!("; the last window failed: {problem}"));
        let windows = SeenInWindows {
            why: format!("{}{}", self.why, problem.unwrap_or_default()),
            recent: self.recent.iter().cloned().collect(),
            new: seen.windows.min(self.recent.len()),
            counted: std::mem::take(&mut interval.counted),
        };
        self.interval = interval.length;
        self.cost_ns.clear();
        self.is_new = true;
        let mut reading = interval.complete(seen.finish(last));
        reading.napis = Some(polled(&windows.recent));
        for (number, cpu) in reading.cpus.iter_mut().enumerate() {
            for seen in windows.recent.iter().filter_map(|window| window.cpus.get(number)) {
                cpu.backlog.add(seen.backlog);
            }
        }
        reading.windows = Some(windows);
        self.plan(probe.costliest_cpu());
        Ok(reading)
    }

    /// Plans the windows of the next interval. They may cost what the programs leave that stay attached.
    fn plan(&mut self, costliest: Option<CpuShare>) {
        let others_pct = costliest.map_or(0.0, |costliest| costliest.pct - costliest.windowed_pct);
        self.schedule.limit(self.max_pct - others_pct);
        let Plan { starts, length } = self.schedule.plan(self.interval);
        let now = Instant::now();
        self.length = length;
        self.starts = starts.into_iter().map(|start| now + start).collect();
    }

    /// If the programs may be attached all the time, leaves them attached from now on, in a window that ends
    /// with the interval.
    pub(super) fn leave_if_affordable(&mut self, probe: &mut Probe) {
        if self.schedule.part() < 1.0 || !matches!(self.state, State::Detached) {
            return;
        }
        self.starts.clear();
        self.step(probe);
        std::thread::sleep(WARM_UP);
        self.step(probe);
        if let State::Measuring(window) = &mut self.state {
            window.until = None;
        }
    }
}

/// An interval that was measured all the time, as a window: rare softirqs and interrupts may be in no other.
fn whole(reading: &Reading, ns: u64) -> SeenInWindow {
    let counted = |cpu: &CpuActivity| Counted {
        runs: cpu.vectors.map(|runs| runs.count),
        packets: None,
        busy_ns: None,
        ns,
    };
    SeenInWindow {
        ns,
        counted: reading.cpus.iter().map(|cpu| Some(counted(cpu))).collect(),
        cpus: reading.cpus.clone(),
        napis: reading.napis.clone().unwrap_or_default(),
        irqs: reading.irqs.clone(),
    }
}

impl Seen {
    /// Adds what counts whether or not it was in a window.
    fn add(&mut self, reading: &mut Reading) {
        for drop in reading.drops.take().unwrap_or_default() {
            let same =
                |known: &&mut DropActivity| (&known.reason, known.location) == (&drop.reason, drop.location);
            match self.drops.iter_mut().find(same) {
                Some(known) => known.count += drop.count,
                None => self.drops.push(drop),
            }
        }
        self.lost += reading.lost.unwrap_or(0);
        let unfiled = std::mem::take(&mut reading.unfiled);
        self.unfiled.nics.extend(unfiled.nics);
        self.unfiled.other_nics |= unfiled.other_nics;
        self.unfiled.irqs |= unfiled.irqs;
    }

    /// Adds what was in a window.
    fn add_inside(&mut self, mut reading: Reading) {
        self.windows += 1;
        if let Some(samples) = reading.samples.take() {
            self.samples.extend(samples.taken);
            self.samples_lost += samples.lost;
            self.no_sockets |= !samples.has_sockets;
        }
        if let Some(Histograms { runs, delays, polls, missing }) = reading.histograms.take() {
            self.histograms.runs.extend(runs);
            self.histograms.polls.extend(polls);
            self.histograms.missing.extend(missing);
            if let Some(delays) = delays {
                self.histograms.delays.get_or_insert_default().extend(delays);
            }
        }
        self.add(&mut reading);
    }

    /// The reading of the whole interval, which ends with this one. What the programs did not measure is of
    /// the kernel's own counts, and still missing.
    fn finish(&mut self, mut last: Reading) -> Reading {
        let drops_are_known = last.drops.is_some();
        self.add(&mut last);
        Reading {
            drops: drops_are_known.then(|| std::mem::take(&mut self.drops)),
            lost: Some(self.lost),
            unfiled: std::mem::take(&mut self.unfiled),
            histograms: Some(std::mem::take(&mut self.histograms)),
            // What the programs say about a CPU is behind each sample, so outside windows there are none.
            samples: last.samples.take().filter(|_| self.windows > 0).map(|samples| Samples {
                taken: std::mem::take(&mut self.samples),
                lost: self.samples_lost,
                has_sockets: !self.no_sockets,
                ..samples
            }),
            ..last
        }
    }
}

/// The NAPIs that were polled in some windows.
fn polled(windows: &[Arc<SeenInWindow>]) -> Vec<NapiActivity> {
    let mut all: Vec<NapiActivity> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for napi in windows.iter().flat_map(|window| &window.napis) {
        let at = *places.entry(napi.key).or_insert_with(|| {
            all.push(NapiActivity { cpus: Vec::new(), ..napi.clone() });
            all.len() - 1
        });
        napi.cpus.iter().for_each(|(cpu, polls)| all[at].add(*cpu, *polls));
    }
    all
}
