//! Everything that one frame is made of, as it was read: [`assemble`](super::assemble()) needs nothing
//! else.
//!
//! An observation can be saved and loaded, as one line of JSON, so that a problem on somebody else's
//! machine becomes a test without that machine. Of the kernel's symbols, a saved observation keeps only
//! the functions that contain its own addresses.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub(super) use super::known::NicKey;
use super::known::{DriverModules, KnownNics};
use crate::{
    counters::{Reading, SeenInWindows},
    frame::{self, Accounting, CpuFreq, Flows, UdpReader, gained, topology::Topology},
    host::{
        irqs::NicIrqs,
        links::Link,
        machine::Machine,
        netns::{LinkFacts, NamespaceFacts},
        softnet::SoftnetRow,
        stat::{CpuTicks, contradiction},
    },
    symbols::{DriverText, Seed, Snapshot},
};

/// One interval of one machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Observation {
    /// Number of the frame, from 0.
    pub(super) seq: u64,
    /// End of the interval, RFC 3339 in UTC.
    pub(super) time: String,
    /// Length of the interval, in ns.
    pub(super) interval_ns: u64,
    pub(super) asked: Asked,
    /// Which source counted.
    pub(super) source: frame::Source,
    /// Why the eBPF programs are not in use, unless the user asked for that.
    pub(super) source_reason: Option<String>,
    /// Why the CPUs could not be sampled in this interval.
    pub(super) sampling_problem: Option<String>,
    /// Why some CPUs could not, though others were.
    #[serde(default)]
    pub(super) unsampled: Option<String>,
    /// The most samples per second that the kernel takes on a CPU, if the CPUs are to be sampled.
    pub(super) sample_limit_per_s: Option<u32>,
    pub(super) accounting: Option<Accounting>,
    pub(super) reading: Reading,
    pub(super) facts: HostFacts,
    /// CPU time, in ns, that each NAPI thread used in the interval, by pid.
    pub(super) thread_ns: HashMap<u32, u64>,
    /// NAPIs that the eBPF programs know, polled or not.
    pub(super) known_napis: Arc<KnownNics>,
    /// The modules of NICs' drivers; only if there are NAPIs on dummy devices.
    #[serde(default)]
    pub(super) driver_modules: Arc<DriverModules>,
    pub(super) code: Code,
    /// How fast the CPUs run that the frame before found saturated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) cpu_freq: BTreeMap<u32, CpuFreq>,
    /// Packets that NICs put back instead of sending them, where that matters, by interface index in nicmon's
    /// own namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tx_requeues: BTreeMap<u32, u64>,
    /// What packets have in common, where that matters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) flows: Vec<(NicKey, Flows)>,
    /// Why packets could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) flow_problem: Option<String>,
    /// Who reads the UDP sockets that drop, by inode of the namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) udp_readers: BTreeMap<u32, UdpReader>,
    /// Only in frames that carry it.
    pub(super) topology: Option<Topology>,
    pub(super) own: OwnUse,
}

/// What the user asked to measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) latency: bool,
    pub(super) sampling: bool,
    pub(super) stacks: bool,
}

/// The machine. What can change is kept for both ends of the interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct HostFacts {
    pub(super) machine: Arc<Machine>,
    /// Inode of nicmon's own network namespace.
    pub(super) own_netns: u32,
    pub(super) ticks_per_second: u64,
    pub(super) nic_irqs: Arc<NicIrqs>,
    pub(super) now: Arc<Moment>,
    pub(super) before: Arc<Moment>,
    /// Whether at one of the two readings another namespace existed that was not read and may have had NICs
    /// with traffic.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) is_blind: bool,
}

/// What was read at one moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Moment {
    /// Online CPUs, ascending. Empty in observations that nicmon 0.1.0 saved; [`Moment::cpus`] knows them.
    #[serde(default)]
    pub(super) online: Vec<u32>,
    /// The kernel's accounting, which a container may have replaced by its own.
    pub(super) stat: Vec<CpuTicks>,
    /// Empty if it cannot be read.
    pub(super) softnet: Vec<SoftnetRow>,
    /// CPU time of ksoftirqd so far, in ns, by CPU.
    pub(super) ksoftirqd_ns: BTreeMap<u32, u64>,
    /// By inode of the namespace; absent if it cannot be entered.
    pub(super) links: BTreeMap<u32, NamespaceFacts>,
    /// What could not be read, and why.
    #[serde(default)]
    pub(super) problems: BTreeSet<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Names of kernel addresses, and where the drivers' code is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Code {
    #[serde(flatten)]
    pub(super) symbols: Snapshot,
    /// `None` if there are no symbols or nothing is sampled.
    pub(super) drivers: Option<Arc<DriverCode>>,
}

/// The code of the drivers whose NICs exist.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DriverCode {
    pub(super) seeds: Vec<Seed>,
    pub(super) text: DriverText,
}

/// What nicmon itself used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnUse {
    /// CPU time in the interval.
    pub(super) cpu_ns: u64,
    /// Of that, reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) read_ns: Option<u64>,
    /// Of that, making frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) make_ns: Option<u64>,
    /// Resident memory now.
    pub(super) rss_bytes: u64,
    /// How often a CPU quota was used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nr_throttled: Option<u64>,
}

impl Observation {
    /// Whether samples count that were taken at any time, not only in windows.
    pub(super) fn is_sampled_throughout(&self) -> bool {
        self.reading.windows.is_none() || self.counts_only()
    }

    /// Whether the programs were detached for good, to save CPU time.
    pub(super) fn counts_only(&self) -> bool {
        self.reading.windows.as_ref().is_some_and(SeenInWindows::counts_only)
    }

    /// Writes the observation as one line of JSON.
    ///
    /// # Errors
    /// The line cannot be written.
    pub fn save(&self, out: &mut impl Write) -> io::Result<()> {
        let mut saved = self.clone();
        let kallsyms = &mut saved.code.symbols.kallsyms;
        *kallsyms = kallsyms.as_ref().map(|all| Arc::new(all.only(self.addresses())));
        serde_json::to_writer(&mut *out, &saved)?;
        out.write_all(b"\n")
    }

    /// Loads an observation from a line that [`Self::save`] wrote.
    ///
    /// # Errors
    /// The line is not an observation.
    pub fn load(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// NICs with a NAPI that is known or was polled, and all interfaces of nicmon's own namespace.
    pub(super) fn nic_keys(&self) -> BTreeSet<NicKey> {
        nic_keys(&self.reading, &self.facts, &self.known_napis)
    }

    /// All addresses whose function a frame may name.
    fn addresses(&self) -> impl Iterator<Item = u64> {
        let polls = self.reading.napis.iter().flatten().map(|napi| napi.poll_fn);
        let drops = self.reading.drops.iter().flatten().map(|drop| drop.location);
        let samples = self.reading.samples.iter().flat_map(|samples| &samples.taken);
        let samples = samples.flat_map(|sample| {
            // A return address may be the first byte of the next function.
            let callers = sample.stack.iter().flat_map(|address| [*address, address.saturating_sub(1)]);
            callers.chain([sample.address])
        });
        polls.chain(drops).chain(samples)
    }
}

/// See [`Observation::nic_keys`].
pub(super) fn nic_keys(reading: &Reading, facts: &HostFacts, known: &KnownNics) -> BTreeSet<NicKey> {
    let polled = reading.napis.iter().flatten().map(|napi| (napi.key.netns, napi.key.ifindex));
    let own = facts.now.links.get(&facts.own_netns).into_iter().flat_map(|namespace| &namespace.links);
    let own = own.map(|link| (facts.own_netns, link.link.ifindex));
    known.iter().map(|(key, _)| *key).chain(polled).chain(own).collect()
}

impl HostFacts {
    /// An interface at the end of the interval.
    pub(super) fn link(&self, key: NicKey) -> Option<&LinkFacts> {
        self.now.link(key)
    }

    /// The same at the start of the interval.
    pub(super) fn link_before(&self, key: NicKey) -> Option<&LinkFacts> {
        self.before.link(key)
    }
}

impl Moment {
    /// The CPUs that are online, ascending.
    pub(super) fn cpus(&self) -> Vec<u32> {
        match &self.online[..] {
            [] => self.stat.iter().map(|ticks| ticks.cpu).collect(),
            online => online.to_vec(),
        }
    }

    /// The kernel's accounting by CPU, ascending. Empty if `/proc/stat` is not about this machine's CPUs.
    pub(super) fn believed_stat(&self) -> &[CpuTicks] {
        if self.stat_contradiction().is_some() { &[] } else { &self.stat }
    }

    /// Why `/proc/stat` cannot be believed.
    pub(super) fn stat_contradiction(&self) -> Option<String> {
        contradiction(self.stat.iter().map(|ticks| ticks.cpu), &self.cpus())
    }

    /// An interface, if it is in a namespace that can be entered.
    pub(super) fn link(&self, (netns, ifindex): NicKey) -> Option<&LinkFacts> {
        let namespace = self.links.get(&netns)?;
        let at = namespace.links.binary_search_by_key(&ifindex, |facts| facts.link.ifindex).ok()?;
        namespace.links.get(at)
    }

    /// Whether the other end of a pair is in a namespace that was read; true for an interface without one.
    pub(super) fn knows_peer(&self, netns: u32, link: &Link) -> bool {
        let Some(peer) = link.peer else { return true };
        let is_peer = |other: &LinkFacts| {
            let back = other.link.peer.map(|back| (back.ifindex, back.is_here));
            back == Some((link.ifindex, peer.is_here)) && other.link.kind == link.kind
        };
        let others = self.links.keys().filter(|inum| (**inum == netns) == peer.is_here);
        others.filter_map(|inum| self.link((*inum, peer.ifindex))).any(is_peer)
    }

    /// The packets that an interface received and sent since `before`; `None` if that is unknown.
    pub(super) fn gained_packets(&self, before: &Self, key: NicKey) -> Option<u64> {
        let (now, before) = (self.link(key)?.link.stats?, before.link(key)?.link.stats?);
        let received = gained(now.rx_packets, before.rx_packets)?;
        received.checked_add(gained(now.tx_packets, before.tx_packets)?)
    }

    /// The same of bytes.
    pub(super) fn gained_bytes(&self, before: &Self, key: NicKey) -> Option<u64> {
        let (now, before) = (self.link(key)?.link.stats?, before.link(key)?.link.stats?);
        gained(now.rx_bytes, before.rx_bytes)?.checked_add(gained(now.tx_bytes, before.tx_bytes)?)
    }
}
