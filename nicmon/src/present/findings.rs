//! Findings and their figures, each in one line.

use super::text::printable;
use crate::frame::{Evidence, Finding, Headroom, Subject, Unit};

/// A finding in one line: severity, name, cause and subject.
pub(crate) fn title(finding: &Finding) -> String {
    let cause = finding.cause.map_or_else(String::new, |cause| format!(" ({})", cause.label()));
    let about = about(&finding.subject);
    printable(&format!("{}: {}{cause}{about}", finding.severity.label(), finding.id.label()))
}

/// What a finding is about, after a comma; empty if it is about nothing in particular.
pub(crate) fn about(subject: &Subject) -> String {
    let Subject { nic, netns: _, cpu, queue, irq, comm } = subject;
    let parts = [
        cpu.map(|cpu| format!("CPU {cpu}")),
        nic.clone(),
        queue.map(|queue| format!("queue {queue}")),
        irq.map(|irq| format!("irq {irq}")),
        comm.clone(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(", {}", parts.join(", ")) }
}

/// A figure, with its limit if it has one.
pub(crate) fn of_evidence(evidence: &Evidence) -> String {
    let Evidence { what, field: _, value, unit, threshold } = evidence;
    let unit = match unit {
        Unit::PctOfCpu | Unit::Pct => " %",
        Unit::PerS => " per second",
        Unit::Packets => " packets",
        Unit::Count => "",
        Unit::NsPerS => " ns per second",
        Unit::Ns => " ns",
    };
    let limit = threshold.map_or_else(String::new, |limit| format!(" (limit {limit})"));
    format!("{what}: {value}{unit}{limit}")
}

/// The headroom of a NIC in one sentence.
pub(crate) fn of_headroom(headroom: &Headroom) -> String {
    let Headroom { nic, netns: _, cpu, saturation_rx_packets_ci_per_s: [low, high], factor_ci } = headroom;
    let [least, most] = factor_ci;
    format!(
        "{nic}: CPU {cpu} would be full at {least:.1} to {most:.1} times today's rate ({low:.0} to {high:.0} \
         packets per second)"
    )
}
