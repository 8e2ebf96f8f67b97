//! Histograms in frames, and what is read from them.

use nicmon_common::{TIME_BUCKETS, least_of_bucket};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A percentile is known only if so many values lie beyond it.
const BEYOND: u64 = 30;

/// How often which values occurred. Values below 8 have a bucket each, and each power of two above is
/// divided into eight equal ones. A percentile is the middle of its bucket: at most 6.25 % off. In the last
/// bucket (of times, from 16 s on; of packets, from 960 on) it may be further off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Histogram {
    /// Number of the first bucket in `counts`. Bucket `b` begins at `b` if that is below 8, otherwise at
    /// `(8 + b % 8) * 2^(b / 8 - 1)`, rounding the division down.
    #[schemars(title = "Number of the first bucket")]
    pub first: u32,
    /// One count for each bucket, from `first` on. Empty if there were no values.
    #[schemars(title = "How many values fell into each bucket")]
    pub counts: Vec<u64>,
    /// The median. `null`, as each percentile, if fewer than 30 values come after it in their order.
    #[schemars(title = "Median")]
    pub p50: Option<u64>,
    /// 99 of 100 values are at most this.
    #[schemars(title = "99th percentile")]
    pub p99: Option<u64>,
    /// 999 of 1,000 values are at most this.
    #[schemars(title = "99.9th percentile")]
    pub p999: Option<u64>,
}

impl Histogram {
    /// Of the counts of all buckets, from the first.
    pub fn of(counts: impl IntoIterator<Item = u64>) -> Self {
        let mut histogram = Self::default();
        for (bucket, count) in (0..).zip(counts) {
            if count == 0 {
                continue;
            }
            if histogram.counts.is_empty() {
                histogram.first = bucket;
            }
            histogram.counts.resize((bucket - histogram.first) as usize, 0);
            histogram.counts.push(count);
        }
        histogram.with_percentiles()
    }

    /// How many values there are.
    pub fn values(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The middle of the bucket of the greatest value; `None` without values.
    pub fn greatest(&self) -> Option<u64> {
        let last = self.counts.len().checked_sub(1)?;
        Some(middle_of_bucket((self.first as usize).saturating_add(last).min(TIME_BUCKETS - 1)))
    }

    fn with_percentiles(self) -> Self {
        let percentile = |parts, of| self.percentile(parts, of);
        let (p50, p99, p999) = (percentile(1, 2), percentile(99, 100), percentile(999, 1000));
        Self { p50, p99, p999, ..self }
    }

    /// The value that `parts` of `of` values do not exceed; `None` if too few lie beyond it.
    fn percentile(&self, parts: u64, of: u64) -> Option<u64> {
        let values = self.values();
        // Not values * parts, which may overflow.
        let beyond = values / of * (of - parts) + values % of * (of - parts) / of;
        if beyond < BEYOND {
            return None;
        }
        let mut left = values - beyond;
        for (bucket, count) in (self.first as usize..).zip(&self.counts) {
            if *count >= left {
                return Some(middle_of_bucket(bucket));
            }
            left -= count;
        }
        None
    }
}

fn middle_of_bucket(bucket: usize) -> u64 {
    let (least, next) = (least_of_bucket(bucket), least_of_bucket(bucket + 1));
    least + (next - 1 - least) / 2
}

/// Several histograms together.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistogramSum(Vec<u64>);

impl HistogramSum {
    pub(crate) fn add(&mut self, more: &Histogram) {
        // What a damaged frame has beyond the buckets is left out.
        self.0.resize(TIME_BUCKETS, 0);
        for (sum, count) in self.0.iter_mut().skip(more.first as usize).zip(&more.counts) {
            *sum = sum.saturating_add(*count);
        }
    }

    pub(crate) fn histogram(&self) -> Histogram {
        Histogram::of(self.0.iter().copied())
    }
}

impl<'a> FromIterator<&'a Histogram> for HistogramSum {
    fn from_iter<I: IntoIterator<Item = &'a Histogram>>(all: I) -> Self {
        let mut sum = Self::default();
        all.into_iter().for_each(|one| sum.add(one));
        sum
    }
}

/// Times of the runs of a softirq, on all CPUs that the frame has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SoftirqTimes {
    /// Which softirq, as in `cpus[].softirq`.
    #[schemars(title = "Softirq")]
    pub vector: String,
    /// How long its runs took, in ns. A run at the very end of the interval may be here already although
    /// `cpus[].softirq` counts it in the next frame.
    #[schemars(title = "How long its runs took")]
    pub run_ns_histogram: Histogram,
    /// How long after it was raised it ran, in ns; absent without `--latency`.
    #[schemars(title = "How long after it was raised it ran")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raise_to_run_ns_histogram: Option<Histogram>,
}

impl SoftirqTimes {
    /// `None` if there was neither a run nor a delay.
    pub(crate) fn of(vector: &str, runs: Histogram, delays: Option<Histogram>) -> Option<Self> {
        let is_nothing = runs.counts.is_empty() && delays.as_ref().is_none_or(|all| all.counts.is_empty());
        (!is_nothing).then(|| Self {
            vector: vector.to_owned(),
            run_ns_histogram: runs,
            raise_to_run_ns_histogram: delays,
        })
    }
}

#[cfg(test)]
mod tests {
    use nicmon_common::time_bucket;

    use super::*;

    fn of(values: impl Iterator<Item = u64>) -> Histogram {
        let mut counts = vec![0; TIME_BUCKETS];
        values.for_each(|value| counts[time_bucket(value)] += 1);
        Histogram::of(counts)
    }

    #[test]
    fn percentiles_are_close_to_those_of_the_values() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut values: Vec<u64> =
            (0..50_000).map(|_| 500 + (1 << random.u32(..14)) * random.u64(1..9) / 8).collect();
        let histogram = of(values.iter().copied());
        values.sort_unstable();
        for (percentile, rank) in [(histogram.p50, 25_000), (histogram.p99, 49_500), (histogram.p999, 49_950)]
        {
            let (found, exact) = (percentile.unwrap() as f64, values[rank - 1] as f64);
            assert!((found / exact - 1.0).abs() <= 0.0625, "{found} for {exact}");
        }
        assert_eq!(histogram.values(), 50_000);
    }

    #[test]
    fn a_percentile_needs_values_beyond_it() {
        let known = |count| {
            let Histogram { p50, p99, p999, .. } = of((0..count).map(|_| 1000));
            (p50.is_some(), p99.is_some(), p999.is_some())
        };
        assert_eq!(known(59), (false, false, false));
        assert_eq!(known(60), (true, false, false));
        assert_eq!((known(2_999), known(3_000)), ((true, false, false), (true, true, false)));
        assert_eq!((known(29_999), known(30_000)), ((true, true, false), (true, true, true)));
        assert_eq!(of(std::iter::empty()), Histogram::default());
    }

    fn sum(all: &[Histogram]) -> Histogram {
        all.iter().collect::<HistogramSum>().histogram()
    }

    #[test]
    fn sums_are_as_if_counted_together() {
        let (low, high) = (|| (0..100).map(|value| value * 3), || (0..100).map(|value| 5_000 + value * 70));
        assert_eq!(sum(&[of(low()), of(high())]), of(low().chain(high())));
        assert_eq!(sum(&[of(high()), Histogram::default()]), of(high()));
        assert_eq!(sum(&[]), Histogram::default());
        assert_eq!(Histogram::of([0, 0, 2, 0, 1, 0]).counts, [2, 0, 1]);
    }

    #[test]
    fn damaged_counts_do_no_harm() {
        let most = |first| Histogram { first, counts: vec![u64::MAX; 4], ..Histogram::default() };
        assert_eq!(sum(&[most(250), most(254)]).values(), u64::MAX);
        assert_eq!(sum(&[most(u32::MAX), Histogram::of([1])]), Histogram::of([1]));
    }
}
