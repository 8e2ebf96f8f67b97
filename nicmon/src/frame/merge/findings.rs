//! `findings[]`, `headroom[]`, what was not judged, and the version of the rules.

use std::collections::BTreeMap;

use super::KEPT;
use crate::frame::{Bounded, Finding, FindingId, FindingKey, Frame, Headroom, NotJudged};

/// What was found, and for how long.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Bounded<FindingKey, Sum, KEPT>,
    /// The least headroom of each NIC.
    headroom: Bounded<(String, Option<u32>), Option<Headroom>, KEPT>,
    /// The last reason for each rule that could not be judged.
    not_judged: BTreeMap<FindingId, String>,
    rules_version: Option<u32>,
    judged_ns: u64,
    headroom_ns: u64,
}

#[derive(Debug, Default)]
struct Sum {
    finding: Option<Finding>,
    stood_ns: u64,
}

impl Findings {
    pub(super) fn add(&mut self, frame: &Frame) {
        let Frame { findings, headroom, not_judged, rules_version, interval_ns, .. } = frame;
        self.rules_version = rules_version.or(self.rules_version);
        self.found.start_frame(None);
        self.headroom.start_frame(None);
        if findings.is_some() {
            self.judged_ns = self.judged_ns.saturating_add(*interval_ns);
        }
        for finding in findings.iter().flatten() {
            let sum = self.found.of(finding.key());
            sum.stood_ns = sum.stood_ns.saturating_add(finding.stood_ns.unwrap_or(*interval_ns));
            let known = sum.finding.take();
            let severity =
                known.as_ref().map_or(finding.severity, |known| known.severity.max(finding.severity));
            // One that fades says less than it did before. Pointers into one frame lead nowhere in a sum.
            let told = known.filter(|_| finding.fades).unwrap_or_else(|| finding.clone());
            sum.finding = Some(Finding { severity, fades: finding.fades, evidence: Vec::new(), ..told });
        }
        if headroom.is_some() {
            self.headroom_ns = self.headroom_ns.saturating_add(*interval_ns);
        }
        for more in headroom.iter().flatten() {
            let least = self.headroom.of((more.nic.clone(), more.netns));
            if least.as_ref().is_none_or(|least| more.factor_ci[0] < least.factor_ci[0]) {
                *least = Some(more.clone());
            }
        }
        for rule in not_judged {
            self.not_judged.insert(rule.id, rule.why.clone());
        }
        self.found.end_frame(|sum| sum.stood_ns);
        self.headroom.end_frame(|_| ());
    }

    /// What was found, in the order of time; `None` if less than half of the time could be judged and nothing
    /// was found.
    pub(super) fn findings(&self, interval_ns: u64) -> Option<Vec<Finding>> {
        let found = self
            .found
            .iter()
            .filter_map(|(_, sum)| Some(Finding { stood_ns: Some(sum.stood_ns), ..sum.finding.clone()? }));
        let mut findings: Vec<Finding> = found.collect();
        findings.sort_by(|a, b| a.since.cmp(&b.since));
        (!findings.is_empty() || is_most(self.judged_ns, interval_ns)).then_some(findings)
    }

    /// The least headroom of each NIC; `None` if it could not be judged in half of the time.
    pub(super) fn headroom(&self, interval_ns: u64) -> Option<Vec<Headroom>> {
        let mut all: Vec<Headroom> = self.headroom.iter().filter_map(|(_, least)| least.clone()).collect();
        all.sort_by(|a, b| a.factor_ci[0].total_cmp(&b.factor_ci[0]));
        (!all.is_empty() || is_most(self.headroom_ns, interval_ns)).then_some(all)
    }

    pub(super) fn not_judged(&self) -> Vec<NotJudged> {
        self.not_judged.iter().map(|(id, why)| NotJudged { id: *id, why: why.clone() }).collect()
    }

    pub(super) fn rules_version(&self) -> Option<u32> {
        self.rules_version
    }
}

fn is_most(part_ns: u64, interval_ns: u64) -> bool {
    part_ns > 0 && part_ns >= interval_ns / 2
}
