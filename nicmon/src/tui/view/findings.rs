//! The view of findings: all of them, and what stands behind the chosen one.

use ratatui::{
    layout::{Constraint, Layout, Rect},
    style::Style,
};

use crate::{
    frame::{Finding, Frame, Severity},
    present::{
        findings::{of_evidence, of_headroom, title},
        text::printable,
    },
    tui::{
        Canvas, State, Target, Theme, lists,
        paint::{left, lines, wrapped},
    },
};

/// Draws the list and, below it, the chosen finding; or why there is none.
pub(super) fn render(state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
    let findings = lists::findings(state, frame);
    let chosen = lists::chosen_finding(state, &findings);
    let rows = u16::try_from(findings.len()).unwrap_or(u16::MAX).min((area.height / 3).max(2));
    let [list, _, below] =
        Layout::vertical([Constraint::Length(rows), Constraint::Length(1.min(rows)), Constraint::Fill(1)])
            .areas(area);
    let first = lists::first_around(chosen, findings.len(), rows.into());
    for ((at, finding), y) in findings.iter().enumerate().skip(first).zip(list.y..list.bottom()) {
        let mark = if at == chosen { "> " } else { "  " };
        let text = format!("{mark}{}", title(finding));
        canvas.is_for((list.x, y), list.width, Target::Finding(finding.key()));
        left(canvas, (list.x, y), list.width, &text, style(state, finding));
    }
    let text = match findings.get(chosen) {
        Some(finding) => details(finding),
        None => Vec::new(),
    };
    let text: Vec<(String, Style)> = text.into_iter().chain(about_all(frame, findings.is_empty())).collect();
    let wrapped: Vec<(String, Style)> = text
        .iter()
        .flat_map(|(text, style)| {
            indented(&printable(text), below.width).into_iter().map(|line| (line, *style))
        })
        .collect();
    lines(canvas, below, &wrapped);
}

fn style(state: &State, finding: &Finding) -> Style {
    match finding.severity {
        Severity::Critical | Severity::Warning => state.theme.loud(),
        Severity::Info => Style::new(),
    }
}

/// Lines after the first are indented.
fn indented(text: &str, width: u16) -> Vec<String> {
    let mut all = wrapped(text, width.saturating_sub(2));
    all.iter_mut().skip(1).for_each(|line| line.insert_str(0, "  "));
    if all.is_empty() { vec![String::new()] } else { all }
}

/// What a finding says, one line each.
fn details(finding: &Finding) -> Vec<(String, Style)> {
    let plain = Style::new();
    let over = if finding.fades { "; no longer seen" } else { "" };
    let mut text =
        vec![(finding.why.clone(), Theme::name()), (format!("since {}{over}", finding.since), plain)];
    if !finding.contributing.is_empty() {
        let labels: Vec<&str> = finding.contributing.iter().map(|what| what.label()).collect();
        text.push((format!("packets are expensive: {}", labels.join(", ")), plain));
    }
    text.extend(finding.evidence.iter().map(|evidence| (of_evidence(evidence), plain)));
    text.extend(finding.caveats.iter().map(|caveat| (format!("but: {caveat}"), plain)));
    text.push((format!("docs/findings/{}.md explains it", finding.id.label()), plain));
    text.push((String::new(), plain));
    text
}

/// What is not about one finding: headroom, and what could not be judged.
fn about_all(frame: &Frame, is_empty: bool) -> Vec<(String, Style)> {
    let plain = Style::new();
    let mut text = Vec::new();
    if is_empty {
        let why = match frame.rules_version {
            None => "no rules looked at this frame",
            Some(_) if frame.findings.iter().flatten().next().is_some() => "no finding contains that text",
            Some(_) => "nothing was found",
        };
        text.push((why.to_owned(), Theme::name()));
    }
    text.extend(
        frame
            .headroom
            .iter()
            .flatten()
            .map(|headroom| (format!("headroom of {}", of_headroom(headroom)), plain)),
    );
    text.extend(
        frame.not_judged.iter().map(|rule| (format!("not judged: {}: {}", rule.id.label(), rule.why), plain)),
    );
    text
}
