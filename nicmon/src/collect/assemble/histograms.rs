//! How long softirqs and polls took, over all CPUs that are shown.

use std::collections::{HashMap, HashSet};

use nicmon_common::NapiKey;

use super::{Filter, Observation};
use crate::{
    counters::{PollTimes, VectorTimes},
    frame::{Histogram, HistogramSum, Nic, SoftirqTimes, Softirqs},
};

/// `softirqs[]`.
pub(super) fn softirqs(seen: &Observation, filter: &Filter) -> Option<Vec<SoftirqTimes>> {
    let histograms = seen.reading.histograms.as_ref()?;
    let of = |all: &[VectorTimes], vector: usize| {
        sum(all.iter().filter(|one| one.vector == vector && filter.shows_cpu(one.cpu)).map(|one| &one.times))
    };
    let times = |(vector, name): (usize, &str)| {
        let delays = histograms.delays.as_ref().map(|delays| of(delays, vector));
        SoftirqTimes::of(name, of(&histograms.runs, vector), delays)
    };
    Some(Softirqs::NAMES.into_iter().enumerate().filter_map(times).collect())
}

/// The histograms of polls, by NAPI; the backlog is `None`.
pub(super) struct PollHistograms<'a> {
    by_napi: HashMap<Option<NapiKey>, Vec<&'a PollTimes>>,
    missing: HashSet<NapiKey>,
    are_known: bool,
}

impl<'a> PollHistograms<'a> {
    /// On the CPUs that are shown.
    pub(super) fn of(seen: &'a Observation, filter: &Filter) -> Self {
        let mut by_napi: HashMap<Option<NapiKey>, Vec<&PollTimes>> = HashMap::new();
        let all = || seen.reading.histograms.iter();
        let polls = all().flat_map(|histograms| &histograms.polls);
        for polls in polls.filter(|polls| filter.shows_cpu(polls.cpu)) {
            by_napi.entry(polls.napi).or_default().push(polls);
        }
        let missing = all().flat_map(|histograms| &histograms.missing);
        let missing = missing.filter(|(cpu, _)| filter.shows_cpu(*cpu)).map(|(_, napi)| *napi).collect();
        Self { by_napi, missing, are_known: seen.reading.histograms.is_some() }
    }

    /// Writes those of these NAPIs into a NIC. If one of them has none, the rest would look like all. A poll
    /// that the frame before had in its histogram may be the only one that this frame counts.
    pub(super) fn write_to(&self, nic: &mut Nic, napis: impl Iterator<Item = Option<NapiKey>> + Clone) {
        if !self.are_known || napis.clone().flatten().any(|napi| self.missing.contains(&napi)) {
            return;
        }
        let polls: Vec<&PollTimes> =
            napis.filter_map(|napi| self.by_napi.get(&napi)).flatten().copied().collect();
        let times = sum(polls.iter().map(|polls| &polls.times));
        if nic.softirq_polls() > 0 || times.values() > 0 {
            nic.poll_ns_histogram = Some(times);
            nic.poll_work_histogram = Some(sum(polls.iter().map(|polls| &polls.packets)));
        }
    }
}

fn sum<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Histogram {
    histograms.collect::<HistogramSum>().histogram()
}
