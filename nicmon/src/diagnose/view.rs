//! What the rules look at: a frame, by CPU.

use std::collections::{BTreeMap, HashMap};

use super::{
    saturation::ROOM_PCT,
    setup::{NicKey, Origin, Setup, origin},
};
use crate::frame::{
    Cpu, Frame, NapiMode, Nic, NicCpu, Source,
    topology::{self, Topology},
};

/// With this much of its time stolen by the hypervisor, what a CPU does cannot be judged.
pub(super) const STOLEN_PCT: f64 = 10.0;
/// A core is free if all its CPUs are at least this idle.
pub(super) const FREE_PCT: f64 = 60.0;
/// The row of the per-CPU backlog among the NICs.
pub(super) const BACKLOG: &str = "(backlog)";
/// With fewer than this part of the samples that busy CPUs should have given, time was stolen, although the
/// hypervisor may report none.
const LEAST_SAMPLES: f64 = 0.8;
/// A NIC with fewer packets than this part of what a backlog handled cannot fill it.
const OWNS_BACKLOG: f64 = 0.25;

/// A frame and the last known setup of the machine.
pub(super) struct View<'a> {
    pub(super) frame: &'a Frame,
    setup: Option<&'a Setup>,
    /// In the order of `frame.cpus`.
    pub(super) cpus: Vec<CpuView<'a>>,
    /// The NIC with the most packets of those that receive where they send.
    busiest_local: Option<&'a Nic>,
}

/// One CPU.
pub(super) struct CpuView<'a> {
    /// Its place in `frame.cpus`.
    pub(super) at: usize,
    pub(super) cpu: &'a Cpu,
    /// Idle or waiting for a disk, of the time that was not stolen.
    pub(super) idle_pct: Option<f64>,
    pub(super) steal_pct: Option<f64>,
    /// `NET_RX`, the NICs' interrupts and NAPI threads, of the time that was not stolen.
    pub(super) receive_pct: Option<f64>,
    /// Time of NAPI threads.
    pub(super) threaded_ns: u64,
    /// What the NICs did here, the most expensive first.
    pub(super) rows: Vec<Row<'a>>,
    /// Calls of the NICs' interrupt handlers.
    pub(super) interrupts: u64,
    /// Whether its times were measured in windows.
    pub(super) is_estimated: bool,
}

/// One NIC on one CPU.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// Its place in `frame.nics`.
    pub(super) at: usize,
    pub(super) nic: &'a Nic,
    pub(super) on: &'a NicCpu,
}

/// Why a rule that needs the number of polls, or what they returned, cannot judge.
pub(super) const IN_WINDOWS: &str = "polls are counted in windows only, to keep to --max-overhead";

/// What a CPU does for NICs outside `NET_RX`.
#[derive(Default)]
struct Outside {
    interrupts: u64,
    irq_ns: u64,
    /// `None` if the time of a thread is unknown.
    threaded_ns: Option<u64>,
    has_threads: bool,
}

impl<'a> View<'a> {
    pub(super) fn of(frame: &'a Frame, setup: Option<&'a Setup>) -> Self {
        let mut view = Self { frame, setup, cpus: Vec::new(), busiest_local: None };
        let mut rows: HashMap<u32, Vec<Row<'a>>> = HashMap::new();
        for (at, nic) in frame.nics.iter().enumerate() {
            let known = nic.cpus.iter().filter(|on| on.known_load_pct().is_some());
            known.for_each(|on| rows.entry(on.cpu).or_default().push(Row { at, nic, on }));
            let packets = |nic: &Nic| nic.counters.rx_packets.unwrap_or(0);
            let is_more = view.busiest_local.is_none_or(|best| packets(nic) > packets(best));
            if nic.netns.is_some() && is_more && view.origin(nic) == Origin::Local {
                view.busiest_local = Some(nic);
            }
        }
        let mut outside = outside(frame);
        let cpus = frame.cpus.iter().enumerate().map(|(at, cpu)| {
            let mut rows = rows.remove(&cpu.cpu).unwrap_or_default();
            rows.sort_by(|a, b| b.load_pct().total_cmp(&a.load_pct()));
            CpuView::of(at, cpu, frame, &outside.remove(&cpu.cpu).unwrap_or_default(), rows)
        });
        view.cpus = cpus.collect();
        view
    }

    /// Whether times were measured in windows.
    pub(super) fn is_estimated(&self) -> bool {
        self.frame.window.is_some()
    }

    /// The last topology.
    pub(super) fn topology(&self) -> Option<&'a Topology> {
        self.setup.map(|setup| &setup.topology)
    }

    /// How a NIC is set up.
    pub(super) fn setup(&self, nic: &Nic) -> Option<&'a topology::Nic> {
        self.setup.and_then(|setup| setup.nic(nic)).map(|(_, nic)| nic)
    }

    /// A JSON pointer into the last topology that the stream carried.
    pub(super) fn setup_field(&self, nic: &Nic, name: &str) -> String {
        let at = self.setup.and_then(|setup| setup.nic(nic)).map_or(0, |(at, _)| at);
        format!("/topology/nics/{at}/{name}")
    }

    /// Where a CPU is.
    pub(super) fn place(&self, cpu: u32) -> Option<&'a topology::Cpu> {
        self.setup.and_then(|setup| setup.cpu(cpu))
    }

    /// Where the packets of a NIC come from.
    pub(super) fn origin(&self, nic: &Nic) -> Origin {
        origin(nic, self.setup(nic))
    }

    /// The NIC whose packets the backlog of a CPU handles: one that RPS steers there, or one that receives
    /// where it sends. `None` if it has too few packets for that, or if both come into question.
    pub(super) fn owner_of_backlog(&self, row: &Row<'_>) -> Option<&'a Nic> {
        // In windows nobody counts all that the backlog handled.
        let handled = row.on.work?;
        let packets = |nic: &Nic| nic.counters.rx_packets.unwrap_or(0);
        let enough = handled as f64 * OWNS_BACKLOG;
        let keys: &[NicKey] = self.setup.map_or(&[], |setup| setup.steered_to(row.on.cpu));
        let is_steered = |nic: &&Nic| nic.netns.is_some_and(|netns| keys.contains(&(netns, nic.ifindex)));
        let steered = if keys.is_empty() {
            None
        } else {
            self.frame.nics.iter().filter(is_steered).max_by_key(|nic| packets(nic))
        };
        let found = match (steered, self.busiest_local) {
            (Some(steered), Some(local)) if packets(local) > packets(steered) => None,
            (steered, local) => steered.or(local),
        };
        found.filter(|nic| packets(nic) > 0 && packets(nic) as f64 >= enough)
    }

    /// Whether the scheduler or the tick leaves this CPU alone.
    pub(super) fn is_reserved(&self, cpu: u32) -> bool {
        self.place(cpu).is_some_and(|place| place.isolated == Some(true) || place.nohz_full == Some(true))
    }

    /// The first CPU of each core that has room for receiving: all CPUs of such a core are idle enough, and
    /// none is reserved. An idle hardware thread beside a busy one is no free CPU.
    pub(super) fn free_cores(&self) -> Vec<u32> {
        let mut cores: BTreeMap<u32, bool> = BTreeMap::new();
        for cpu in &self.cpus {
            let number = cpu.cpu.cpu;
            let siblings = self.place(number).and_then(|place| place.siblings.as_ref());
            let first = siblings.and_then(|cpus| cpus.iter().min().copied()).unwrap_or(number);
            let is_idle = cpu.idle_pct.is_some_and(|idle| idle >= FREE_PCT);
            *cores.entry(first).or_insert(true) &= is_idle && !self.is_reserved(number);
        }
        cores.into_iter().filter(|(_, is_free)| *is_free).map(|(first, _)| first).collect()
    }

    /// Part of the interval in percent.
    pub(super) fn pct(&self, ns: u64) -> f64 {
        ns as f64 / self.frame.interval_ns.max(1) as f64 * 100.0
    }

    /// Per second.
    pub(super) fn per_s(&self, count: u64) -> f64 {
        count as f64 * 1e9 / self.frame.interval_ns.max(1) as f64
    }

    /// Why the load of CPUs cannot be judged.
    pub(super) fn unjudged(&self) -> Option<String> {
        let host = &self.frame.host;
        if host.source == Source::Proc {
            return Some("times are unknown, because the eBPF programs are not in use".to_owned());
        }
        if !self.frame.has_all_cpus() {
            return Some("the frame does not have all CPUs (-C)".to_owned());
        }
        if self.cpus.iter().all(|cpu| cpu.idle_pct.is_none()) {
            return Some("the kernel's accounting of CPU time is unknown".to_owned());
        }
        // Time that is stolen from a running CPU looks busy, so a CPU that still has idle time is not full.
        let is_full = |cpu: &CpuView<'_>| cpu.idle_pct.is_some_and(|idle| idle < ROOM_PCT);
        let unknown = |cpu: &&CpuView<'_>| is_full(cpu) && cpu.receive_pct.is_none();
        if let Some(cpu) = self.cpus.iter().find(unknown) {
            return Some(format!("how long CPU {} received is unknown, and it is full", cpu.cpu.cpu));
        }
        if self.cpus.iter().any(is_full) { self.lacks_samples() } else { None }
    }

    /// What says that busy CPUs gave fewer samples than they should have.
    pub(super) fn lacks_samples(&self) -> Option<String> {
        let host = &self.frame.host;
        // Samples that the kernel's own limit keeps away say nothing about the hypervisor.
        let is_limited =
            host.sampling_reason.as_ref().is_some_and(|why| why.contains("perf_event_max_sample_rate"));
        let sampling = host.sampling.filter(|sampling| !is_limited && sampling.lost == 0)?;
        let expected = sampling.busy_expected.filter(|expected| *expected > 100)?;
        let part = sampling.busy as f64 / expected as f64;
        (part < LEAST_SAMPLES).then(|| {
            format!(
                "busy CPUs gave only {:.0} % of the samples that they should have given: the hypervisor \
                 probably takes their time",
                part * 100.0
            )
        })
    }
}

/// What each CPU does for NICs outside `NET_RX`.
fn outside(frame: &Frame) -> HashMap<u32, Outside> {
    let mut outside: HashMap<u32, Outside> = HashMap::new();
    for on in frame.irqs.iter().filter(|irq| irq.nic.is_some()).flat_map(|irq| &irq.cpus) {
        let of = outside.entry(on.cpu).or_default();
        of.interrupts = of.interrupts.saturating_add(on.count.unwrap_or(0));
        of.irq_ns = of.irq_ns.saturating_add(on.time_ns().unwrap_or(0));
    }
    let napis = frame.nics.iter().flat_map(|nic| nic.napis.iter().flatten());
    for on in napis.filter(|napi| napi.mode == NapiMode::Threaded).flat_map(|napi| &napi.cpus) {
        let of = outside.entry(on.cpu).or_default();
        let before = if of.has_threads { of.threaded_ns } else { Some(0) };
        of.threaded_ns = before.zip(on.poll_time_ns()).map(|(before, ns)| before.saturating_add(ns));
        of.has_threads = true;
    }
    outside
}

/// A sum of recorded figures, which may be absurd.
pub(super) fn total(figures: impl IntoIterator<Item = u64>) -> u64 {
    figures.into_iter().fold(0, u64::saturating_add)
}

impl Row<'_> {
    /// Its load here; 0 if that is unknown.
    pub(super) fn load_pct(&self) -> f64 {
        self.on.known_load_pct().filter(|load| load.is_finite()).unwrap_or(0.0).clamp(0.0, 1000.0)
    }

    /// A JSON pointer to one of the fields of this NIC on this CPU.
    pub(super) fn field(&self, name: &str) -> String {
        let at = self.nic.cpus.iter().position(|on| on.cpu == self.on.cpu).unwrap_or(0);
        let name = if self.on.load_est_pct.is_some() { estimate_of(name) } else { name.to_owned() };
        if name == "work" && self.on.work.is_none() {
            return self.nic_field("napis");
        }
        format!("/nics/{}/cpus/{at}/{name}", self.at)
    }

    /// A JSON pointer to one of the fields of this NIC.
    pub(super) fn nic_field(&self, name: &str) -> String {
        format!("/nics/{}/{name}", self.at)
    }
}

impl<'a> CpuView<'a> {
    fn of(at: usize, cpu: &'a Cpu, frame: &Frame, outside: &Outside, rows: Vec<Row<'a>>) -> Self {
        let Outside { interrupts, irq_ns, threaded_ns, has_threads } = outside;
        let steal_pct = cpu.stat.map(|stat| stat.steal_pct);
        let own = 1.0 - steal_pct.unwrap_or(0.0) / 100.0;
        let idle_pct = cpu.stat.map(|stat| ((stat.idle_pct + stat.iowait_pct) / own).clamp(0.0, 100.0));
        let threads_ns = if *has_threads { *threaded_ns } else { Some(0) };
        let net_rx_ns = cpu.softirq.and_then(|all| all.net_rx.vector.time_ns());
        // Stolen time makes these times longer and the time that is left shorter, both by the same part.
        let receive_pct = net_rx_ns.zip(threads_ns).map(|(net_rx, threads)| {
            let ns = net_rx.saturating_add(*irq_ns).saturating_add(threads);
            (ns as f64 / frame.interval_ns.max(1) as f64 * 100.0).min(100.0)
        });
        let idle_pct = idle_pct.filter(|idle| !idle.is_nan());
        let (interrupts, threaded_ns) = (*interrupts, threads_ns.unwrap_or(0));
        let is_estimated = frame.window.is_some();
        Self { at, cpu, idle_pct, steal_pct, receive_pct, threaded_ns, rows, interrupts, is_estimated }
    }

    /// Whether too much of its time is stolen for a judgement.
    pub(super) fn is_stolen(&self) -> bool {
        self.steal_pct.is_some_and(|steal| steal >= STOLEN_PCT)
    }

    /// A JSON pointer to one of its fields.
    pub(super) fn field(&self, name: &str) -> String {
        let name = if self.is_estimated { estimate_of(name) } else { name.to_owned() };
        format!("/cpus/{}/{name}", self.at)
    }
}

/// The field that has an estimate in place of an exact time or load; any other field as it is.
fn estimate_of(name: &str) -> String {
    match name {
        "load_pct" => "load_est_pct".to_owned(),
        "hardirq_ns" => "hardirq_est_ns".to_owned(),
        _ => name.strip_suffix("/ns").map_or_else(|| name.to_owned(), |softirq| format!("{softirq}/est_ns")),
    }
}
