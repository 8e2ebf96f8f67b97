//! Recorded frames, judged again: by today's rules, and beside what was found when they were recorded.

use super::{Diagnosis, Judgement, RULES_VERSION};
use crate::frame::{Finding, FindingKey, Frame};

/// A recording may start in the midst of what its machine had seen for longer: a finding that came back stays
/// for a minute, and the topology comes once a minute.
const SETTLED_NS: u64 = 130_000_000_000;

/// Judges the frames of a recording.
#[derive(Debug, Default)]
pub struct Rejudged {
    diagnosis: Diagnosis,
    seen_ns: u64,
    /// How many frames have other findings than when they were recorded.
    differ: u64,
    /// The version of the rules then.
    recorded_version: Option<u32>,
}

impl Rejudged {
    /// Judges the next frame, and puts what was found into it.
    pub fn complete(&mut self, frame: &mut Frame) {
        self.judge(frame).put_into(frame);
    }

    /// Judges the next frame, and leaves it as it was recorded.
    pub fn judge(&mut self, frame: &Frame) -> Judgement {
        let judgement = self.diagnosis.judge(frame);
        self.seen_ns = if judgement.follows { self.seen_ns.saturating_add(frame.interval_ns) } else { 0 };
        self.recorded_version = frame.rules_version.or(self.recorded_version);
        let recorded = frame.rules_version.map(|_| names(frame.findings.as_deref().unwrap_or_default()));
        if self.seen_ns > SETTLED_NS
            && recorded.is_some_and(|recorded| recorded != names(&judgement.findings))
        {
            self.differ += 1;
        }
        judgement
    }

    /// What to say about frames that have other findings than when they were recorded.
    pub fn difference(&self) -> Option<String> {
        let version = self.recorded_version.filter(|_| self.differ > 0)?;
        let frames =
            if self.differ == 1 { "1 frame has".to_owned() } else { format!("{} frames have", self.differ) };
        Some(format!(
            "{frames} other findings than when recorded (rules version {version}, now {RULES_VERSION})"
        ))
    }
}

fn names(findings: &[Finding]) -> Vec<FindingKey> {
    let mut names: Vec<_> = findings.iter().map(Finding::key).collect();
    names.sort();
    names
}
