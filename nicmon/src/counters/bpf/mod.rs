//! The kernel side, seen from user space: loads the programs, attaches them, and reads what they counted.
//!
//! Apart from `host`, this is the only code that touches the kernel. Each reading of a [`Probe`] is a
//! [`crate::counters::Reading`]: what happened since the previous one.

mod activity;
mod attachment;
mod budget;
mod call_cost;
mod cost;
mod error;
#[cfg(test)]
mod events;
#[cfg(test)]
mod filled;
mod flows;
mod histograms;
mod mapped;
mod object;
mod own_runs;
mod packets;
mod path;
mod privileged;
mod programs;
mod reading;
mod sampling;
mod slots;
mod socket_calls;
mod windows;

use std::{collections::HashSet, mem::offset_of, path::Path, thread};

use aya::{
    Btf, Ebpf,
    maps::{Map, MapData, PerCpuHashMap},
    programs::Program,
};
use nicmon_common::{CpuState, DropKey, LATENCY, NapiKey, PREEMPT_RT};

use self::{
    attachment::Links,
    budget::Budget,
    histograms::HistogramMaps,
    mapped::MappedArray,
    object::Setup,
    own_runs::OwnRuns,
    reading::Before,
    sampling::{Periods, Sampler},
    slots::{Irqs, Napis, Slots},
};
pub use self::{
    budget::CpuShare,
    call_cost::{CallCost, MEASURED, Measured},
    cost::{RunCosts, WINDOW as CALIBRATION_WINDOW},
    error::ProbeError,
    flows::look_at_flows,
    path::PathProbe,
    privileged::perform,
    programs::{AttachKind, ProgramId},
    windows::{CutRun, cut_to_window},
};
use crate::{
    counters::{DriverFunctions, HowToSample},
    host::{
        btf::{KERNEL_BTF, KernelBtf},
        limits, monotonic_ns,
    },
    privileges::Privileges,
};

/// How to load the programs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of possible CPUs (the highest number plus one).
    pub cpus: u32,
    /// Whether the kernel is `PREEMPT_RT`.
    pub preempt_rt: bool,
    /// Whether to also measure raise-to-run delays.
    pub latency: bool,
    /// How to sample the CPUs; `None` if they are not to be sampled.
    pub sampling: Option<HowToSample>,
    /// Cycles per second of a CPU at full speed, if known.
    pub cpu_hz: Option<u64>,
    /// The time between readings. It determines the size of the rings of samples.
    pub interval: std::time::Duration,
    /// What it costs to call a program.
    pub call_cost: CallCost,
    /// How much the programs may cost on a CPU, in percent of it; `None` if that does not matter.
    pub max_overhead_pct: Option<f64>,
    /// Whether to log rare kernel-side events through [`Probe::take_logger`].
    pub log: bool,
    /// Who opens perf events, and enables statistics of BPF programs.
    pub privileges: Privileges,
}

/// How often costs may be measured again soon after the start; later, only after a rest.
const CALIBRATIONS: u8 = 8;
const REST_NS: u64 = 60_000_000_000;

/// The attached programs. Nothing is pinned: when this is dropped, or the process ends in any way, the
/// programs are detached and nothing remains in the kernel.
pub struct Probe {
    ebpf: Ebpf,
    kind: AttachKind,
    /// The programs for tracepoints, in the order in which they are attached.
    attached: Vec<ProgramId>,
    links: Links,
    costs: Option<RunCosts>,
    generation: u32,
    cpus: MappedArray<CpuState>,
    napis: Slots<Napis>,
    irqs: Slots<Irqs>,
    histograms: HistogramMaps,
    drops: PerCpuHashMap<MapData, DropKey, u64>,
    reasons: Option<std::collections::HashMap<u32, String>>,
    before: Before,
    sampler: Option<Sampler>,
    /// Runs of each program between the last two readings.
    runs: OwnRuns,
    /// What it costs to call a program.
    call_cost: CallCost,
    budget: Option<Budget>,
    privileges: Privileges,
    /// How often costs may still be measured again without a rest.
    calibrations_left: u8,
    /// When they were measured last, on `CLOCK_MONOTONIC`.
    calibrated_ns: u64,
}

impl Probe {
    /// Loads and attaches the programs: as BTF tracepoints or, if the kernel refuses those, as raw
    /// tracepoints.
    ///
    /// # Errors
    /// The kernel has no BTF or lacks a struct member, permission is missing, or the kernel refuses both
    /// kinds.
    pub fn attach(options: Options, kernel: &KernelBtf) -> Result<Self, ProbeError> {
        match Self::attach_as(AttachKind::TpBtf, options.clone(), kernel) {
            Err(ProbeError::Program { .. }) => Self::attach_as(AttachKind::RawTp, options, kernel),
            result => result,
        }
    }

    /// Loads and attaches the programs in one of the two ways.
    ///
    /// # Errors
    /// As for [`Probe::attach`].
    pub fn attach_as(kind: AttachKind, options: Options, kernel: &KernelBtf) -> Result<Self, ProbeError> {
        let mut probe = Self::load(kind, options, kernel)?;
        probe.attach_programs()?;
        probe.calibrate();
        Ok(probe)
    }

    /// Loads the programs and makes everything ready for them to count.
    fn load(kind: AttachKind, options: Options, kernel: &KernelBtf) -> Result<Self, ProbeError> {
        limits::allow_locked_memory();
        let sample_slots =
            options.sampling.map_or(1, |how| sampling::slots(how, options.interval, options.cpus));
        let stacks = options.sampling.is_some_and(|how| how.stacks);
        let Options { cpus, preempt_rt, latency, log, .. } = options;
        let delay_histograms = if latency { object::vectors_of(cpus) } else { 1 };
        let setup = Setup { cpus, preempt_rt, delay_histograms, sample_slots, stacks, log };
        // aya parses the kernel's types for the object and again for BTF tracepoints: some 30 ms each.
        let (btf, loaded) = thread::scope(|scope| {
            let btf = scope.spawn(|| Btf::parse_file(Path::new(KERNEL_BTF), aya::Endianness::default()));
            let loaded = object::load(&setup, kernel);
            (btf.join(), loaded)
        });
        let btf = btf
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map_err(|error| ProbeError::map("BTF", error))?;
        let (mut ebpf, config) = loaded?;
        let (reasons, possible) = (kernel.enum_values("skb_drop_reason"), cpus as usize);

        let cpus = mapped(&mut ebpf, "CPUS", possible)?;
        let napis = Slots::new(&mut ebpf, &cpus, possible, config.napi_slots)?;
        let irqs = Slots::new(&mut ebpf, &cpus, possible, config.irq_slots)?;
        let histograms = HistogramMaps::new(&mut ebpf, &cpus, config.napi_histograms, &options)?;
        let drops = PerCpuHashMap::try_from(take(&mut ebpf, "DROPS")?)
            .map_err(|error| ProbeError::map("DROPS", error))?;

        let attached = load_programs(&mut ebpf, kind, &options, reasons.is_some(), &btf)?;
        let sampler = sampler(&mut ebpf, &options, sample_slots)?;
        drop(btf);

        let mut probe = Self {
            ebpf,
            kind,
            attached,
            links: Links::default(),
            costs: None,
            generation: 0,
            cpus,
            napis,
            irqs,
            histograms,
            drops,
            reasons,
            before: Before::new(possible),
            sampler,
            runs: OwnRuns::default(),
            call_cost: options.call_cost,
            budget: options.max_overhead_pct.map(Budget::of),
            privileges: options.privileges,
            calibrations_left: CALIBRATIONS,
            calibrated_ns: 0,
        };
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(preempt_rt, PREEMPT_RT) | flag(latency, LATENCY);
        probe.cpus.set_all(offset_of!(CpuState, flags), flags);
        // Empty caches have generation 0.
        probe.new_generation();
        Ok(probe)
    }

    /// Cost per run, by program; `None` without `CAP_SYS_ADMIN`.
    pub fn costs(&self) -> Option<&RunCosts> {
        self.costs.as_ref()
    }

    /// The way in which the programs are attached.
    pub fn kind(&self) -> AttachKind {
        self.kind
    }

    /// The programs that run on tracepoints.
    pub fn attached(&self) -> &[ProgramId] {
        &self.attached
    }

    /// The kernel side's log, to be flushed when its descriptor is readable.
    ///
    /// # Errors
    /// The log map cannot be used.
    pub fn take_logger<L: log::Log>(&mut self, logger: L) -> Result<aya_log::EbpfLogger<L>, aya_log::Error> {
        aya_log::EbpfLogger::init_with_logger(&mut self.ebpf, logger)
    }

    /// Measures what one run of each program costs; blocks for [`CALIBRATION_WINDOW`].
    pub fn calibrate(&mut self) {
        let link = program_mut(&mut self.ebpf, self.kind, "empty")
            .and_then(|empty| programs::attach(empty, "empty", "softirq_entry"))
            .ok();
        let programs: Vec<(ProgramId, &Program)> = self
            .running()
            .filter_map(|id| Some((id, self.ebpf.program(&id.full_name(self.kind))?)))
            .collect();
        let empty = self.ebpf.program(&full_name(self.kind, "empty"));
        let costs = cost::calibrate(&self.privileges, &programs, empty, self.call_cost);
        if let (Ok(empty), Some(link)) = (program_mut(&mut self.ebpf, self.kind, "empty"), link) {
            programs::detach(empty, link);
        }
        self.calibrated_ns = monotonic_ns();
        match (&mut self.costs, costs) {
            (Some(known), Some(newer)) => known.merge(newer),
            // Better an old cost than none.
            (Some(_), None) => {}
            (none, newer) => *none = newer,
        }
    }

    /// A program that did not run in the window at the start has no cost, and one that ran seldom then may
    /// cost less per run once it runs often. This measures again, but not often: statistics slow down all
    /// BPF programs on the machine.
    pub fn calibrate_again(&mut self) {
        // Often enough for the window to see some, whether they come evenly, as samples do, or in bursts,
        // as everything else does.
        const OFTEN: f64 = 2000.0;
        const EVENLY: f64 = 190.0;
        let Some(costs) = &self.costs else { return };
        let since_ns = monotonic_ns().saturating_sub(self.calibrated_ns);
        if since_ns < REST_NS && self.calibrations_left == 0 {
            return;
        }
        let is_often = |program: ProgramId, per_s: f64| match program {
            ProgramId::Sample => per_s >= EVENLY,
            _ => per_s >= OFTEN,
        };
        let mut rates = self.runs.per_s();
        if rates.any(|(program, per_s)| is_often(program, per_s) && costs.is_outdated(program, per_s)) {
            drop(rates);
            if since_ns < REST_NS {
                self.calibrations_left -= 1;
            }
            self.calibrate();
        }
    }

    /// Whether the calling thread may ask for elements of maps.
    pub fn can_read_maps(&self) -> bool {
        !matches!(self.drops.keys().next(), Some(Err(_)))
    }

    /// All NAPIs that have a slot on any CPU, whether or not they were polled lately. Each comes with the
    /// name that its device had when the NAPI was first seen there, and with functions of its driver.
    pub fn known_napis(&self) -> Vec<(NapiKey, String, DriverFunctions)> {
        let mut known = HashSet::new();
        let owners = self.napis.owned().map(|(_, _, owned)| &owned.owner);
        owners
            .filter(|owner| known.insert(owner.key))
            .map(|owner| {
                let functions = DriverFunctions { poll: owner.poll_fn, ops: owner.ops };
                (owner.key, reading::text(&owner.name), functions)
            })
            .collect()
    }

    /// How often NAPIs have got or lost slots so far.
    pub fn napi_changes(&self) -> u64 {
        self.napis.changes()
    }

    /// The programs attached to tracepoints, and the sampler.
    fn running(&self) -> impl Iterator<Item = ProgramId> {
        self.attached.iter().copied().chain(self.sampler.as_ref().map(|_| ProgramId::Sample))
    }

    /// Events that programs missed because they were already running on that CPU.
    fn recursion_misses(&self) -> u64 {
        self.running()
            .filter_map(|id| self.ebpf.program(&id.full_name(self.kind)))
            .filter_map(cost::Counters::of)
            .map(|counters| counters.recursion_misses)
            .sum()
    }
}

/// Loads all programs before any is attached: nothing is counted until everything is known to work.
/// Returns the programs to attach to tracepoints, in that order.
fn load_programs(
    ebpf: &mut Ebpf,
    kind: AttachKind,
    options: &Options,
    has_drop_reasons: bool,
    btf: &Btf,
) -> Result<Vec<ProgramId>, ProbeError> {
    let mut wanted = ProgramId::ALWAYS.to_vec();
    if has_drop_reasons {
        wanted.push(ProgramId::KfreeSkb);
    }
    if options.latency {
        wanted.push(ProgramId::SoftirqRaise);
    }
    for program in &wanted {
        programs::load(ebpf, kind, program.name(), program.name(), btf)?;
    }
    programs::load(ebpf, kind, "empty", "softirq_entry", btf)?;
    if options.sampling.is_some() {
        sampling::load(ebpf)?;
    }
    Ok(wanted)
}

/// What reads the samples; `None` if none are asked for.
fn sampler(ebpf: &mut Ebpf, options: &Options, sample_slots: u32) -> Result<Option<Sampler>, ProbeError> {
    let Some(how) = options.sampling else { return Ok(None) };
    let possible = options.cpus as usize;
    let slots = possible * sample_slots as usize;
    let maps = sampling::Maps {
        ring: mapped(ebpf, "SAMPLES", slots)?,
        stacks: how.stacks.then(|| mapped(ebpf, "SAMPLE_STACKS", slots)).transpose()?,
        sockets: mapped(ebpf, "SOCKETS", 1)?,
    };
    let periods = Periods::of(how.frequency, options.cpu_hz);
    Ok(Some(Sampler::new(how.frequency, periods, maps, sample_slots, possible)))
}

fn full_name(kind: AttachKind, name: &str) -> String {
    match kind {
        AttachKind::TpBtf => name.to_owned(),
        AttachKind::RawTp => format!("{name}_raw"),
    }
}

fn program_mut<'a>(
    ebpf: &'a mut Ebpf,
    kind: AttachKind,
    name: &'static str,
) -> Result<&'a mut Program, ProbeError> {
    ebpf.program_mut(&full_name(kind, name)).ok_or(ProbeError::Object { what: name })
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, ProbeError> {
    ebpf.take_map(name).ok_or(ProbeError::Object { what: name })
}

fn mapped<T: Copy>(ebpf: &mut Ebpf, name: &'static str, length: usize) -> Result<MappedArray<T>, ProbeError> {
    match take(ebpf, name)? {
        Map::Array(data) => MappedArray::new(data, name, length),
        _ => Err(ProbeError::Object { what: name }),
    }
}
