//! Makes frames in three steps: observe (all I/O), assemble (a pure function of what was observed), and
//! maintain (what must happen before the next observation).

mod assemble;
mod clock;
mod cpu_times;
mod driver_code;
mod dummy_drivers;
mod facts;
mod filter;
mod flow_windows;
mod idle_task;
mod known;
mod maintain;
mod observation;
mod observe;
mod own_parts;
mod own_quota;
mod privileged;
mod reason;
mod requeues;
#[cfg(all(test, feature = "bpf"))]
mod scale;
mod softirq_loop;
mod source;
mod threads;
mod topology;
mod udp_readers;
mod unread;
#[cfg(feature = "bpf")]
mod windows;

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

pub use self::{
    assemble::assemble,
    clock::Clock,
    cpu_times::CpuTimes,
    filter::{Filter, FilterError},
    observation::Observation,
    privileged::{own, perform},
    topology::read_topology,
};
use self::{
    driver_code::DriverCodeFinder,
    dummy_drivers::DummyDrivers,
    facts::Facts,
    flow_windows::FlowWindows,
    maintain::{SamplingProblems, give_back_memory},
    observation::Asked,
    own_parts::OwnParts,
    own_quota::OwnQuota,
    requeues::Requeues,
    softirq_loop::SoftirqLoop,
    source::{Chosen, Source},
    threads::ThreadTimes,
    udp_readers::UdpReaders,
};
#[cfg(feature = "bpf")]
use crate::counters::bpf::{Probe, ProbeError};
use crate::{
    counters::{HowToSample, procfs::Counts},
    frame::{Accounting, Frame, Wanted},
    host::{
        self, Roots,
        btf::{KERNEL_BTF, KernelBtf},
    },
    privileges::{Confinement, Privileges},
    symbols::Symbols,
};

/// A failure to start or continue collecting.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The eBPF programs failed.
    #[cfg(feature = "bpf")]
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// This nicmon has no eBPF programs.
    #[cfg(not(feature = "bpf"))]
    #[error(
        "this nicmon was built without the eBPF programs\nRun it without --source bpf to see counts, or \
         install one that was built with the feature \"bpf\"."
    )]
    NoPrograms,
    /// Something that every frame needs could not be read.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// The user asked to see something that does not exist.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The file for observations failed.
    #[error("cannot write the capture {}: {source}\nName another file with --capture.", path.display())]
    Capture {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Which source to use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceChoice {
    /// The eBPF programs or, if they are not allowed to run, the kernel's files.
    #[default]
    Auto,
    /// The eBPF programs.
    Bpf,
    /// The kernel's files: counts only.
    Proc,
}

/// What to collect.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Options {
    /// Where procfs and sysfs are.
    pub roots: Roots,
    /// Which source to use.
    pub source: SourceChoice,
    /// What to show.
    pub filter: Filter,
    /// Whether to also measure raise-to-run delays.
    pub latency: bool,
    /// How much the eBPF programs may cost on a CPU, in percent of it; `None` if that does not matter.
    pub max_overhead_pct: Option<f64>,
    /// Whether windows may disturb CPUs that are kept free of other work.
    pub windows_everywhere: bool,
    /// Whether packets may be looked at to explain why a CPU is saturated.
    pub flow_window: bool,
    /// How to sample the CPUs; `None` if they are not to be sampled.
    pub sampling: Option<HowToSample>,
    /// The intended time between frames.
    pub interval: std::time::Duration,
    /// Whether the kernel side logs.
    pub kernel_log: bool,
    /// Who does what takes a privilege; `None` for this process.
    pub privileges: Option<Privileges>,
    /// Whether to start only when the kernel's symbols are read (or cannot be), so that the first frame
    /// has names.
    pub wait_for_symbols: bool,
}

/// Everything that makes frames, and what the previous frame left behind.
pub struct Collector {
    privileges: Privileges,
    source: Source,
    source_reason: Option<String>,
    asked: Asked,
    /// Of the last attempt to sample the CPUs.
    sampling_problems: SamplingProblems,
    driver_code: DriverCodeFinder,
    dummy_drivers: DummyDrivers,
    facts: Facts,
    threads: ThreadTimes,
    topology: topology::Feed,
    symbols: Symbols,
    softirq_loop: SoftirqLoop,
    filter: Filter,
    accounting: Option<Accounting>,
    last_mono_ns: u64,
    last_own_cpu_ns: u64,
    last_tidied_ns: u64,
    seq: u64,
    capture: Option<Capture>,
    /// What the next frame should have besides.
    wanted: Wanted,
    requeues: Requeues,
    flow_windows: FlowWindows,
    udp_readers: UdpReaders,
    own_quota: OwnQuota,
    own_parts: OwnParts,
}

impl Collector {
    /// Attaches the eBPF programs and reads everything once, so that the first frame has an interval.
    ///
    /// # Errors
    /// The programs cannot be attached, a fact cannot be read, or the filter names something that does
    /// not exist.
    pub fn start(options: Options) -> Result<Self, CollectError> {
        host::limits::raise();
        let roots = options.roots.clone();
        let privileges = options.privileges.clone().unwrap_or_else(|| privileged::own(roots.clone()));
        let mut facts = Facts::open(roots.clone(), privileges.clone())?;
        options.filter.check_cpus(&facts.possible_cpus)?;
        options.filter.check_interfaces(&facts.interface_names())?;
        let topology = topology::Feed::start(roots, privileges.clone(), facts.namespaces())?;
        let kernel = KernelBtf::read(Path::new(KERNEL_BTF));
        let accounting = kernel.as_ref().ok().map(|kernel| accounting(&facts, kernel));
        let Chosen { mut source, reason } = source::choose(&options, &facts, kernel)?;
        give_back_memory();
        let is_proc = matches!(source, Source::Proc(_));

        let symbols = reading_symbols(&facts, &privileges, !is_proc, options.wait_for_symbols);
        source.follow_symbols(&symbols.snapshot());
        let mut threads = ThreadTimes::new(&facts.roots.proc);

        let reading = source.read(&facts)?;
        facts.read(&source.known_napis())?;
        let sampled = source.sample_cpus(&facts.cpus_to_sample(&options.filter), &[], &facts.roots);
        // Attaching takes time on a machine with many CPUs: the first interval starts after it.
        facts.read(&source.known_napis())?;
        threads.read(&facts.roots.proc, &reading);
        // The cost of starting, and what was sampled before, belong to no frame.
        let last_own_cpu_ns = host::own::cpu_ns() + privileges.broker_cpu_ns();
        let reading = source.read(&facts)?;
        let Options { filter, latency, sampling, .. } = options;
        let stacks = sampling.is_some_and(|how| how.stacks);
        let looks_at_flows = options.flow_window && !is_proc;
        let mut sampling_problems = SamplingProblems::new(&facts.roots);
        sampling_problems.follow(sampled);
        Ok(Self {
            flow_windows: FlowWindows::new(looks_at_flows.then(|| privileges.clone())),
            privileges,
            source,
            source_reason: reason,
            asked: Asked { latency, sampling: sampling.is_some() && !is_proc, stacks },
            sampling_problems,
            driver_code: DriverCodeFinder::new(&facts.machine().kernel),
            dummy_drivers: DummyDrivers::default(),
            facts,
            threads,
            topology,
            symbols,
            softirq_loop: SoftirqLoop::default(),
            filter,
            accounting,
            last_mono_ns: reading.mono_ns,
            last_own_cpu_ns,
            last_tidied_ns: 0,
            seq: 0,
            capture: None,
            wanted: Wanted::default(),
            requeues: Requeues::default(),
            udp_readers: UdpReaders::default(),
            own_quota: OwnQuota::default(),
            own_parts: OwnParts::default(),
        })
    }

    /// Gives up the privileges that nothing here needs any more, if a broker keeps those that are; see
    /// [`Privileges::give_up`]. `signals_others` is whether this process will send signals to processes of
    /// other users.
    pub fn give_up_privileges(&self, signals_others: bool) -> Option<Confinement> {
        let works = || self.source.works_without_privileges();
        self.privileges.give_up(&self.facts.roots.proc, signals_others, works)
    }

    /// Saves the observation behind each frame from now on.
    pub fn save_to(&mut self, capture: Capture) {
        self.capture = Some(capture);
    }

    /// Reads what would explain the findings of the last frame, with the next one.
    pub fn look_closer(&mut self, wanted: &Wanted) {
        self.wanted.clone_from(wanted);
    }

    /// The attached programs; `None` if the kernel's files count.
    #[cfg(feature = "bpf")]
    pub fn probe(&mut self) -> Option<&mut Probe> {
        match &mut self.source {
            Source::Bpf(source) => Some(&mut source.probe),
            Source::Proc(_) => None,
        }
    }

    /// Why there are only counts, unless the user asked for that.
    pub fn source_reason(&self) -> Option<&str> {
        self.source_reason.as_deref()
    }

    /// What must not wait for the next frame if that is far away: samples CPUs that came online, takes back
    /// the slots of what is silent, and follows kernel modules.
    fn between_frames(&mut self) {
        // If it cannot be read now, the next frame says so.
        if let Ok(wanted) = self.facts.cpus_to_sample_now(&self.filter) {
            self.sample(&wanted, &[]);
        }
        self.source.tidy_between_readings();
        self.symbols.follow_modules();
    }

    /// When [`Collector::follow_windows`] is due, if that is before the next frame.
    fn window_due(&self) -> Option<Instant> {
        self.source.window_due()
    }

    /// Begins or ends a window, if nicmon measures in windows.
    fn follow_windows(&mut self) {
        self.source.follow_windows();
    }

    /// What happened since the previous frame, or since the start.
    ///
    /// # Errors
    /// The programs' counters or a necessary fact cannot be read, or the capture cannot be written.
    pub fn frame(&mut self) -> Result<Frame, CollectError> {
        let seen = self.observe()?;
        if let Some(capture) = &mut self.capture {
            capture.write(&seen)?;
        }
        self.own_parts.start(host::own::thread_cpu_ns());
        let frame = assemble(&seen, &self.filter);
        self.own_parts.end_of_making(host::own::thread_cpu_ns());
        self.maintain(&seen);
        Ok(frame)
    }
}

/// The kernel's symbols: if they are needed, they are read in the background, or are there already if they
/// are to be waited for.
fn reading_symbols(facts: &Facts, privileges: &Privileges, are_needed: bool, wait: bool) -> Symbols {
    let mut symbols = Symbols::new(&facts.roots.proc, privileges.clone());
    if are_needed {
        symbols.read_in_background();
    }
    if are_needed && wait {
        symbols.wait();
    }
    symbols
}

/// Reads everything about the host once that nicmon cannot do without. `has_programs` is whether the eBPF
/// programs can run: without them, it must be possible to read the kernel's counts.
///
/// # Errors
/// [`Collector::start`] would fail, too.
pub fn check_host(roots: &Roots, has_programs: bool) -> Result<(), CollectError> {
    Facts::open(roots.clone(), privileged::own(roots.clone()))?.read(&Arc::default())?;
    if !has_programs {
        Counts::open(roots)?.read(roots)?;
    }
    Ok(())
}

/// The file to which observations are saved.
#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Capture {
    /// Saves to this file. `path` is for messages.
    pub fn new(path: PathBuf, file: File) -> Self {
        Self { path, file: BufWriter::new(file) }
    }

    fn write(&mut self, seen: &Observation) -> Result<(), CollectError> {
        let Self { path, file } = self;
        let written = seen.save(file).and_then(|()| file.flush());
        written.map_err(|source| CollectError::Capture { path: path.clone(), source })
    }
}

/// How the kernel accounts CPU time (kernel/sched/cputime.c). Generic `VIRT` accounting is compiled into
/// many kernels but works only with full dynticks. `IRQ_TIME`, if compiled in, works wherever the clock
/// is good enough.
fn accounting(facts: &Facts, kernel: &KernelBtf) -> Accounting {
    if facts.has_nohz_full && kernel.has_function("vtime_account_kernel") {
        Accounting::Virt
    } else if kernel.has_function("irqtime_account_irq") {
        Accounting::IrqTime
    } else {
        Accounting::Tick
    }
}
