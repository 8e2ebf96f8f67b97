//! Merges many frames into one. A report is a frame whose interval is the whole recording.
//!
//! Merged frames are frames and can be merged again. The number of steps changes only the last digits of
//! percentages, so a recording can contain sums of its frames, and a report can be made from these.
//!
//! What happens to the fields:
//!
//! * Counts and times are added up; of maxima, the largest is kept. Percentages, shares and ratios are
//!   recomputed from the sums; those in `cpus[].stat` are weighted by time.
//! * `time`, `mono_ns`, `seq`, `boot_id`, `topology`, `rss_bytes`, `backlog_len` and the facts about the host
//!   come from the last frame. Names, drivers, queues, owners of interrupts and frequencies of CPUs are the
//!   last known ones, and so are readers of UDP sockets.
//! * An element that is absent from a frame counts as zero there. NICs are identified by namespace, index and
//!   name, so a renamed NIC becomes two. NAPIs are identified by id, poll function, queue, kind and mode;
//!   interrupts by line and action.
//!
//! * A time that frames measured in windows is estimated anew, from what all windows saw and what was
//!   expected in them and in all; time that other frames measured exactly is added (`windowed.known_ns`). The
//!   sum is then an estimate, in the fields for estimates, and its exact field is `null`.
//!
//! A total must never be silently too low. Therefore **a `null` in one frame makes the sum `null`**, with
//! exceptions:
//!
//! * Polls in mode `busy` never have a time. As in single frames, they do not affect `poll_ns` of NICs and
//!   their CPUs, which is `null` only if there were no other polls.
//! * Some values are `null` in the first interval of something new, and samples cannot be attributed before
//!   a driver was polled for the first time, or before the kernel's symbols are read. The sum leaves that
//!   time out, and a field `..._gap_ns` says how long it was. This applies to `cpus[].stat`, interface
//!   counters (one reset is enough), `driver_est_ns`, `stack_est_ns` and `stages` of NICs, `sockets`, the
//!   counters in `netns[]`, and `self.bpf_est_ns`, which is unknown until the cost of a program was
//!   measured. Rates of these values cover the rest of the interval.
//! * The figures of a driver, including the exact ones, leave out its `gap`, so they all cover the same time,
//!   unless its code was never known. Its packets and bytes, and its cost per packet and byte, cover the
//!   intervals in which all of them were known.
//! * Samples, call stacks and softirq delays that were not asked for count as none.

mod cpus;
mod drivers;
mod findings;
mod host;
mod irqs;
mod napis;
mod netns;
mod nics;
mod own;
mod sockets;
mod softirqs;
mod stacks;
mod sum;
#[cfg(test)]
mod tests;

use self::{
    cpus::Cpus, drivers::Drivers, findings::Findings, host::HostSum, irqs::Irqs, netns::Namespaces,
    nics::Nics, own::OwnSum, sockets::Sockets, softirqs::SoftirqSums, stacks::Stacks,
};
use super::{Frame, SCHEMA, Sampling, Windows, topology::Topology};

/// How many NICs, namespaces, and programs that use sockets are kept although they are gone.
const KEPT: usize = 1024;

/// The sum of the frames of a recording.
#[derive(Debug, Default)]
pub struct Merged {
    last: Option<Last>,
    machines: Vec<Machine>,
    interval_ns: u64,
    /// `None` as long as everything was measured all the time.
    window: Option<Windows>,
    frames: u64,
    /// Whether samples of some frames were taken in windows only, and those of others all the time.
    sampled_in_windows: bool,
    sampled_throughout: bool,
    host: HostSum,
    cpus: Cpus,
    softirqs: SoftirqSums,
    nics: Nics,
    drivers: Drivers,
    stacks: Stacks,
    sockets: Sockets,
    irqs: Irqs,
    netns: Namespaces,
    topology: Option<Topology>,
    findings: Findings,
    own: OwnSum,
}

/// What comes from the last frame.
#[derive(Debug)]
struct Last {
    seq: u64,
    time: String,
    mono_ns: u64,
    boot_id: Option<String>,
}

/// A machine during one boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Node name.
    pub hostname: String,
    /// The kernel's boot id.
    pub boot_id: Option<String>,
}

impl Merged {
    /// Adds the next frame.
    pub fn add(&mut self, frame: &Frame) {
        let Frame {
            schema: _,
            seq,
            time,
            mono_ns,
            boot_id,
            interval_ns,
            window,
            host,
            cpus,
            softirqs,
            nics,
            drivers,
            stacks,
            sockets,
            irqs,
            netns,
            topology,
            findings: _,
            headroom: _,
            not_judged: _,
            rules_version: _,
            own,
        } = frame;
        self.last = Some(Last { seq: *seq, time: time.clone(), mono_ns: *mono_ns, boot_id: boot_id.clone() });
        let machine = Machine { hostname: host.hostname.clone(), boot_id: boot_id.clone() };
        if !self.machines.contains(&machine) {
            self.machines.push(machine);
        }
        self.add_window(*window, *interval_ns);
        let in_windows = window.is_some_and(|window| window.attached_ns > 0);
        self.sampled_in_windows |= host.sampling.is_some() && in_windows;
        self.sampled_throughout |= host.sampling.is_some() && !in_windows;
        self.interval_ns = self.interval_ns.saturating_add(*interval_ns);
        self.host.add(host);
        self.cpus.add(cpus, *interval_ns);
        self.softirqs.add(softirqs.as_deref());
        self.nics.add(nics, host.nics_left_out, *interval_ns, window.is_some());
        self.drivers.add(drivers.as_deref(), host, *interval_ns);
        self.stacks.add(stacks.as_deref());
        self.sockets.add(sockets.as_deref(), host, *interval_ns);
        self.irqs.add(irqs);
        self.netns.add(netns, host.netns_left_out, *interval_ns);
        if let Some(topology) = topology {
            self.topology = Some(topology.clone());
        }
        self.findings.add(frame);
        self.own.add(own, *interval_ns);
    }

    /// Adds when nicmon measured. A frame without windows was measured all the time.
    fn add_window(&mut self, window: Option<Windows>, interval_ns: u64) {
        self.frames += 1;
        if self.window.is_none() && window.is_none() {
            return;
        }
        let before = self.window.unwrap_or(Windows { attached_ns: self.interval_ns, count: 0 });
        let more = window.unwrap_or(Windows { attached_ns: interval_ns, count: 0 });
        self.window = Some(Windows {
            attached_ns: before.attached_ns.saturating_add(more.attached_ns),
            count: before.count.saturating_add(more.count),
        });
    }

    /// All frames as one; `None` before the first.
    pub fn frame(&self) -> Option<Frame> {
        let last = self.last.as_ref()?;
        let mut host = self.host.host()?;
        if self.sampled_in_windows && self.sampled_throughout {
            // Samples of windows stand for more than others.
            host.sampling = host.sampling.map(|all| Sampling { frequency_per_s: None, ..all });
        }
        // Samples taken at different rates, or for different parts of the time, carry different weights, so
        // there are no shares of them.
        let are_alike = host.sampling.is_none_or(|sampling| sampling.frequency_per_s.is_some())
            && (!self.sampled_in_windows || self.frames == 1);
        let (drivers, gap) = self.drivers.drivers(self.interval_ns, self.host.busy(), are_alike);
        host.drivers_gap = gap;
        let (sockets, gap) = self.sockets.sockets(&host, self.interval_ns);
        host.sockets_gap = gap;
        (host.nics_left_out, host.netns_left_out) = (self.nics.left_out(), self.netns.left_out());
        Some(Frame {
            schema: SCHEMA.to_owned(),
            seq: last.seq,
            time: last.time.clone(),
            mono_ns: last.mono_ns,
            boot_id: last.boot_id.clone(),
            interval_ns: self.interval_ns,
            window: self.window,
            host,
            cpus: self.cpus.cpus(self.interval_ns),
            softirqs: self.softirqs.softirqs(),
            nics: self.nics.nics(self.interval_ns, are_alike),
            drivers,
            stacks: self.stacks.stacks(),
            sockets,
            irqs: self.irqs.irqs(),
            netns: self.netns.netns(self.interval_ns),
            topology: self.topology.clone(),
            findings: self.findings.findings(self.interval_ns),
            headroom: self.findings.headroom(self.interval_ns),
            not_judged: self.findings.not_judged(),
            rules_version: self.findings.rules_version(),
            own: self.own.own(self.interval_ns)?,
        })
    }

    /// The machines and boots that the frames come from, in order of appearance. If there are several,
    /// whoever shows the sums should say so.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Sum of all intervals, in nanoseconds.
    pub fn interval_ns(&self) -> u64 {
        self.interval_ns
    }
}
