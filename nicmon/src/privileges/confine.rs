//! Takes away from a thread what it does not need.
//!
//! * **Capabilities**: none stay, but for the few that [`rest`] names.
//! * **No new privileges**: no program that the process would start gets any (`no_new_privs`).
//! * **Files** (Landlock, since Linux 5.13): what nicmon reads is below `/proc`, `/sys` and the kernel's
//!   modules. What is already open stays open.
//! * **System calls** (seccomp): those that change the kernel or files, start programs, reach other processes
//!   or open connections fail with `EPERM`; see [`super::calls`].
//!
//! What a kernel does not have is left out; `nicmon doctor` says so.

use std::{fs, path::Path};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, path_beneath_rules,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::calls;

/// What was taken away from a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement {
    /// The capabilities that it keeps, of those that it had; `None` if they could not be given up.
    pub capabilities: Option<CapabilitySet>,
    /// Whether Landlock keeps it from other files.
    pub files: bool,
    /// Whether seccomp keeps it from dangerous system calls.
    pub calls: bool,
}

/// What a thread of nicmon would be confined to here, tried on a thread that ends. `None` if it cannot be
/// tried.
pub fn confinement(proc: &Path) -> Option<Confinement> {
    let proc = proc.to_owned();
    let thread = std::thread::Builder::new().name("nicmon-confined".to_owned());
    thread.spawn(move || rest(&proc, false, || true)).ok()?.join().ok()
}

/// Confines the calling thread, which is not the broker's; see [`super::Privileges::give_up`].
///
/// If `/proc` hides the processes of others, `CAP_SYS_PTRACE` stays, or the CPU time of kernel threads would
/// be unknown; and since Landlock would hide them just the same, files are not restricted.
pub(super) fn rest(proc: &Path, signals_others: bool, still_works: impl FnOnce() -> bool) -> Confinement {
    let is_hidden = hides_processes(&fs::read_to_string(proc.join("self/mountinfo")).unwrap_or_default());
    let mut kept = CapabilitySet::empty();
    kept.set(CapabilitySet::KILL, signals_others);
    kept.set(CapabilitySet::SYS_PTRACE, is_hidden);
    empty_bounding_set();
    let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    // Only for the moment: what is still permitted can be made effective again.
    let tried =
        CapabilitySets { effective: kept & held, permitted: held, inheritable: CapabilitySet::empty() };
    if set_capabilities(None, tried).is_ok() && !still_works() {
        // CAP_SYS_ADMIN includes CAP_BPF.
        let bpf = CapabilitySet::BPF & held;
        kept |= if bpf.is_empty() { CapabilitySet::SYS_ADMIN } else { bpf };
    }
    Confinement {
        capabilities: keep(kept).then_some(kept),
        files: !is_hidden && restrict_files(proc).is_ok_and(|status| status != RulesetStatus::NotEnforced),
        calls: calls::restrict_rest(signals_others),
    }
}

/// What the broker keeps, and why:
/// `CAP_SYS_ADMIN` to enter namespaces, and for statistics of BPF programs; `CAP_BPF` and `CAP_PERFMON` for
/// the flow window and for perf events; `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH` to see the namespaces and
/// descriptors of processes; `CAP_SYS_RESOURCE` because before Linux 5.11 maps count as locked memory.
const KEPT_BY_BROKER: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::SYS_RESOURCE);

/// Confines the broker. Landlock would hide other processes from it.
pub(super) fn broker() {
    empty_bounding_set();
    keep(KEPT_BY_BROKER);
    calls::restrict_broker();
}

/// Leaves nothing that a started program could get. Without `CAP_SETPCAP` it stays as it is, and only
/// `no_new_privs` forbids that.
fn empty_bounding_set() {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if capability_is_in_bounding_set(one).unwrap_or(false) {
            let _ = remove_capability_from_bounding_set(one);
        }
    }
}

/// Gives up all capabilities but those of `kept` that are held.
fn keep(kept: CapabilitySet) -> bool {
    let _ = clear_ambient_capability_set();
    let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    let kept = kept & held;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).is_ok() && set_no_new_privs(true).is_ok()
}

/// Whether a process sees only its own below `/proc`: the last mount there, if there are several
/// (`proc_show_options`, `fs/proc/root.c`; numbers before Linux 5.8).
fn hides_processes(mountinfo: &str) -> bool {
    let of_proc = |line: &&str| line.split(' ').nth(4) == Some("/proc");
    let options = mountinfo.lines().rfind(of_proc).and_then(|line| line.rsplit(' ').next());
    options.is_some_and(|options| {
        options.split(',').any(|option| option.starts_with("hidepid=") && !option.ends_with("=0"))
    })
}

/// Leaves only what nicmon reads, and its own program, which a backtrace looks into.
fn restrict_files(proc: &Path) -> Result<RulesetStatus, RulesetError> {
    let read = [proc, Path::new("/sys"), Path::new("/lib/modules"), Path::new("/usr/lib/modules")];
    let abi = ABI::V6;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(std::env::current_exe(), AccessFs::ReadFile))?
        .restrict_self()?;
    Ok(status.ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_processes_are_hidden() {
        let mount = |options: &str| format!("22 27 0:21 / /proc rw,nosuid shared:12 - proc proc {options}\n");
        assert!(!hides_processes(&mount("rw")));
        assert!(!hides_processes(&mount("rw,gid=3,hidepid=0")));
        assert!(hides_processes(&mount("rw,hidepid=2")));
        assert!(hides_processes(&mount("rw,gid=3,hidepid=invisible")));
        assert!(!hides_processes(&(mount("rw,hidepid=2") + &mount("rw"))), "mounted again");
        assert!(!hides_processes("30 27 0:4 / /mnt/proc rw - proc proc rw,hidepid=2\n"));
        assert!(!hides_processes(""));
    }
}
