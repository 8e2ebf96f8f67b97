//! The very first lines: the worst finding, or that there is no bottleneck.

use ratatui::layout::Rect;

use crate::{
    frame::{Finding, FindingId, Frame, Severity, pct_of},
    present::text::{plural, printable},
    tui::{
        Canvas, State, figures, lists,
        paint::{left, wrapped},
    },
};

/// The most lines.
const MOST: usize = 2;

/// What the lines say.
pub(super) struct Headline {
    lines: Vec<String>,
    is_loud: bool,
}

/// In lines of this width; `None` if no rules looked at the frame, as in recordings of older versions.
pub(super) fn of(frame: &Frame, width: u16) -> Option<Headline> {
    frame.rules_version?;
    let findings = frame.findings.as_deref().unwrap_or_default();
    // The worst comes first.
    let worst = findings.first().filter(|finding| finding.severity > Severity::Info);
    let text = match worst {
        Some(finding) => format!("{}: {}", finding.severity.label().to_uppercase(), finding.why),
        None if frame.headroom.is_none() => not_judged(frame),
        None => no_bottleneck(frame, findings.first())?,
    };
    let mut lines = wrapped(&printable(&text), width);
    if worst.is_some() && findings.len() > 1 {
        // A line of its own would be too much for it.
        let longer = wrapped(
            &printable(&format!("{text} (and {})", plural(findings.len() as u64 - 1, "more finding"))),
            width,
        );
        lines = if longer.len() == lines.len() { longer } else { lines };
    }
    lines.truncate(MOST);
    Some(Headline { lines, is_loud: worst.is_some() })
}

impl Headline {
    /// How many lines it has.
    pub(super) fn rows(&self) -> u16 {
        u16::try_from(self.lines.len()).unwrap_or(0)
    }

    pub(super) fn render(&self, state: &State, area: Rect, canvas: &mut Canvas) {
        let style = if self.is_loud { state.theme.loud() } else { state.theme.quiet() };
        for (line, y) in self.lines.iter().zip(area.y..area.bottom()) {
            left(canvas, (area.x, y), area.width, line, style);
        }
    }
}

fn not_judged(frame: &Frame) -> String {
    let first = frame.not_judged.iter().find(|rule| rule.id == FindingId::SingleCpuReceive);
    format!("not judged: {}", first.map_or("the reason is unknown", |rule| rule.why.as_str()))
}

/// The CPU with most network load, what it receives for, and how much more would fit.
fn no_bottleneck(frame: &Frame, info: Option<&Finding>) -> Option<String> {
    let (busiest, _) = figures::network_pcts(frame).into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let about = figures::mark(frame);
    let receive = busiest.softirq.and_then(|all| all.net_rx.vector.time_ns());
    let receive = receive.map_or_else(String::new, |ns| {
        let nic =
            lists::nic_on(frame, busiest.cpu).map_or_else(String::new, |nic| format!(" for {}", nic.name));
        format!(", {about}{:.0} % receive{nic}", pct_of(ns, frame.interval_ns))
    });
    let idle = busiest
        .stat
        .map_or_else(String::new, |stat| format!(", {:.0} % idle", stat.idle_pct + stat.iowait_pct));
    let headroom = frame.headroom.iter().flatten().next().map_or_else(String::new, |headroom| {
        let [least, most] = headroom.factor_ci;
        format!(", headroom {least:.1}-{most:.1}x")
    });
    let info = info.map_or_else(String::new, |finding| format!("; {}", finding.why));
    Some(format!("no bottleneck: busiest CPU {}{receive}{idle}{headroom}{info}", busiest.cpu))
}
