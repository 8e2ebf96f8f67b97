//! What makes the kernel refuse a system call to nicmon, and what to do about it.

use std::{fs, path::Path};

use rustix::thread::{CapabilitySet, capabilities};

use super::{Roots, limits, read_line};

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Loading or attaching eBPF programs: the system call `bpf`.
    Programs,
    /// Sampling the CPUs: the system call `perf_event_open`.
    Samples,
}

/// What may have refused it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Refusers {
    /// Whether this process is root's.
    pub is_root: bool,
    /// Whether this process has `CAP_SYS_ADMIN`.
    pub is_admin: bool,
    /// Whether it has `CAP_BPF`.
    pub has_bpf: bool,
    /// Whether it has `CAP_PERFMON`.
    pub has_perfmon: bool,
    /// The sysctl `kernel.perf_event_paranoid`; `None` if it cannot be read.
    pub paranoid: Option<i32>,
    /// Whether lockdown is in mode `confidentiality`.
    pub is_confidential: bool,
    /// Whether a seccomp filter is in force.
    pub has_filter: bool,
    /// Whether the capabilities count only in a user namespace.
    pub in_user_namespace: bool,
}

impl Refusers {
    /// Reads what this process may do. What cannot be read is taken not to refuse.
    pub fn read(roots: &Roots) -> Self {
        let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
        let own = roots.proc.join("self");
        let status = fs::read_to_string(own.join("status")).unwrap_or_default();
        // The map of the first user namespace is the whole range of ids (`user_namespaces(7)`).
        let is_first = |map: String| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
        Self {
            is_root: rustix::process::geteuid().is_root(),
            is_admin: held.contains(CapabilitySet::SYS_ADMIN),
            has_bpf: held.contains(CapabilitySet::BPF),
            has_perfmon: held.contains(CapabilitySet::PERFMON),
            paranoid: read_line(&roots.proc.join("sys/kernel/perf_event_paranoid"))
                .ok()
                .and_then(|line| line.parse().ok()),
            is_confidential: lockdown(&roots.sys).is_some_and(|mode| mode == "confidentiality"),
            has_filter: status
                .lines()
                .filter_map(|line| line.strip_prefix("Seccomp:"))
                .any(|mode| mode.trim() == "2"),
            in_user_namespace: fs::read_to_string(own.join("uid_map")).is_ok_and(|map| !is_first(map)),
        }
    }

    /// What to do if the kernel refused this with an error number: a clause without a period.
    pub fn remedy(&self, what: Refused, errno: i32) -> String {
        let (call, config) = match what {
            Refused::Programs => ("bpf", "CONFIG_BPF_SYSCALL"),
            Refused::Samples => ("perf_event_open", "CONFIG_PERF_EVENTS"),
        };
        let filter =
            format!("allow the system call {call} in the seccomp filter of this container or service");
        match errno {
            libc::EPERM | libc::EACCES => match self.permission(what) {
                Some(permission) => permission,
                None if self.has_filter => filter,
                None => {
                    format!("a security module seems to forbid the system call {call}: check the audit log")
                }
            },
            libc::ENOSYS if self.has_filter => filter,
            libc::ENOSYS => format!("use a kernel built with {config}=y"),
            libc::ENOMEM | libc::ENOBUFS => "free some memory".to_owned(),
            _ => limits::remedy(errno).unwrap_or("see `nicmon doctor`").to_owned(),
        }
    }

    /// What permission is missing; `None` if none is.
    ///
    /// Debian and Ubuntu patch `perf_event_open`: above 2 in `kernel.perf_event_paranoid` (3 is Debian's
    /// default, 4 Ubuntu's) it refuses everything without `CAP_SYS_ADMIN`. Newer versions of the patch accept
    /// `CAP_PERFMON`, too ("security,perf: Allow further restriction of `perf_event_open`").
    fn permission(&self, what: Refused) -> Option<String> {
        let Self { is_admin, has_bpf, has_perfmon, paranoid, is_confidential, .. } = *self;
        if is_confidential {
            return Some("boot without lockdown=confidentiality".to_owned());
        }
        let remedy = match (what, paranoid) {
            _ if is_admin => None,
            (Refused::Samples, Some(level @ 3..)) => Some(format!(
                "{}, or lower the sysctl: sudo sysctl kernel.perf_event_paranoid=2 (it is {level}, and above \
                 2 some kernels of Debian and Ubuntu refuse samples even with CAP_PERFMON)",
                if self.is_root { granting("CAP_SYS_ADMIN") } else { AS_ROOT.to_owned() }
            )),
            (Refused::Samples, _) if !has_perfmon => Some(self.granting_or_root("CAP_PERFMON")),
            (Refused::Programs, _) if !(has_bpf && has_perfmon) => {
                Some(self.granting_or_root("CAP_BPF and CAP_PERFMON"))
            }
            _ => None,
        };
        let outside = || "run nicmon outside this user namespace (rootless container)".to_owned();
        remedy.or_else(|| self.in_user_namespace.then(outside))
    }

    fn granting_or_root(&self, capabilities: &str) -> String {
        if self.is_root { granting(capabilities) } else { format!("{AS_ROOT}, or give it {capabilities}") }
    }
}

const AS_ROOT: &str = "run nicmon as root";

/// How root gets the capabilities that its container or service lacks.
pub fn granting(capabilities: &str) -> String {
    format!("give this container or service {capabilities} (docker: --cap-add)")
}

/// The mode of lockdown; `None` if it is unknown. The file lists all modes, the active one in brackets
/// (`lockdown_read` in `security/lockdown/lockdown.c`).
pub fn lockdown(sys: &Path) -> Option<String> {
    let text = fs::read_to_string(sys.join("kernel/security/lockdown")).ok()?;
    let (mode, _) = text.split_once('[')?.1.split_once(']')?;
    Some(mode.to_owned())
}

/// Whether `/proc` shows only processes, because it is mounted with `subset=pid` (`proc(5)`).
pub fn is_proc_reduced(proc: &Path) -> bool {
    let mounts = fs::read_to_string(proc.join("self/mountinfo")).unwrap_or_default();
    let mut of_proc = mounts.lines().filter(|line| line.split(' ').nth(4) == proc.to_str());
    // The last mount covers the others.
    of_proc.next_back().is_some_and(|line| line.split([' ', ',']).any(|option| option == "subset=pid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Refusers {
        Refusers {
            is_root: true,
            is_admin: true,
            has_bpf: true,
            has_perfmon: true,
            paranoid: Some(2),
            is_confidential: false,
            has_filter: false,
            in_user_namespace: false,
        }
    }

    #[test]
    fn the_remedy_fits_what_refuses() {
        let two = Refusers { is_root: false, is_admin: false, ..root() };
        let none = Refusers { has_bpf: false, has_perfmon: false, ..two.clone() };
        // Root of a container.
        let bare = Refusers { is_root: true, ..none.clone() };
        let filtered = Refusers { has_filter: true, ..root() };
        let paranoid = |level, of: &Refusers| Refusers { paranoid: Some(level), ..of.clone() };
        let (programs, samples) = (Refused::Programs, Refused::Samples);
        for (refusers, what, errno, part) in [
            (&none, programs, libc::EPERM, "CAP_BPF and CAP_PERFMON"),
            (&none, samples, libc::EACCES, "run nicmon as root, or give it CAP_PERFMON"),
            (
                &bare,
                programs,
                libc::EPERM,
                "give this container or service CAP_BPF and CAP_PERFMON (docker: --cap-add)",
            ),
            (&bare, samples, libc::EACCES, "give this container or service CAP_PERFMON (docker: --cap-add)"),
            (&paranoid(4, &bare), samples, libc::EACCES, "give this container or service CAP_SYS_ADMIN"),
            (
                &Refusers { has_perfmon: false, ..two.clone() },
                programs,
                libc::EPERM,
                "CAP_BPF and CAP_PERFMON",
            ),
            // Debian's and Ubuntu's defaults; with both capabilities only the sysctl can be the cause.
            (&paranoid(3, &two), samples, libc::EACCES, "kernel.perf_event_paranoid=2 (it is 3,"),
            (&paranoid(4, &two), samples, libc::EACCES, "kernel.perf_event_paranoid=2 (it is 4,"),
            (&paranoid(4, &none), samples, libc::EACCES, "run nicmon as root"),
            // The sysctl has nothing to do with these.
            (&paranoid(4, &root()), samples, libc::EACCES, "security module"),
            (&paranoid(4, &filtered), samples, libc::EPERM, "perf_event_open in the seccomp filter"),
            (&paranoid(4, &none), programs, libc::EPERM, "CAP_BPF and CAP_PERFMON"),
            (&filtered, samples, libc::EACCES, "perf_event_open in the seccomp filter"),
            (&filtered, programs, libc::EPERM, "call bpf in the seccomp filter"),
            (&filtered, programs, libc::ENOSYS, "call bpf in the seccomp filter"),
            (&root(), samples, libc::ENOSYS, "CONFIG_PERF_EVENTS"),
            (&root(), programs, libc::EACCES, "security module"),
            (&Refusers { is_confidential: true, ..filtered.clone() }, samples, libc::EPERM, "lockdown"),
            (&Refusers { in_user_namespace: true, ..root() }, programs, libc::EPERM, "user namespace"),
            (&root(), samples, libc::EMFILE, "ulimit -n"),
            (&root(), samples, libc::EINVAL, "nicmon doctor"),
        ] {
            let remedy = refusers.remedy(what, errno);
            assert!(remedy.contains(part), "{refusers:?} {what:?} {errno}: {remedy}");
            assert!(!(refusers.is_root && remedy.contains("as root")), "{refusers:?}: {remedy}");
        }
    }

    #[test]
    fn what_refuses_is_read() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots { proc: root.path().join("proc"), sys: root.path().join("sys") };
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let nothing = Refusers::read(&roots);
        assert!(nothing.paranoid.is_none() && !nothing.has_filter && !nothing.in_user_namespace);
        write("proc/self/status", "Name:\tnicmon\nSeccomp:\t2\nSeccomp_filters:\t1\n");
        write("proc/self/uid_map", "         0       1000          1\n");
        write("proc/sys/kernel/perf_event_paranoid", "4\n");
        write("sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
        let all = Refusers::read(&roots);
        assert!(all.has_filter && all.in_user_namespace && all.is_confidential && all.paranoid == Some(4));
        write("proc/self/status", "Seccomp:\t0\n");
        write("proc/self/uid_map", "         0          0 4294967295\n");
        let first = Refusers::read(&roots);
        assert!(!first.has_filter && !first.in_user_namespace);
    }

    #[test]
    fn a_reduced_proc_is_recognized() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().to_str().unwrap();
        fs::create_dir(root.path().join("self")).unwrap();
        let is_reduced = |lines: &[&str]| {
            let line = |options: &&str| format!("25 1 0:23 / {place} rw - proc proc {options}\n");
            fs::write(root.path().join("self/mountinfo"), lines.iter().map(line).collect::<String>())
                .unwrap();
            is_proc_reduced(root.path())
        };
        assert!(is_reduced(&["rw", "rw,subset=pid"]) && is_reduced(&["rw,hidepid=invisible,subset=pid"]));
        assert!(!is_reduced(&["rw"]) && !is_reduced(&["rw,subset=pid", "rw"]) && !is_reduced(&[]));
    }
}
