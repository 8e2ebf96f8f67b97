//! Which recording this is, from which machine, and how it was made.

use std::time::{Duration, UNIX_EPOCH};

use super::{
    recording::Report,
    text::{ms, name, pct, wrapped},
};
use crate::{
    frame::{Frame, Host, OwnCost, SampleEvent, Sampling, Source},
    present::text::{known, plain, plural, printable, seconds},
};

pub(super) fn section(report: &Report<'_>) -> String {
    let frame = report.frame;
    let host = &frame.host;
    let rt = if host.preempt_rt { ", PREEMPT_RT: softirq times include preemption" } else { "" };
    let begin = report.start_ns.map(|ns| {
        let time = UNIX_EPOCH + Duration::from_nanos(ns);
        humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', " UTC")
    });
    let lines = [
        format!("Recording {}", printable(report.name)),
        format!(
            "{}, Linux {}, {}{rt}",
            name(&host.hostname),
            name(&host.kernel),
            plural(host.cpus_online.into(), "CPU")
        ),
        format!(
            "{}{} s in {}",
            begin.map_or(String::new(), |begin| format!("from {begin}, ")),
            seconds(frame.interval_ns),
            plural(report.frames, "frame")
        ),
        source(frame),
        samples(host),
        own(frame),
    ];
    let mut text: String = lines.iter().map(|line| wrapped(line)).collect();
    if let Some(reason) = &host.sampling_reason {
        text.push_str(&wrapped(&format!("Some samples are missing: {}", printable(reason))));
    }
    for (count, what) in [(host.nics_left_out, "NIC"), (host.netns_left_out, "network namespace")] {
        text += &count.map_or(String::new(), |count| wrapped(&left_out(count, what)));
    }
    for problem in &host.problems {
        text += &wrapped(&printable(problem));
    }
    if let [_, _, ..] = report.machines {
        let machines = report.machines.iter().map(|machine| {
            let boot = name(machine.boot_id.as_deref().unwrap_or("unknown"));
            format!("{} (boot {boot})", name(&machine.hostname))
        });
        text.push_str(&wrapped(&format!(
            "It covers {} machines or boots, whose figures are added up: {}",
            report.machines.len(),
            machines.collect::<Vec<_>>().join(", ")
        )));
    }
    text
}

/// What nicmon itself cost. There is no percentage for less than a second, when starting is most of the cost.
fn own(frame: &Frame) -> String {
    let OwnCost { bpf_est_ns, cpu_ns, overhead_pct, lost, .. } = frame.own;
    let took = if frame.interval_ns < 1_000_000_000 {
        format!("{} ms of CPU time", known(bpf_est_ns, |bpf_ns| ms(bpf_ns.saturating_add(cpu_ns))))
    } else {
        format!("{} of a CPU", known(overhead_pct, |value| format!("{} %", pct(value))))
    };
    format!("nicmon itself: {took}, estimated; events lost: {}", plain(lost))
}

fn source(frame: &Frame) -> String {
    let host = &frame.host;
    match (host.source, &host.source_reason) {
        (Source::Bpf, _) => frame.window.map_or_else(
            || "softirqs, polls and interrupts: times are exact".to_owned(),
            |window| {
                format!(
                    "softirqs, polls and interrupts: measured for {} of {} s; times marked ~ are estimates",
                    seconds(window.attached_ns),
                    seconds(frame.interval_ns)
                )
            },
        ),
        (Source::Proc, None) => "counts only: no times".to_owned(),
        (Source::Proc, Some(reason)) => {
            format!("counts only, no times: {}", printable(reason))
        }
    }
}

fn samples(host: &Host) -> String {
    let Some(Sampling { frequency_per_s, cpus, samples, busy, lost, .. }) = host.sampling else {
        return "CPUs not sampled".to_owned();
    };
    let event = match host.sample_event {
        Some(SampleEvent::Cycles) => "cycles",
        Some(SampleEvent::CpuClock) => "cpu-clock (cannot see code with interrupts off)",
        None => "an unknown event",
    };
    let rate = plain(frequency_per_s);
    format!(
        "samples: {rate} per second on each of {} by {event}; {samples} taken, {busy} busy, {lost} lost",
        plural(cpus.into(), "CPU")
    )
}

fn left_out(count: u64, what: &str) -> String {
    let are = if count == 1 { "is" } else { "are" };
    let what = plural(count, &format!("short-lived {what}"));
    format!("{what} {are} left out, because there were too many to keep")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        let texts = [left_out(1, "network namespace"), left_out(3, "NIC")];
        let expected = [
            "1 short-lived network namespace is left out, because there were too many to keep",
            "3 short-lived NICs are left out, because there were too many to keep",
        ];
        assert_eq!(texts, expected);
    }
}
