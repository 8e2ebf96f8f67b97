//! Frames of intervals that were measured in windows.
//!
//! Times are estimated first, and the frame is assembled as if they had been measured. Then each of them
//! moves from the field of exact times to the one beside it that is for estimates.

mod estimates;
mod irqs;
mod mark;

use std::{collections::HashMap, sync::Arc};

use nicmon_common::NapiKey;

pub(super) use self::{estimates::Estimates, mark::mark};
use super::dummies::Dummies;
use crate::{
    collect::Observation,
    counters::{CpuActivity, NapiActivity, PollActivity, Runs, SeenInWindow, SeenInWindows},
    frame::Estimate,
};

/// The observation with all times estimated; `None` if the whole interval was measured.
pub(super) fn estimated(seen: &Observation, dummies: &Dummies) -> Option<(Observation, Estimates)> {
    let windows = seen.reading.windows.as_ref()?;
    let estimates = Estimates::of(seen, windows, dummies);
    let polled = Polled::of(windows, seen.interval_ns);
    let mut as_if_exact = seen.clone();
    let reading = &mut as_if_exact.reading;
    reading.irqs.clone_from(&estimates.irqs.activity);
    for (number, activity) in (0..).zip(&mut reading.cpus) {
        cpu(number, activity, &estimates, windows);
        activity.backlog = polled.polls((None, number), activity.backlog, &estimates);
    }
    for napi in reading.napis.iter_mut().flatten() {
        for (cpu, polls) in &mut napi.cpus {
            *polls = polled.polls((Some(napi.key), *cpu), *polls, &estimates);
        }
        napi.cpus.retain(|(_, polls)| !polls.is_nothing());
    }
    if let Some(napis) = &mut reading.napis {
        napis.retain(|napi: &NapiActivity| !napi.cpus.is_empty());
    }
    Some((as_if_exact, estimates))
}

fn cpu(number: u32, activity: &mut CpuActivity, estimates: &Estimates, windows: &SeenInWindows) {
    for (vector, runs) in activity.vectors.iter_mut().enumerate() {
        runs.ns = estimates.vectors.get(&(number, vector)).map(Estimate::ns);
    }
    activity.other_ns = estimates.other_ns.get(&number).copied();
    activity.hardirq_ns = estimates.irqs.of_cpu(number).map(Estimate::ns);
    // Delays are those that were seen, as they always are.
    for (vector, delays) in activity.latency.iter_mut().enumerate() {
        let seen = windows.new_ones().iter().filter_map(|window| window.cpus.get(number as usize));
        *delays = seen.map(|cpu| cpu.latency[vector]).fold(NO_RUNS, Runs::plus);
    }
}

const NO_RUNS: Runs = Runs { count: 0, ns: Some(0), max_ns: Some(0) };

/// Polls in the windows of this interval or, if there were none, in the last windows. What threads did always
/// comes from the last windows: the kernel says how long they ran, windows or not.
struct Polled {
    /// `None` if this interval has no windows.
    new: Option<HashMap<(Option<NapiKey>, u32), PollActivity>>,
    recent_ns: u64,
    interval_ns: u64,
}

impl Polled {
    fn of(windows: &SeenInWindows, interval_ns: u64) -> Self {
        Self {
            new: (windows.new > 0).then(|| polls(windows.new_ones())),
            recent_ns: windows.recent.iter().map(|window| window.ns).sum(),
            interval_ns,
        }
    }

    /// What a NAPI did on a CPU in the whole interval, if it did `recent` in the last windows. Its time is
    /// the estimate, and of its polls only their proportions mean anything. What interrupted its thread is
    /// taken to go with time.
    fn polls(
        &self,
        napi: (Option<NapiKey>, u32),
        recent: PollActivity,
        estimates: &Estimates,
    ) -> PollActivity {
        let new = self.new.as_ref().map(|new| new.get(&napi).copied().unwrap_or_default());
        let interrupted = u128::from(recent.interrupted_ns) * u128::from(self.interval_ns)
            / u128::from(self.recent_ns.max(1));
        PollActivity {
            softirq_ns: estimates.napis_ns.get(&napi).copied().unwrap_or(0),
            interrupted_ns: u64::try_from(interrupted).unwrap_or(u64::MAX),
            threaded: recent.threaded,
            thread_pid: recent.thread_pid,
            interrupted_unknown: recent.interrupted_unknown,
            ..new.unwrap_or(recent)
        }
    }
}

fn polls(windows: &[Arc<SeenInWindow>]) -> HashMap<(Option<NapiKey>, u32), PollActivity> {
    let mut polls: HashMap<(Option<NapiKey>, u32), PollActivity> = HashMap::new();
    for window in windows {
        for (cpu, activity) in (0..).zip(&window.cpus) {
            polls.entry((None, cpu)).or_default().add(activity.backlog);
        }
        for napi in &window.napis {
            for (cpu, of_napi) in &napi.cpus {
                polls.entry((Some(napi.key), *cpu)).or_default().add(*of_napi);
            }
        }
    }
    polls
}

#[cfg(test)]
mod tests;
