//! How long softirqs and polls took, over all CPUs that are shown.

use std::collections::HashMap;

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
        let run_ns_histogram = of(&histograms.runs, vector);
        let raise_to_run_ns_histogram = histograms.delays.as_ref().map(|delays| of(delays, vector));
        let ran = !run_ns_histogram.counts.is_empty();
        ran.then(|| SoftirqTimes { vector: name.to_owned(), run_ns_histogram, raise_to_run_ns_histogram })
    };
    Some(Softirqs::NAMES.into_iter().enumerate().filter_map(times).collect())
}

/// The histograms of polls, by NAPI; the backlog is `None`.
pub(super) struct PollHistograms<'a>(HashMap<Option<NapiKey>, Vec<&'a PollTimes>>);

impl<'a> PollHistograms<'a> {
    /// On the CPUs that are shown.
    pub(super) fn of(seen: &'a Observation, filter: &Filter) -> Self {
        let mut by_napi: HashMap<Option<NapiKey>, Vec<&PollTimes>> = HashMap::new();
        let all = seen.reading.histograms.iter().flat_map(|histograms| &histograms.polls);
        for polls in all.filter(|polls| filter.shows_cpu(polls.cpu)) {
            by_napi.entry(polls.napi).or_default().push(polls);
        }
        Self(by_napi)
    }

    /// Writes those of these NAPIs into a NIC. If one of them has none, the rest would look like all.
    pub(super) fn write_to(&self, nic: &mut Nic, napis: impl IntoIterator<Item = Option<NapiKey>>) {
        let polls: Vec<&PollTimes> =
            napis.into_iter().filter_map(|napi| self.0.get(&napi)).flatten().copied().collect();
        let times = sum(polls.iter().map(|polls| &polls.times));
        if times.values() * 100 >= nic.softirq_polls() * 99 && times.values() > 0 {
            nic.poll_ns_histogram = Some(times);
            nic.poll_work_histogram = Some(sum(polls.iter().map(|polls| &polls.packets)));
        }
    }
}

fn sum<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Histogram {
    histograms.collect::<HistogramSum>().histogram()
}
