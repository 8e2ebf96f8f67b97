//! Who reads the UDP sockets that drop, and whether a CPU quota stops them. Nothing is read while none drops.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    frame::{UdpReader, gained},
    host::{
        cpu_quota::{ControlGroups, Throttled},
        netns::NamespaceFacts,
        socket_owner::Owner,
        udp_sockets::Dropper,
    },
    privileges::{Privileges, Request},
};

/// The shortest time between two searches for the owner of a socket ...
const SEARCH_AGAIN: Duration = Duration::from_mins(1);
/// ... and for the owners of any. A search reads all descriptors of all processes.
const SEARCH_OTHERS: Duration = Duration::from_secs(10);

/// The sockets that dropped of late, by inode.
#[derive(Debug, Default)]
pub(super) struct UdpReaders {
    sockets: HashMap<u64, Socket>,
    searched: Option<Instant>,
    groups: ControlGroups,
}

/// A socket that dropped.
#[derive(Debug)]
struct Socket {
    owner: Option<Owner>,
    searched: Instant,
    /// The group of its owner, and how much that was throttled; only if it dropped in the previous frame.
    throttled: Option<(PathBuf, Throttled)>,
}

impl UdpReaders {
    /// The readers of the sockets that dropped since the previous frame, by inode of the namespace.
    pub(super) fn find(
        &mut self,
        privileges: &Privileges,
        proc: &Path,
        namespaces: &BTreeMap<u32, NamespaceFacts>,
    ) -> BTreeMap<u32, UdpReader> {
        let droppers = namespaces.iter().filter_map(|(inum, facts)| Some((*inum, facts.udp_dropper?)));
        self.of(privileges, proc, &droppers.collect(), Instant::now())
    }

    fn of(
        &mut self,
        privileges: &Privileges,
        proc: &Path,
        droppers: &BTreeMap<u32, Dropper>,
        now: Instant,
    ) -> BTreeMap<u32, UdpReader> {
        let dropping: BTreeSet<u64> = droppers.values().map(|dropper| dropper.inode).collect();
        self.sockets.retain(|inode, socket| {
            if !dropping.contains(inode) {
                socket.throttled = None;
            }
            dropping.contains(inode) || now - socket.searched < SEARCH_AGAIN
        });
        if !dropping.is_empty() {
            self.search(privileges, proc, &dropping, now);
        }
        droppers.iter().map(|(inum, dropper)| (*inum, self.reader(proc, *dropper))).collect()
    }

    /// Looks for the owners that are not known, or no longer have their sockets.
    fn search(&mut self, privileges: &Privileges, proc: &Path, dropping: &BTreeSet<u64>, now: Instant) {
        for (inode, socket) in &mut self.sockets {
            let has = |Owner { pid, descriptor }: &Owner| {
                let request = Request::HasSocket { pid: *pid, descriptor: *descriptor, inode: *inode };
                privileges.ask(request).is_ok_and(|(has, _)| has)
            };
            if socket.owner.as_ref().is_some_and(|owner| !has(owner)) {
                (socket.owner, socket.throttled) = (None, None);
            }
        }
        let is_due = |inode: &u64| {
            self.sockets
                .get(inode)
                .is_none_or(|socket| socket.owner.is_none() && now - socket.searched >= SEARCH_AGAIN)
        };
        let wanted: BTreeSet<u64> = dropping.iter().copied().filter(is_due).collect();
        if wanted.is_empty() || self.searched.is_some_and(|searched| now - searched < SEARCH_OTHERS) {
            return;
        }
        self.searched = Some(now);
        self.groups = ControlGroups::find(proc);
        let asked = privileges.ask(Request::FindSocketOwners(wanted.clone()));
        let mut found: HashMap<u64, Owner> = asked.map(|(found, _)| found).unwrap_or_default();
        for inode in wanted {
            let owner = found.remove(&inode);
            self.sockets.insert(inode, Socket { owner, searched: now, throttled: None });
        }
    }

    fn reader(&mut self, proc: &Path, Dropper { inode, dropped }: Dropper) -> UdpReader {
        let mut reader = UdpReader { dropped, ..UdpReader::default() };
        let Some(socket) = self.sockets.get_mut(&inode) else { return reader };
        let Some(owner) = &socket.owner else { return reader };
        (reader.pid, reader.comm) = (Some(owner.pid), owner.comm(proc));
        let throttled = self.groups.throttled(proc, &owner.pid.to_string());
        let before = std::mem::replace(&mut socket.throttled, throttled);
        if let Some(((group, now), (group_before, before))) = socket.throttled.as_ref().zip(before.as_ref())
            && group == group_before
        {
            reader.nr_throttled = gained(now.periods, before.periods);
            reader.throttled_ns = gained(now.ns, before.ns);
        }
        reader
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::host::Roots;

    struct Made {
        folder: tempfile::TempDir,
        readers: UdpReaders,
        start: Instant,
    }

    impl Made {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let made = Self { folder, readers: UdpReaders::default(), start: Instant::now() };
            let place = made.folder.path().to_str().unwrap();
            made.write("self/mountinfo", &format!("24 23 0:22 / {place}/groups rw - cgroup2 cgroup2 rw\n"));
            made
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn process(&self, pid: u32, comm: &str, inode: u64) {
            self.write(&format!("{pid}/comm"), comm);
            self.write(&format!("{pid}/cgroup"), "0::/app\n");
            let fd = self.folder.path().join(format!("{pid}/fd"));
            fs::create_dir_all(&fd).unwrap();
            symlink(format!("socket:[{inode}]"), fd.join("3")).unwrap();
        }

        fn throttled(&self, periods: u64) {
            let text = format!("nr_throttled {periods}\nthrottled_usec {}\n", periods * 80_000);
            self.write("groups/app/cpu.stat", &text);
        }

        /// The reader of a socket that dropped, or of none that did.
        fn find(&mut self, inode: Option<u64>, seconds: u64) -> Option<UdpReader> {
            let droppers = inode.map(|inode| (1, Dropper { inode, dropped: Some(9) })).into_iter().collect();
            let now = self.start + Duration::from_secs(seconds);
            let privileges = super::super::privileged::own(Roots {
                proc: self.folder.path().to_owned(),
                ..Roots::default()
            });
            self.readers.of(&privileges, self.folder.path(), &droppers, now).remove(&1)
        }
    }

    fn reader(pid: u32, comm: &str, nr_throttled: Option<u64>) -> UdpReader {
        let throttled_ns = nr_throttled.map(|periods| periods * 80_000_000);
        let comm = Some(comm.to_owned());
        UdpReader { pid: Some(pid), comm, dropped: Some(9), nr_throttled, throttled_ns }
    }

    #[test]
    fn a_reader_and_its_quota() {
        let mut made = Made::new();
        made.process(70, "resolver\n", 5);
        made.throttled(100);
        assert_eq!(made.find(None, 0), None);
        assert_eq!(made.find(Some(5), 1), Some(reader(70, "resolver", None)), "no previous reading");
        made.throttled(107);
        assert_eq!(made.find(Some(5), 2), Some(reader(70, "resolver", Some(7))));
        assert_eq!(made.find(None, 3), None);
        made.throttled(300);
        assert_eq!(made.find(Some(5), 4), Some(reader(70, "resolver", None)), "of a longer time");
    }

    #[test]
    fn searches_are_rare() {
        let mut made = Made::new();
        let unknown = Some(UdpReader { dropped: Some(9), ..UdpReader::default() });
        assert_eq!(made.find(Some(5), 0), unknown);
        made.process(70, "late\n", 5);
        assert_eq!(made.find(Some(5), 59), unknown);
        assert_eq!(made.find(Some(5), 60), Some(reader(70, "late", None)));
        made.process(71, "other\n", 6);
        assert_eq!(made.find(Some(6), 69), unknown, "another search was 9 s ago");
        assert_eq!(made.find(Some(6), 70), Some(reader(71, "other", None)));
        // The pid is another process's now.
        fs::remove_dir_all(made.folder.path().join("70")).unwrap();
        made.process(70, "stranger\n", 8);
        assert_eq!(made.find(Some(5), 80), unknown);
    }
}
