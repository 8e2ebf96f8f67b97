//! CPU time of the threads that poll NAPIs in threaded mode.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use crate::{counters::Reading, host::threads};

/// Prefixes of their names: `napi/<dev>-<id>` (net/core/dev.c: `napi_kthread_create`) and
/// `backlog_napi/<cpu>`.
const COMMS: [&str; 2] = ["napi/", "backlog_napi/"];

/// With more threads than this, those that have ended are forgotten.
const MOST_THREADS: usize = 4096;

/// Their times so far, by pid.
pub(super) struct ThreadTimes(HashMap<u32, u64>);

impl ThreadTimes {
    /// Finds the threads that already exist, so that their first polls have an interval.
    pub(super) fn new(proc: &Path) -> Self {
        let pids = COMMS.iter().flat_map(|comm| threads::named(proc, comm).unwrap_or_default());
        Self(pids.filter_map(|pid| Some((pid, run_ns(proc, pid)?))).collect())
    }

    /// The CPU time, in ns, that each thread used since the previous reading. A thread whose time is
    /// unknown is absent.
    pub(super) fn read(&mut self, proc: &Path, reading: &Reading) -> HashMap<u32, u64> {
        let napis = reading.napis.iter().flatten().flat_map(|napi| &napi.cpus).map(|(_, polls)| polls);
        let polls = napis.chain(reading.cpus.iter().map(|cpu| &cpu.backlog));
        // A thread that did not poll did not run: its time so far is still right.
        let ran = polls.filter(|polls| polls.threaded.polls > 0);
        let mut pids: BTreeSet<u32> = ran.filter_map(|polls| polls.thread_pid).collect();
        if reading.windows.is_some() {
            // They may have polled outside windows.
            pids.extend(self.0.keys());
        }
        if self.0.len() > MOST_THREADS {
            self.0.retain(|pid, _| run_ns(proc, *pid).is_some());
        }
        let mut used = HashMap::new();
        for pid in pids {
            let Some(now) = run_ns(proc, pid) else {
                self.0.remove(&pid);
                continue;
            };
            // If it went back, another thread has the pid now.
            let before = self.0.insert(pid, now);
            used.extend(before.and_then(|before| now.checked_sub(before)).map(|used| (pid, used)));
        }
        used
    }
}

fn run_ns(proc: &Path, pid: u32) -> Option<u64> {
    COMMS.iter().find_map(|comm| threads::run_ns(proc, pid, comm))
}
