//! `softirqs[]`.

use crate::frame::{HistogramSum, SoftirqTimes, Softirqs};

/// By vector, in the kernel's order; `None` as soon as a frame did not know them.
#[derive(Debug)]
pub(super) struct SoftirqSums(Option<[Sums; Softirqs::NAMES.len()]>);

/// Those of one vector.
#[derive(Debug, Default)]
struct Sums {
    runs: HistogramSum,
    /// `None` until a frame had them: delays that were not asked for count as none.
    delays: Option<HistogramSum>,
}

impl Default for SoftirqSums {
    fn default() -> Self {
        Self(Some(Default::default()))
    }
}

impl SoftirqSums {
    pub(super) fn add(&mut self, softirqs: Option<&[SoftirqTimes]>) {
        let (Some(sums), Some(softirqs)) = (&mut self.0, softirqs) else {
            self.0 = None;
            return;
        };
        for (name, sum) in Softirqs::NAMES.iter().zip(sums) {
            for more in softirqs.iter().filter(|more| more.vector == *name) {
                sum.runs.add(&more.run_ns_histogram);
                if let Some(delays) = &more.raise_to_run_ns_histogram {
                    sum.delays.get_or_insert_default().add(delays);
                }
            }
        }
    }

    pub(super) fn softirqs(&self) -> Option<Vec<SoftirqTimes>> {
        let times = |(name, sums): (&&str, &Sums)| {
            SoftirqTimes::of(name, sums.runs.histogram(), sums.delays.as_ref().map(HistogramSum::histogram))
        };
        Some(Softirqs::NAMES.iter().zip(self.0.as_ref()?).filter_map(times).collect())
    }
}
