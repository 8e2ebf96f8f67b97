//! What happened between two readings: differences between the programs' counters.

use nicmon_common::{CpuState, NET_RX, NapiStats, PollStats, RunStats, SOFTIRQ_VECTORS};

use crate::counters::{CpuActivity, PollActivity, Runs};

pub(super) fn polls_between(now: &NapiStats, before: &NapiStats) -> PollActivity {
    PollActivity {
        softirq: stats_between(now.softirq, before.softirq),
        softirq_ns: now.softirq_ns.wrapping_sub(before.softirq_ns),
        threaded: stats_between(now.threaded, before.threaded),
        busy: stats_between(now.busy, before.busy),
        thread_pid: (now.thread_pid != 0).then_some(now.thread_pid),
        interrupted_ns: now.thread_softirq_ns.wrapping_sub(before.thread_softirq_ns)
            + now.thread_irq_ns.wrapping_sub(before.thread_irq_ns),
        interrupted_unknown: now.thread_gaps != before.thread_gaps,
    }
}

fn stats_between(now: PollStats, before: PollStats) -> PollStats {
    PollStats {
        polls: now.polls.wrapping_sub(before.polls),
        work: now.work.wrapping_sub(before.work),
        repolls: now.repolls.wrapping_sub(before.repolls),
    }
}

/// Runs in an interval of at most this length. Only part of a run that started before the interval is
/// inside it, so no run counts as longer than the interval.
pub(super) fn runs_between(now: &RunStats, before: &RunStats, most_ns: u64) -> Runs {
    let ns = now.ns.wrapping_sub(before.ns);
    Runs {
        count: now.count.wrapping_sub(before.count),
        ns: Some(ns),
        max_ns: Some(now.max_ns.min(ns).min(most_ns)),
    }
}

pub(super) fn cpu_between(now: &CpuState, before: &CpuState, interval_ns: u64) -> CpuActivity {
    let each = |now: &[RunStats; SOFTIRQ_VECTORS], before: &[RunStats; SOFTIRQ_VECTORS], most_ns| {
        std::array::from_fn(|at| runs_between(&now[at], &before[at], most_ns))
    };
    let mut vectors: [Runs; SOFTIRQ_VECTORS] = each(&now.vectors, &before.vectors, interval_ns);
    vectors[NET_RX as usize] = runs_between(&now.net_rx, &before.net_rx, interval_ns);
    CpuActivity {
        hardirq_ns: Some(now.irq_total_ns.wrapping_sub(before.irq_total_ns)),
        vectors,
        // A delay that started before the interval counts in full.
        latency: each(&now.latency, &before.latency, u64::MAX),
        other_ns: Some(now.other_ns.wrapping_sub(before.other_ns)),
        mixed_ns: Some(now.mixed_ns.wrapping_sub(before.mixed_ns)),
        backlog: polls_between(&now.backlog, &before.backlog),
    }
}
