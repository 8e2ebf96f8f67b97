//! Reads facts about the host.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    known::KnownNics,
    observation::{HostFacts, Moment},
};
use crate::{
    counters::Reading,
    host::{
        self, Roots, cpus,
        irqs::NicIrqs,
        machine::{self, Machine},
        netns::{self, LinkFacts, NamespaceFacts, NetnsThread},
        softnet::Softnet,
        stat::{CpuTicks, Stat, ticks_per_second},
        threads,
    },
};

/// The shortest time between two checks of which interrupts belong to which NIC.
const IRQS_AGAIN: Duration = Duration::from_secs(2);
/// The shortest time between two searches for the namespaces of peers. A search reads the directory of each
/// process.
const PEERS_AGAIN: Duration = Duration::from_secs(10);
/// How many namespaces without a known NAPI are still read for a while, in case one is polled soon.
const MOST_SILENT: usize = 64;
/// For how many readings a namespace is watched although none of its NAPIs is known.
const SILENT_READINGS: u64 = 5;

/// The readers, and what they read last.
pub(super) struct Facts {
    pub(super) roots: Roots,
    machine: Arc<Machine>,
    pub(super) possible_cpus: Vec<u32>,
    pub(super) has_nohz_full: bool,
    /// CPUs that are kept free of ticks or other work, which samples would disturb.
    quiet_cpus: Vec<u32>,
    stat: Stat,
    softnet: Option<Softnet>,
    /// Pid of each CPU's ksoftirqd.
    ksoftirqd: HashMap<u32, u32>,
    namespaces: NetnsThread,
    now: Arc<Moment>,
    before: Arc<Moment>,
    /// Namespaces to read, with the number of the last reading in which one of their NAPIs was known.
    watched: HashMap<u32, u64>,
    readings: u64,
    peers_looked_for: Instant,
    nic_irqs: Arc<NicIrqs>,
    nic_irqs_read: Instant,
    /// Whether interfaces have changed since the last check, or a new interrupt action was seen.
    nic_irqs_due: bool,
    /// Lines and actions that fired so far. A driver that sets up its queues again uses others.
    irqs_seen: HashSet<(u32, String)>,
    /// The NAPIs that were known at the previous reading.
    napis: Arc<KnownNics>,
}

impl Facts {
    /// Opens the readers, and reads the interfaces of all namespaces and what never or hardly ever
    /// changes.
    pub(super) fn open(roots: Roots) -> Result<Self, host::Error> {
        let namespaces = NetnsThread::start(roots.proc.clone())?;
        let watched = netns::existing(&roots.proc).into_iter().map(|inum| (inum, 0)).collect();
        let mut facts = Self {
            machine: Arc::new(machine::read(&roots.proc, &roots.sys)?),
            possible_cpus: cpus::possible(&roots.sys)?,
            has_nohz_full: cpus::has_nohz_full(&roots.sys),
            quiet_cpus: cpus::quiet(&roots.sys),
            stat: Stat::open(&roots.proc)?,
            softnet: Softnet::open(&roots.proc).ok(),
            ksoftirqd: threads::ksoftirqd(&roots.proc)?.into_iter().collect(),
            namespaces,
            now: Arc::default(),
            before: Arc::default(),
            watched,
            readings: 0,
            peers_looked_for: Instant::now(),
            nic_irqs: Arc::new(NicIrqs::read(&roots.sys).unwrap_or_default()),
            nic_irqs_read: Instant::now(),
            nic_irqs_due: false,
            irqs_seen: HashSet::new(),
            napis: Arc::default(),
            roots,
        };
        let links = facts.read_links(false);
        facts.now = Arc::new(Moment { links, ..Moment::default() });
        facts.watched = facts.watched.into_iter().take(MOST_SILENT).collect();
        Ok(facts)
    }

    /// What was read last, and at the reading before that.
    pub(super) fn host_facts(&self) -> HostFacts {
        HostFacts {
            machine: Arc::clone(&self.machine),
            own_netns: self.own_netns(),
            ticks_per_second: ticks_per_second(),
            nic_irqs: Arc::clone(&self.nic_irqs),
            now: Arc::clone(&self.now),
            before: Arc::clone(&self.before),
        }
    }

    /// The running kernel's machine.
    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// CPUs to sample: those that are online, but quiet ones only if the user asked for them.
    pub(super) fn cpus_to_sample(&self, filter: &super::Filter) -> Vec<u32> {
        let cpus = self.now.stat.iter().map(|ticks| ticks.cpu);
        let is_asked_for = |cpu| filter.names_cpu(cpu) || !self.quiet_cpus.contains(&cpu);
        cpus.filter(|cpu| filter.shows_cpu(*cpu) && is_asked_for(*cpu)).collect()
    }

    /// Inode of nicmon's own network namespace.
    fn own_netns(&self) -> u32 {
        self.namespaces.own()
    }

    /// Network namespaces that are read, in addition to nicmon's own.
    pub(super) fn namespaces(&self) -> BTreeSet<u32> {
        self.watched.keys().copied().filter(|&inum| inum != self.own_netns()).collect()
    }

    /// True if interfaces came, went, were renamed or enslaved, or went up or down since the previous
    /// reading.
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
        let (now, before) = (&self.now.links, &self.before.links);
        now.len() != before.len() || !now.iter().zip(before).all(same)
    }

    /// Names of all interfaces in all namespaces that can be entered.
    pub(super) fn interface_names(&self) -> BTreeSet<String> {
        self.now
            .links
            .values()
            .flat_map(|namespace| &namespace.links)
            .map(|facts| facts.link.name.to_string_lossy().into_owned())
            .chain([super::assemble::BACKLOG.to_owned()])
            .collect()
    }

    /// Reads everything that a frame needs. Interfaces come first, because the kernel may make us wait
    /// for them.
    pub(super) fn read(&mut self, known_napis: &Arc<KnownNics>) -> Result<(), host::Error> {
        self.readings += 1;
        for ((netns, _), _) in known_napis.iter() {
            self.watched.insert(*netns, self.readings);
        }
        let oldest = self.readings.saturating_sub(SILENT_READINGS);
        // The other end of a pair may have traffic without ever being polled.
        let (now, before) = (&self.now, &self.before);
        self.watched.retain(|inum, seen| *seen >= oldest || moves_packets(now, before, *inum));
        self.find_peers();
        // NAPIs that came or went may serve queues that did not exist before.
        let changed = !Arc::ptr_eq(known_napis, &self.napis);
        self.napis = Arc::clone(known_napis);
        let links = self.read_links(changed);

        let mut stat = Vec::with_capacity(self.now.stat.len());
        self.stat.read(&mut stat)?;
        let mut softnet = Vec::with_capacity(self.now.softnet.len());
        if let Some(reader) = &mut self.softnet {
            // If it fails, the row is absent, which means unknown.
            let _ = reader.read(&mut softnet);
        }
        self.find_new_ksoftirqd(&stat)?;
        let run_ns =
            |(cpu, pid): (&u32, &u32)| Some((*cpu, threads::run_ns(&self.roots.proc, *pid, "ksoftirqd/")?));
        let ksoftirqd_ns = self.ksoftirqd.iter().filter_map(run_ns).collect();
        let now = Arc::new(Moment { stat, softnet, ksoftirqd_ns, links });
        self.before = std::mem::replace(&mut self.now, now);
        Ok(())
    }

    /// Looks for namespaces again if one end of a pair has traffic and the other end is not read.
    fn find_peers(&mut self) {
        let lacks_peer = |(inum, namespace): (&u32, &NamespaceFacts)| {
            namespace.links.iter().any(|facts| {
                let packets = self.now.gained_packets(&self.before, (*inum, facts.link.ifindex));
                packets.is_some_and(|packets| packets > 0) && !self.now.knows_peer(*inum, &facts.link)
            })
        };
        if self.peers_looked_for.elapsed() < PEERS_AGAIN || !self.now.links.iter().any(lacks_peer) {
            return;
        }
        self.peers_looked_for = Instant::now();
        let unread = netns::existing(&self.roots.proc).into_iter();
        let unread: Vec<u32> = unread.filter(|inum| !self.watched.contains_key(inum)).collect();
        self.watched.extend(unread.into_iter().take(MOST_SILENT).map(|inum| (inum, self.readings)));
    }

    fn read_links(&mut self, refresh_queues: bool) -> BTreeMap<u32, NamespaceFacts> {
        let own = self.own_netns();
        let wanted: Vec<u32> = self.watched.keys().copied().chain([own]).collect();
        // If the thread has ended, all counters are unknown.
        let now = self.namespaces.read(&wanted, refresh_queues).unwrap_or_default();

        // Most drivers request their interrupts when the interface is set up.
        let state = |links: &BTreeMap<u32, NamespaceFacts>| {
            links.get(&own).map(|namespace| {
                let link = |facts: &LinkFacts| (facts.link.name.clone(), facts.link.up);
                namespace.links.iter().map(link).collect::<Vec<_>>()
            })
        };
        self.nic_irqs_due |= state(&now) != state(&self.now.links);
        now
    }

    /// Checks again which interrupts belong to which NIC, if that may have changed.
    pub(super) fn follow_irqs(&mut self, reading: &Reading) {
        for activity in &reading.irqs {
            let seen = (activity.irq, activity.action.clone());
            self.nic_irqs_due |= self.irqs_seen.insert(seen);
        }
        if self.nic_irqs_due && self.nic_irqs_read.elapsed() >= IRQS_AGAIN {
            self.nic_irqs = Arc::new(NicIrqs::read(&self.roots.sys).unwrap_or_default());
            self.nic_irqs_read = Instant::now();
            self.nic_irqs_due = false;
        }
    }

    /// Finds the ksoftirqd of a CPU that came online for the first time.
    fn find_new_ksoftirqd(&mut self, stat: &[CpuTicks]) -> Result<(), host::Error> {
        let before = &self.now.stat;
        if stat.iter().map(|ticks| ticks.cpu).eq(before.iter().map(|ticks| ticks.cpu)) {
            return Ok(());
        }
        let is_new = |ticks: &CpuTicks| !before.iter().any(|before| before.cpu == ticks.cpu);
        if !before.is_empty() && stat.iter().any(is_new) {
            self.ksoftirqd = threads::ksoftirqd(&self.roots.proc)?.into_iter().collect();
        }
        Ok(())
    }
}

/// Whether an interface in this namespace received or sent anything between two readings.
fn moves_packets(now: &Moment, before: &Moment, inum: u32) -> bool {
    let links = now.links.get(&inum).into_iter().flat_map(|namespace| &namespace.links);
    links
        .filter_map(|facts| now.gained_packets(before, (inum, facts.link.ifindex)))
        .any(|packets| packets > 0)
}
