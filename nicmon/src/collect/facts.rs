//! Reads facts about the host.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    assemble::{BACKLOG, softirq_rows},
    filter::Names,
    known::KnownNics,
    observation::{HostFacts, Moment},
    unread::{self, Unread},
};
use crate::{
    counters::Reading,
    host::{
        self, Roots, cpus,
        irqs::NicIrqs,
        machine::{self, Machine},
        netns::{LinkFacts, NamespaceFacts, Namespaces, NetnsReader},
        nic_files::NicId,
        softnet::Softnet,
        stat::{Stat, ticks_per_second},
        threads::KsoftirqdTimes,
    },
    privileges::{Privileges, Request},
};

/// The shortest time between two checks of which interrupts belong to which NIC.
const IRQS_AGAIN: Duration = Duration::from_secs(2);
/// The shortest time between two searches for namespaces. A search reads the directory of each process.
const SEARCH_AGAIN: Duration = Duration::from_secs(10);
/// How many namespaces without a known NAPI are still read for a while, in case one is polled soon.
const MOST_SILENT: usize = 64;
/// How long a namespace is watched although none of its NAPIs is known, whatever the interval is.
const SILENT: Duration = Duration::from_secs(10);

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
    ksoftirqd: KsoftirqdTimes,
    privileges: Privileges,
    namespaces: NetnsReader,
    now: Arc<Moment>,
    before: Arc<Moment>,
    /// Namespaces to read, and when one of their NAPIs was last known.
    watched: HashMap<u32, Instant>,
    /// When everything was last read.
    read: Instant,
    searched: Instant,
    /// Namespaces that exist and are not watched.
    unread: Unread,
    /// Whether NICs may have been missed among them at the previous reading.
    was_blind: bool,
    /// Those of them to look into once.
    looked_into: Vec<u32>,
    nic_irqs: Arc<NicIrqs>,
    nic_irqs_read: Instant,
    /// Whether interfaces have changed since the last check, or a new interrupt action was seen.
    nic_irqs_due: bool,
    /// Lines and actions that fired so far. A driver that sets up its queues again uses others.
    irqs_seen: HashSet<(u32, String)>,
    /// The NAPIs that were known at the previous reading.
    napis: Arc<KnownNics>,
    /// Why interrupts could not be assigned to NICs.
    irqs_problem: Option<String>,
    /// Why `softnet_stat` could not be opened.
    softnet_problem: Option<String>,
}

/// Inode numbers of the namespaces that can be found.
fn existing(privileges: &Privileges) -> BTreeSet<u32> {
    privileges.ask(Request::ExistingNamespaces).map(|(found, _)| found).unwrap_or_default()
}

impl Facts {
    /// Opens the readers, and reads the interfaces of all namespaces and what never or hardly ever
    /// changes.
    pub(super) fn open(roots: Roots, privileges: Privileges) -> Result<Self, host::Error> {
        let namespaces = NetnsReader::new(roots.clone(), privileges.clone())?;
        let watched = existing(&privileges).into_iter().map(|inum| (inum, Instant::now())).collect();
        let (softnet, softnet_problem) = known(Softnet::open(&roots.proc).map(Some));
        let mut facts = Self {
            machine: Arc::new(machine::read(&roots.proc, &roots.sys)?),
            possible_cpus: cpus::possible(&roots.sys)?,
            has_nohz_full: cpus::has_nohz_full(&roots.sys),
            quiet_cpus: cpus::quiet(&roots.sys),
            stat: Stat::open(&roots.proc)?,
            softnet,
            ksoftirqd: KsoftirqdTimes::find(&roots.proc)?,
            privileges,
            namespaces,
            now: Arc::default(),
            before: Arc::default(),
            watched,
            read: Instant::now(),
            searched: Instant::now(),
            unread: Unread::default(),
            was_blind: false,
            looked_into: Vec::new(),
            nic_irqs: Arc::default(),
            nic_irqs_read: Instant::now(),
            nic_irqs_due: false,
            irqs_seen: HashSet::new(),
            napis: Arc::default(),
            irqs_problem: None,
            softnet_problem,
            roots,
        };
        let Namespaces { facts: links, problems, refused } = facts.read_links(false);
        if !links.contains_key(&facts.own_netns()) {
            let why = problems.into_iter().next();
            let why = why.unwrap_or_else(|| "cannot read the network interfaces".to_owned());
            return Err(host::Error::Namespace(why));
        }
        facts.read_irqs(&links);
        // Those with NICs that count alone first.
        let own = facts.own_netns();
        let mut inums: Vec<u32> = facts.watched.keys().copied().filter(|inum| *inum != own).collect();
        inums.sort_by_key(|inum| !links.get(inum).is_some_and(unread::counts));
        let left_out: Vec<u32> = inums.split_off(MOST_SILENT.min(inums.len()));
        facts.watched.retain(|inum, _| !left_out.contains(inum));
        for inum in &left_out {
            if let Some(seen) = links.get(inum) {
                facts.unread.saw(*inum, seen, facts.read);
            }
        }
        facts.unread.left_out(left_out.into_iter().chain(refused.into_keys()));
        facts.now = Arc::new(Moment { links, ..Moment::default() });
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
            is_blind: self.was_blind || self.unread.is_blind(),
        }
    }

    /// Who does what takes a privilege.
    #[cfg(feature = "bpf")]
    pub(super) fn privileges(&self) -> &Privileges {
        &self.privileges
    }

    /// The running kernel's machine.
    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// CPUs to sample: those that are online, but quiet ones only if the user asked for them.
    pub(super) fn cpus_to_sample(&self, filter: &super::Filter) -> Vec<u32> {
        self.worth_sampling(self.now.cpus(), filter)
    }

    /// The same, with the CPUs that came online since the last reading.
    ///
    /// # Errors
    /// Which they are cannot be read.
    pub(super) fn cpus_to_sample_now(&self, filter: &super::Filter) -> Result<Vec<u32>, host::Error> {
        let mut cpus = self.now.cpus();
        cpus.extend(cpus::online(&self.roots.sys)?);
        cpus.sort_unstable();
        cpus.dedup();
        Ok(self.worth_sampling(cpus, filter))
    }

    /// Whether any CPU is to be left alone.
    #[cfg(feature = "bpf")]
    pub(super) fn has_quiet_cpus(&self) -> bool {
        !self.quiet_cpus.is_empty()
    }

    fn worth_sampling(&self, mut cpus: Vec<u32>, filter: &super::Filter) -> Vec<u32> {
        let is_asked_for = |cpu| filter.names_cpu(cpu) || !self.quiet_cpus.contains(&cpu);
        cpus.retain(|cpu| filter.shows_cpu(*cpu) && is_asked_for(*cpu));
        cpus
    }

    /// Inode of nicmon's own network namespace.
    pub(super) fn own_netns(&self) -> u32 {
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

    /// Names of all interfaces in all namespaces that can be entered, and of rows that are none.
    pub(super) fn interface_names(&self) -> Vec<Names> {
        let links = self.now.links.values().flat_map(|namespace| &namespace.links);
        let rows = softirq_rows().chain([BACKLOG]).map(|name| vec![name.to_owned()]);
        links.map(|facts| facts.link.names()).chain(rows).collect()
    }

    /// Reads everything that a frame needs. Interfaces come first, because the kernel may make us wait
    /// for them.
    pub(super) fn read(&mut self, known_napis: &Arc<KnownNics>) -> Result<(), host::Error> {
        let now = Instant::now();
        for ((netns, _), _) in known_napis.iter() {
            self.watched.insert(*netns, now);
        }
        // Those of the previous reading stay even if that was longer ago, and so does the other end of a
        // pair, which may have traffic without ever being polled.
        let before = std::mem::replace(&mut self.read, now);
        let moves = |inum| moves_packets(&self.now, &self.before, inum);
        self.was_blind = self.unread.is_blind();
        let mut room = MOST_SILENT;
        let mut is_kept = |inum: &u32| {
            let is_kept = room > 0 && self.now.links.get(inum).is_some_and(unread::counts);
            room -= usize::from(is_kept);
            is_kept
        };
        let (own, unread) = (self.own_netns(), &mut self.unread);
        self.watched.retain(|inum, seen| {
            let stays =
                *inum == own || *seen >= before || now - *seen < SILENT || moves(*inum) || is_kept(inum);
            if let Some(namespace) = self.now.links.get(inum).filter(|_| !stays) {
                unread.saw(*inum, namespace, now);
                unread.left_out([*inum]);
            }
            stays
        });
        self.find_unread();
        // NAPIs that came or went may serve queues that did not exist before.
        let changed = !Arc::ptr_eq(known_napis, &self.napis);
        self.napis = Arc::clone(known_napis);
        let Namespaces { facts: links, mut problems, mut refused } = self.read_links(changed);
        // Without a NAPI, nothing of the namespace would be shown.
        problems.extend(known_napis.iter().filter_map(|((netns, _), _)| refused.remove(netns)));

        let cpus = read_cpus(&self.roots.sys, &mut self.stat, self.softnet.as_mut())?;
        self.find_new_ksoftirqd(&cpus.online)?;
        let ksoftirqd_ns = self.ksoftirqd.read();
        problems.extend(cpus.problems);
        problems.extend(self.irqs_problem.iter().chain(&self.softnet_problem).cloned());
        let now = Arc::new(Moment { ksoftirqd_ns, links, problems, ..cpus });
        self.before = std::mem::replace(&mut self.now, now);
        Ok(())
    }

    /// Looks for namespaces again: for those that are not read, and for the ends of pairs whose other end has
    /// traffic.
    fn find_unread(&mut self) {
        if self.searched.elapsed() < SEARCH_AGAIN {
            return;
        }
        self.searched = Instant::now();
        let lacks_peer = |(inum, namespace): (&u32, &NamespaceFacts)| {
            namespace.links.iter().any(|facts| {
                let packets = self.now.gained_packets(&self.before, (*inum, facts.link.ifindex));
                packets.is_some_and(|packets| packets > 0) && !self.now.knows_peer(*inum, &facts.link)
            })
        };
        let lacks_peer = self.now.links.iter().any(lacks_peer);
        let unread = existing(&self.privileges).into_iter();
        let unread = unread.filter(|inum| *inum != self.own_netns() && !self.watched.contains_key(inum));
        let next = self.unread.next_to_look_into(unread.collect(), MOST_SILENT);
        if lacks_peer {
            self.watched.extend(next.into_iter().map(|inum| (inum, self.read)));
        } else {
            self.looked_into = next;
        }
    }

    /// Keeps the namespaces that were looked into and have NICs that count alone, and leaves out the others.
    fn keep_those_that_count(&mut self, namespaces: &mut Namespaces) {
        for inum in std::mem::take(&mut self.looked_into) {
            let seen = namespaces.facts.get(&inum);
            if let Some(seen) = seen {
                self.unread.saw(inum, seen, self.read);
            }
            if seen.is_some_and(unread::counts) && self.watched.len() < 2 * MOST_SILENT {
                self.watched.insert(inum, self.read);
            } else {
                namespaces.facts.remove(&inum);
                self.unread.left_out([inum]);
            }
        }
    }

    fn read_links(&mut self, refresh_queues: bool) -> Namespaces {
        let own = self.own_netns();
        let wanted = self.watched.keys().chain(&self.looked_into).copied().chain([own]);
        let wanted: Vec<u32> = wanted.collect();
        let mut now = self.namespaces.read(&wanted, refresh_queues);
        self.keep_those_that_count(&mut now);

        // Most drivers request their interrupts when the interface is set up.
        let state = |links: &BTreeMap<u32, NamespaceFacts>| {
            links.get(&own).map(|namespace| {
                let link = |LinkFacts { link, .. }: &LinkFacts| {
                    (link.name.clone(), link.ifindex, link.address.clone(), link.up)
                };
                namespace.links.iter().map(link).collect::<Vec<_>>()
            })
        };
        self.nic_irqs_due |= state(&now.facts) != state(&self.now.links);
        now
    }

    /// Checks again which interrupts belong to which NIC, if that may have changed.
    pub(super) fn follow_irqs(&mut self, reading: &Reading) {
        for activity in &reading.irqs {
            let seen = (activity.irq, activity.action.clone());
            self.nic_irqs_due |= self.irqs_seen.insert(seen);
        }
        if self.nic_irqs_due && self.nic_irqs_read.elapsed() >= IRQS_AGAIN {
            let now = Arc::clone(&self.now);
            self.read_irqs(&now.links);
        }
    }

    /// Reads which interrupts belong to which NIC of nicmon's own namespace.
    fn read_irqs(&mut self, links: &BTreeMap<u32, NamespaceFacts>) {
        let own = links.get(&self.own_netns()).into_iter().flat_map(|namespace| &namespace.links);
        let own = own.map(|LinkFacts { link, .. }| NicId {
            name: &link.name,
            ifindex: link.ifindex,
            address: &link.address,
        });
        let (nic_irqs, problem) = known(NicIrqs::read(&self.roots.sys, own));
        (self.nic_irqs, self.irqs_problem) = (Arc::new(nic_irqs), problem);
        self.nic_irqs_read = Instant::now();
        self.nic_irqs_due = false;
    }

    /// Finds the ksoftirqd of a CPU that came online for the first time.
    fn find_new_ksoftirqd(&mut self, online: &[u32]) -> Result<(), host::Error> {
        let before = &self.now.online;
        if !before.is_empty() && online.iter().any(|cpu| !before.contains(cpu)) {
            self.ksoftirqd = KsoftirqdTimes::find(&self.roots.proc)?;
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

/// What was read, or nothing and the reason.
fn known<T: Default>(read: Result<T, host::Error>) -> (T, Option<String>) {
    match read {
        Ok(read) => (read, None),
        Err(error) => (T::default(), Some(error.to_string())),
    }
}

/// Reads which CPUs are online, and what the kernel counts for each.
///
/// A container may see fewer in sysfs (lxcfs), so the CPUs of `softnet_stat`, which lists those online
/// (`softnet_get_online`, `net/core/net-procfs.c`), are added.
pub(super) fn read_cpus(
    sys: &Path,
    stat: &mut Stat,
    mut softnet: Option<&mut Softnet>,
) -> Result<Moment, host::Error> {
    let moment = read_cpus_once(sys, stat, softnet.as_deref_mut())?;
    // A CPU may have come or gone between two files.
    if moment.stat_contradiction().is_some() { read_cpus_once(sys, stat, softnet) } else { Ok(moment) }
}

fn read_cpus_once(sys: &Path, stat: &mut Stat, softnet: Option<&mut Softnet>) -> Result<Moment, host::Error> {
    let mut moment = Moment { online: cpus::online(sys)?, ..Moment::default() };
    stat.read(&mut moment.stat)?;
    if let Some(reader) = softnet {
        // The row is absent, which means unknown.
        moment.problems.extend(reader.read(&mut moment.softnet).err().map(|error| error.to_string()));
    }
    moment.online.extend(moment.softnet.iter().filter_map(|row| row.cpu));
    moment.online.sort_unstable();
    moment.online.dedup();
    Ok(moment)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_container_does_not_decide_which_cpus_exist() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let softnet = |cpu: u32| format!("{}{cpu:08x}\n", "00000001 ".repeat(12));
        write("net/softnet_stat", &(softnet(0) + &softnet(1)));
        let stat = |cpus: &[u32]| -> String {
            let lines = cpus.iter().map(|cpu| format!("cpu{cpu} 1 2 3 4 5 6 7 8 0 0\n"));
            format!("cpu  1 1 1 1 1 1 1 1 0 0\n{}intr 5\n", lines.collect::<String>())
        };
        for (online, listed, is_believed) in
            [("0-1", &[0, 1][..], true), ("0-1", &[0], false), ("0", &[0], false), ("0-1", &[0, 1, 2], false)]
        {
            write("devices/system/cpu/online", online);
            write("stat", &stat(listed));
            let mut reader = Softnet::open(root.path()).unwrap();
            let moment = read_cpus(root.path(), &mut Stat::open(root.path()).unwrap(), Some(&mut reader));
            let moment = moment.unwrap();
            assert_eq!(moment.cpus(), [0, 1], "{online} {listed:?}");
            assert_eq!(moment.stat_contradiction().is_none(), is_believed, "{online} {listed:?}");
            assert_eq!(moment.believed_stat().iter().any(|ticks| ticks.cpu == 0), is_believed);
        }
    }
}
