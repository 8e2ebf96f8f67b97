//! Who counts: the eBPF programs or, if they are not allowed to run, the kernel's own files.

#[cfg(feature = "bpf")]
use std::{path::Path, sync::Weak};
use std::{sync::Arc, time::Instant};

use nicmon_common::NapiKey;

use super::{CollectError, Options, SourceChoice, facts::Facts, known::KnownNics};
#[cfg(feature = "bpf")]
use super::{known::KnownNapi, reason::reason, windows::Windowing};
#[cfg(feature = "bpf")]
use crate::{
    counters::bpf::{self, CallCost, MEASURED, Probe, ProbeError},
    host::{cpus, limits, refusals::Refusers},
    symbols::{Kallsyms, socket_calls},
};
use crate::{
    counters::{Reading, procfs::Counts},
    frame,
    host::{
        Roots,
        btf::{BtfError, KernelBtf},
    },
    symbols::Snapshot,
};

/// Returns one [`Reading`] per call.
pub(super) enum Source {
    /// Counts and times.
    #[cfg(feature = "bpf")]
    Bpf(Box<BpfSource>),
    /// Counts only.
    Proc(Box<Counts>),
}

/// The programs, and the NAPIs they know. NAPIs are listed again only if some came or went.
#[cfg(feature = "bpf")]
pub(super) struct BpfSource {
    pub(super) probe: Probe,
    known: Arc<KnownNics>,
    /// How often slot owners had changed when the NAPIs were listed.
    known_at: Option<u64>,
    /// The CPUs that are sampled.
    sampled: Vec<u32>,
    /// The symbols in which the functions of sockets were found.
    symbols: Weak<Kallsyms>,
    windows: Windowing,
}

#[cfg(feature = "bpf")]
impl BpfSource {
    fn known_napis(&mut self) -> Arc<KnownNics> {
        let changes = self.probe.napi_changes();
        if self.known_at != Some(changes) {
            let napis = self.probe.known_napis().into_iter();
            let known = napis.map(|(key, name, functions)| KnownNapi { key, name, functions });
            self.known = Arc::new(known.collect());
            self.known_at = Some(changes);
        }
        Arc::clone(&self.known)
    }

    /// Samples all of these CPUs or, if too few files may be open, none: shares of some CPUs would look like
    /// shares of all. Returns why some are not sampled for another reason.
    fn sample_cpus(
        &mut self,
        cpus: &[u32],
        busy_ns: &[(u32, u64)],
        roots: &Roots,
    ) -> Result<Option<CollectError>, CollectError> {
        let new = cpus.iter().filter(|cpu| !self.sampled.contains(cpu)).count();
        let has_room = if new > 0 { limits::check_open_files(&roots.proc, new) } else { Ok(()) };
        self.sampled = if has_room.is_ok() { cpus.to_vec() } else { Vec::new() };
        let sampled = self.probe.sample_cpus(&self.sampled, busy_ns);
        if sampled.is_err() {
            self.sampled.clear();
        }
        has_room?;
        Ok(sampled?.map(CollectError::from))
    }

    fn follow_symbols(&mut self, symbols: &Snapshot) {
        let Some(kallsyms) = &symbols.kallsyms else { return };
        let symbols = Arc::downgrade(kallsyms);
        if !self.symbols.ptr_eq(&symbols) {
            self.symbols = symbols;
            self.probe.look_for_socket_calls(socket_calls(kallsyms));
        }
    }
}

/// A source and, if it is not the better one, the reason.
pub(super) struct Chosen {
    pub(super) source: Source,
    pub(super) reason: Option<String>,
}

#[cfg(feature = "bpf")]
pub(super) fn choose(
    options: &Options,
    facts: &Facts,
    kernel: Result<KernelBtf, BtfError>,
) -> Result<Chosen, CollectError> {
    if options.source == SourceChoice::Proc {
        return proc(facts, None);
    }
    let highest = facts.possible_cpus.iter().max().copied().unwrap_or(0);
    let boot_id = facts.machine().boot_id.as_deref();
    let measured = boot_id.and_then(|boot_id| CallCost::measured(Path::new(MEASURED), boot_id));
    let how = bpf::Options {
        cpus: highest + 1,
        preempt_rt: facts.machine().preempt_rt,
        latency: options.latency,
        sampling: options.sampling,
        cpu_hz: cpus::highest_hz(&facts.roots.proc, &facts.roots.sys),
        interval: options.interval,
        max_overhead_pct: options.max_overhead_pct,
        call_cost: measured.unwrap_or(CallCost::UNMEASURED),
        log: options.kernel_log,
        privileges: facts.privileges().clone(),
    };
    let attached = kernel.map_err(ProbeError::from).and_then(|kernel| Probe::attach(how, &kernel));
    // The programs are of no use without the interfaces, which take descriptors.
    let attached = attached.map_err(CollectError::from).and_then(|probe| {
        limits::check_open_files(&facts.roots.proc, 0)?;
        Ok(probe)
    });
    match attached {
        Ok(probe) => {
            let source = BpfSource {
                probe,
                known: Arc::default(),
                known_at: None,
                sampled: Vec::new(),
                symbols: Weak::new(),
                windows: Windowing::new(options, facts.has_quiet_cpus()),
            };
            Ok(Chosen { source: Source::Bpf(Box::new(source)), reason: None })
        }
        Err(error) if options.source == SourceChoice::Bpf => Err(error),
        Err(error) => proc(facts, Some(reason(&error, &Refusers::read(&facts.roots)))),
    }
}

#[cfg(not(feature = "bpf"))]
pub(super) fn choose(
    options: &Options,
    facts: &Facts,
    _kernel: Result<KernelBtf, BtfError>,
) -> Result<Chosen, CollectError> {
    match options.source {
        SourceChoice::Proc => proc(facts, None),
        SourceChoice::Auto => {
            let reason = "install a nicmon built with the feature \"bpf\": this one has no eBPF programs";
            proc(facts, Some(reason.to_owned()))
        }
        SourceChoice::Bpf => Err(CollectError::NoPrograms),
    }
}

fn proc(facts: &Facts, reason: Option<String>) -> Result<Chosen, CollectError> {
    Ok(Chosen { source: Source::Proc(Box::new(Counts::open(&facts.roots)?)), reason })
}

impl Source {
    /// Which of the two it is.
    pub(super) fn kind(&self) -> frame::Source {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(_) => frame::Source::Bpf,
            Self::Proc(_) => frame::Source::Proc,
        }
    }

    /// Reads the counters.
    pub(super) fn read(&mut self, facts: &Facts) -> Result<Reading, CollectError> {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => source.windows.read(&mut source.probe, &facts.roots),
            Self::Proc(counts) => Ok(counts.read(&facts.roots)?),
        }
    }

    /// Learns of the NAPIs that were polled since the last reading.
    pub(super) fn look_for_napis(&mut self) {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => source.probe.look_for_napis(),
            Self::Proc(_) => {}
        }
    }

    /// All known NAPIs, whether or not they were polled lately.
    pub(super) fn known_napis(&mut self) -> Arc<KnownNics> {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => source.known_napis(),
            Self::Proc(_) => Arc::default(),
        }
    }

    /// Samples these CPUs and no others, and returns why some of them are not. `busy_ns` is how long each was
    /// busy, according to the kernel.
    #[cfg_attr(
        not(feature = "bpf"),
        expect(unused_variables, clippy::unnecessary_wraps, reason = "files sample nothing")
    )]
    pub(super) fn sample_cpus(
        &mut self,
        cpus: &[u32],
        busy_ns: &[(u32, u64)],
        roots: &Roots,
    ) -> Result<Option<CollectError>, CollectError> {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => source.sample_cpus(cpus, busy_ns, roots),
            Self::Proc(_) => Ok(None),
        }
    }

    /// Learns of symbols that were read anew, in which the functions of sockets are found.
    #[cfg_attr(not(feature = "bpf"), expect(unused_variables, reason = "files sample nothing"))]
    pub(super) fn follow_symbols(&mut self, symbols: &Snapshot) {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => source.follow_symbols(symbols),
            Self::Proc(_) => {}
        }
    }

    /// When a window is to begin or to end.
    pub(super) fn window_due(&self) -> Option<Instant> {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => source.windows.due(),
            Self::Proc(_) => None,
        }
    }

    /// Begins or ends a window.
    pub(super) fn follow_windows(&mut self) {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => source.windows.step(&mut source.probe),
            Self::Proc(_) => {}
        }
    }

    /// Whether what it needs from now on works without capabilities.
    pub(super) fn works_without_privileges(&self) -> bool {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => source.probe.can_read_maps(),
            Self::Proc(_) => true,
        }
    }

    /// What must not wait for the next reading if that is far away: takes back slots of what is silent.
    pub(super) fn tidy_between_readings(&mut self) {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => source.probe.forget_between_readings(),
            Self::Proc(_) => {}
        }
    }

    /// What happens between two readings: forgets NAPIs that no longer exist, and measures the programs'
    /// cost where it is unknown.
    #[cfg_attr(not(feature = "bpf"), expect(unused_variables, reason = "files need nothing"))]
    pub(super) fn tidy(&mut self, gone: &[NapiKey], mono_ns: u64) {
        match self {
            #[cfg(feature = "bpf")]
            Self::Bpf(source) => {
                source.probe.forget_napis(gone, mono_ns);
                source.windows.tidy(&mut source.probe, mono_ns);
            }
            Self::Proc(_) => {}
        }
    }
}
