//! Finds network namespaces.
//!
//! The kernel identifies a namespace by the inode number of its file (`ns.inum`), but opens it only by a
//! path. Such a path is a bind mount of the namespace's file, as made by `ip netns` and container engines, or
//! `/proc/PID/ns/net` of a process in it. [`NetnsReader`] reads in them.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Error, threads::pids};
pub use super::{
    netns_inside::{Netns, visit},
    netns_reader::{LinkFacts, NamespaceFacts, Namespaces, NetnsReader},
};

/// Inode number of the calling thread's network namespace, which eBPF programs read as `ns.inum`.
///
/// # Errors
/// Its file cannot be read.
pub fn own_inum(proc: &Path) -> Result<u32, Error> {
    let path = proc.join("thread-self/ns/net");
    let metadata = fs::metadata(&path).map_err(Error::read(&path))?;
    u32::try_from(metadata.ino()).map_err(|_| Error::Content {
        path,
        what: format!("its inode number {} has more than 32 bits", metadata.ino()),
    })
}

/// Looks for paths that lead into the wanted namespaces: first among the mounts that this process sees, then
/// in `/proc`, process by process, until all are found. A namespace that is missing in the result has no path
/// that this process may see. That includes namespaces that are kept alive only by descriptors, or by threads
/// other than a process's first.
pub fn find(proc: &Path, wanted: &BTreeSet<u32>) -> HashMap<u32, PathBuf> {
    let mut found = HashMap::new();
    let mounts = fs::read(proc.join("self/mountinfo")).unwrap_or_default();
    for (inum, path) in mounts.split(|&byte| byte == b'\n').filter_map(parse_mount) {
        if wanted.contains(&inum) {
            found.entry(inum).or_insert(path);
        }
    }
    let Ok(processes) = pids(proc) else { return found };
    for (_, process) in processes {
        if found.len() == wanted.len() {
            break;
        }
        let path = process.join("ns/net");
        let Ok(target) = fs::read_link(&path) else { continue };
        if let Some(inum) = parse_inum(target.as_os_str().as_bytes()).filter(|inum| wanted.contains(inum)) {
            found.entry(inum).or_insert(path);
        }
    }
    found
}

/// Inode numbers of the namespaces that [`find`] could find. It reads the directory of every process, so call
/// it only at the start.
pub fn existing(proc: &Path) -> BTreeSet<u32> {
    let mounts = fs::read(proc.join("self/mountinfo")).unwrap_or_default();
    let mounted = mounts.split(|&byte| byte == b'\n').filter_map(parse_mount).map(|(inum, _)| inum);
    let entered = pids(proc).into_iter().flatten().filter_map(|(_, process)| {
        parse_inum(fs::read_link(process.join("ns/net")).ok()?.as_os_str().as_bytes())
    });
    mounted.chain(entered).collect()
}

/// How people know a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Its name below `/run/netns`, the first if it has several.
    pub(super) name: Option<Arc<str>>,
    /// The control group (version 2) of the first process found in it.
    pub(super) cgroup: Option<Arc<str>>,
}

/// Names and control groups of the wanted namespaces. `own` gets no control group, because processes of many
/// groups live in it. It reads the directory of each process until all are found, so do not call it every
/// interval.
pub(super) fn identities(proc: &Path, own: u32, wanted: &BTreeSet<u32>) -> HashMap<u32, Identity> {
    let mut found: HashMap<u32, Identity> = HashMap::new();
    let mounts = fs::read(proc.join("self/mountinfo")).unwrap_or_default();
    for (inum, path) in mounts.split(|&byte| byte == b'\n').filter_map(parse_mount) {
        let named = ["/run/netns", "/var/run/netns"].iter().find_map(|place| path.strip_prefix(place).ok());
        if let Some(name) = named.filter(|_| wanted.contains(&inum)) {
            found.entry(inum).or_default().name.get_or_insert_with(|| name.to_string_lossy().into());
        }
    }
    let mut missing: BTreeSet<u32> = wanted.iter().copied().filter(|&inum| inum != own).collect();
    for (_, process) in pids(proc).into_iter().flatten() {
        if missing.is_empty() {
            break;
        }
        let inum = fs::read_link(process.join("ns/net")).ok();
        let inum = inum.and_then(|target| parse_inum(target.as_os_str().as_bytes()));
        if let Some(inum) = inum.filter(|inum| missing.remove(inum)) {
            found.entry(inum).or_default().cgroup = cgroup(&process);
        }
    }
    found
}

/// The line of version 2, whose number is 0 (`proc_cgroup_show`, `kernel/cgroup/cgroup.c`).
fn cgroup(process: &Path) -> Option<Arc<str>> {
    let groups = fs::read(process.join("cgroup")).ok()?;
    let groups = String::from_utf8_lossy(&groups);
    groups.lines().find_map(|line| line.strip_prefix("0::")).map(Arc::from)
}

/// A line of mountinfo (`show_mountinfo`, `fs/proc_namespace.c`) that mounts a network namespace: its inode
/// number and where it is mounted.
fn parse_mount(line: &[u8]) -> Option<(u32, PathBuf)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let (root, mount_point) = (fields.nth(3)?, fields.next()?);
    // After a variable number of optional fields: a dash, and the type of the file system.
    fields.find(|&field| field == b"-")?;
    (fields.next()? == b"nsfs").then_some(())?;
    Some((parse_inum(root)?, unescape(mount_point)))
}

/// The number in `net:[4026531840]` (`ns_dname`, `fs/nsfs.c`).
fn parse_inum(text: &[u8]) -> Option<u32> {
    str::from_utf8(text.strip_prefix(b"net:[")?.strip_suffix(b"]")?).ok()?.parse().ok()
}

/// A path in which white space, `\` and `#` are written as `\` and three octal digits (`mangle_path`,
/// `fs/seq_file.c`).
pub(super) fn unescape(path: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| byte == b'\\');
        let code = code.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(plain).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const MOUNTS: &[u8] = br"22 27 0:21 / /proc rw,relatime - proc proc rw
300 25 0:4 net:[4026532200] /run/netns/blue rw shared:5 - nsfs nsfs rw
301 25 0:4 net:[4026532201] /run/docker/netns/a\040b\134c rw - nsfs nsfs rw
302 25 0:4 mnt:[4026532202] /run/snapd/ns/x.mnt rw - nsfs nsfs rw
303 25 0:4 net:[4026532200] /run/netns/again rw shared:5 master:1 - nsfs nsfs rw
304 25 8:1 /net:[4026532203] /net:[4026532203] rw - ext4 /dev/sda1 rw";

    #[test]
    fn paths() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        fs::create_dir(proc.join("self")).unwrap();
        fs::write(proc.join("self/mountinfo"), MOUNTS).unwrap();
        for (pid, inum) in
            [(1, 4_026_531_840_u32), (70, 4_026_532_203), (71, 4_026_532_203), (72, 4_026_532_201)]
        {
            fs::create_dir_all(proc.join(format!("{pid}/ns"))).unwrap();
            symlink(format!("net:[{inum}]"), proc.join(format!("{pid}/ns/net"))).unwrap();
        }
        fs::create_dir(proc.join("80")).unwrap();

        let search = |wanted: &[u32]| find(proc, &wanted.iter().copied().collect());
        assert_eq!(search(&[4_026_532_200])[&4_026_532_200], Path::new("/run/netns/blue"));
        assert_eq!(search(&[4_026_532_201])[&4_026_532_201], Path::new("/run/docker/netns/a b\\c"));
        assert_eq!(search(&[4_026_532_202]), HashMap::new(), "no network namespace");
        let found = search(&[4_026_532_203, 4_026_532_200, 7]);
        assert_eq!(found.len(), 2);
        assert!([proc.join("70/ns/net"), proc.join("71/ns/net")].contains(&found[&4_026_532_203]));
        assert_eq!(search(&[]), HashMap::new());
        assert_eq!(find(&proc.join("nothing"), &BTreeSet::from([7])), HashMap::new());
    }

    #[test]
    fn names_and_groups() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        fs::create_dir(proc.join("self")).unwrap();
        fs::write(proc.join("self/mountinfo"), MOUNTS).unwrap();
        for (pid, inum) in [(1, 4_026_531_840_u32), (70, 4_026_532_201)] {
            fs::create_dir_all(proc.join(format!("{pid}/ns"))).unwrap();
            symlink(format!("net:[{inum}]"), proc.join(format!("{pid}/ns/net"))).unwrap();
            fs::write(proc.join(format!("{pid}/cgroup")), format!("1:name=systemd:/x\n0::/group/{pid}\n"))
                .unwrap();
        }
        let wanted = BTreeSet::from([4_026_531_840, 4_026_532_200, 4_026_532_201]);
        let found = identities(proc, 4_026_531_840, &wanted);
        let blue = Identity { name: Some("blue".into()), cgroup: None };
        let docker = Identity { name: None, cgroup: Some("/group/70".into()) };
        assert_eq!(found, HashMap::from([(4_026_532_200, blue), (4_026_532_201, docker)]));
    }

    #[test]
    fn numbers_and_escapes() {
        assert_eq!(parse_inum(b"net:[4026531840]"), Some(4_026_531_840));
        for other in [&b"mnt:[4026531840]"[..], b"net:[]", b"net:[1", b"net:[99999999999]", b""] {
            assert_eq!(parse_inum(other), None);
        }
        assert_eq!(unescape(br"/a\011\b\04"), Path::new("/a\t\\b\\04"));
        assert_eq!(parse_mount(b"1 2 3"), None);
        assert_eq!(parse_mount(b""), None);
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        testkit::fuzz::inputs("mountinfo", &[MOUNTS], |text| {
            text.split(|byte| *byte == b'\n').for_each(|line| drop(parse_mount(line)));
        });
    }
}
