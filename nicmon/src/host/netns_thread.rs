//! The thread that reads interfaces in network namespaces other than its process's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    Error, Roots,
    drivers::Drivers,
    ip_counters::{IpCounters, ip_counters},
    links::{Link, links, stats},
    netns::{Identity, find, identities, own_inum, own_path},
    netns_enter::{Stopped, enter, leads_to, open},
    nic_files::{NicFiles, NicId},
    queues::{QueueNapi, queues, sorted},
    udp_sockets::{Dropper, UdpDrops},
};

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
    /// The control group of a process in it; `None` for the thread's own namespace.
    pub cgroup: Option<Arc<str>>,
}

/// A thread that enters network namespaces, so no other thread of the process ever leaves its own.
///
/// Between two requests it holds no descriptor: an open namespace file or netlink socket would keep the
/// namespace alive, and with it the interfaces of a deleted container. The thread ends when this value is
/// dropped.
#[derive(Debug)]
pub struct NetnsThread {
    requests: mpsc::Sender<Request>,
    own: u32,
}

#[derive(Debug)]
struct Request {
    wanted: Vec<u32>,
    refresh_queues: bool,
    reply: mpsc::Sender<Namespaces>,
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

impl NetnsThread {
    /// Starts the thread. Its own namespace is that of the calling thread.
    ///
    /// # Errors
    /// That namespace cannot be read, or the thread cannot be started.
    pub fn start(Roots { proc, sys }: Roots) -> Result<Self, Error> {
        let own = own_inum(&proc)?;
        let (requests, receiver) = mpsc::channel::<Request>();
        let mut worker = Worker { proc, sys, own, namespaces: HashMap::new(), identified: None };
        let serve = move || {
            for request in receiver {
                match worker.round(&request.wanted, request.refresh_queues, Instant::now()) {
                    // Whoever asked may have gone.
                    Ok(facts) => drop(request.reply.send(facts)),
                    Err(Stopped) => return,
                }
            }
        };
        match thread::Builder::new().name("nicmon-netns".to_owned()).spawn(serve) {
            Ok(_) => Ok(Self { requests, own }),
            Err(source) => Err(Error::Thread { source }),
        }
    }

    /// Inode number of its own namespace.
    pub fn own(&self) -> u32 {
        self.own
    }

    /// Reads the interfaces of the wanted namespaces, and blocks until it is done.
    ///
    /// It looks for a namespace when that is first asked for or its path has disappeared, and then at most
    /// every 10 s. It reads queues when the interfaces have changed, or with `refresh_queues` (for an unknown
    /// NAPI id), also at most every 10 s: a change in between is read later. It forgets a namespace that
    /// nobody has asked for in a minute.
    ///
    /// # Errors
    /// The thread has ended: every later call fails as well.
    pub fn read(&self, wanted: &[u32], refresh_queues: bool) -> Result<Namespaces, Stopped> {
        let (reply, answer) = mpsc::channel();
        let request = Request { wanted: wanted.to_vec(), refresh_queues, reply };
        self.requests.send(request).map_err(|_| Stopped)?;
        answer.recv().map_err(|_| Stopped)
    }
}

/// What the thread does and remembers.
struct Worker {
    proc: PathBuf,
    sys: PathBuf,
    own: u32,
    namespaces: HashMap<u32, Namespace>,
    identified: Option<Instant>,
}

/// What is remembered of a namespace.
#[derive(Default)]
struct Namespace {
    /// A path that led into it.
    place: Option<PathBuf>,
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

impl Worker {
    fn round(&mut self, wanted: &[u32], refresh_queues: bool, now: Instant) -> Result<Namespaces, Stopped> {
        let wanted: BTreeSet<u32> = wanted.iter().copied().collect();
        for &inum in &wanted {
            self.namespaces.entry(inum).or_default().wanted = Some(now);
        }
        self.namespaces.retain(|_, known| known.wanted.is_some_and(|asked| now - asked < FORGET));
        self.search(&wanted, now);
        self.identify(&wanted, now);

        let mut all = Namespaces::default();
        let mut home = None;
        for inum in wanted {
            let Some(namespace) = self.namespaces.get_mut(&inum) else { continue };
            if inum == self.own {
                let read = namespace.read_here(&self.proc, &self.sys, refresh_queues, now);
                all.add(inum, read, "the network interfaces");
                continue;
            }
            let Some(place) = &namespace.place else { continue };
            if home.is_none() {
                home = open(&own_path(&self.proc), self.own)
                    .inspect_err(|error| all.note("the way back from other network namespaces", error))
                    .ok();
            }
            // Without a way back the thread does not leave.
            let Some(home) = &home else { continue };
            if let Err(error) = open(place, inum).and_then(|file| enter(&file)) {
                namespace.refused = (error.kind() != io::ErrorKind::NotFound).then_some(error);
                (namespace.place, namespace.failed) = (None, Some(now));
                continue;
            }
            namespace.refused = None;
            let read = namespace.read_here(&self.proc, &self.sys, refresh_queues, now);
            enter(home).map_err(|_| Stopped)?;
            all.add(inum, read, "interfaces in other network namespaces");
        }
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
        Ok(all)
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
        let mut found = identities(&self.proc, self.own, wanted);
        for inum in wanted {
            if let Some(namespace) = self.namespaces.get_mut(inum) {
                namespace.identity = Some(found.remove(inum).unwrap_or_default());
            }
        }
    }

    /// Finds paths for the wanted namespaces that have none, or whose path now leads to another namespace.
    fn search(&mut self, wanted: &BTreeSet<u32>, now: Instant) {
        let mut missing = BTreeSet::new();
        for &inum in wanted.iter().filter(|&&inum| inum != self.own) {
            let Some(namespace) = self.namespaces.get_mut(&inum) else { continue };
            if namespace.place.as_ref().is_some_and(|place| !leads_to(place, inum)) {
                // A new namespace may have the number now, so nothing that was known of it holds any more.
                *namespace = Namespace { wanted: namespace.wanted, ..Namespace::default() };
            }
            if namespace.place.is_none() && namespace.failed.is_none_or(|failed| now - failed >= SEARCH_AGAIN)
            {
                missing.insert(inum);
            }
        }
        if missing.is_empty() {
            return;
        }
        let mut found = find(&self.proc, &missing);
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
    /// Reads this namespace, which the thread is in.
    fn read_here(
        &mut self,
        proc: &Path,
        sys: &Path,
        refresh_queues: bool,
        now: Instant,
    ) -> io::Result<NamespaceFacts> {
        let recent = self.links_read.is_some_and(|read| now - read < LINKS_AGAIN);
        if !(recent && self.update_stats()) {
            self.read_links(sys)?;
            self.links_read = Some(now);
        }
        self.queues_due |= refresh_queues;
        if self.queues_due && self.queues_read.is_none_or(|read| now - read >= QUEUES_AGAIN) {
            self.queues_due = false;
            self.queues_read = Some(now);
            match queues() {
                Ok(queues) => (self.queues, self.queues_problem) = (queues.map(sorted), None),
                Err(error) => (self.queues, self.queues_problem) = (None, Some(error)),
            }
        }
        let (ip, ip_problem) =
            ip_counters(proc).map_or_else(|error| (IpCounters::default(), Some(error)), |ip| (ip, None));
        self.ip_problem = ip_problem;
        let udp_dropper = self.udp_dropper(proc, ip.udp_rcvbuf_errors);
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
    fn udp_dropper(&mut self, proc: &Path, rcvbuf_errors: Option<u64>) -> Option<Dropper> {
        let before = std::mem::replace(&mut self.udp_rcvbuf_errors, rcvbuf_errors);
        let is_dropping = rcvbuf_errors.zip(before).is_some_and(|(now, before)| now > before);
        is_dropping.then(|| self.udp_drops.most(proc).ok()).flatten().flatten()
    }

    /// Reads only the counters. Returns false if the links are no longer the known ones.
    fn update_stats(&mut self) -> bool {
        let Ok(stats) = stats() else { return false };
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
    fn read_links(&mut self, sys: &Path) -> io::Result<()> {
        let links = links()?;
        let same = self.links.len() == links.len()
            && self.links.iter().zip(&links).all(|(known, link)| known.is(link) && known.link.up == link.up);
        self.queues_due |= !same;
        let drivers = Drivers::open()?;
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
