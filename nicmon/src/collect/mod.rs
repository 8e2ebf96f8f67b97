//! Joins what the kernel programs counted with facts of the host and names of symbols: a [`Frame`] per call.

mod clock;
mod cpus;
mod facts;
mod filter;
mod irqs;
mod napis;
mod nics;
mod threads;

use std::{path::Path, time::SystemTime};

pub use self::{
    clock::Clock,
    filter::{Filter, FilterError},
};
use self::{facts::Facts, threads::ThreadTimes};
use crate::{
    frame::{Accounting, Drop, DropLocation, Frame, Host, OwnCost, SCHEMA, pct_of},
    host::{self, Roots},
    probe::{self, Probe, ProbeError, ProgramId, Reading, btf::KernelBtf},
    symbols::Symbols,
};

/// A failure to start or go on collecting.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The kernel programs.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A fact without which there is no frame.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// What was asked to be shown does not exist.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// What to collect.
#[derive(Debug, Default)]
pub struct Options {
    /// Where procfs and sysfs are.
    pub roots: Roots,
    /// What to show.
    pub filter: Filter,
    /// Also measure raise-to-run delays.
    pub latency: bool,
    /// Let the kernel side log.
    pub kernel_log: bool,
}

/// Everything that makes frames, and what the frame before left.
pub struct Collector {
    probe: Probe,
    facts: Facts,
    threads: ThreadTimes,
    symbols: Symbols,
    filter: Filter,
    latency: bool,
    accounting: Accounting,
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
        let Options { roots, filter, latency, kernel_log } = options;
        let mut facts = Facts::open(roots)?;
        filter.check_cpus(&facts.possible_cpus)?;
        filter.check_interfaces(facts.interface_names())?;
        let kernel = KernelBtf::read(Path::new(probe::btf::KERNEL_BTF)).map_err(ProbeError::from)?;
        let highest = facts.possible_cpus.iter().max().copied().unwrap_or(0);
        let options = probe::Options {
            cpus: highest + 1,
            preempt_rt: facts.machine.preempt_rt,
            latency,
            log: kernel_log,
        };
        let mut probe = Probe::attach(options, &kernel)?;
        let accounting = accounting(&facts, &kernel);
        drop(kernel);
        give_back_memory();
        let mut symbols = Symbols::new(facts.roots.proc.clone());
        symbols.read_in_background();
        let mut threads = ThreadTimes::new(&facts.roots.proc);

        let reading = probe.read()?;
        facts.read(&probe)?;
        threads.read(&facts.roots.proc, &reading);
        Ok(Self {
            probe,
            facts,
            threads,
            symbols,
            filter,
            latency,
            accounting,
            last_mono_ns: reading.mono_ns,
            last_own_cpu_ns: host::own::cpu_ns(),
            seq: 0,
        })
    }

    /// The attached programs.
    pub fn probe(&mut self) -> &mut Probe {
        &mut self.probe
    }

    /// What happened since the frame before, or since the start.
    ///
    /// # Errors
    /// The programs' counters or an indispensable fact cannot be read.
    pub fn frame(&mut self) -> Result<Frame, CollectError> {
        let time = SystemTime::now();
        let reading = self.probe.read()?;
        self.facts.read(&self.probe)?;
        let thread_ns = self.threads.read(&self.facts.roots.proc, &reading);
        let interval_ns = reading.mono_ns.saturating_sub(self.last_mono_ns);
        self.last_mono_ns = reading.mono_ns;

        let irqs = irqs::irqs(&reading, &self.facts, &self.filter);
        let nics = nics::Nics {
            reading: &reading,
            facts: &self.facts,
            thread_ns: &thread_ns,
            filter: &self.filter,
            interval_ns,
        }
        .assemble(&self.probe, &irqs, &mut self.symbols);
        let cpus = cpus::cpus(&reading, &self.facts, &self.filter, interval_ns, self.latency);
        let frame = Frame {
            schema: SCHEMA.to_owned(),
            seq: self.seq,
            time: humantime::format_rfc3339_micros(time).to_string(),
            mono_ns: reading.mono_ns,
            boot_id: self.facts.machine.boot_id.clone(),
            interval_ns,
            host: self.host(&reading),
            cpus,
            nics,
            irqs,
            own: self.own_cost(&reading, interval_ns),
        };
        let gone = self.facts.gone_napis(&self.probe, &reading);
        self.probe.forget_napis(&gone, reading.mono_ns);
        self.calibrate_again(&reading);
        self.seq += 1;
        Ok(frame)
    }

    fn host(&mut self, reading: &Reading) -> Host {
        let machine = &self.facts.machine;
        Host {
            hostname: machine.hostname.clone(),
            kernel: machine.kernel.clone(),
            cpus_online: u32::try_from(self.facts.stat.now.len()).unwrap_or(u32::MAX),
            accounting: self.accounting,
            preempt_rt: machine.preempt_rt,
            drops: reading.drops.as_ref().map(|_| drops(reading, &mut self.symbols)),
        }
    }

    fn own_cost(&mut self, reading: &Reading, interval_ns: u64) -> OwnCost {
        let cpu_total = host::own::cpu_ns();
        let cpu_ns = cpu_total.saturating_sub(self.last_own_cpu_ns);
        self.last_own_cpu_ns = cpu_total;
        OwnCost {
            bpf_est_ns: reading.bpf_est_ns,
            bpf_runs: Some(reading.runs.iter().map(|(_, count)| count).sum()),
            cpu_ns,
            rss_bytes: host::own::resident_bytes(&self.facts.roots.proc).unwrap_or(0),
            lost: reading.lost,
            overhead_pct: reading.bpf_est_ns.map(|bpf_ns| pct_of(bpf_ns + cpu_ns, interval_ns)),
        }
    }

    /// A program that did not run in the window at the start has no cost; once it runs often, measure again.
    fn calibrate_again(&mut self, reading: &Reading) {
        // Often enough for the window to see some.
        const OFTEN: u64 = 2000;
        let Some(costs) = self.probe.costs() else { return };
        let unknown = |(program, count): &(ProgramId, u64)| *count >= OFTEN && costs.get(*program).is_none();
        if reading.runs.iter().any(unknown) {
            self.probe.calibrate();
        }
    }
}

fn drops(reading: &Reading, symbols: &mut Symbols) -> Vec<Drop> {
    let mut drops: Vec<Drop> = Vec::new();
    for dropped in reading.drops.iter().flatten() {
        let location = DropLocation {
            symbol: symbols.name(dropped.location).map(|name| name.to_string()),
            count: dropped.count,
        };
        let at = drops.iter().position(|drop| drop.reason == dropped.reason).unwrap_or_else(|| {
            drops.push(Drop { reason: dropped.reason.clone(), count: 0, locations: Vec::new() });
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

/// Reading BTF takes some 30 MB for a moment: glibc would keep much of it.
#[expect(unsafe_code, reason = "the one way to tell the allocator")]
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}
