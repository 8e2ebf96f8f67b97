//! What the rules say about a frame, taken together.

use serde::Serialize;

use super::RULES_VERSION;
use crate::frame::{Finding, FindingId, Frame, Headroom, NotJudged, Severity};

/// What the rules say about a frame and those before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgement {
    /// The worst first.
    pub findings: Vec<Finding>,
    /// The NIC with the least headroom first.
    pub headroom: Vec<Headroom>,
    /// Rules that could not be judged.
    pub not_judged: Vec<NotJudged>,
    /// Whether the frame came right after the one before; if not, what was seen before does not count.
    pub follows: bool,
}

/// All findings in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong with what the kernel sees.
    Healthy,
    /// At least one finding is a warning or critical.
    Findings,
    /// Whether a CPU is full of receiving could not be judged.
    Indeterminate,
}

impl Judgement {
    /// Whether it was judged if a CPU is full of receiving, which is the first question.
    pub fn is_judged(&self) -> bool {
        self.not_judged.iter().all(|rule| rule.id != FindingId::SingleCpuReceive)
    }

    /// Puts what was found into the frame that was judged.
    pub(super) fn put_into(self, frame: &mut Frame) {
        let is_judged = self.is_judged();
        frame.headroom = is_judged.then_some(self.headroom);
        frame.findings = (is_judged || !self.findings.is_empty()).then_some(self.findings);
        frame.not_judged = self.not_judged;
        frame.rules_version = Some(RULES_VERSION);
    }
}

impl Verdict {
    /// What findings mean, and whether the first question could be judged.
    pub(super) fn of(findings: &[Finding], is_judged: bool) -> Self {
        if findings.iter().any(|finding| finding.severity > Severity::Info) {
            Self::Findings
        } else if is_judged {
            Self::Healthy
        } else {
            Self::Indeterminate
        }
    }
}
