//! Facts of the host, now and at the frame before.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use nicmon_common::NapiKey;

use super::source::Source;
use crate::{
    counters::Reading,
    host::{
        self, Roots, cpus,
        irqs::NicIrqs,
        machine::{self, Machine},
        netns::{self, LinkFacts, NamespaceFacts, NetnsThread},
        softnet::{Softnet, SoftnetRow},
        stat::{CpuTicks, Stat},
        threads,
    },
};

/// The shortest time between two looks at which interrupts belong to which NIC.
const IRQS_AGAIN: Duration = Duration::from_secs(2);
/// How many namespaces without any known NAPI are read for a while, in case one begins to poll.
const MOST_SILENT: usize = 64;
/// For how many readings a namespace is watched though no NAPI of it is known.
const SILENT_READINGS: u64 = 5;

/// A fact and what it was at the reading before.
#[derive(Debug, Default)]
pub(super) struct Pair<T> {
    pub(super) now: T,
    pub(super) before: T,
}

impl<T: Default> Pair<T> {
    /// Makes what is now what was before, and hands out the place for what is now.
    fn turn(&mut self) -> &mut T {
        std::mem::swap(&mut self.now, &mut self.before);
        &mut self.now
    }
}

/// An interface: inode of its namespace and its index.
pub(super) type NicKey = (u32, u32);

/// Readers, and what they read.
pub(super) struct Facts {
    pub(super) roots: Roots,
    pub(super) machine: Machine,
    pub(super) possible_cpus: Vec<u32>,
    pub(super) has_nohz_full: bool,
    /// CPUs that are kept free of ticks or other work, which samples would disturb.
    quiet_cpus: Vec<u32>,
    stat_reader: Stat,
    pub(super) stat: Pair<Vec<CpuTicks>>,
    softnet_reader: Option<Softnet>,
    pub(super) softnet: Pair<Vec<SoftnetRow>>,
    ksoftirqd: HashMap<u32, u32>,
    pub(super) ksoftirqd_ns: Pair<HashMap<u32, u64>>,
    namespaces: NetnsThread,
    /// By inode of the namespace; absent if it cannot be entered.
    pub(super) links: Pair<BTreeMap<u32, NamespaceFacts>>,
    /// Namespaces to read, and the number of the last reading in which a NAPI of theirs was known.
    watched: HashMap<u32, u64>,
    readings: u64,
    pub(super) nic_irqs: NicIrqs,
    nic_irqs_read: Instant,
    /// Interfaces have changed since, or another action of an interrupt was seen.
    nic_irqs_due: bool,
    /// Lines and actions that fired so far: a driver that sets its queues up anew takes others.
    irqs_seen: HashSet<(u32, String)>,
    /// How many NAPIs were known at the reading before.
    napis: usize,
}

impl Facts {
    /// Opens the readers, reads what does not change, or hardly, and the interfaces of all namespaces.
    pub(super) fn open(roots: Roots) -> Result<Self, host::Error> {
        let namespaces = NetnsThread::start(roots.proc.clone())?;
        let machine = machine::read(&roots.proc, &roots.sys)?;
        let possible_cpus = cpus::possible(&roots.sys)?;
        let has_nohz_full = cpus::has_nohz_full(&roots.sys);
        let watched = netns::existing(&roots.proc).into_iter().map(|inum| (inum, 0)).collect();
        let mut facts = Self {
            machine,
            possible_cpus,
            has_nohz_full,
            quiet_cpus: cpus::quiet(&roots.sys),
            stat_reader: Stat::open(&roots.proc)?,
            stat: Pair::default(),
            softnet_reader: Softnet::open(&roots.proc).ok(),
            softnet: Pair::default(),
            ksoftirqd: threads::ksoftirqd(&roots.proc)?.into_iter().collect(),
            ksoftirqd_ns: Pair::default(),
            namespaces,
            links: Pair::default(),
            watched,
            readings: 0,
            nic_irqs: NicIrqs::read(&roots.sys).unwrap_or_default(),
            nic_irqs_read: Instant::now(),
            nic_irqs_due: false,
            irqs_seen: HashSet::new(),
            napis: 0,
            roots,
        };
        facts.read_links(false);
        facts.watched = facts.watched.into_iter().take(MOST_SILENT).collect();
        Ok(facts)
    }

    /// CPUs to sample: those online, but quiet ones only if they were asked for.
    pub(super) fn cpus_to_sample(&self, filter: &super::Filter) -> Vec<u32> {
        let cpus = self.stat.now.iter().map(|ticks| ticks.cpu);
        let is_asked_for = |cpu| filter.names_cpu(cpu) || !self.quiet_cpus.contains(&cpu);
        cpus.filter(|cpu| filter.shows_cpu(*cpu) && is_asked_for(*cpu)).collect()
    }

    /// Inode of nicmon's own network namespace.
    pub(super) fn own_netns(&self) -> u32 {
        self.namespaces.own()
    }

    /// Network namespaces that are read, besides nicmon's own.
    pub(super) fn namespaces(&self) -> BTreeSet<u32> {
        self.watched.keys().copied().filter(|&inum| inum != self.own_netns()).collect()
    }

    /// True if interfaces came, went, were renamed or enslaved, or went up or down since the reading before.
    pub(super) fn links_changed(&self) -> bool {
        let same_link = |(one, other): (&LinkFacts, &LinkFacts)| {
            let (one, other) = (&one.link, &other.link);
            (one.ifindex, one.up, one.master) == (other.ifindex, other.up, other.master)
                && one.name == other.name
        };
        let same =
            |((inum, one), (other_inum, other)): ((&u32, &NamespaceFacts), (&u32, &NamespaceFacts))| {
                inum == other_inum
                    && one.links.len() == other.links.len()
                    && one.links.iter().zip(&other.links).all(same_link)
            };
        let Pair { now, before } = &self.links;
        now.len() != before.len() || !now.iter().zip(before).all(same)
    }

    /// Names of all interfaces in all namespaces that can be entered.
    pub(super) fn interface_names(&self) -> BTreeSet<String> {
        self.links
            .now
            .values()
            .flat_map(|namespace| &namespace.links)
            .map(|facts| facts.link.name.to_string_lossy().into_owned())
            .chain([super::nics::BACKLOG.to_owned()])
            .collect()
    }

    /// Reads everything that frames need.
    pub(super) fn read(&mut self, source: &Source) -> Result<(), host::Error> {
        self.readings += 1;
        let mut napis = 0;
        for (key, _) in source.known_napis() {
            self.watched.insert(key.netns, self.readings);
            napis += 1;
        }
        let oldest = self.readings.saturating_sub(SILENT_READINGS);
        self.watched.retain(|_, seen| *seen >= oldest);
        // NAPIs that came or went may serve queues that were not there.
        let changed = napis != self.napis;
        self.napis = napis;
        self.read_links(changed);

        self.stat_reader.read(self.stat.turn())?;
        let softnet = self.softnet.turn();
        softnet.clear();
        if let Some(reader) = &mut self.softnet_reader {
            // Unknown is an absent row.
            let _ = reader.read(softnet);
        }
        self.find_new_ksoftirqd()?;
        let ksoftirqd_ns = self
            .ksoftirqd
            .iter()
            .filter_map(|(cpu, pid)| Some((*cpu, threads::run_ns(&self.roots.proc, *pid, "ksoftirqd/")?)))
            .collect();
        *self.ksoftirqd_ns.turn() = ksoftirqd_ns;
        Ok(())
    }

    fn read_links(&mut self, refresh_queues: bool) {
        let own = self.own_netns();
        let wanted: Vec<u32> = self.watched.keys().copied().chain([own]).collect();
        // A thread that ended leaves all counters unknown.
        let now = self.namespaces.read(&wanted, refresh_queues).unwrap_or_default();
        *self.links.turn() = now;

        // Most drivers ask for their interrupts when the interface is set up.
        let state = |links: &BTreeMap<u32, NamespaceFacts>| {
            links.get(&own).map(|namespace| {
                let link = |facts: &LinkFacts| (facts.link.name.clone(), facts.link.up);
                namespace.links.iter().map(link).collect::<Vec<_>>()
            })
        };
        self.nic_irqs_due |= state(&self.links.now) != state(&self.links.before);
    }

    /// Looks again which interrupts belong to which NIC, if that may have changed.
    pub(super) fn follow_irqs(&mut self, reading: &Reading) {
        for activity in &reading.irqs {
            let seen = (activity.irq, activity.action.clone());
            self.nic_irqs_due |= self.irqs_seen.insert(seen);
        }
        if self.nic_irqs_due && self.nic_irqs_read.elapsed() >= IRQS_AGAIN {
            self.nic_irqs = NicIrqs::read(&self.roots.sys).unwrap_or_default();
            self.nic_irqs_read = Instant::now();
            self.nic_irqs_due = false;
        }
    }

    /// The thread of a CPU that came online for the first time.
    fn find_new_ksoftirqd(&mut self) -> Result<(), host::Error> {
        let is_new = |ticks: &CpuTicks| !self.stat.before.iter().any(|before| before.cpu == ticks.cpu);
        if !self.stat.before.is_empty() && self.stat.now.iter().any(is_new) {
            self.ksoftirqd = threads::ksoftirqd(&self.roots.proc)?.into_iter().collect();
        }
        Ok(())
    }

    /// An interface as it is now.
    pub(super) fn link(&self, (netns, ifindex): NicKey) -> Option<&LinkFacts> {
        find(&self.links.now, netns, ifindex)
    }

    /// The same at the reading before.
    pub(super) fn link_before(&self, (netns, ifindex): NicKey) -> Option<&LinkFacts> {
        find(&self.links.before, netns, ifindex)
    }

    /// NAPIs whose device is gone for sure, or silent in a namespace that cannot be entered, which may be gone. A NAPI
    /// that lives on only gets another slot when it is polled next.
    pub(super) fn gone_napis(&self, source: &Source, reading: &Reading) -> Vec<NapiKey> {
        let polled: std::collections::HashSet<&NapiKey> =
            reading.napis.iter().flatten().map(|napi| &napi.key).collect();
        source
            .known_napis()
            .map(|(key, _)| key)
            // Devices of index 0 are drivers' own dummies, in no namespace's list.
            .filter(|key| key.ifindex != 0 && !polled.contains(key))
            .filter(|key| self.link((key.netns, key.ifindex)).is_none())
            .copied()
            .collect()
    }
}

fn find(links: &BTreeMap<u32, NamespaceFacts>, netns: u32, ifindex: u32) -> Option<&LinkFacts> {
    let namespace = links.get(&netns)?;
    let at = namespace.links.binary_search_by_key(&ifindex, |facts| facts.link.ifindex).ok()?;
    namespace.links.get(at)
}
