//! What was found in a stretch of time: the answer of `nicmon diagnose`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Diagnosis, Judgement, Verdict};
use crate::frame::{Finding, FindingId, FindingKey, Frame, Headroom, NotJudged, Wanted};

const SCHEMA: &str = "nicmon.findings/1";
/// A finding takes three of four seconds, so less says nothing.
const LEAST_NS: u64 = 3_900_000_000;

/// Frames that are judged together.
#[derive(Debug, Default)]
pub struct Window {
    diagnosis: Diagnosis,
    all_ns: u64,
    /// How long in a row it was judged whether a CPU is full of receiving, and at most; and in all.
    row_ns: u64,
    longest_row_ns: u64,
    judged_ns: u64,
    findings: BTreeMap<FindingKey, Finding>,
    /// The least of each NIC.
    headroom: BTreeMap<(String, Option<u32>), Headroom>,
    /// Why rules could not be judged, and for how long.
    not_judged: BTreeMap<FindingId, (String, u64)>,
}

/// All that was found, as it is printed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Name and version of this format: `nicmon.findings/1`.
    pub schema: &'static str,
    /// Length of all intervals.
    pub window_ns: u64,
    /// All in one word.
    pub verdict: Verdict,
    /// The rules that could not be judged in half of the time or more.
    pub not_judged: Vec<NotJudged>,
    /// The worst first; each as it was when it was bad last, with its worst severity.
    pub findings: Vec<Finding>,
    /// The least of each NIC, the least first.
    pub headroom: Vec<Headroom>,
}

impl Window {
    /// Takes in the next frame. Returns what is found in it.
    pub fn add(&mut self, frame: &Frame) -> Vec<Finding> {
        let judgement = self.diagnosis.judge(frame);
        let is_judged = judgement.is_judged();
        let Judgement { findings, headroom, not_judged, follows } = judgement;
        let frame_ns = frame.interval_ns;
        self.all_ns = self.all_ns.saturating_add(frame_ns);
        if is_judged {
            self.row_ns = if follows { self.row_ns.saturating_add(frame_ns) } else { frame_ns };
            self.judged_ns = self.judged_ns.saturating_add(frame_ns);
            self.longest_row_ns = self.longest_row_ns.max(self.row_ns);
        } else {
            self.row_ns = 0;
        }
        for finding in &findings {
            self.keep(finding.clone(), frame_ns);
        }
        for more in headroom {
            let least = self.headroom.entry((more.nic.clone(), more.netns)).or_insert_with(|| more.clone());
            if more.factor_ci[0] < least.factor_ci[0] {
                *least = more;
            }
        }
        for NotJudged { id, why } in not_judged {
            let (last, for_ns) = self.not_judged.entry(id).or_default();
            *last = why;
            *for_ns = for_ns.saturating_add(frame_ns);
        }
        findings
    }

    /// What the next frame should have to explain what was found in the last.
    pub fn wanted(&self) -> &Wanted {
        self.diagnosis.wanted()
    }

    /// A finding that fades says less than it did when it was bad.
    fn keep(&mut self, mut finding: Finding, frame_ns: u64) {
        let known = self.findings.remove(&finding.key());
        let stood_ns = known.as_ref().and_then(|known| known.stood_ns).unwrap_or(0);
        let severity = known.as_ref().map_or(finding.severity, |known| known.severity.max(finding.severity));
        if let Some(known) = known.filter(|_| finding.fades) {
            finding = Finding { fades: true, ..known };
        }
        (finding.stood_ns, finding.severity) = (Some(stood_ns.saturating_add(frame_ns)), severity);
        self.findings.insert(finding.key(), finding);
    }

    /// All that was found; `None` before the first frame.
    pub fn answer(&self) -> Option<Answer> {
        if self.all_ns == 0 {
            return None;
        }
        let mut findings: Vec<Finding> = self.findings.values().cloned().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let mut headroom: Vec<Headroom> = self.headroom.values().cloned().collect();
        headroom.sort_by(|a, b| a.factor_ci[0].total_cmp(&b.factor_ci[0]));
        let unjudged = self.not_judged.iter().filter(|(_, (_, for_ns))| *for_ns >= self.all_ns / 2);
        let mut not_judged: Vec<NotJudged> =
            unjudged.map(|(id, (why, _))| NotJudged { id: *id, why: why.clone() }).collect();
        let is_judged = self.longest_row_ns >= LEAST_NS && self.judged_ns >= self.all_ns / 2;
        let first = FindingId::SingleCpuReceive;
        if !is_judged && not_judged.iter().all(|rule| rule.id != first) {
            let why = format!(
                "there were only {:.1} s in a row in which it could be judged, and it takes 4 s",
                self.longest_row_ns as f64 / 1e9
            );
            not_judged.insert(0, NotJudged { id: first, why });
        }
        let verdict = Verdict::of(&findings, is_judged);
        Some(Answer { schema: SCHEMA, window_ns: self.all_ns, verdict, not_judged, findings, headroom })
    }
}
