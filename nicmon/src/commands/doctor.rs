//! `nicmon doctor`: what this kernel and these permissions allow, one line a capability, with the mend.

use std::{fmt::Write as _, fs, path::Path};

use rustix::thread::{CapabilitySet, capabilities};

use super::{Failure, output::print};
#[cfg(feature = "bpf")]
use crate::{
    counters::bpf::{AttachKind, Options, Probe, ProbeError},
    counters::{HowToSample, SampleEvent, Samples},
    host::cpus,
};
use crate::{
    host::{
        Roots,
        btf::{KERNEL_BTF, KernelBtf},
        machine, queues, threads,
    },
    symbols::Kallsyms,
};

/// How a capability stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is there.
    Ok,
    /// It is not, and something is shown as unknown.
    Off,
    /// It is not, and without it nothing can be measured.
    No,
}

/// A line of the report.
struct Line {
    state: State,
    what: &'static str,
    found: String,
}

pub(super) fn run() -> Result<(), Failure> {
    let lines = examine(&Roots::default());
    let mut text = String::new();
    for Line { state, what, found } in &lines {
        let state = match state {
            State::Ok => "ok",
            State::Off => "off",
            State::No => "no",
        };
        // Continuation lines stand under the first.
        let found = found.replace('\n', "\n                          ");
        let _ = writeln!(text, "{state:<4} {what:<20} {found}");
    }
    print(text.as_bytes())?;
    if lines.iter().any(|line| line.state == State::No) { Err(Failure::Unfit) } else { Ok(()) }
}

fn examine(roots: &Roots) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |state, what, found: String| lines.push(Line { state, what, found });
    let preempt_rt = match machine::read(&roots.proc, &roots.sys) {
        Ok(machine) => {
            let rt = if machine.preempt_rt { ", PREEMPT_RT: softirq times include preemption" } else { "" };
            add(State::Ok, "kernel", format!("{}{rt}", machine.kernel));
            machine.preempt_rt
        }
        Err(error) => {
            add(State::Off, "kernel", error.to_string());
            false
        }
    };
    add(State::Ok, "lockdown", lockdown(&roots.sys));
    let (state, found) = jit(&roots.proc);
    add(state, "BPF JIT", found);
    for (state, what, found) in capability_lines() {
        add(state, what, found);
    }
    match KernelBtf::read(Path::new(KERNEL_BTF)) {
        Ok(kernel) => {
            add(State::Ok, "kernel BTF", KERNEL_BTF.to_owned());
            for (state, what, found) in program_lines(roots, preempt_rt, &kernel) {
                add(state, what, found);
            }
            let (state, found) = if kernel.enum_values("skb_drop_reason").is_some() {
                (State::Ok, "drops are counted by reason")
            } else {
                (State::Off, "host.drops is null: this kernel names no reasons, Linux 5.17 and later do")
            };
            add(state, "drop reasons", found.to_owned());
            let (state, found) = if kernel.offset("napi_struct", &["thread"]).is_some() {
                (State::Ok, "told apart from busy polling")
            } else {
                (State::Ok, "not in this kernel (since 5.12), so nothing is missed")
            };
            add(state, "threaded NAPI", found.to_owned());
        }
        Err(error) => add(State::No, "kernel BTF", error.to_string()),
    }
    let (state, found) = match Kallsyms::read(&roots.proc) {
        Ok(_) => (State::Ok, "poll functions and drop locations have names".to_owned()),
        Err(error) => (State::Off, format!("names of functions are null: {error}")),
    };
    add(state, "symbols", found);
    let own = std::process::id();
    let (state, found) = match threads::run_ns(&roots.proc, own, "") {
        Some(_) => (State::Ok, "times of ksoftirqd and NAPI threads"),
        None => (State::Off, "times of ksoftirqd and NAPI threads are null: build with CONFIG_SCHED_INFO=y"),
    };
    add(state, "schedstat", found.to_owned());
    let (state, found) = match queues::queues() {
        Ok(Some(_)) => (State::Ok, "queues of NAPIs, where the driver tells them".to_owned()),
        Ok(None) => {
            (State::Off, "queues of NAPIs are null: netdev netlink is in Linux 6.8 and later".to_owned())
        }
        Err(error) => (State::Off, format!("queues of NAPIs are null: {error}")),
    };
    add(state, "netdev netlink", found);
    lines
}

/// Which lockdown holds: in the file the active one stands in brackets (security/lockdown/lockdown.c).
fn lockdown(sys: &Path) -> String {
    let text = fs::read_to_string(sys.join("kernel/security/lockdown")).unwrap_or_default();
    match text.split_once('[').and_then(|(_, rest)| rest.split_once(']')) {
        Some(("confidentiality", _)) => {
            "confidentiality: BPF programs may not read kernel memory, nicmon cannot \
                                         work; boot without lockdown=confidentiality"
                .to_owned()
        }
        Some((mode, _)) => format!("{mode}, which lets nicmon work"),
        None => "none seen; /sys/kernel/security would tell, where securityfs is mounted".to_owned(),
    }
}

fn jit(proc: &Path) -> (State, String) {
    match fs::read_to_string(proc.join("sys/net/core/bpf_jit_enable")) {
        Ok(value) if value.trim() == "0" => (
            State::Off,
            "off, so that programs are interpreted at several times the cost: sysctl net.core.bpf_jit_enable=1"
                .to_owned(),
        ),
        Ok(_) => (State::Ok, "on".to_owned()),
        Err(_) => (State::Ok, "not to be seen from here; most kernels have it always on".to_owned()),
    }
}

/// What each Linux capability of this process gives.
fn capability_lines() -> Vec<(State, &'static str, String)> {
    let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let all = CapabilitySet::SYS_ADMIN;
    let has = |capability| held.contains(capability) || held.contains(all);
    let line = |what, has: bool, with: &str, without: &str, state| {
        if has { (State::Ok, what, with.to_owned()) } else { (state, what, without.to_owned()) }
    };
    vec![
        line(
            "CAP_BPF",
            has(CapabilitySet::BPF),
            "programs and maps may be loaded",
            "missing: run as root, or give the binary cap_bpf,cap_perfmon+ep with setcap",
            State::No,
        ),
        line(
            "CAP_PERFMON",
            has(CapabilitySet::PERFMON),
            "programs may read kernel memory",
            "missing: run as root, or give the binary cap_bpf,cap_perfmon+ep with setcap",
            State::No,
        ),
        line(
            "CAP_SYS_ADMIN",
            held.contains(all),
            "other network namespaces are entered; the programs' own cost is calibrated",
            "missing: driver and counters of NICs in other namespaces, and self.bpf_est_ns, are null",
            State::Off,
        ),
        line(
            "CAP_SYSLOG",
            held.contains(CapabilitySet::SYSLOG),
            "kernel addresses may be seen",
            "missing: names of functions are null",
            State::Off,
        ),
    ]
}

#[cfg(not(feature = "bpf"))]
fn program_lines(_: &Roots, _: bool, _: &KernelBtf) -> Vec<(State, &'static str, String)> {
    vec![(
        State::No,
        "kernel programs",
        "not in this nicmon: it was built without the feature \"bpf\"".to_owned(),
    )]
}

/// Attaches the programs in both ways, for a moment each.
#[cfg(feature = "bpf")]
fn program_lines(roots: &Roots, preempt_rt: bool, kernel: &KernelBtf) -> Vec<(State, &'static str, String)> {
    let highest = cpus::possible(&roots.sys).ok().and_then(|cpus| cpus.iter().max().copied()).unwrap_or(0);
    let options = Options {
        cpus: highest + 1,
        preempt_rt,
        latency: true,
        sampling: Some(HowToSample { frequency: 99, stacks: false }),
        cpu_hz: cpus::highest_hz(&roots.proc, &roots.sys),
        interval: std::time::Duration::ZERO,
        log: false,
    };
    let mut lines = Vec::new();
    let mut samples = None;
    let mut works = false;
    for (kind, what) in [(AttachKind::TpBtf, "BTF tracepoints"), (AttachKind::RawTp, "raw tracepoints")] {
        let (state, found) = match Probe::attach_as(kind, options, kernel) {
            Ok(mut probe) => {
                samples.get_or_insert_with(|| sample_line(roots, &mut probe));
                let statistics = if probe.costs().is_some() { "" } else { "; the cost of a run is unknown" };
                let used = if works { ", not needed" } else { ", used" };
                works = true;
                (State::Ok, format!("{} programs load and attach{used}{statistics}", probe.attached().len()))
            }
            Err(error) if works => (State::Off, format!("not needed, and refused: {}", first_line(&error))),
            Err(error) if kind == AttachKind::TpBtf => {
                (State::Off, format!("refused, raw tracepoints are tried instead: {}", first_line(&error)))
            }
            Err(error) => (State::No, first_line(&error)),
        };
        lines.push((state, what, found));
    }
    lines.extend(samples.map(|(state, found)| (state, "samples", found)));
    lines
}

/// Samples the CPUs for a moment.
#[cfg(feature = "bpf")]
fn sample_line(roots: &Roots, probe: &mut Probe) -> (State, String) {
    let online = cpus::online(&roots.sys).unwrap_or_default();
    let samples = probe.sample_cpus(&online, &[]).and_then(|()| probe.read()).map(|reading| reading.samples);
    match samples {
        Ok(Some(Samples { event: SampleEvent::Cycles, cpus, .. })) => {
            (State::Ok, format!("by cycles, on {cpus} of {} CPUs", online.len()))
        }
        Ok(Some(Samples { cpus, .. })) => (
            State::Ok,
            format!(
                "by a timer (cpu-clock), on {cpus} of {} CPUs: no hardware counts cycles here, and code with \
                 interrupts off gets no samples; interrupt handlers are timed all the same",
                online.len()
            ),
        ),
        Ok(None) => (State::Off, "what drivers cost is null".to_owned()),
        Err(error) => (State::Off, format!("what drivers cost is null: {}", first_line(&error))),
    }
}

/// What failed and why; what to do stands in the lines of the capabilities.
#[cfg(feature = "bpf")]
fn first_line(error: &ProbeError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
