//! When a condition becomes a finding, and when that is over.
//!
//! A condition that comes and goes around its limit must not make a finding blink. So it takes several
//! seconds to appear and to vanish, and a finding that comes back within a minute stays until it has been
//! good for a minute.

use std::collections::{HashMap, VecDeque};

use super::case::{Case, Cases, Hold, Key, Level, Rule, Standing};
use crate::frame::{Finding, FindingId, Frame, Severity, Subject};

/// A finding that comes back sooner than this stays as long.
const BLINK_S: f64 = 60.0;
/// Frames that a track remembers at most, however short they are.
const MOST_FRAMES: usize = 128;

/// The conditions of all rules.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    by_rule: HashMap<FindingId, HashMap<Key, Track>>,
}

/// One condition of one subject.
#[derive(Debug, Default)]
struct Track {
    /// Length in seconds, level and end of the last frames, the newest last.
    past: VecDeque<(f64, Level, String)>,
    /// The end of the first bad frame, while it is a finding.
    since: Option<String>,
    /// What was said when it was bad last.
    worst: Option<Case>,
    /// The worst severity of late, and how old that is.
    severity: Option<(Severity, f64)>,
    /// For how long it has been good, or nothing has been known of it.
    good_s: f64,
    unknown_s: f64,
    /// How long ago the last finding ended.
    ended_s: Option<f64>,
    /// Whether it has come back so soon that it now has to stay.
    blinks: bool,
}

impl Tracks {
    /// The subjects of a rule that have a finding.
    pub(super) fn standing(&self, id: FindingId) -> Standing {
        let tracks = self.by_rule.get(&id).into_iter().flatten();
        tracks.filter(|(_, track)| track.since.is_some()).map(|(key, _)| *key).collect()
    }

    /// Takes in what a rule says about a frame. Returns its findings.
    pub(super) fn follow(&mut self, rule: &Rule, cases: Cases, frame: &Frame) -> Vec<Finding> {
        let frame_s = frame.interval_ns as f64 / 1e9;
        let tracks = self.by_rule.entry(rule.id).or_default();
        let mut findings = Vec::new();
        let mentioned: Standing = cases.all.iter().map(|case| case.key).collect();
        for case in cases.all {
            let track = tracks.entry(case.key).or_default();
            track.unknown_s = 0.0;
            track.add(rule.hold, frame_s, case.level, &frame.time);
            track.note(rule.hold, frame_s, &case);
            findings.extend(track.finding(rule.id, Some(case), frame));
        }
        // A subject that a rule does not mention is good, unless it has a finding: then it could not be
        // judged, which is borne for as long as it takes to be over.
        tracks.retain(|key, track| {
            if !mentioned.contains(key) {
                let is_unknown = track.since.is_some() && is_there(*key, frame);
                track.unknown_s = if is_unknown { track.unknown_s + frame_s } else { f64::INFINITY };
                if track.unknown_s > rule.hold.good_s {
                    track.end();
                }
                let level = if track.since.is_some() { Level::Between } else { Level::Good };
                track.add(rule.hold, frame_s, level, &frame.time);
                findings.extend(track.finding(rule.id, None, frame));
            }
            !track.is_forgotten()
        });
        findings
    }
}

/// Whether a subject is still there.
fn is_there(key: Key, frame: &Frame) -> bool {
    match key {
        Key::Machine => true,
        Key::Cpu(cpu) => frame.cpus.iter().any(|there| there.cpu == cpu),
        Key::Nic(netns, ifindex) => {
            frame.nics.iter().any(|nic| nic.netns == Some(netns) && nic.ifindex == ifindex)
        }
        Key::Netns(inum) => frame.netns.iter().any(|netns| netns.inum == inum),
    }
}

impl Track {
    fn add(&mut self, hold: Hold, frame_s: f64, level: Level, time: &str) {
        self.past.push_back((frame_s, level, time.to_owned()));
        let total = |past: &VecDeque<(f64, Level, String)>| past.iter().map(|(s, ..)| s).sum::<f64>();
        // A frame is a little longer or shorter than asked for.
        let most_s = hold.of_s.max(hold.bad_s) + frame_s / 4.0;
        while self.past.len() > 1 && (self.past.len() > MOST_FRAMES || total(&self.past) > most_s) {
            self.past.pop_front();
        }
        self.good_s = if level == Level::Good { self.good_s + frame_s } else { 0.0 };
        self.ended_s = self.ended_s.map(|ended| ended + frame_s);
        if self.since.is_none() {
            self.begin(hold, frame_s);
        } else if self.good_s + frame_s / 4.0 >= if self.blinks { BLINK_S } else { hold.good_s } {
            self.end();
        }
    }

    fn begin(&mut self, hold: Hold, frame_s: f64) {
        let bad = || self.past.iter().filter(|(_, level, _)| *level == Level::Bad);
        let bad_s: f64 = bad().map(|(s, ..)| s).sum();
        if bad_s + frame_s / 4.0 >= hold.bad_s
            && let Some((.., time)) = bad().next()
        {
            self.since = Some(time.clone());
            self.blinks = self.ended_s.is_some_and(|ended| ended < BLINK_S);
        }
    }

    fn end(&mut self) {
        if self.since.take().is_some() {
            self.past.clear();
            (self.worst, self.severity) = (None, None);
            self.ended_s = Some(0.0);
        }
    }

    /// Keeps what was said when it was bad, and the worst severity for as long as it takes to be over.
    fn note(&mut self, hold: Hold, frame_s: f64, case: &Case) {
        self.severity = match self.severity.map(|(severity, age)| (severity, age + frame_s)) {
            Some((severity, age)) if severity > case.severity && age <= hold.good_s => Some((severity, age)),
            _ => Some((case.severity, 0.0)),
        };
        if case.level == Level::Bad || self.worst.is_none() {
            self.worst = Some(case.clone());
        }
    }

    /// The finding, if it is one. While it is not bad, the figures are those of now, and the rest is as it
    /// was when it was bad last.
    fn finding(&self, id: FindingId, now: Option<Case>, frame: &Frame) -> Option<Finding> {
        let (since, worst) = (self.since.clone()?, self.worst.clone()?);
        let fades = now.as_ref().is_none_or(|case| case.level != Level::Bad);
        let severity = self.severity.map_or(worst.severity, |(severity, _)| severity);
        let evidence = now.map_or_else(Vec::new, |case| case.evidence);
        let Case { cause, contributing, mut subject, why, caveats, .. } = worst;
        let is_there = |name: &str| frame.nics.iter().any(|nic| nic.name == name);
        if fades && subject.nic.as_deref().is_some_and(|name| !is_there(name)) {
            subject = Subject { cpu: subject.cpu, netns: subject.netns, ..Subject::default() };
        }
        let stood_ns = None;
        Some(Finding {
            id,
            severity,
            cause,
            contributing,
            subject,
            since,
            stood_ns,
            fades,
            evidence,
            why,
            caveats,
        })
    }

    /// Whether nothing of it matters any more.
    fn is_forgotten(&self) -> bool {
        let is_good = self.past.iter().all(|(_, level, _)| *level == Level::Good);
        self.since.is_none() && is_good && self.ended_s.is_none_or(|ended| ended >= BLINK_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a track is a finding, frame by frame.
    fn stands(hold: Hold, frame_s: f64, levels: impl IntoIterator<Item = Level>) -> Vec<bool> {
        let mut track = Track::default();
        let mut each = |level| {
            track.add(hold, frame_s, level, "now");
            track.since.is_some()
        };
        levels.into_iter().map(&mut each).collect()
    }

    use Level::{Bad, Between, Good};

    #[test]
    fn it_appears_after_three_of_four_seconds_and_vanishes_after_five() {
        let levels = [Bad, Bad, Good, Bad, Good, Good, Between, Good, Good, Good, Good, Good];
        let expected = [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0].map(|is| is == 1);
        assert_eq!(stands(Hold::LASTING, 1.0, levels), expected);
    }

    #[test]
    fn frames_of_any_length_take_the_same_time() {
        let first = |frame_s: f64| {
            let stands = stands(Hold::LASTING, frame_s, [Bad; 100]);
            stands.iter().position(|is| *is).unwrap() + 1
        };
        assert_eq!([0.1, 0.9997, 1.0003, 2.0, 10.0].map(first), [30, 3, 3, 2, 1]);
    }

    #[test]
    fn what_is_neither_good_nor_bad_changes_nothing() {
        assert_eq!(stands(Hold::LASTING, 1.0, [Between; 20]), [false; 20]);
        let levels = [Bad; 3].into_iter().chain([Between; 20]);
        assert_eq!(stands(Hold::LASTING, 1.0, levels).iter().filter(|is| **is).count(), 21);
    }

    /// 1,000 random series around a limit, ten minutes each: no finding comes back more than once per minute.
    #[test]
    fn no_finding_blinks() {
        let mut random = fastrand::Rng::with_seed(12);
        for series in 0..1000 {
            // How likely each level is, and how long it lasts.
            let (bad, between, stay) = (random.f64(), random.f64() * 0.5, random.f64() * 0.95);
            let mut level = Good;
            let levels: Vec<Level> = (0..600)
                .map(|_| {
                    if random.f64() >= stay {
                        let chance = random.f64();
                        level = if chance < between {
                            Between
                        } else if chance < between + bad * (1.0 - between) {
                            Bad
                        } else {
                            Good
                        };
                    }
                    level
                })
                .collect();
            let stands = stands(Hold::LASTING, 1.0, levels);
            let begins: Vec<usize> = (1..600).filter(|at| stands[*at] && !stands[*at - 1]).collect();
            let blinks: Vec<usize> =
                begins.windows(2).filter(|pair| pair[1] - pair[0] < 60).map(|pair| pair[1]).collect();
            assert!(
                blinks.windows(2).all(|pair| pair[1] - pair[0] >= 60),
                "series {series}: begins at {begins:?}"
            );
        }
    }
}
