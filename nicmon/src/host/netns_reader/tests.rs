//! The reader on this machine's namespaces; without root most of these say that they did not run.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
    thread,
};

use super::{
    super::{
        own_net,
        testing::{in_new_namespace, ip},
    },
    *,
};

/// This process does what takes a privilege.
fn reader(roots: Roots) -> Result<NetnsReader, Error> {
    let proc = roots.proc.clone();
    let perform = move |request| super::super::perform(&proc, &request).expect("a request about the host");
    NetnsReader::new(roots, Privileges::own(Arc::new(perform)))
}

#[test]
fn own_namespace_only() {
    let mut namespaces = reader(Roots::default()).unwrap();
    let own = namespaces.own();
    assert_eq!(own, own_inum(Path::new("/proc")).unwrap());
    let facts = namespaces.read(&[own, 1], false).facts;
    assert_eq!(facts.keys().collect::<Vec<_>>(), [&own]);
    assert!(facts[&own].links.iter().any(|facts| facts.link.name == "lo"));
    assert!(reader(Roots { proc: "/nonexistent".into(), ..Roots::default() }).is_err());
}

/// A namespace that lives as long as a process in it.
struct Inhabited(Child, u32);

impl Inhabited {
    fn new() -> Self {
        let make = || {
            own_net::unshare().unwrap();
            let child = Command::new("sleep").arg("60").spawn().expect("sleep");
            Self(child, own_inum(Path::new("/proc")).unwrap())
        };
        thread::spawn(make).join().unwrap()
    }
}

impl Drop for Inhabited {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn names(facts: &NamespaceFacts) -> Vec<(&str, Option<&str>)> {
    let link = |facts: &'_ LinkFacts| facts.link.kind.as_deref() == Some("veth");
    let facts = facts.links.iter().filter(|facts| link(facts));
    facts.map(|facts| (facts.link.name.to_str().unwrap(), facts.driver.as_deref())).collect()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn another_namespace_and_its_end() {
    in_new_namespace(|| {
        let other = Inhabited::new();
        let move_peer = format!("link set nm_b netns {}", other.0.id());
        if !ip("link add nm_a type veth peer name nm_b") || !ip(&move_peer) {
            return;
        }
        let mut namespaces = reader(Roots::default()).unwrap();
        let (own, inum) = (namespaces.own(), other.1);
        for _ in 0..3 {
            let facts = namespaces.read(&[inum, own, inum], true).facts;
            assert_eq!(names(&facts[&own]), [("nm_a", Some("veth"))]);
            assert_eq!(names(&facts[&inum]), [("nm_b", Some("veth"))]);
        }
        assert_eq!(own_inum(Path::new("/proc")).unwrap(), own, "this thread stays");
        for descriptor in fs::read_dir("/proc/self/fd").unwrap() {
            let target = fs::read_link(descriptor.unwrap().path()).unwrap_or_default();
            assert!(!target.to_string_lossy().contains(&inum.to_string()), "the namespace's file is open");
        }
        // With its last process the namespace ends, and takes both ends of the pair along: unless
        // somebody holds it.
        drop(other);
        until("the namespace is still there", || {
            links(&Netns::Own).unwrap().iter().all(|link| link.name != "nm_a")
        });
        let facts = namespaces.read(&[inum, own], false).facts;
        assert_eq!(facts.keys().collect::<Vec<_>>(), [&own]);
        assert_eq!(names(&facts[&own]), []);
    });
}

/// A reader of the calling thread's namespace, and the time that its tests start at.
struct Started {
    reader: NetnsReader,
    own: u32,
    start: Instant,
}

impl Started {
    fn new() -> Self {
        let reader = reader(Roots::default()).unwrap();
        let own = reader.own();
        Self { reader, own, start: Instant::now() }
    }

    fn after(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// Reads the namespaces as if so many seconds had passed.
    fn read(&mut self, wanted: &[u32], seconds: u64) -> BTreeMap<u32, NamespaceFacts> {
        self.reader.round(wanted, false, self.after(seconds)).facts
    }

    /// Reads its own namespace. Returns when queues were last read, in seconds.
    fn queues_read(&mut self, refresh: bool, seconds: u64) -> Option<u64> {
        self.reader.round(&[self.own], refresh, self.after(seconds));
        self.reader.namespaces[&self.own].queues_read.map(|read| (read - self.start).as_secs())
    }
}

#[test]
fn a_missing_namespace_is_looked_for_every_10_s() {
    in_new_namespace(|| {
        const NOWHERE: u32 = 5;
        let mut started = Started::new();
        for (seconds, looked_for) in [(0, 0), (9, 0), (10, 10)] {
            assert!(started.read(&[NOWHERE], seconds).is_empty());
            let failed = started.reader.namespaces[&NOWHERE].failed;
            assert_eq!(failed, Some(started.after(looked_for)), "after {seconds} s");
        }
    });
}

#[test]
fn a_path_that_leads_elsewhere_is_not_entered_but_replaced() {
    in_new_namespace(|| {
        let mut started = Started::new();
        let (first, second) = (Inhabited::new(), Inhabited::new());
        assert!(started.read(&[first.1], 0).contains_key(&first.1));
        let wrong = started.reader.namespaces[&first.1].place.clone();
        assert!(wrong.is_some());
        started.reader.namespaces.insert(second.1, Namespace { place: wrong, ..Namespace::default() });
        assert!(started.read(&[second.1], 0).contains_key(&second.1));
        let right = OsString::from(format!("/proc/{}/ns/net", second.0.id()));
        assert_eq!(started.reader.namespaces[&second.1].place, Some(right));
    });
}

#[test]
fn a_namespace_that_nobody_asks_for_is_forgotten_after_a_minute() {
    in_new_namespace(|| {
        let mut started = Started::new();
        let (first, second) = (Inhabited::new(), Inhabited::new());
        assert_eq!(started.read(&[first.1, second.1], 0).len(), 2);
        started.read(&[second.1], 10);
        started.read(&[], 60);
        let known: Vec<u32> = started.reader.namespaces.keys().copied().collect();
        assert_eq!(known, [second.1]);
    });
}

#[test]
fn queues_are_read_at_first_and_then_when_asked_for() {
    in_new_namespace(|| {
        let mut started = Started::new();
        assert_eq!(started.queues_read(false, 0), Some(0));
        assert_eq!(started.queues_read(false, 20), Some(0), "nothing changed");
        assert_eq!(started.queues_read(true, 21), Some(21));
    });
}

#[test]
fn queues_are_read_10_s_after_the_last_time_if_links_changed() {
    in_new_namespace(|| {
        let mut started = Started::new();
        assert_eq!(started.queues_read(false, 0), Some(0));
        if ip("link set lo up") {
            assert_eq!(started.queues_read(false, 5), Some(0), "too early");
            assert_eq!(started.queues_read(false, 11), Some(11), "the change is not forgotten");
        }
    });
}

#[test]
fn the_driver_of_a_link_is_read_once() {
    in_new_namespace(|| {
        let mut started = Started::new();
        if !ip("link add nm_a type veth peer name nm_b") {
            return;
        }
        let own = started.own;
        started.read(&[own], 0);
        for known in &mut started.reader.namespaces.get_mut(&own).unwrap().links {
            known.driver = Some("remembered".into());
        }
        assert!(ip("link set nm_b name nm_c"));
        let facts = started.read(&[own], 4);
        assert_eq!(names(&facts[&own]), [("nm_b", Some("remembered")), ("nm_a", Some("remembered"))]);
        // After 5 s names are read again, and a link with another name is a new one.
        let facts = started.read(&[own], 5);
        assert_eq!(names(&facts[&own]), [("nm_c", Some("veth")), ("nm_a", Some("remembered"))]);
    });
}

/// Loopback of this namespace, as if it were a NIC whose device sleeps: it has no driver to ask, but sysfs
/// names one.
#[test]
fn the_driver_of_a_device_that_sleeps_comes_from_sysfs() {
    let sys = tempfile::tempdir().unwrap();
    let lo = sys.path().join("class/net/lo");
    fs::create_dir_all(lo.join("device/power")).unwrap();
    fs::write(lo.join("ifindex"), "1\n").unwrap();
    fs::write(lo.join("address"), "00:00:00:00:00:00\n").unwrap();
    std::os::unix::fs::symlink("../bus/igb", lo.join("device/driver")).unwrap();
    for (status, expected) in [("active\n", None), ("suspended\n", Some("igb"))] {
        fs::write(lo.join("device/power/runtime_status"), status).unwrap();
        let mut namespace = Namespace::default();
        namespace.read_links(&Netns::Own, sys.path()).unwrap();
        let found = namespace.links.iter().find(|facts| facts.link.name == "lo").unwrap();
        assert_eq!(found.driver.as_deref(), expected, "{status}");
    }
}
