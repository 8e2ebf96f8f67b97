use super::*;
use crate::counters::TakenSample;

const SECOND: u64 = 1_000_000_000;

/// Samples of CPUs, each with so many busy and so many idle ones.
fn samples(event: SampleEvent, frequency: u32, cpus: &[(u32, u64, u64)]) -> Samples {
    let sample = |cpu, kind| TakenSample {
        cpu,
        address: 0,
        kind,
        poll: None,
        pid: 0,
        comm: String::new(),
        stack: Vec::new(),
        socket: None,
    };
    let taken = cpus.iter().flat_map(|(cpu, busy, idle)| {
        let busy = (0..*busy).map(|_| sample(*cpu, SampleKind::Task));
        busy.chain((0..*idle).map(|_| sample(*cpu, SampleKind::Idle)))
    });
    Samples {
        event,
        frequency,
        cpus: cpus.iter().map(|(cpu, ..)| *cpu).collect(),
        taken: taken.collect(),
        lost: 0,
        has_sockets: false,
        timer_reason: None,
    }
}

fn weights(event: SampleEvent, frequency: u32, cpus: &[(u32, u64, u64)], busy_ns: &[(u32, u64)]) -> Weights {
    Weights::of(&samples(event, frequency, cpus), busy_ns, during(SECOND), None)
}

fn during(interval_ns: u64) -> Interval {
    Interval { ns: interval_ns, ticks_per_second: 100, is_sampled_throughout: true }
}

fn close(value: f64, expected: f64) -> bool {
    (value / expected - 1.0).abs() < 1e-9
}

#[test]
fn a_complete_timer_is_not_corrected() {
    // The accounting says something else, but no tick is missing.
    for busy_ns in [0, 100_000_000, SECOND] {
        let of = weights(SampleEvent::CpuClock, 1000, &[(0, 400, 600)], &[(0, busy_ns)]);
        assert!(close(of.ns(0), 1e6), "{busy_ns}: {of:?}");
        assert_eq!((of.busy_expected, of.reason(1000, Some(100))), (Some(400), None));
    }
    // An idle CPU gives few ticks, and a CPU that came online has no accounting yet.
    let of = weights(SampleEvent::CpuClock, 1000, &[(0, 20, 3), (1, 50, 0)], &[(0, 20_000_000)]);
    assert!(close(of.ns(0), 1e6) && close(of.ns(1), 1e6) && close(of.ns(7), 1e6), "{of:?}");
    assert_eq!(of.busy_expected, Some(70));
}

/// The same load, sampled whole and at a tenth: the same times.
#[test]
fn a_tenth_of_the_samples_stands_for_the_same_time() {
    let busy_ns = [(0, SECOND), (1, 400_000_000)];
    let whole = weights(SampleEvent::CpuClock, 1000, &[(0, 1000, 0), (1, 400, 600)], &busy_ns);
    let tenth = weights(SampleEvent::CpuClock, 1000, &[(0, 100, 0), (1, 40, 60)], &busy_ns);
    for (cpu, busy) in [(0, 1000.0), (1, 400.0)] {
        assert!(close(tenth.ns(cpu) * busy / 10.0, whole.ns(cpu) * busy), "CPU {cpu}: {tenth:?}");
    }
    assert_eq!((whole.busy_expected, tenth.busy_expected), (Some(1400), Some(1400)));
    assert_eq!(whole.reason(1000, Some(100)), None);
    let reason = tenth.reason(1000, Some(100)).expect("a reason");
    assert!(reason.starts_with("each of the CPUs 0-1 gave less than half"), "{reason}");
    assert!(reason.contains("100 of 1000") && reason.contains("allows only 100 samples"), "{reason}");
    // Nothing was limited: the machine itself is late.
    let reason = tenth.reason(1000, Some(100_000)).expect("a reason");
    assert!(reason.contains("came too late"), "{reason}");
}

/// What the kernel is known to limit is corrected even where chance might explain it: on a CPU that is hardly
/// busy, and in a short frame.
#[test]
fn a_known_limit_is_no_chance() {
    for (busy, idle, busy_ns, interval_ns) in
        [(10, 90, SECOND / 10, SECOND), (5, 5, SECOND / 20, SECOND / 10), (0, 10, SECOND / 10, SECOND)]
    {
        let taken = samples(SampleEvent::CpuClock, 1000, &[(0, busy, idle)]);
        let of = |limit| Weights::of(&taken, &[(0, busy_ns)], during(interval_ns), limit);
        let (limited, expected) = (of(Some(100)), busy_ns / 1_000_000);
        assert_eq!(limited.busy_expected, Some(expected));
        assert!(busy == 0 || close(limited.ns(0) * busy as f64, busy_ns as f64), "{limited:?}");
        let reason = limited.reason(1000, Some(100)).expect("a reason");
        assert!(reason.contains(&format!("{busy} of {expected}")), "{reason}");
        for limit in [None, Some(1000)] {
            assert!(close(of(limit).ns(0), 1e6) && of(limit).reason(1000, limit).is_none());
        }
    }
    // Two ticks of the accounting are no proof that a CPU was busy, and no tick is missing on another.
    let taken = samples(SampleEvent::CpuClock, 1000, &[(0, 2, 90), (1, 400, 600)]);
    let of = Weights::of(&taken, &[(0, 20_000_000), (1, SECOND)], during(SECOND), Some(900));
    assert!(of.reason(1000, Some(900)).is_none() && close(of.ns(1), 1e6), "{of:?}");
}

/// Each CPU by itself: one throttled CPU does not raise what a sample on another stands for.
#[test]
fn only_the_cpu_that_misses_samples_is_corrected() {
    let busy_ns = [(0, SECOND), (1, SECOND)];
    let of = weights(SampleEvent::CpuClock, 1000, &[(0, 1000, 0), (1, 200, 0)], &busy_ns);
    assert!(close(of.ns(0), 1e6) && close(of.ns(1), 5e6), "{of:?}");
    assert!(of.reason(1000, None).is_some_and(|reason| reason.starts_with("CPU 1 gave less than half")));
    // A third is missing: corrected, but not worth a word.
    let of = weights(SampleEvent::CpuClock, 1000, &[(0, 1000, 0), (1, 666, 0)], &busy_ns);
    assert!(close(of.ns(1), 1e9 / 666.0) && of.reason(1000, None).is_none(), "{of:?}");
    // Busy, and not a single sample: it cannot be said whose time that was, but that it is missing.
    let of = weights(SampleEvent::CpuClock, 1000, &[(0, 1000, 0), (1, 0, 0)], &busy_ns);
    assert_eq!(of.busy_expected, Some(2000));
    assert!(of.reason(1000, None).is_some_and(|reason| reason.contains("CPU 1: 0 of 1000")));
}

/// Ticks of idle time did not come, and the accounting says more than they could have shown.
#[test]
fn accounting_corrects_no_more_than_what_is_missing() {
    let of = weights(SampleEvent::CpuClock, 1000, &[(0, 80, 720)], &[(0, SECOND)]);
    assert!(close(of.ns(0) * 80.0, 80e6 + 200e6), "{of:?}");
}

/// With 99 samples per second, chance alone makes a busy CPU miss some of its share.
#[test]
fn chance_is_no_loss() {
    for (busy, busy_ns) in [(5, 100_000_000), (40, 500_000_000), (98, SECOND)] {
        let of = weights(SampleEvent::CpuClock, 99, &[(0, busy, 0)], &[(0, busy_ns)]);
        assert!(close(of.ns(0), 1e9 / 99.0), "{busy} of {busy_ns}: {of:?}");
    }
}

/// By accounting that errs like the samples do, an idle machine's ticks being late, times are on average
/// right.
#[test]
fn on_average_nothing_is_added() {
    let mut rng = fastrand::Rng::with_seed(9);
    let mut hits = |of: u64, part: f64| (0..of).filter(|_| rng.f64() < part).count() as u64;
    let (mut estimated, mut truth) = (0.0, 0.0);
    for _ in 0..2000 {
        let busy = hits(99, 0.1);
        let of = weights(SampleEvent::CpuClock, 99, &[(0, busy, 3)], &[(0, hits(100, 0.1) * 10_000_000)]);
        estimated += of.ns(0) * busy as f64;
        truth += 1e8;
    }
    assert!((estimated / truth - 1.0_f64).abs() < 0.02, "{}", estimated / truth);
}

#[test]
fn cycles_share_the_busy_time_of_their_own_cpu() {
    let busy_ns = [(0, SECOND), (1, SECOND), (2, SECOND)];
    // CPU 1 is slow: half the cycles, half the samples, the same time. CPU 2 is not sampled.
    let of = weights(SampleEvent::Cycles, 1000, &[(0, 1000, 0), (1, 500, 0)], &busy_ns);
    assert!(close(of.ns(0), 1e6) && close(of.ns(1), 2e6), "{of:?}");
    assert_eq!((of.busy_expected, of.reason(1000, Some(1))), (None, None));
    // An isolated CPU's busy time is not spread over the samples of others.
    let of = weights(SampleEvent::Cycles, 100, &[(0, 50, 10)], &[(0, 500_000_000), (9, SECOND)]);
    assert!(close(of.ns(0), 1e7), "{of:?}");
}

#[test]
fn cpus_with_few_samples_are_taken_together() {
    let few: Vec<(u32, u64, u64)> = (1..=20).map(|cpu| (cpu, 3, 0)).collect();
    let busy_ns: Vec<(u32, u64)> = (1..=20).map(|cpu| (cpu, 30_000_000 + u64::from(cpu))).collect();
    let mut cpus = vec![(0, 1000, 0)];
    cpus.extend(&few);
    let of = weights(SampleEvent::Cycles, 100, &cpus, &[&[(0, SECOND)], busy_ns.as_slice()].concat());
    let all: f64 = of.ns(0) * 1000.0 + few.iter().map(|(cpu, ..)| of.ns(*cpu) * 3.0).sum::<f64>();
    let truth: u64 = SECOND + busy_ns.iter().map(|(_, ns)| ns).sum::<u64>();
    assert!(close(of.ns(0), 1e6) && close(of.ns(5), of.ns(6)) && close(all, truth as f64), "{of:?}");
    // Too few for a pool of their own: all CPUs together.
    let of = weights(SampleEvent::Cycles, 100, &[(0, 90, 0), (1, 10, 0)], &[(0, 400_000_000), (1, SECOND)]);
    assert!(close(of.ns(1), 1.4e9 / 100.0), "{of:?}");
    // Nothing to share, or nothing known.
    for busy_ns in [&[][..], &[(0, 0)], &[(0, SECOND)]] {
        let of = weights(SampleEvent::Cycles, 100, &[(0, 0, 0)], busy_ns);
        assert!(close(of.ns(0), 1e7), "{of:?}");
    }
}
