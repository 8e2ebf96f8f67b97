//! Many frames as one: a report is a frame whose interval is the whole recording.
//!
//! Merged frames are frames: they can be merged again, and in how many steps changes nothing but the last digits of
//! percentages. So a recording may hold sums of its frames, and a report be made of these.
//!
//! What becomes of the fields:
//!
//! * Counts and times are added up, of maxima the largest is kept. Percentages, shares and ratios are made anew from the
//!   sums; those of `cpus[].stat` are weighed by time.
//! * `time`, `mono_ns`, `seq`, `boot_id`, `topology`, `rss_bytes`, `backlog_len` and what describes the host are the last
//!   frame's; names, drivers, queues and owners of interrupts the last that were known.
//! * An element that is absent from a frame counts as zero there. A NIC is the same if namespace, index and name are: one
//!   that is renamed becomes two. NAPIs are told apart by id, poll function, queue, kind and mode, interrupts by line and
//!   action.
//!
//! A sum must not be too small for a part that nobody knew. So **a `null` in one frame makes the sum `null`**, but:
//!
//! * Polls in mode `busy` never have a time. As in each frame, they leave `poll_ns` of NICs and their CPUs as it is, which
//!   is `null` only where there were no other polls.
//! * Some values are `null` in the first interval of what is new, and samples cannot be told before a driver was polled
//!   first. There the sum leaves that time out and a field `..._gap_ns` says how long it was: `cpus[].stat`,
//!   interface counters (one reset is enough), `driver_est_ns`, `stack_est_ns` and `stages` of NICs, the counters of
//!   `netns[]`, and `self.bpf_est_ns`, which is not known before a program's cost was measured. Rates of these are of the rest of the interval.
//! * A driver's figures, exact ones too, leave out its `gap`, so that they are all of the same time, unless its code was
//!   never known. Packets and bytes of a driver, and what its cost for each is made of, are of the intervals that knew all
//!   of them.
//! * Samples, call stacks and delays of softirqs that were not asked for are none.

mod cpus;
mod drivers;
mod host;
mod irqs;
mod napis;
mod netns;
mod nics;
mod own;
mod stacks;
mod sum;
#[cfg(test)]
mod tests;

use self::{
    cpus::Cpus, drivers::Drivers, host::HostSum, irqs::Irqs, netns::Namespaces, nics::Nics, own::OwnSum,
    stacks::Stacks,
};
use super::{Frame, SCHEMA, topology::Topology};

/// Frames of one recording, added up.
#[derive(Debug, Default)]
pub struct Merged {
    last: Option<Last>,
    machines: Vec<Machine>,
    interval_ns: u64,
    host: HostSum,
    cpus: Cpus,
    nics: Nics,
    drivers: Drivers,
    stacks: Stacks,
    irqs: Irqs,
    netns: Namespaces,
    topology: Option<Topology>,
    own: OwnSum,
}

/// What is the last frame's.
#[derive(Debug)]
struct Last {
    seq: u64,
    time: String,
    mono_ns: u64,
    boot_id: Option<String>,
}

/// A machine from one boot to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Node name.
    pub hostname: String,
    /// The kernel's boot id.
    pub boot_id: Option<String>,
}

impl Merged {
    /// Adds the frame that follows.
    pub fn add(&mut self, frame: &Frame) {
        let Frame {
            schema: _,
            seq,
            time,
            mono_ns,
            boot_id,
            interval_ns,
            host,
            cpus,
            nics,
            drivers,
            stacks,
            irqs,
            netns,
            topology,
            own,
        } = frame;
        self.last = Some(Last { seq: *seq, time: time.clone(), mono_ns: *mono_ns, boot_id: boot_id.clone() });
        let machine = Machine { hostname: host.hostname.clone(), boot_id: boot_id.clone() };
        if !self.machines.contains(&machine) {
            self.machines.push(machine);
        }
        self.interval_ns = self.interval_ns.saturating_add(*interval_ns);
        self.host.add(host);
        self.cpus.add(cpus, *interval_ns);
        self.nics.add(nics, *interval_ns);
        self.drivers.add(drivers.as_deref(), host, *interval_ns);
        self.stacks.add(stacks.as_deref());
        self.irqs.add(irqs);
        self.netns.add(netns, *interval_ns);
        if let Some(topology) = topology {
            self.topology = Some(topology.clone());
        }
        self.own.add(own, *interval_ns);
    }

    /// All of them as one frame; `None` before the first.
    pub fn frame(&self) -> Option<Frame> {
        let last = self.last.as_ref()?;
        let mut host = self.host.host()?;
        // Samples that were taken at different rates do not weigh the same: there are no shares of them.
        let are_alike = host.sampling.is_none_or(|sampling| sampling.frequency_per_s.is_some());
        let (drivers, gap) = self.drivers.drivers(self.interval_ns, self.host.busy(), are_alike);
        host.drivers_gap = gap;
        Some(Frame {
            schema: SCHEMA.to_owned(),
            seq: last.seq,
            time: last.time.clone(),
            mono_ns: last.mono_ns,
            boot_id: last.boot_id.clone(),
            interval_ns: self.interval_ns,
            host,
            cpus: self.cpus.cpus(self.interval_ns),
            nics: self.nics.nics(self.interval_ns, are_alike),
            drivers,
            stacks: self.stacks.stacks(),
            irqs: self.irqs.irqs(),
            netns: self.netns.netns(self.interval_ns),
            topology: self.topology.clone(),
            own: self.own.own(self.interval_ns)?,
        })
    }

    /// The machines, and their boots, that the frames are of, in the order in which they came. Times of several do not
    /// belong in one sum: whoever shows it should say so.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// How long the intervals are together.
    pub fn interval_ns(&self) -> u64 {
        self.interval_ns
    }
}
