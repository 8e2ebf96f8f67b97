//! Reads interfaces in this and other network namespaces.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    Error, Roots,
    drivers::Drivers,
    ip_counters::{IpCounters, ip_counters},
    links::{Link, links, stats},
    netns::{Identity, Netns, own_inum},
    netns_inside::{enter, find},
    nic_files::{NicFiles, NicId},
    queues::{QueueNapi, queues, sorted},
    udp_sockets::{Dropper, UdpDrops},
};
use crate::privileges::{Privileges, Request};

#[cfg(test)]
mod tests;

/// How long to wait before looking again for a namespace that was not found or could not be entered.
const SEARCH_AGAIN: Duration = Duration::from_secs(10);
/// The shortest time between two reads of a namespace's queues.
const QUEUES_AGAIN: Duration = Duration::from_secs(10);
/// How long names, masters and states of interfaces are taken to be unchanged, as long as the same interfaces
/// exist. Until then only their counters are read.
const LINKS_AGAIN: Duration = Duration::from_secs(5);
/// How long names and control groups of namespaces are taken to be unchanged.
const IDENTIFY_AGAIN: Duration = Duration::from_mins(1);
/// How many namespaces are held at once: each takes up to six descriptors.
const AT_ONCE: usize = 8;
/// How long a namespace is remembered if nobody asks for it.
const FORGET: Duration = Duration::from_mins(1);

/// An interface and its driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFacts {
    /// The interface. Its counters were read now, everything else up to 5 s ago.
    pub link: Link,
    /// Its driver, read when the interface was new; see [`Drivers::driver`].
    pub driver: Option<Arc<str>>,
}

/// The contents of one network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceFacts {
    /// Its interfaces, ascending by index.
    pub links: Vec<LinkFacts>,
    /// Which NAPI serves which queue, as of the last change of the interfaces; `None` if the kernel cannot
    /// say.
    #[serde(deserialize_with = "super::queues::load")]
    pub queues: Option<Arc<[QueueNapi]>>,
    /// Counters of IP, UDP and TCP.
    pub ip: IpCounters,
    /// The UDP socket that drops most; only if sockets dropped datagrams since the previous reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_dropper: Option<Dropper>,
    /// Its name below `/run/netns`.
    pub name: Option<Arc<str>>,
    /// The control group of a process in it; `None` for nicmon's own namespace.
    pub cgroup: Option<Arc<str>>,
}

/// Reads interfaces in network namespaces.
///
/// Between two rounds it holds no descriptor: an open socket or file of a namespace would keep it alive, and
/// with it the interfaces of a deleted container.
#[derive(Debug)]
pub struct NetnsReader {
    proc: PathBuf,
    sys: PathBuf,
    own: u32,
    privileges: Privileges,
    namespaces: HashMap<u32, Namespace>,
    identified: Option<Instant>,
}

/// What was read of several namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// By inode; a namespace that cannot be found or entered is absent.
    pub facts: BTreeMap<u32, NamespaceFacts>,
    /// What could not be read although it exists, and why.
    pub problems: BTreeSet<String>,
    /// By inode: why a namespace that exists cannot be entered. It takes `CAP_SYS_ADMIN`.
    pub refused: BTreeMap<u32, String>,
}

/// What is remembered of a namespace.
#[derive(Debug, Default)]
struct Namespace {
    /// A path that led into it.
    place: Option<OsString>,
    /// When it was last not found, or could not be entered.
    failed: Option<Instant>,
    /// Why it could not be entered although it exists.
    refused: Option<io::Error>,
    wanted: Option<Instant>,
    links: Vec<LinkFacts>,
    links_read: Option<Instant>,
    queues: Option<Arc<[QueueNapi]>>,
    queues_read: Option<Instant>,
    queues_due: bool,
    /// Why the queues could not be read.
    queues_problem: Option<io::Error>,
    /// Why the counters of IP could not be read.
    ip_problem: Option<io::Error>,
    /// Datagrams that sockets had dropped at the previous reading.
    udp_rcvbuf_errors: Option<u64>,
    udp_drops: UdpDrops,
    identity: Option<Identity>,
}

impl NetnsReader {
    /// A reader whose own namespace is that of the calling thread.
    ///
    /// # Errors
    /// That namespace cannot be read.
    pub fn new(Roots { proc, sys }: Roots, privileges: Privileges) -> Result<Self, Error> {
        let own = own_inum(&proc)?;
        Ok(Self { proc, sys, own, privileges, namespaces: HashMap::new(), identified: None })
    }

    /// Inode number of its own namespace.
    pub fn own(&self) -> u32 {
        self.own
    }

    /// Reads the interfaces of the wanted namespaces.
    ///
    /// It looks for a namespace when that is first asked for or its path has disappeared, and then at most
    /// every 10 s. It reads queues when the interfaces have changed, or with `refresh_queues` (for an unknown
    /// NAPI id), also at most every 10 s: a change in between is read later. It forgets a namespace that
    /// nobody has asked for in a minute.
    pub fn read(&mut self, wanted: &[u32], refresh_queues: bool) -> Namespaces {
        self.round(wanted, refresh_queues, Instant::now())
    }

    fn round(&mut self, wanted: &[u32], refresh_queues: bool, now: Instant) -> Namespaces {
        let wanted: BTreeSet<u32> = wanted.iter().copied().collect();
        for &inum in &wanted {
            self.namespaces.entry(inum).or_default().wanted = Some(now);
        }
        self.namespaces.retain(|_, known| known.wanted.is_some_and(|asked| now - asked < FORGET));
        let mut all = Namespaces::default();
        self.identify(&wanted, now);
        if let Some(namespace) = self.namespaces.get_mut(&self.own).filter(|_| wanted.contains(&self.own)) {
            let read = namespace.read(&Netns::Own, &self.proc, &self.sys, refresh_queues, now);
            all.add(self.own, read, "the network interfaces");
        }
        let others: BTreeSet<u32> = wanted.into_iter().filter(|&inum| inum != self.own).collect();
        let moved = self.read_others(&others, refresh_queues, now, &mut all);
        // The process whose path it was has ended, but another may live there.
        if !moved.is_empty() {
            self.identify(&others, now);
            self.read_others(&moved, refresh_queues, now, &mut all);
        }
        self.note_problems(&mut all);
        all
    }

    /// Returns those whose path leads elsewhere by now.
    fn read_others(
        &mut self,
        wanted: &BTreeSet<u32>,
        refresh_queues: bool,
        now: Instant,
        all: &mut Namespaces,
    ) -> BTreeSet<u32> {
        self.search(wanted, now, all);
        let place = |inum: &u32| Some((*inum, self.namespaces.get(inum)?.place.clone()?));
        let places: Vec<(u32, OsString)> = wanted.iter().filter_map(place).collect();
        let mut moved = BTreeSet::new();
        let entered = enter(&self.privileges, &places, AT_ONCE, |inum, netns| {
            let Some(namespace) = self.namespaces.get_mut(&inum) else { return };
            match netns {
                Ok(netns) => {
                    namespace.refused = None;
                    let read = namespace.read(&netns, &self.proc, &self.sys, refresh_queues, now);
                    all.add(inum, read, "interfaces in other network namespaces");
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // A new namespace may have the number now, so nothing that was known of it holds any
                    // more.
                    *namespace = Namespace { wanted: namespace.wanted, ..Namespace::default() };
                    moved.insert(inum);
                }
                Err(error) => {
                    namespace.refused = Some(error);
                    (namespace.place, namespace.failed) = (None, Some(now));
                }
            }
        });
        if let Err(error) = entered {
            all.note("other network namespaces", &error);
        }
        moved
    }

    fn note_problems(&self, all: &mut Namespaces) {
        let refused = |(inum, known): (&u32, &Namespace)| {
            Some((*inum, format!("cannot enter other network namespaces: {}", known.refused.as_ref()?)))
        };
        all.refused = self.namespaces.iter().filter_map(refused).collect();
        for error in self.namespaces.values().filter_map(|namespace| namespace.queues_problem.as_ref()) {
            all.note("which NAPI serves which queue", error);
        }
        for error in self.namespaces.values().filter_map(|namespace| namespace.ip_problem.as_ref()) {
            all.note("the counters of IP, UDP and TCP", error);
        }
    }

    /// Reads names and control groups of the wanted namespaces: once a minute, and for new ones 10 s after
    /// the last time.
    fn identify(&mut self, wanted: &BTreeSet<u32>, now: Instant) {
        let age = self.identified.map(|identified| now - identified);
        let is_new = |inum| self.namespaces.get(inum).is_some_and(|known| known.identity.is_none());
        if age.is_some_and(|age| age < IDENTIFY_AGAIN && !(age >= SEARCH_AGAIN && wanted.iter().any(is_new)))
        {
            return;
        }
        self.identified = Some(now);
        let asked = self.privileges.ask(Request::IdentifyNamespaces(wanted.clone(), self.own));
        let mut found: HashMap<u32, Identity> = asked.map(|(found, _)| found).unwrap_or_default();
        for inum in wanted {
            if let Some(namespace) = self.namespaces.get_mut(inum) {
                namespace.identity = Some(found.remove(inum).unwrap_or_default());
            }
        }
    }

    /// Finds paths for the wanted namespaces that have none.
    fn search(&mut self, wanted: &BTreeSet<u32>, now: Instant, all: &mut Namespaces) {
        let is_due = |inum: &&u32| {
            self.namespaces.get(inum).is_some_and(|known| {
                known.place.is_none() && known.failed.is_none_or(|failed| now - failed >= SEARCH_AGAIN)
            })
        };
        let missing: BTreeSet<u32> = wanted.iter().filter(is_due).copied().collect();
        if missing.is_empty() {
            return;
        }
        let found = find(&self.privileges, missing.clone());
        let mut found =
            found.inspect_err(|error| all.note("other network namespaces", error)).unwrap_or_default();
        for inum in missing {
            if let Some(namespace) = self.namespaces.get_mut(&inum) {
                namespace.place = found.remove(&inum);
                namespace.failed = namespace.place.is_none().then_some(now);
            }
        }
    }
}

impl Namespaces {
    fn add(&mut self, inum: u32, read: io::Result<NamespaceFacts>, what: &str) {
        match read {
            Ok(facts) => drop(self.facts.insert(inum, facts)),
            Err(error) => self.note(what, &error),
        }
    }

    fn note(&mut self, what: &str, error: &io::Error) {
        self.problems.insert(format!("cannot read {what}: {error}"));
    }
}

impl LinkFacts {
    /// Whether this is the same link. The kind is compared, too, because indices and names are reused.
    fn is(&self, link: &Link) -> bool {
        self.link.ifindex == link.ifindex && self.link.name == link.name && self.link.kind == link.kind
    }
}

impl Namespace {
    /// Reads this namespace.
    fn read(
        &mut self,
        netns: &Netns,
        proc: &Path,
        sys: &Path,
        refresh_queues: bool,
        now: Instant,
    ) -> io::Result<NamespaceFacts> {
        let recent = self.links_read.is_some_and(|read| now - read < LINKS_AGAIN);
        if !(recent && self.update_stats(netns)) {
            self.read_links(netns, sys)?;
            self.links_read = Some(now);
        }
        self.queues_due |= refresh_queues;
        if self.queues_due && self.queues_read.is_none_or(|read| now - read >= QUEUES_AGAIN) {
            self.queues_due = false;
            self.queues_read = Some(now);
            match queues(netns) {
                Ok(queues) => (self.queues, self.queues_problem) = (queues.map(sorted), None),
                Err(error) => (self.queues, self.queues_problem) = (None, Some(error)),
            }
        }
        let (ip, ip_problem) = ip_counters(netns, proc)
            .map_or_else(|error| (IpCounters::default(), Some(error)), |ip| (ip, None));
        self.ip_problem = ip_problem;
        let udp_dropper = self.udp_dropper(netns, proc, ip.udp_rcvbuf_errors);
        let identity = self.identity.clone().unwrap_or_default();
        Ok(NamespaceFacts {
            links: self.links.clone(),
            queues: self.queues.clone(),
            ip,
            udp_dropper,
            name: identity.name,
            cgroup: identity.cgroup,
        })
    }

    /// Looks for the socket that drops, if there is one. If it cannot be found, the drops still count.
    fn udp_dropper(&mut self, netns: &Netns, proc: &Path, rcvbuf_errors: Option<u64>) -> Option<Dropper> {
        let before = std::mem::replace(&mut self.udp_rcvbuf_errors, rcvbuf_errors);
        let is_dropping = rcvbuf_errors.zip(before).is_some_and(|(now, before)| now > before);
        is_dropping.then(|| self.udp_drops.most(netns, proc).ok()).flatten().flatten()
    }

    /// Reads only the counters. Returns false if the links are no longer the known ones.
    fn update_stats(&mut self, netns: &Netns) -> bool {
        let Ok(stats) = stats(netns) else { return false };
        let known = self.links.iter().map(|facts| facts.link.ifindex);
        if !known.eq(stats.iter().map(|(ifindex, _)| *ifindex)) {
            return false;
        }
        for (facts, (_, stats)) in self.links.iter_mut().zip(stats) {
            facts.link.stats = Some(stats);
        }
        true
    }

    /// Reads the links, and the drivers of new ones. The driver of a device that sleeps is not asked, because
    /// that would wake it; sysfs knows its name, too.
    fn read_links(&mut self, netns: &Netns, sys: &Path) -> io::Result<()> {
        let links = links(netns)?;
        let same = self.links.len() == links.len()
            && self.links.iter().zip(&links).all(|(known, link)| known.is(link) && known.link.up == link.up);
        self.queues_due |= !same;
        let drivers = Drivers::open(netns)?;
        let known = |link: &Link| {
            let at = self.links.binary_search_by_key(&link.ifindex, |known| known.link.ifindex).ok()?;
            self.links[at].is(link).then(|| self.links[at].driver.clone())
        };
        let ask = |link: &Link| {
            let id = NicId { name: &link.name, ifindex: link.ifindex, address: &link.address };
            // Virtual interfaces have no device that could sleep.
            let files = link.kind.is_none().then(|| NicFiles::find(sys, id)).flatten();
            match files.filter(NicFiles::sleeps) {
                Some(asleep) => asleep.device_driver(),
                None => drivers.driver(&link.name),
            }
        };
        let driver = |link: &Link| known(link).unwrap_or_else(|| ask(link).map(Arc::from));
        self.links = links.into_iter().map(|link| LinkFacts { driver: driver(&link), link }).collect();
        Ok(())
    }
}
