//! Joins what the kernel programs counted with facts of the host and names of symbols: a [`Frame`] per call.

mod clock;
mod counts;
mod cpus;
mod drivers;
mod facts;
mod filter;
mod irqs;
mod napis;
mod netns;
mod nics;
mod softirq_loop;
mod source;
mod stacks;
mod threads;
mod topology;

use std::{path::Path, time::SystemTime};

pub use self::{
    clock::Clock,
    filter::{Filter, FilterError},
    topology::read_topology,
};
use self::{
    facts::Facts,
    softirq_loop::SoftirqLoop,
    source::{Chosen, Source},
    threads::ThreadTimes,
};
#[cfg(feature = "bpf")]
use crate::probe::{Probe, ProbeError};
use crate::{
    frame::{self, Accounting, DropLocation, DroppedPackets, Frame, Host, OwnCost, SCHEMA, Sampling, pct_of},
    host::{
        self, Roots,
        btf::{KERNEL_BTF, KernelBtf},
    },
    reading::{self, HowToSample, Reading, SampleKind, Samples},
    symbols::Symbols,
};

/// A failure to start or go on collecting.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The kernel programs.
    #[cfg(feature = "bpf")]
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// There are none in this nicmon.
    #[cfg(not(feature = "bpf"))]
    #[error(
        "this nicmon was built without its kernel programs\nRun it without --source bpf, which shows counts, or \
         install one that was built with the feature \"bpf\"."
    )]
    NoPrograms,
    /// A fact without which there is no frame.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// What was asked to be shown does not exist.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// Who is to count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceChoice {
    /// The kernel programs, or where they may not run, the kernel's files.
    #[default]
    Auto,
    /// The kernel programs.
    Bpf,
    /// The kernel's files: counts only.
    Proc,
}

/// What to collect.
#[derive(Debug, Default)]
pub struct Options {
    /// Where procfs and sysfs are.
    pub roots: Roots,
    /// Who counts.
    pub source: SourceChoice,
    /// What to show.
    pub filter: Filter,
    /// Also measure raise-to-run delays.
    pub latency: bool,
    /// How to sample the CPUs; `None` for not at all.
    pub sampling: Option<HowToSample>,
    /// The time between frames that is intended.
    pub interval: std::time::Duration,
    /// Let the kernel side log.
    pub kernel_log: bool,
    /// Begin only when the kernel's symbols are read (or cannot be), lest the first frame lack names.
    pub wait_for_symbols: bool,
}

/// Everything that makes frames, and what the frame before left.
pub struct Collector {
    source: Source,
    source_reason: Option<String>,
    /// Whether CPUs are to be sampled.
    is_sampling: bool,
    sampling_problem: Option<String>,
    driver_code: drivers::DriverCode,
    facts: Facts,
    threads: ThreadTimes,
    topology: topology::Feed,
    symbols: Symbols,
    softirq_loop: SoftirqLoop,
    filter: Filter,
    latency: bool,
    stacks: bool,
    accounting: Option<Accounting>,
    last_mono_ns: u64,
    last_own_cpu_ns: u64,
    seq: u64,
}

impl Collector {
    /// Attaches the programs and reads everything once, so that the first frame has a begin.
    ///
    /// # Errors
    /// The programs cannot be attached, a fact cannot be read, or the filter names something that does not exist.
    pub fn start(options: Options) -> Result<Self, CollectError> {
        let mut facts = Facts::open(options.roots.clone())?;
        options.filter.check_cpus(&facts.possible_cpus)?;
        options.filter.check_interfaces(facts.interface_names())?;
        let topology = topology::Feed::start(facts.roots.clone(), facts.namespaces())?;
        let kernel = KernelBtf::read(Path::new(KERNEL_BTF));
        let accounting = kernel.as_ref().ok().map(|kernel| accounting(&facts, kernel));
        let Chosen { mut source, reason } = source::choose(&options, &facts, kernel)?;
        give_back_memory();
        let mut symbols = Symbols::new(facts.roots.proc.clone());
        let is_proc = matches!(source, Source::Proc(_));
        if !is_proc {
            symbols.read_in_background();
            if options.wait_for_symbols {
                symbols.wait();
            }
        }
        let mut threads = ThreadTimes::new(&facts.roots.proc);

        let reading = source.read(&facts)?;
        facts.read(&source)?;
        let sampled = source.sample_cpus(&facts.cpus_to_sample(&options.filter), &[]);
        // Attaching took its time on a machine of many CPUs: the counters at the begin are to be of the begin.
        facts.read(&source)?;
        threads.read(&facts.roots.proc, &reading);
        // What was sampled before is of no frame, nor is what the start took.
        let last_own_cpu_ns = host::own::cpu_ns();
        let reading = source.read(&facts)?;
        let Options { filter, latency, sampling, .. } = options;
        Ok(Self {
            source,
            source_reason: reason,
            is_sampling: sampling.is_some() && !is_proc,
            sampling_problem: sampled.err().map(|error| first_line(&error)),
            driver_code: drivers::DriverCode::new(&facts.machine.kernel),
            facts,
            threads,
            topology,
            symbols,
            softirq_loop: SoftirqLoop::default(),
            filter,
            latency,
            stacks: sampling.is_some_and(|how| how.stacks),
            accounting,
            last_mono_ns: reading.mono_ns,
            last_own_cpu_ns,
            seq: 0,
        })
    }

    /// The attached programs; `None` where the kernel's files count.
    #[cfg(feature = "bpf")]
    pub fn probe(&mut self) -> Option<&mut Probe> {
        match &mut self.source {
            Source::Bpf(probe) => Some(probe),
            Source::Proc(_) => None,
        }
    }

    /// Why only counts are to be had, if nobody asked for that.
    pub fn source_reason(&self) -> Option<&str> {
        self.source_reason.as_deref()
    }

    /// What happened since the frame before, or since the start.
    ///
    /// # Errors
    /// The programs' counters or an indispensable fact cannot be read.
    pub fn frame(&mut self) -> Result<Frame, CollectError> {
        // What the kernel may let us wait for comes first: interface counters are behind RTNL, which others may hold for
        // long. Then this interval is longer, and the counters are still of it.
        self.source.look_for_napis()?;
        self.facts.read(&self.source)?;
        // Here ends the interval: what this frame takes to be made is of the next.
        let time = SystemTime::now();
        let own_cpu_ns = host::own::cpu_ns();
        let mut reading = self.source.read(&self.facts)?;
        if let Some(samples) = &mut reading.samples {
            self.softirq_loop.find(&self.symbols, samples);
        }
        self.facts.follow_irqs(&reading);
        let thread_ns = self.threads.read(&self.facts.roots.proc, &reading);
        let interval_ns = reading.mono_ns.saturating_sub(self.last_mono_ns);
        self.last_mono_ns = reading.mono_ns;

        let cpus = cpus::cpus(&reading, &self.facts, &self.filter, interval_ns, self.latency);
        let busy_ns = cpus::busy_ns(&cpus, interval_ns);
        let irqs = irqs::irqs(&reading, &self.facts, &self.filter);
        let mut nics = nics::Nics {
            reading: &reading,
            facts: &self.facts,
            thread_ns: &thread_ns,
            filter: &self.filter,
            interval_ns,
        }
        .assemble(&self.source, &irqs, &mut self.symbols);
        let mut costs = reading.samples.as_ref().and_then(|samples| {
            let (code, symbols) = (&mut self.driver_code, &self.symbols);
            let sampled = drivers::Sampled::of(samples, &busy_ns, interval_ns);
            let mut costs = sampled.drivers(code, symbols, &self.source, &self.filter, &mut nics)?;
            // Else there would be packets that CPUs handled which are not sampled.
            if samples.cpus as usize == self.facts.stat.now.len() {
                drivers::count_traffic(&mut costs, &nics);
            }
            Some(costs)
        });
        // Not before: what a driver cost is of all its NICs.
        nics.retain(|nic| self.filter.shows_interface(&nic.name));
        if let Some(costs) = &mut costs {
            costs.retain(|cost| nics.iter().any(|nic| nic.driver.as_ref() == Some(&cost.driver)));
        }
        let samples = reading.samples.as_ref().filter(|_| self.stacks);
        let stacks = samples.and_then(|samples| self.driver_code.stacks(samples, &self.filter));
        let frame = Frame {
            schema: SCHEMA.to_owned(),
            seq: self.seq,
            time: humantime::format_rfc3339_micros(time).to_string(),
            mono_ns: reading.mono_ns,
            boot_id: self.facts.machine.boot_id.clone(),
            interval_ns,
            host: self.host(&reading, interval_ns),
            cpus,
            nics,
            drivers: costs,
            stacks,
            irqs,
            netns: netns::netns(&self.facts),
            topology: self.topology.next(
                self.facts.links_changed(),
                || self.facts.namespaces(),
                &self.filter,
            ),
            own: self.own_cost(&reading, own_cpu_ns, interval_ns),
        };
        let gone = self.facts.gone_napis(&self.source, &reading);
        self.source.tidy(&gone, reading.mono_ns);
        if !gone.is_empty() {
            give_back_memory();
        }
        self.symbols.follow_modules();
        let wanted = self.facts.cpus_to_sample(&self.filter);
        let attached = self.source.sample_cpus(&wanted, &busy_ns);
        self.sampling_problem = attached.err().map(|error| first_line(&error));
        self.seq += 1;
        Ok(frame)
    }

    fn host(&mut self, reading: &Reading, interval_ns: u64) -> Host {
        let machine = &self.facts.machine;
        Host {
            hostname: machine.hostname.clone(),
            kernel: machine.kernel.clone(),
            cpus_online: u32::try_from(self.facts.stat.now.len()).unwrap_or(u32::MAX),
            source: match self.source {
                Source::Proc(_) => frame::Source::Proc,
                #[cfg(feature = "bpf")]
                Source::Bpf(_) => frame::Source::Bpf,
            },
            source_reason: self.source_reason.clone(),
            sample_event: reading.samples.as_ref().map(|samples| samples.event),
            drivers_reason: self.drivers_reason(reading),
            drivers_gap: None,
            sampling: reading.samples.as_ref().map(|samples| sampling(samples, interval_ns)),
            accounting: self.accounting,
            preempt_rt: machine.preempt_rt,
            drops: reading.drops.as_ref().map(|_| drops(reading, &mut self.symbols)),
        }
    }

    /// Why it is unknown what drivers cost; `None` where that is known, or not asked for.
    fn drivers_reason(&self, reading: &Reading) -> Option<String> {
        if !self.is_sampling {
            return None;
        }
        let none = || {
            let text = "no CPU that is shown is sampled: isolated ones and those without a tick only if -C names them";
            reading.samples.is_none().then(|| text.to_owned())
        };
        self.sampling_problem.clone().or_else(none).or_else(|| self.symbols.problem())
    }

    fn own_cost(&mut self, reading: &Reading, own_cpu_ns: u64, interval_ns: u64) -> OwnCost {
        let cpu_ns = own_cpu_ns.saturating_sub(self.last_own_cpu_ns);
        self.last_own_cpu_ns = own_cpu_ns;
        OwnCost {
            bpf_est_ns: reading.bpf_est_ns,
            bpf_runs: reading.bpf_runs,
            cpu_ns,
            rss_bytes: host::own::resident_bytes(&self.facts.roots.proc).unwrap_or(0),
            lost: reading.lost,
            overhead_pct: reading.bpf_est_ns.map(|bpf_ns| pct_of(bpf_ns + cpu_ns, interval_ns)),
            bpf_gap_ns: None,
        }
    }
}

/// What errors say beyond their first line stands in `nicmon doctor`.
fn first_line(error: &CollectError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn sampling(samples: &Samples, interval_ns: u64) -> Sampling {
    let count = |kind| samples.taken.iter().filter(|sample| sample.kind == kind).count() as u64;
    let (taken, idle) = (samples.taken.len() as u64, count(SampleKind::Idle));
    let in_interval = u128::from(samples.frequency) * u128::from(samples.cpus) * u128::from(interval_ns);
    let is_timer = samples.event == reading::SampleEvent::CpuClock;
    Sampling {
        frequency_per_s: Some(samples.frequency),
        cpus: samples.cpus,
        samples: taken,
        idle,
        user: count(SampleKind::User),
        busy: taken - idle,
        expected: is_timer.then(|| u64::try_from(in_interval / 1_000_000_000).unwrap_or(u64::MAX)),
        lost: samples.lost,
    }
}

fn drops(reading: &Reading, symbols: &mut Symbols) -> Vec<DroppedPackets> {
    let mut drops: Vec<DroppedPackets> = Vec::new();
    for dropped in reading.drops.iter().flatten() {
        let location = DropLocation {
            symbol: symbols.name(dropped.location).map(|name| name.to_string()),
            count: dropped.count,
        };
        let at = drops.iter().position(|drop| drop.reason == dropped.reason).unwrap_or_else(|| {
            drops.push(DroppedPackets { reason: dropped.reason.clone(), count: 0, locations: Vec::new() });
            drops.len() - 1
        });
        drops[at].count += dropped.count;
        drops[at].locations.push(location);
    }
    for drop in &mut drops {
        drop.locations.sort_by_key(|location| std::cmp::Reverse(location.count));
    }
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.count));
    drops
}

/// How the kernel accounts CPU time (kernel/sched/cputime.c): generic `VIRT` accounting is compiled in on many kernels
/// but works only with full dynticks, and a compiled-in `IRQ_TIME` works wherever the clock is good enough.
fn accounting(facts: &Facts, kernel: &KernelBtf) -> Accounting {
    if facts.has_nohz_full && kernel.has_function("vtime_account_kernel") {
        Accounting::Virt
    } else if kernel.has_function("irqtime_account_irq") {
        Accounting::IrqTime
    } else {
        Accounting::Tick
    }
}

/// Reading BTF takes some 30 MB for a moment, a large topology some: glibc would keep much of it.
#[expect(unsafe_code, reason = "the one way to tell the allocator")]
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}
