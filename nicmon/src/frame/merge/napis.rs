//! `nics[].napis[]`, and the poll times of a NIC, which are the sums of theirs.

use std::collections::{BTreeMap, HashMap};

use super::sum::{add_rows, add_time, keep, sum};
use crate::frame::{Napi, NapiCpu, NapiMode};

/// The NAPIs of a NIC in order of appearance, and where to find those of each id.
#[derive(Debug, Default)]
pub(super) struct Napis {
    sums: Vec<Napi>,
    by_id: HashMap<u32, Vec<usize>>,
}

impl Napis {
    pub(super) fn add(&mut self, napis: &[Napi]) {
        for napi in napis {
            let places = self.by_id.entry(napi.napi_id).or_default();
            if let Some(at) = places.iter().find(|at| is_same(&self.sums[**at], napi)) {
                add_rows(&mut self.sums[*at].cpus, &napi.cpus, |row| row.cpu, add_row);
            } else {
                places.push(self.sums.len());
                self.sums.push(napi.clone());
            }
        }
    }

    pub(super) fn napis(&self) -> &[Napi] {
        &self.sums
    }
}

fn is_same(one: &Napi, other: &Napi) -> bool {
    let Napi { napi_id, poll_fn, queue, kind, mode, cpus: _ } = one;
    (*napi_id, poll_fn, *queue, *kind, *mode)
        == (other.napi_id, &other.poll_fn, other.queue, other.kind, other.mode)
}

fn add_row(to: &mut NapiCpu, more: &NapiCpu) {
    add_time((&mut to.poll_ns, &mut to.poll_est_ns), (more.poll_ns, more.poll_est_ns));
    to.polls = sum(to.polls, more.polls);
    to.work = sum(to.work, more.work);
    to.repolls = sum(to.repolls, more.repolls);
    // Proportions of a report are those of its last windows.
    keep(&mut to.recent, more.recent.as_ref());
}

/// Time of polls. Busy polls have none; if there were no others, the time is unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct PollTime {
    timed_ns: Option<u64>,
    has_timed: bool,
    has_busy: bool,
}

impl Default for PollTime {
    fn default() -> Self {
        Self { timed_ns: Some(0), has_timed: false, has_busy: false }
    }
}

impl PollTime {
    fn add(&mut self, mode: NapiMode, ns: Option<u64>) {
        if mode == NapiMode::Busy {
            self.has_busy = true;
        } else {
            self.has_timed = true;
            self.timed_ns = sum(self.timed_ns, ns);
        }
    }

    pub(super) fn ns(self) -> Option<u64> {
        if self.has_busy && !self.has_timed { None } else { self.timed_ns }
    }
}

/// Poll times of a NIC.
#[derive(Debug, Default)]
pub(super) struct PollTimes {
    pub(super) all: PollTime,
    /// Polls in threads.
    pub(super) threaded: PollTime,
    pub(super) cpus: BTreeMap<u32, PollTime>,
}

impl PollTimes {
    pub(super) fn of(napis: &[Napi]) -> Self {
        let mut times = Self::default();
        for napi in napis {
            for row in &napi.cpus {
                times.all.add(napi.mode, row.poll_ns);
                times.cpus.entry(row.cpu).or_default().add(napi.mode, row.poll_ns);
                if napi.mode == NapiMode::Threaded {
                    times.threaded.add(napi.mode, row.poll_time_ns());
                }
            }
        }
        times
    }
}
