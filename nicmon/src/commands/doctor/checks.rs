//! Checks of the kernel and of this process's permissions that load nothing.

use std::{fs, path::Path};

use rustix::{
    process::geteuid,
    thread::{CapabilitySet, capabilities as held_capabilities},
};

use super::Check;
use crate::{
    collect::{CollectError, CpuTimes, check_host},
    host::{
        Roots,
        btf::KernelBtf,
        cpus, limits,
        machine::{self, Machine},
        netns::Netns,
        queues,
        refusals::{self, granting},
        sysctls, threads,
    },
    privileges::{Confinement, confinement},
    symbols::Kallsyms,
};

pub(super) const ADMIN: &str = "CAP_SYS_ADMIN";
pub(super) const START: &str = "start";
pub(super) const OPEN_FILES: &str = "open files";
pub(super) const SAMPLES: &str = "samples";
const SAMPLE_RATE: &str = "sample rate";
/// The highest `-F` that the guides recommend.
const USUAL_RATE: u32 = 999;
pub(super) const DROPS: &str = "drop reasons";
pub(super) const SYMBOLS: &str = "kernel symbols";
pub(super) const THREADS: &str = "thread times";
pub(super) const QUEUES: &str = "NAPI queues";

/// The kernel's version, and whether it is `PREEMPT_RT`.
pub(super) fn kernel(roots: &Roots) -> (Check, bool) {
    match machine::read(&roots.proc, &roots.sys) {
        Ok(machine) => (of_machine(&machine), machine.preempt_rt),
        Err(error) => (Check::warn("kernel", error.to_string()), false),
    }
}

fn of_machine(machine: &Machine) -> Check {
    let Machine { kernel, preempt_rt, softirqs_take_turns, .. } = machine;
    match (preempt_rt, softirqs_take_turns) {
        (_, true) => Check::warn("kernel", format!("{kernel}: {}", machine::SOFTIRQS_TAKE_TURNS)),
        (true, _) => Check::ok("kernel", format!("{kernel}, PREEMPT_RT: softirq times include preemption")),
        _ => Check::ok("kernel", kernel.as_str()),
    }
}

/// Whether nicmon can start: what it cannot do without is readable, and either the eBPF programs or the
/// kernel's files can count.
pub(super) fn start(roots: &Roots, has_programs: bool) -> Check {
    const REDUCED: &str = "/proc is mounted with subset=pid, which hides files that nicmon reads. Mount all \
                           of it (mount -t proc proc /proc), or start the service without ProcSubset=pid";
    match check_host(roots, has_programs) {
        Ok(()) => Check::ok(START, "nicmon can start"),
        Err(error) if refusals::is_proc_reduced(&roots.proc) => {
            Check::fail(START, format!("nicmon cannot start: {error}")).remedy(REDUCED)
        }
        Err(error) => Check::fail(START, format!("nicmon cannot start: {error}")),
    }
}

/// Whether enough files may be open: one for each map and program, and one for each sampled CPU.
pub(super) fn open_files(roots: &Roots) -> Check {
    const PROGRAMS: usize = 40;
    const SERVICE: &str = "in a service: LimitNOFILE=65536";
    let cpus = cpus::online(&roots.sys).map_or(0, |online| online.len());
    let check = |wanted| limits::check_open_files(&roots.proc, wanted);
    match (check(PROGRAMS), check(PROGRAMS + cpus)) {
        (Ok(()), Ok(())) => Check::ok(OPEN_FILES, format!("nicmon can open enough files for {cpus} CPUs")),
        (Ok(()), Err(error)) => {
            Check::warn(OPEN_FILES, format!("driver costs are unknown: {error}")).remedy(SERVICE)
        }
        (Err(error), _) => {
            Check::fail(OPEN_FILES, format!("eBPF programs are not loaded: {error}")).remedy(SERVICE)
        }
    }
}

/// The mode of lockdown.
pub(super) fn lockdown(sys: &Path) -> Check {
    const NAME: &str = "lockdown";
    match refusals::lockdown(sys).as_deref() {
        Some("confidentiality") => {
            Check::fail(NAME, "confidentiality: eBPF programs may not read kernel memory")
                .remedy("boot without lockdown=confidentiality")
        }
        Some(mode) => Check::ok(NAME, format!("{mode}, which does not limit nicmon")),
        None => Check::ok(
            NAME,
            "unknown, because /sys/kernel/security is not mounted; the checks below show whether it matters",
        ),
    }
}

/// Whether eBPF programs are compiled.
pub(super) fn jit(proc: &Path) -> Check {
    const NAME: &str = "BPF JIT";
    match fs::read_to_string(proc.join("sys/net/core/bpf_jit_enable")) {
        Ok(value) if value.trim() == "0" => {
            Check::warn(NAME, "off: eBPF programs are interpreted, and cost several times as much")
                .remedy("sudo sysctl net.core.bpf_jit_enable=1")
        }
        Ok(_) => Check::ok(NAME, "on"),
        Err(error) => Check::ok(NAME, format!("unknown ({error}); most kernels always have it on")),
    }
}

/// What each Linux capability of this process gives.
pub(super) fn capabilities() -> Vec<Check> {
    let held = held_capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    capabilities_of(held, geteuid().is_root())
}

fn capabilities_of(held: CapabilitySet, is_root: bool) -> Vec<Check> {
    const LOAD: &str = "run nicmon as root, or, since Linux 5.8, give it the capabilities:\n\
                        sudo setcap cap_bpf,cap_perfmon+ep $(which nicmon)";
    let remedy = |capabilities: &str, usual: &str| {
        if is_root { granting(capabilities) } else { usual.to_owned() }
    };
    let load = || remedy("CAP_BPF and CAP_PERFMON", LOAD);
    let is_admin = held.contains(CapabilitySet::SYS_ADMIN);
    // CAP_SYS_ADMIN includes both (`bpf_capable` and `perfmon_capable` in `include/linux/capability.h`).
    let has = |capability| is_admin || held.contains(capability);
    let bpf = if has(CapabilitySet::BPF) {
        Check::ok("CAP_BPF", "held: eBPF programs and maps can be loaded")
    } else {
        Check::fail("CAP_BPF", "missing: eBPF programs cannot be loaded").remedy(load())
    };
    let perfmon = if has(CapabilitySet::PERFMON) {
        Check::ok("CAP_PERFMON", "held: eBPF programs can read kernel memory")
    } else {
        Check::fail("CAP_PERFMON", "missing: eBPF programs cannot read kernel memory").remedy(load())
    };
    let admin = if is_admin {
        Check::ok(
            ADMIN,
            "held: nicmon can enter other network namespaces, and measure what its programs cost",
        )
    } else {
        let lost = "missing: drivers and counters of NICs in other network namespaces are unknown, and so is \
                    what the eBPF programs cost";
        Check::warn(ADMIN, lost).remedy(remedy(ADMIN, "run nicmon as root"))
    };
    let syslog = if held.contains(CapabilitySet::SYSLOG) {
        Check::ok("CAP_SYSLOG", "held: nicmon can read the addresses of kernel functions")
    } else {
        let lost = "missing: names of kernel functions, and what drivers cost, are unknown";
        let remedy = remedy("CAP_SYSLOG", "run nicmon as root, or add cap_syslog with setcap");
        Check::warn("CAP_SYSLOG", lost).remedy(remedy)
    };
    vec![bpf, perfmon, admin, syslog]
}

/// What nicmon gives up once its programs are attached: tried on a thread.
pub(super) fn privileges(proc: &Path) -> Check {
    const NAME: &str = "privileges";
    match confinement(proc) {
        Some(Confinement { capabilities: Some(kept), files, calls }) => {
            let kept = if kept.contains(CapabilitySet::SYS_PTRACE) {
                "keeps CAP_SYS_PTRACE, because /proc hides processes (hidepid)"
            } else {
                "has no capabilities (CAP_BPF where reading maps takes it, before Linux 5.19)"
            };
            let files = if files {
                "opens no files but the kernel's (Landlock)"
            } else {
                "may read all files of its user (no Landlock)"
            };
            let calls = if calls {
                "cannot change files or the kernel, start programs or open connections (seccomp)"
            } else {
                "may make any system call, because there is no seccomp here"
            };
            let found = format!(
                "after the start, nicmon-broker keeps what is still needed; the rest of nicmon {kept}, \
                 {files} and {calls}"
            );
            Check::ok(NAME, found)
        }
        _ => Check::warn(NAME, "nicmon keeps all its capabilities, because they cannot be given up here"),
    }
}

/// How many samples the kernel takes before it throttles a timer or counter.
pub(super) fn sample_rate(proc: &Path) -> Check {
    match sysctls::sample_limit_per_s(proc) {
        None => Check::ok(SAMPLE_RATE, "the kernel's limit is unknown"),
        Some(limit) if limit >= USUAL_RATE => {
            Check::ok(SAMPLE_RATE, format!("the kernel takes up to {limit} samples per CPU per second"))
        }
        Some(limit) => Check::warn(
            SAMPLE_RATE,
            format!(
                "the kernel takes only {limit} samples per CPU per second (it lowers this limit by itself \
                 when samples take long): with a higher -F, figures rest on fewer samples than asked for"
            ),
        )
        .remedy("sudo sysctl kernel.perf_event_max_sample_rate=100000"),
    }
}

/// What eBPF programs can find out on this kernel.
pub(super) fn kernel_features(btf: &KernelBtf) -> Vec<Check> {
    let drops = if btf.enum_values("skb_drop_reason").is_some() {
        Check::ok(DROPS, "dropped packets are counted by reason")
    } else {
        Check::warn(DROPS, "missing: this kernel does not say why it drops packets")
            .remedy("use Linux 5.17 or later")
    };
    let threaded = if btf.offset("napi_struct", &["thread"]).is_some() {
        "polls by NAPI threads are distinguished from busy polling"
    } else {
        "this kernel has none (Linux 5.12 and later do), so nothing is missed"
    };
    vec![drops, Check::ok("threaded NAPI", threaded)]
}

/// Whether the kernel's accounting is about the CPUs of this machine; `first` was read a while ago.
pub(super) fn cpu_times(roots: &Roots, first: Result<CpuTimes, CollectError>) -> Check {
    const NAME: &str = "CPU times";
    match first.and_then(|first| first.problem(roots)) {
        Ok(None) => Check::ok(NAME, "/proc/stat is about the CPUs of this machine"),
        Ok(Some(why)) => Check::warn(NAME, why),
        Err(error) => Check::warn(NAME, format!("unknown: {error}")),
    }
}

/// What the kernel reports through files and netlink.
pub(super) fn files(roots: &Roots, cpu_times: Check) -> Vec<Check> {
    let symbols = match Kallsyms::read(&roots.proc) {
        Ok(_) => Check::ok(SYMBOLS, "kernel functions have names"),
        Err(error) => Check::warn(SYMBOLS, format!("kernel functions have no names: {error}")),
    };
    let threads = match threads::run_ns(&roots.proc, std::process::id(), "") {
        Some(_) => Check::ok(THREADS, "the CPU time of ksoftirqd and NAPI threads is known (schedstat)"),
        None => Check::warn(THREADS, "the CPU time of ksoftirqd and NAPI threads is unknown: no schedstat")
            .remedy("use a kernel with CONFIG_SCHED_INFO=y"),
    };
    let queues = match queues::queues(&Netns::Own) {
        Ok(Some(_)) => Check::ok(QUEUES, "known where the driver reports them (netdev netlink)"),
        Ok(None) => {
            Check::warn(QUEUES, "unknown: this kernel has no netdev netlink").remedy("use Linux 6.8 or later")
        }
        Err(error) => Check::warn(QUEUES, format!("unknown: {error}")),
    };
    vec![symbols, threads, cpu_times, queues]
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn lockdown_modes() {
        let sys = tempfile::tempdir().expect("a directory");
        let file = sys.path().join("kernel/security/lockdown");
        assert!(lockdown(sys.path()).found.starts_with("unknown"));
        fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        for (text, state) in [
            ("[none] integrity confidentiality\n", State::Ok),
            ("none [integrity] confidentiality\n", State::Ok),
            ("none integrity [confidentiality]\n", State::Fail),
        ] {
            fs::write(&file, text).expect("written");
            assert_eq!(lockdown(sys.path()).state, state, "{text}");
        }
    }

    #[test]
    fn root_is_not_told_to_become_root() {
        let remedies = |is_root| -> Vec<String> {
            let checks = capabilities_of(CapabilitySet::empty(), is_root);
            checks.iter().map(|check| check.remedy.as_deref().expect("a remedy").to_owned()).collect()
        };
        assert!(remedies(false).iter().all(|remedy| remedy.starts_with("run nicmon as root")));
        assert!(
            remedies(true).iter().all(|remedy| remedy.starts_with("give this container or service CAP_"))
        );
    }

    #[test]
    fn a_container_with_a_stat_of_its_own() {
        let root = tempfile::tempdir().expect("a directory");
        let roots = Roots { proc: root.path().into(), sys: root.path().into() };
        let state = || cpu_times(&roots, CpuTimes::read(&roots)).state;
        fs::create_dir_all(root.path().join("devices/system/cpu")).expect("a directory");
        fs::write(root.path().join("devices/system/cpu/online"), "0").expect("written");
        assert_eq!(state(), State::Warn, "there is no stat");
        fs::write(root.path().join("stat"), "cpu  1 1\ncpu0 1 2 3 4 5 6 7 8 0 0\nintr 1\n").expect("written");
        assert_eq!(state(), State::Warn, "it stands still");
    }

    #[test]
    fn without_programs_and_counts_nothing_starts() {
        let root = tempfile::tempdir().expect("a directory");
        let proc = root.path().join("proc");
        // All that is read at the start is this machine's, but for the counts of softirqs.
        fs::create_dir(&proc).expect("a directory");
        for file in fs::read_dir("/proc").expect("files").flatten() {
            if file.file_name() != "softirqs" {
                std::os::unix::fs::symlink(file.path(), proc.join(file.file_name())).expect("a link");
            }
        }
        let roots = Roots { proc, ..Roots::default() };
        assert_eq!(start(&roots, true).state, State::Ok, "{:?}", start(&roots, true));
        let without = start(&roots, false);
        assert!(without.state == State::Fail && without.found.contains("/softirqs"), "{without:?}");
    }

    #[test]
    fn a_realtime_kernel_is_told_once() {
        let check = |preempt_rt, softirqs_take_turns| {
            of_machine(&Machine {
                hostname: "vm".to_owned(),
                kernel: "6.18.2".to_owned(),
                boot_id: None,
                preempt_rt,
                softirqs_take_turns,
            })
        };
        let (turns, rt, other) = (check(true, true), check(true, false), check(false, false));
        assert!(turns.state == State::Warn && turns.found.matches("PREEMPT_RT kernel").count() == 1);
        assert!(turns.found.starts_with("6.18.2: softirq times are not exact"), "{}", turns.found);
        assert_eq!(rt.found, "6.18.2, PREEMPT_RT: softirq times include preemption");
        assert!(rt.state == State::Ok && other.found == "6.18.2");
    }

    #[test]
    fn a_low_limit_of_samples_is_told() {
        let proc = tempfile::tempdir().expect("a directory");
        let file = proc.path().join("sys/kernel/perf_event_max_sample_rate");
        assert!(sample_rate(proc.path()).found.ends_with("unknown"));
        fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        for (limit, state) in [("100000\n", State::Ok), ("999\n", State::Ok), ("100\n", State::Warn)] {
            fs::write(&file, limit).expect("written");
            let check = sample_rate(proc.path());
            assert!(check.state == state && check.found.contains(limit.trim()), "{check:?}");
        }
    }

    #[test]
    fn an_interpreted_program_is_slow() {
        let proc = tempfile::tempdir().expect("a directory");
        let file = proc.path().join("sys/net/core/bpf_jit_enable");
        assert_eq!(jit(proc.path()).state, State::Ok);
        fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        for (value, state) in [("0\n", State::Warn), ("1\n", State::Ok)] {
            fs::write(&file, value).expect("written");
            assert_eq!(jit(proc.path()).state, state);
        }
    }
}
