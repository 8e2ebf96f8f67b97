//! Checks that attach the eBPF programs for a moment.

use std::time::Duration;

use super::{Check, checks::SAMPLES};
use crate::{
    collect,
    counters::bpf::{AttachKind, CallCost, Options, Probe, ProbeError},
    counters::{HowToSample, SampleEvent, Samples},
    host::{Roots, btf::KernelBtf, cpus, refusals::Refusers},
};

/// Attaches the programs in both ways, for a moment each: if one works, times can be measured.
pub(super) fn checks(roots: &Roots, preempt_rt: bool, btf: &KernelBtf) -> Vec<Check> {
    const BTF: &str = "BTF tracepoints";
    const RAW: &str = "raw tracepoints";
    let options = options(roots, preempt_rt);
    let attach = |kind| Probe::attach_as(kind, options.clone(), btf);
    let mut sampled = None;
    let mut attached = |probe: &mut Probe| {
        sampled.get_or_insert_with(|| samples(roots, probe));
        let programs = probe.attached().len();
        let cost = if probe.costs().is_some() { "" } else { "; what a run costs is unknown" };
        format!("{programs} eBPF programs load and attach{cost}")
    };
    let by_btf = attach(AttachKind::TpBtf).map(|mut probe| attached(&mut probe));
    let by_raw = attach(AttachKind::RawTp).map(|mut probe| attached(&mut probe));
    let checks = match (by_btf, by_raw) {
        (Ok(btf), Ok(raw)) => {
            [Check::ok(BTF, format!("{btf}; in use")), Check::ok(RAW, format!("{raw}; not needed"))]
        }
        (Ok(btf), Err(error)) => [
            Check::ok(BTF, format!("{btf}; in use")),
            Check::ok(RAW, format!("not needed, and refused: {}", first_line(&error))),
        ],
        (Err(error), Ok(raw)) => [
            Check::ok(BTF, format!("refused, and replaced by raw tracepoints: {}", first_line(&error))),
            Check::ok(RAW, format!("{raw}; in use")),
        ],
        (Err(by_btf), Err(by_raw)) => [
            with_remedy(Check::fail(BTF, first_line(&by_btf)), &by_btf, roots),
            with_remedy(Check::fail(RAW, first_line(&by_raw)), &by_raw, roots),
        ],
    };
    checks.into_iter().chain(sampled).collect()
}

fn options(roots: &Roots, preempt_rt: bool) -> Options {
    let highest = cpus::possible(&roots.sys).ok().and_then(|cpus| cpus.iter().max().copied()).unwrap_or(0);
    Options {
        cpus: highest + 1,
        preempt_rt,
        latency: true,
        sampling: Some(HowToSample { frequency: 99, stacks: false }),
        cpu_hz: cpus::highest_hz(&roots.proc, &roots.sys),
        interval: Duration::ZERO,
        max_overhead_pct: None,
        call_cost: CallCost::UNMEASURED,
        log: false,
        privileges: collect::own(roots.clone()),
    }
}

/// Samples the CPUs for a moment.
fn samples(roots: &Roots, probe: &mut Probe) -> Check {
    let online = match cpus::online(&roots.sys) {
        Ok(online) => online,
        Err(error) => return Check::warn(SAMPLES, format!("none: {error}")),
    };
    let samples =
        probe.sample_cpus(&online, &[]).and_then(|unsampled| Ok((probe.read()?.samples, unsampled)));
    match samples {
        Ok((Some(samples), None)) => sampled_by(&samples, online.len()),
        Ok((Some(samples), Some(error))) => {
            let found = format!("{}. {}", sampled_by(&samples, online.len()).found, first_line(&error));
            with_remedy(Check::warn(SAMPLES, found), &error, roots)
        }
        Ok((None, _)) => Check::warn(SAMPLES, "none: driver costs are unknown"),
        Err(error) => {
            let found = format!("none: driver costs are unknown: {}", first_line(&error));
            with_remedy(Check::warn(SAMPLES, found), &error, roots)
        }
    }
}

fn sampled_by(samples: &Samples, online: usize) -> Check {
    let cpus = samples.cpus.len();
    let found = match samples.event {
        SampleEvent::Cycles => format!(
            "from hardware cycles, on {cpus} of {online} CPUs. Not yet tried by nicmon's authors, who had no \
             such machine: compare with perf before you rely on what drivers cost"
        ),
        SampleEvent::CpuClock => format!(
            "from a timer (cpu-clock), on {cpus} of {online} CPUs: {}. Code that runs with interrupts off \
             gets no samples; interrupt handlers are still timed exactly",
            samples.timer_reason.as_deref().unwrap_or("cycles were not tried")
        ),
    };
    Check::ok(SAMPLES, found)
}

/// Adds what to do, if the kernel refused something.
fn with_remedy(check: Check, error: &ProbeError, roots: &Roots) -> Check {
    match error.refusal() {
        Some((what, errno)) => check.remedy(Refusers::read(roots).remedy(what, errno)),
        None => check,
    }
}

/// What failed and why. The check of capabilities says what to do.
fn first_line(error: &ProbeError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_where_samples_come_from() {
        let by = |event, reason: Option<&str>| {
            let timer_reason = reason.map(str::to_owned);
            let samples = Samples {
                event,
                frequency: 99,
                cpus: vec![0, 1],
                taken: Vec::new(),
                lost: 0,
                has_sockets: false,
                timer_reason,
            };
            sampled_by(&samples, 4).found
        };
        let timer = by(SampleEvent::CpuClock, Some("CPU 3 does not count cycles (an error)"));
        let cycles = by(SampleEvent::Cycles, None);
        assert!(
            timer.starts_with(
                "from a timer (cpu-clock), on 2 of 4 CPUs: CPU 3 does not count cycles (an error)."
            ),
            "{timer}"
        );
        assert!(cycles.starts_with("from hardware cycles, on 2 of 4 CPUs. Not yet tried"), "{cycles}");
    }
}
