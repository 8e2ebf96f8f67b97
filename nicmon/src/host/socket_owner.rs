//! Which process has a socket open.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::threads::pids;

/// A process that has a socket open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its pid.
    pub pid: u32,
    /// Its descriptor of the socket.
    pub descriptor: u32,
}

impl Owner {
    /// The name of the process (lossy UTF-8); `None` if it has ended.
    pub fn comm(&self, proc: &Path) -> Option<String> {
        super::read_line(&proc.join(self.pid.to_string()).join("comm")).ok()
    }
}

/// Whether a process has a socket open at this descriptor.
pub fn has(proc: &Path, pid: u32, descriptor: u32, inode: u64) -> bool {
    socket(&proc.join(format!("{pid}/fd/{descriptor}"))) == Some(inode)
}

/// Looks for the owners of these sockets, by inode, in the descriptors of all processes. It is expensive on a
/// machine with many. Processes of other users take `CAP_DAC_READ_SEARCH` for the folder
/// (`proc_fd_permission`, `fs/proc/fd.c`) and `CAP_SYS_PTRACE` for the links.
///
/// If several have a socket open, it is the one with the highest pid: parents, such as systemd for a service
/// that is started by its socket, only pass it on.
pub fn find(proc: &Path, inodes: &BTreeSet<u64>) -> HashMap<u64, Owner> {
    let mut found: HashMap<u64, Owner> = HashMap::new();
    for (pid, process) in pids(proc).into_iter().flatten() {
        for descriptor in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
            let Some(inode) = socket(&descriptor.path()).filter(|inode| inodes.contains(inode)) else {
                continue;
            };
            let Some(descriptor) = descriptor.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if found.get(&inode).is_none_or(|known| known.pid < pid) {
                found.insert(inode, Owner { pid, descriptor });
            }
        }
    }
    found
}

/// The number in `socket:[1665197]` (`sockfs_dname`, `net/socket.c`).
fn socket(link: &Path) -> Option<u64> {
    let target = fs::read_link(link).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn owners_in_a_folder() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        for (pid, fd, target) in [
            (1, 30, "socket:[1665197]"),
            (812, 3, "socket:[1665197]"),
            (900, 0, "/dev/null"),
            (900, 3, "socket:[16651]"),
            (900, 4, "anon_inode:[eventpoll]"),
        ] {
            let folder = proc.join(format!("{pid}/fd"));
            fs::create_dir_all(&folder).unwrap();
            symlink(target, folder.join(fd.to_string())).unwrap();
        }
        fs::create_dir(proc.join("70")).unwrap();
        fs::write(proc.join("812/comm"), "resolver\n").unwrap();

        let found = find(proc, &[1_665_197, 16_651, 5].into());
        let pids: BTreeSet<_> = found.iter().map(|(inode, owner)| (*inode, owner.pid)).collect();
        assert_eq!(pids, [(1_665_197, 812), (16_651, 900)].into());
        let owner = &found[&1_665_197];
        assert_eq!(owner.comm(proc).as_deref(), Some("resolver"));
        assert_eq!(found[&16_651].comm(proc), None);
        assert!(has(proc, 812, 3, 1_665_197) && !has(proc, 812, 3, 7));
        fs::remove_file(proc.join("812/fd/3")).unwrap();
        assert!(!has(proc, 812, 3, 1_665_197), "closed");
        assert!(find(&proc.join("nothing"), &[5].into()).is_empty());
    }
}
