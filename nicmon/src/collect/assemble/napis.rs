//! `nics[].napis[]`: each NAPI, once for each mode in which it was polled.

use std::collections::HashMap;

use nicmon_common::PollStats;

use super::{Filter, Observation};
use crate::{
    counters::PollActivity,
    frame::{Accounting, Napi, NapiCpu, NapiKind, NapiMode},
    host::queues::{Direction, QueueNapi, of_napi},
};

/// What all modes of a NAPI have in common.
pub(super) struct NapiFacts {
    pub(super) napi_id: u32,
    pub(super) poll_fn: Option<String>,
    pub(super) queue: Option<u32>,
    pub(super) kind: Option<NapiKind>,
}

/// How long the threads of NAPIs ran.
#[derive(Clone, Copy)]
pub(super) struct ThreadTimes<'a> {
    /// In ns, by pid.
    ns: &'a HashMap<u32, u64>,
    /// Whether that includes the softirqs and device interrupts that ran while the thread was the current
    /// task. Only `IRQ_TIME` accounting takes them off (kernel/sched/core.c: `update_rq_clock_task`).
    with_interrupts: bool,
}

impl<'a> ThreadTimes<'a> {
    pub(super) fn of(seen: &'a Observation) -> Self {
        let with_interrupts = seen.accounting != Some(Accounting::IrqTime);
        Self { ns: &seen.thread_ns, with_interrupts }
    }
}

/// A NAPI in each mode in which it was polled on a CPU that is shown.
pub(super) fn by_mode(
    facts: &NapiFacts,
    cpus: &[(u32, PollActivity)],
    threads: ThreadTimes<'_>,
    filter: &Filter,
) -> Vec<Napi> {
    let softirq = if facts.kind == Some(NapiKind::Backlog) { NapiMode::Backlog } else { NapiMode::Softirq };
    let exact = rows(cpus, |polls| polls.softirq, |_, polls| Some(polls.softirq_ns));
    let busy = rows(cpus, |polls| polls.busy, |_, _| None);
    let threaded = rows(cpus, |polls| polls.threaded, |cpu, _| threaded_ns(cpus, cpu, threads));
    [(softirq, exact), (NapiMode::Threaded, threaded), (NapiMode::Busy, busy)]
        .into_iter()
        .map(|(mode, rows)| Napi {
            napi_id: facts.napi_id,
            poll_fn: facts.poll_fn.clone(),
            queue: facts.queue,
            kind: facts.kind,
            mode,
            cpus: rows.into_iter().filter(|row| filter.shows_cpu(row.cpu)).collect(),
        })
        .filter(|napi| !napi.cpus.is_empty())
        .collect()
}

fn rows(
    cpus: &[(u32, PollActivity)],
    polls: impl Fn(&PollActivity) -> PollStats,
    poll_ns: impl Fn(u32, &PollActivity) -> Option<u64>,
) -> Vec<NapiCpu> {
    cpus.iter()
        .filter_map(|(cpu, activity)| {
            let stats = polls(activity);
            let poll_ns = poll_ns(*cpu, activity);
            // The tail of a poll may be added after the poll itself was counted.
            (stats.polls > 0 || poll_ns.is_some_and(|ns| ns > 0)).then_some(NapiCpu {
                cpu: *cpu,
                poll_ns,
                polls: Some(stats.polls),
                work: Some(stats.work),
                repolls: Some(stats.repolls),
                ..NapiCpu::default()
            })
        })
        .collect()
}

/// A CPU's part of the time of the NAPI's thread, in proportion to its work or, if no poll found work, to
/// its polls.
fn threaded_ns(cpus: &[(u32, PollActivity)], cpu: u32, threads: ThreadTimes<'_>) -> Option<u64> {
    let polled = || cpus.iter().filter(|(_, polls)| polls.threaded.polls > 0);
    let (_, own) = polled().find(|(number, _)| *number == cpu)?;
    // A NAPI has one thread at a time; the backlog has one on each CPU.
    let pid = own.thread_pid?;
    let same_thread = || polled().filter(|(_, polls)| polls.thread_pid == Some(pid));
    let mut total_ns = *threads.ns.get(&pid)?;
    if threads.with_interrupts {
        if same_thread().any(|(_, polls)| polls.interrupted_unknown) {
            return None;
        }
        // The scheduler's clock is up to a tick late, so the difference may be negative.
        let others_ns = same_thread().map(|(_, polls)| polls.interrupted_ns).sum();
        total_ns = total_ns.saturating_sub(others_ns);
    }
    let works = same_thread().any(|(_, polls)| polls.threaded.work > 0);
    let weight = |polls: &PollActivity| if works { polls.threaded.work } else { polls.threaded.polls };
    let all: u64 = same_thread().map(|(_, polls)| weight(polls)).sum();
    let part = u128::from(total_ns) * u128::from(weight(own)) / u128::from(all.max(1));
    u64::try_from(part).ok()
}

/// Queue and kind of a NAPI: from what the kernel says about queues, which are sorted, or else from the
/// name of its poll function.
pub(super) fn queue_and_kind(
    napi_id: u32,
    ifindex: u32,
    queues: &[QueueNapi],
    poll_fn: Option<&str>,
) -> (Option<u32>, Option<NapiKind>) {
    let own = of_napi(queues, ifindex, napi_id).iter();
    let first = |wanted| own.clone().filter(|queue| queue.direction == wanted).map(|queue| queue.queue).min();
    match (napi_id != 0).then(|| (first(Direction::Rx), first(Direction::Tx))) {
        Some((Some(rx), Some(_))) => (Some(rx), Some(NapiKind::Combined)),
        Some((Some(rx), None)) => (Some(rx), Some(NapiKind::Rx)),
        Some((None, Some(tx))) => (Some(tx), Some(NapiKind::Tx)),
        _ => (None, poll_fn.and_then(kind_of_function)),
    }
}

/// The kind only if `rx` or `tx` is a word of the name: `virtnet_poll_tx`, `ena_tx_poll`.
fn kind_of_function(poll_fn: &str) -> Option<NapiKind> {
    let says = |word: &str| poll_fn.split('_').any(|part| part == word);
    match (says("rx"), says("tx")) {
        (true, false) => Some(NapiKind::Rx),
        (false, true) => Some(NapiKind::Tx),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threaded(polls: u64, work: u64) -> PollActivity {
        PollActivity {
            threaded: PollStats { polls, work, repolls: 0 },
            thread_pid: Some(7),
            ..PollActivity::default()
        }
    }

    fn quiet(ns: &HashMap<u32, u64>) -> ThreadTimes<'_> {
        ThreadTimes { ns, with_interrupts: true }
    }

    #[test]
    fn what_interrupts_a_thread_is_not_its_time() {
        let interrupted = |polls, ns, interrupted_unknown| PollActivity {
            interrupted_ns: ns,
            interrupted_unknown,
            ..threaded(polls, 10)
        };
        let ns = |cpus: &[(u32, PollActivity)], with_interrupts| {
            let ns = HashMap::from([(7, 1000)]);
            by_mode(&FACTS, cpus, ThreadTimes { ns: &ns, with_interrupts }, &Filter::default())[0].cpus[0]
                .poll_ns
        };
        let cpus = [(0, interrupted(1, 300, false)), (1, interrupted(1, 100, false))];
        assert_eq!(ns(&cpus, true), Some(300), "half of 1000 - 400");
        assert_eq!(ns(&cpus, false), Some(500), "the kernel has taken them off");
        assert_eq!(ns(&[(0, interrupted(1, 3000, false))], true), Some(0));
        assert_eq!(ns(&[(0, interrupted(1, 300, true))], true), None);
        assert_eq!(ns(&[(0, interrupted(1, 300, true))], false), Some(1000));
    }

    const FACTS: NapiFacts = NapiFacts { napi_id: 5, poll_fn: None, queue: None, kind: None };

    #[test]
    fn a_threads_time_is_split_by_work() {
        let cpus = [(0, threaded(10, 30)), (1, threaded(10, 10))];
        let napis = by_mode(&FACTS, &cpus, quiet(&HashMap::from([(7, 1000)])), &Filter::default());
        assert_eq!(napis.len(), 1);
        assert_eq!(napis[0].mode, NapiMode::Threaded);
        let ns: Vec<_> = napis[0].cpus.iter().map(|cpu| cpu.poll_ns).collect();
        assert_eq!(ns, [Some(750), Some(250)]);
    }

    #[test]
    fn without_work_a_threads_time_is_split_by_polls_and_may_be_unknown() {
        let cpus = [(0, threaded(1, 0)), (1, threaded(3, 0))];
        let ns = |thread_ns: &HashMap<u32, u64>| -> Vec<Option<u64>> {
            by_mode(&FACTS, &cpus, quiet(thread_ns), &Filter::default())[0]
                .cpus
                .iter()
                .map(|cpu| cpu.poll_ns)
                .collect()
        };
        assert_eq!(ns(&HashMap::from([(7, 1000)])), [Some(250), Some(750)]);
        assert_eq!(ns(&HashMap::new()), [None, None]);
    }

    #[test]
    fn busy_polls_have_no_time() {
        let polls = PollActivity {
            busy: PollStats { polls: 4, work: 4, repolls: 0 },
            softirq: PollStats { polls: 1, work: 1, repolls: 0 },
            softirq_ns: 900,
            ..PollActivity::default()
        };
        let napis = by_mode(&FACTS, &[(0, polls)], quiet(&HashMap::new()), &Filter::default());
        let shown: Vec<_> = napis.iter().map(|napi| (napi.mode, napi.cpus[0].poll_ns)).collect();
        assert_eq!(shown, [(NapiMode::Softirq, Some(900)), (NapiMode::Busy, None)]);
    }

    #[test]
    fn queues_say_what_a_napi_serves() {
        let queue = |queue, direction| QueueNapi { ifindex: 2, queue, direction, napi_id: 9 };
        let both = [queue(3, Direction::Tx), queue(3, Direction::Rx)];
        assert_eq!(queue_and_kind(9, 2, &both, None), (Some(3), Some(NapiKind::Combined)));
        assert_eq!(queue_and_kind(9, 2, &both[1..], None), (Some(3), Some(NapiKind::Rx)));
        assert_eq!(queue_and_kind(9, 4, &both, None), (None, None));
        assert_eq!(queue_and_kind(0, 2, &[], Some("virtnet_poll_tx")), (None, Some(NapiKind::Tx)));
        assert_eq!(queue_and_kind(8, 2, &[], Some("igb_poll")), (None, None));
    }
}
