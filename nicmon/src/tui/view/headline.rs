//! The very first line: the worst finding, or that there is no bottleneck.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    frame::{Cpu, Finding, FindingId, Frame, Severity, pct_of},
    present::text::printable,
    tui::{State, paint::left},
};

/// What the line says.
pub(super) struct Headline {
    text: String,
    is_loud: bool,
}

/// `None` if no rules looked at the frame, as in recordings of older versions.
pub(super) fn of(frame: &Frame) -> Option<Headline> {
    frame.rules_version?;
    let findings = frame.findings.as_deref().unwrap_or_default();
    // The worst comes first.
    let worst = findings.first().filter(|finding| finding.severity > Severity::Info);
    let text = match worst {
        Some(finding) => of_finding(finding, findings.len()),
        None if frame.headroom.is_none() => not_judged(frame),
        None => no_bottleneck(frame, findings.first())?,
    };
    Some(Headline { text: printable(&text), is_loud: worst.is_some() })
}

pub(super) fn render(state: &State, headline: &Headline, area: Rect, buffer: &mut Buffer) {
    let style = if headline.is_loud { state.theme.loud() } else { state.theme.quiet() };
    left(buffer, (area.x, area.y), area.width, &headline.text, style);
}

fn of_finding(finding: &Finding, all: usize) -> String {
    let more = if all > 1 { format!(" (and {} more)", all - 1) } else { String::new() };
    format!("{}{more}: {}", finding.severity.label().to_uppercase(), finding.why)
}

fn not_judged(frame: &Frame) -> String {
    let first = frame.not_judged.iter().find(|rule| rule.id == FindingId::SingleCpuReceive);
    format!("not judged: {}", first.map_or("the reason is unknown", |rule| rule.why.as_str()))
}

fn no_bottleneck(frame: &Frame, info: Option<&Finding>) -> Option<String> {
    let idle = |cpu: &&Cpu| cpu.stat.map(|stat| stat.idle_pct + stat.iowait_pct);
    let busiest =
        frame.cpus.iter().min_by(|a, b| idle(a).unwrap_or(100.0).total_cmp(&idle(b).unwrap_or(100.0)))?;
    let receive = busiest.softirq.and_then(|all| all.net_rx.vector.time_ns());
    let about = if frame.window.is_some() { "~" } else { "" };
    let receive = receive.map_or_else(String::new, |ns| {
        format!(", {about}{:.0} % of it NET_RX", pct_of(ns, frame.interval_ns))
    });
    let headroom = frame.headroom.iter().flatten().next().map_or_else(String::new, |headroom| {
        let [least, most] = headroom.factor_ci;
        format!(", headroom {least:.1}-{most:.1}x")
    });
    let info = info.map_or_else(String::new, |finding| format!("; {}", finding.why));
    let busy = 100.0 - idle(&busiest)?;
    Some(format!("no bottleneck: busiest CPU {} {busy:.0} % busy{receive}{headroom}{info}", busiest.cpu))
}
