//! What frames mean: findings about bottlenecks, and how much headroom is left.
//!
//! Each rule is a file that looks at one frame and the last known topology, and says which of its conditions
//! hold. [`Diagnosis`] decides when a condition becomes a finding and when it is over, and which of two
//! findings about one condition is shown. docs/findings has a page about each rule, with its limits and why
//! they are what they are.
//!
//! Nothing here touches the kernel, so a recording from another machine is judged like a live frame.

mod backlog_drops;
mod case;
mod cpu_shared;
mod headroom;
mod hold;
mod interrupt_storm;
mod intrusion;
mod judgement;
mod machine_saturated;
mod own_cost;
mod replay;
mod ring_overrun;
mod saturation;
mod setup;
mod single_cpu_receive;
mod single_tx_queue;
mod socket_drops;
mod softirq_outside_napi;
#[cfg(test)]
mod tests;
mod view;
mod wanted;
mod wasted_steering;
mod window;

use self::{
    case::{Cases, Rule},
    headroom::Rates,
    hold::Tracks,
    setup::Setup,
    view::View,
};
pub use self::{
    judgement::{Judgement, Verdict},
    replay::Rejudged,
    window::{Answer, Window},
};
use crate::frame::{Finding, FindingId, Frame, NotJudged, Wanted};

/// The version of the rules. It grows whenever the same frames may give other findings.
pub const RULES_VERSION: u32 = 1;

/// All rules. Of two findings about one condition, the one of the earlier rule is shown.
const RULES: [Rule; 12] = [
    single_cpu_receive::RULE,
    machine_saturated::RULE,
    cpu_shared::RULE,
    softirq_outside_napi::RULE,
    backlog_drops::RULE,
    ring_overrun::RULE,
    socket_drops::RULE,
    interrupt_storm::RULE,
    intrusion::RULE,
    wasted_steering::RULE,
    single_tx_queue::RULE,
    own_cost::RULE,
];

/// Judges frames one after the other.
#[derive(Debug, Default)]
pub struct Diagnosis {
    /// From the last topology that a frame carried.
    setup: Option<Setup>,
    tracks: Tracks,
    rates: Rates,
    /// Boot, and end of the last frame on the monotonic clock.
    last: Option<(Option<String>, u64)>,
    wanted: Wanted,
}

impl Diagnosis {
    /// What this frame and those before it mean.
    pub fn judge(&mut self, frame: &Frame) -> Judgement {
        let follows = self.follows(frame);
        if !follows {
            (self.tracks, self.rates) = (Tracks::default(), Rates::default());
        }
        let boot = &frame.boot_id;
        if self.last.as_ref().is_some_and(|(last, _)| last != boot) {
            self.setup = None;
        }
        self.last = Some((boot.clone(), frame.mono_ns));
        if let Some(topology) = &frame.topology {
            self.setup = Some(Setup::of(topology));
        }
        let view = View::of(frame, self.setup.as_ref());
        let mut judgement = Judgement { follows, ..Judgement::default() };
        for rule in &RULES {
            let cases = (rule.cases)(&view, &self.tracks.standing(rule.id));
            let cases = cases.unwrap_or_else(|why| Cases { all: Vec::new(), not_judged: Some(why) });
            let not_judged = cases.not_judged.clone().map(|why| NotJudged { id: rule.id, why });
            judgement.not_judged.extend(not_judged);
            judgement.findings.extend(self.tracks.follow(rule, cases, frame));
        }
        keep_one_per_condition(&mut judgement.findings);
        judgement.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        self.wanted = wanted::wanted(&view, &judgement.findings);
        judgement.headroom = self.rates.headroom(&view);
        judgement
    }

    /// Judges a frame, and puts what was found into it. Says whether the frame came right after the last one.
    pub fn complete(&mut self, frame: &mut Frame) -> bool {
        let judgement = self.judge(frame);
        let follows = judgement.follows;
        judgement.put_into(frame);
        follows
    }

    /// What the next frame should have to explain what was found in the last.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether this frame comes right after the last one. What happened in a gap is unknown, so nothing that
    /// was seen before it counts.
    fn follows(&self, frame: &Frame) -> bool {
        let Some((boot, end_ns)) = &self.last else { return true };
        let start_ns = frame.mono_ns.saturating_sub(frame.interval_ns);
        // Frames are made one after the other: a gap of half an interval means that one is missing.
        let gap_ns = frame.interval_ns / 2;
        *boot == frame.boot_id && frame.mono_ns > *end_ns && start_ns.abs_diff(*end_ns) <= gap_ns
    }
}

/// One condition gives one finding: a CPU that is full of receiving is `single-cpu-receive` rather than
/// `machine-saturated`; and a CPU that either of them or `softirq-outside-napi` is about is not `cpu-shared`.
fn keep_one_per_condition(findings: &mut Vec<Finding>) {
    use FindingId::{CpuShared, MachineSaturated, SingleCpuReceive, SoftirqOutsideNapi};
    let about: Vec<(FindingId, Option<u32>)> =
        findings.iter().map(|finding| (finding.id, finding.subject.cpu)).collect();
    let has = |id: FindingId| about.iter().any(|(other, _)| *other == id);
    findings.retain(|finding| match finding.id {
        MachineSaturated => !has(SingleCpuReceive),
        CpuShared => {
            let is_here = |id: FindingId| about.contains(&(id, finding.subject.cpu));
            !is_here(SingleCpuReceive) && !is_here(SoftirqOutsideNapi) && !has(MachineSaturated)
        }
        _ => true,
    });
}
