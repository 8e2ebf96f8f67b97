//! `host`.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::sum::{keep, sum};
use crate::frame::{DropLocation, DroppedPackets, Host, SampleEvent, Sampling};

/// How many different problems a sum keeps: enough to see what is wrong.
const MOST_PROBLEMS: usize = 16;

/// The host's facts and sums.
#[derive(Debug, Default)]
pub(super) struct HostSum {
    /// From the last frame, without what is below.
    facts: Option<Host>,
    drivers_reason: Option<String>,
    sample_event: Option<SampleEvent>,
    sample_event_reason: Option<String>,
    sampling: Option<Sampling>,
    problems: Vec<String>,
    sampling_reason: Option<String>,
    drops: Drops,
}

/// Dropped packets by reason and place.
#[derive(Debug, Default)]
struct Drops {
    is_unknown: bool,
    counts: BTreeMap<String, HashMap<Option<String>, u64>>,
}

impl HostSum {
    pub(super) fn add(&mut self, host: &Host) {
        let Host {
            hostname,
            kernel,
            cpus_online,
            source,
            source_reason,
            accounting,
            preempt_rt,
            sample_event,
            sample_event_reason,
            drivers_reason,
            drivers_gap: _,
            sockets_gap: _,
            sampling,
            problems,
            sampling_reason,
            nics_left_out: _,
            netns_left_out: _,
            drops,
        } = host;
        keep(&mut self.sample_event, sample_event.as_ref());
        keep(&mut self.sample_event_reason, sample_event_reason.as_ref());
        keep(&mut self.sampling_reason, sampling_reason.as_ref());
        keep(&mut self.drivers_reason, drivers_reason.as_ref());
        self.sampling = match (self.sampling, *sampling) {
            (Some(one), Some(other)) => Some(samples(one, other)),
            (one, other) => one.or(other),
        };
        for problem in problems {
            if self.problems.len() < MOST_PROBLEMS && !self.problems.contains(problem) {
                self.problems.push(problem.clone());
            }
        }
        self.drops.add(drops.as_deref());
        self.facts = Some(Host {
            hostname: hostname.clone(),
            kernel: kernel.clone(),
            cpus_online: *cpus_online,
            source: *source,
            source_reason: source_reason.clone(),
            accounting: *accounting,
            preempt_rt: *preempt_rt,
            sample_event: None,
            sample_event_reason: None,
            drivers_reason: None,
            drivers_gap: None,
            sockets_gap: None,
            sampling: None,
            problems: Vec::new(),
            sampling_reason: None,
            nics_left_out: None,
            netns_left_out: None,
            drops: None,
        });
    }

    /// The host without gaps and what is left out.
    pub(super) fn host(&self) -> Option<Host> {
        Some(Host {
            sample_event: self.sample_event,
            sample_event_reason: self.sample_event_reason.clone(),
            drivers_reason: self.drivers_reason.clone(),
            sampling: self.sampling,
            problems: self.problems.clone(),
            sampling_reason: self.sampling_reason.clone(),
            drops: self.drops.drops(),
            ..self.facts.clone()?
        })
    }

    /// The busy samples that shares are shares of.
    pub(super) fn busy(&self) -> u64 {
        self.sampling.map_or(0, |sampling| sampling.busy)
    }
}

fn samples(one: Sampling, other: Sampling) -> Sampling {
    Sampling {
        frequency_per_s: one.frequency_per_s.filter(|one| other.frequency_per_s == Some(*one)),
        cpus: other.cpus,
        samples: one.samples.saturating_add(other.samples),
        idle: one.idle.saturating_add(other.idle),
        user: one.user.saturating_add(other.user),
        busy: one.busy.saturating_add(other.busy),
        busy_expected: sum(one.busy_expected, other.busy_expected),
        expected: sum(one.expected, other.expected),
        lost: one.lost.saturating_add(other.lost),
    }
}

impl Drops {
    fn add(&mut self, drops: Option<&[DroppedPackets]>) {
        let Some(drops) = drops else {
            self.is_unknown = true;
            return;
        };
        for drop in drops {
            let locations = self.counts.entry(drop.reason.clone()).or_default();
            for location in &drop.locations {
                let count = locations.entry(location.symbol.clone()).or_default();
                *count = count.saturating_add(location.count);
            }
        }
    }

    /// Most first.
    fn drops(&self) -> Option<Vec<DroppedPackets>> {
        if self.is_unknown {
            return None;
        }
        let mut drops: Vec<DroppedPackets> = Vec::new();
        for (reason, counts) in &self.counts {
            let location = |(symbol, count): (&Option<String>, &u64)| DropLocation {
                symbol: symbol.clone(),
                count: *count,
            };
            let mut locations: Vec<DropLocation> = counts.iter().map(location).collect();
            locations.sort_by_cached_key(|location| (Reverse(location.count), location.symbol.clone()));
            let count = locations.iter().fold(0_u64, |sum, location| sum.saturating_add(location.count));
            drops.push(DroppedPackets { reason: reason.clone(), count, locations });
        }
        drops.sort_by_key(|drop| Reverse(drop.count));
        Some(drops)
    }
}
