//! How long softirqs and polls took, as rows for people.

use super::{Frame, Histogram, Softirqs, Vector};

/// A row: what took how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentiles<'a> {
    /// What it is.
    pub what: What<'a>,
    /// How long each took, in ns.
    pub times: &'a Histogram,
    /// The longest, in ns: exact of softirqs and delays, the middle of its bucket of polls.
    pub longest_ns: Option<u64>,
}

/// What took some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// Runs of a softirq, by its name in frames.
    Runs(&'a str),
    /// Its delays from raise to run.
    Delays(&'a str),
    /// Polls of a NIC, and how much work they returned.
    Polls(&'a str, &'a Histogram),
}

impl What<'_> {
    /// What people read. Names are as the frame has them.
    pub fn label(&self) -> String {
        match self {
            Self::Runs(vector) => vector.to_uppercase(),
            Self::Delays(vector) => format!("{}, raise to run", vector.to_uppercase()),
            Self::Polls(nic, _) => format!("{nic}, polls"),
        }
    }

    /// How much work the polls returned; `None` of what is no poll.
    pub fn work(&self) -> Option<&Histogram> {
        match self {
            Self::Polls(_, work) => Some(work),
            Self::Runs(_) | Self::Delays(_) => None,
        }
    }
}

/// All rows of a frame: polls, softirqs, delays.
pub fn percentiles(frame: &Frame) -> Vec<Percentiles<'_>> {
    let softirqs = || frame.softirqs.iter().flatten();
    let runs = softirqs().map(|softirq| Percentiles {
        what: What::Runs(&softirq.vector),
        times: &softirq.run_ns_histogram,
        longest_ns: longest(frame, &softirq.vector, |vector| vector.max_ns.or(vector.max_seen_ns)),
    });
    let delays = softirqs().filter_map(|softirq| {
        let times = softirq.raise_to_run_ns_histogram.as_ref().filter(|times| !times.counts.is_empty())?;
        let longest_ns = longest(frame, &softirq.vector, |vector| vector.latency.map(|delay| delay.max_ns));
        Some(Percentiles { what: What::Delays(&softirq.vector), times, longest_ns })
    });
    let polls = frame.nics.iter().filter_map(|nic| {
        let times = nic.poll_ns_histogram.as_ref()?;
        let what = What::Polls(&nic.name, nic.poll_work_histogram.as_ref()?);
        Some(Percentiles { what, times, longest_ns: times.greatest() })
    });
    polls.chain(runs).chain(delays).collect()
}

/// Over all CPUs, as far as it is known.
fn longest(frame: &Frame, vector: &str, of: fn(&Vector) -> Option<u64>) -> Option<u64> {
    let number = Softirqs::NAMES.iter().position(|name| *name == vector)?;
    frame.cpus.iter().filter_map(|cpu| of(cpu.softirq.as_ref()?.vectors()[number])).max()
}
