//! Findings and headroom as text for people.

use crate::{
    diagnose::{Answer, Verdict},
    frame::{Finding, Severity},
    present::{
        findings::{of_evidence, of_headroom, title},
        text::{printable, seconds},
    },
};

/// The widest line.
const WIDTH: usize = 80;
/// NICs whose headroom is listed: those with the least.
const HEADROOM_ROWS: usize = 4;

/// What `nicmon diagnose` prints.
pub fn text(answer: &Answer) -> String {
    let mut text = String::new();
    for finding in &answer.findings {
        text.push_str(&of_finding(finding));
        text.push('\n');
    }
    text.push_str(&paragraph("", &verdict(answer)));
    for headroom in answer.headroom.iter().take(HEADROOM_ROWS) {
        text.push_str(&paragraph("  ", &of_headroom(headroom)));
    }
    for rule in &answer.not_judged {
        text.push_str(&paragraph("  ", &format!("not judged: {}: {}", rule.id.label(), rule.why)));
    }
    text
}

/// The verdict in one sentence.
pub fn verdict(answer: &Answer) -> String {
    let time = format!("{} s", seconds(answer.window_ns));
    match answer.verdict {
        Verdict::Healthy => {
            format!("healthy: in {time} there was no bottleneck in what the kernel sees of the network")
        }
        Verdict::Findings => {
            let count = answer.findings.iter().filter(|finding| finding.severity > Severity::Info).count();
            let what = if count == 1 { "1 finding".to_owned() } else { format!("{count} findings") };
            format!("{what} in {time}")
        }
        Verdict::Indeterminate => {
            format!(
                "indeterminate: in {time} it could not be judged whether a CPU is saturated by receive work"
            )
        }
    }
}

fn of_finding(finding: &Finding) -> String {
    let mut text = paragraph("", &title(finding));
    text.push_str(&paragraph("  ", &finding.why));
    let stood = finding.stood_ns.map_or_else(String::new, |ns| format!(", for {} s", seconds(ns)));
    let over = if finding.fades { ", no longer seen" } else { "" };
    text.push_str(&paragraph("  ", &format!("since {}{stood}{over}", finding.since)));
    if !finding.contributing.is_empty() {
        let labels: Vec<&str> = finding.contributing.iter().map(|what| what.label()).collect();
        text.push_str(&paragraph("  ", &format!("packets are expensive: {}", labels.join(", "))));
    }
    for evidence in &finding.evidence {
        text.push_str(&paragraph("  ", &of_evidence(evidence)));
    }
    for caveat in &finding.caveats {
        text.push_str(&paragraph("  ", &format!("but: {caveat}")));
    }
    text
}

/// Text in lines, of which all but the first are indented by two more.
fn paragraph(indent: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = indent.to_owned();
    for word in printable(text).split(' ') {
        let is_empty = line.trim().is_empty();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = format!("{indent}  ");
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push_str(&line);
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Cause, Contributing, Evidence, FindingId, Headroom, NotJudged, Subject, Unit};

    fn answer(findings: Vec<Finding>, verdict: Verdict) -> Answer {
        let headroom = Headroom {
            nic: "eth0".to_owned(),
            netns: Some(1),
            cpu: 3,
            saturation_rx_packets_ci_per_s: [105_000.0, 170_000.0],
            factor_ci: [2.1, 3.4],
        };
        let not_judged =
            vec![NotJudged { id: FindingId::Intrusion, why: "no frame had the topology".to_owned() }];
        let window_ns = 10_000_000_000;
        Answer {
            schema: "nicmon.findings/1",
            window_ns,
            verdict,
            not_judged,
            findings,
            headroom: vec![headroom],
        }
    }

    fn finding() -> Finding {
        let subject =
            Subject { nic: Some("eth0".to_owned()), cpu: Some(0), queue: Some(2), ..Subject::default() };
        let field = "/cpus/0/stat/idle_pct".to_owned();
        Finding {
            id: FindingId::SingleCpuReceive,
            severity: Severity::Warning,
            cause: Some(Cause::IrqsShareCpu),
            contributing: vec![Contributing::NetfilterRules],
            subject,
            since: "2026-11-27T12:00:00Z".to_owned(),
            stood_ns: Some(6_000_000_000),
            fades: false,
            evidence: vec![Evidence {
                what: "idle time of CPU 0".to_owned(),
                field,
                value: 0.4,
                unit: Unit::PctOfCpu,
                threshold: Some(5.0),
            }],
            why: "CPU 0 is saturated by eth0: 4 of its queues interrupt this CPU".to_owned(),
            caveats: vec!["no frame had the topology yet, so the cause may be unknown".to_owned()],
        }
    }

    #[test]
    fn what_people_read() {
        let text = text(&answer(vec![finding()], Verdict::Findings));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        insta::assert_snapshot!(text);
        insta::assert_snapshot!("healthy", super::text(&answer(Vec::new(), Verdict::Healthy)));
    }

    #[test]
    fn names_cannot_command_a_terminal() {
        let mut evil = finding();
        evil.subject.nic = Some("\u{1b}[2Jeth\u{202e}0".to_owned());
        evil.why = "\u{1b}]0;owned\u{7}".to_owned();
        let text = text(&answer(vec![evil], Verdict::Findings));
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains('\u{7}'), "{text}");
    }
}
