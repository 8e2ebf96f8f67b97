//! An observation that was measured all the time becomes the only window of an interval ten times as long.

use std::sync::Arc;

use super::super::assemble;
use crate::{
    collect::{Filter, Observation},
    counters::{Counted, IrqActivity, Reading, Runs, SeenInWindow, SeenInWindows},
    frame::{Frame, Merged, NapiMode},
};

/// How many times the interval is as long as the window.
const TIMES: u64 = 10;

/// Packets through a virtio NIC with four queues.
fn measured() -> Observation {
    let lines = include_str!("../../../../tests/scenarios/virtio-4-queues.ndjson");
    Observation::load(lines.lines().next().expect("a line")).expect("an observation")
}

/// What the kernel would have counted.
fn counted(reading: &Reading, ns: u64, times: u64) -> Vec<Option<Counted>> {
    let of_cpu = |cpu: &crate::counters::CpuActivity| Counted {
        runs: cpu.vectors.map(|runs| runs.count * times),
        packets: Some(cpu.vectors[3].count * times),
        busy_ns: Some(ns / 2 * times),
        ns: ns * times,
    };
    reading.cpus.iter().map(|cpu| Some(of_cpu(cpu))).collect()
}

/// What the kernel would have counted of interrupts: by line, with the names of all its actions.
fn by_line(irqs: &[IrqActivity]) -> Vec<IrqActivity> {
    let mut lines: Vec<IrqActivity> = Vec::new();
    for irq in irqs {
        if let Some(line) = lines.iter_mut().find(|line| line.irq == irq.irq) {
            line.action = [line.action.as_str(), &irq.action].join(",");
            continue;
        }
        let count = |runs: &Runs| Runs { count: runs.count * TIMES, ns: None, max_ns: None };
        let cpus = irq.cpus.iter().map(|(cpu, runs)| (*cpu, runs.as_ref().map(count))).collect();
        lines.push(IrqActivity { threaded: None, cpus, ..irq.clone() });
    }
    lines
}

/// The same with the reading as a window.
fn in_a_window(seen: &Observation) -> Observation {
    let Reading { cpus, napis, irqs, .. } = seen.reading.clone();
    let window = SeenInWindow {
        ns: seen.interval_ns,
        cpus,
        napis: napis.unwrap_or_default(),
        irqs,
        counted: counted(&seen.reading, seen.interval_ns, 1),
    };
    let mut longer = seen.clone();
    longer.interval_ns *= TIMES;
    for vector in longer.reading.cpus.iter_mut().flat_map(|cpu| &mut cpu.vectors) {
        (vector.count, vector.ns, vector.max_ns) = (vector.count * TIMES, None, None);
    }
    longer.reading.irqs = by_line(&seen.reading.irqs);
    let counted = counted(&seen.reading, seen.interval_ns, TIMES);
    longer.reading.windows = Some(SeenInWindows {
        why: "nicmon's programs took too much".to_owned(),
        recent: vec![Arc::new(window)],
        new: 1,
        counted,
    });
    longer
}

fn both() -> (Frame, Frame) {
    let seen = measured();
    (assemble(&seen, &Filter::default()), assemble(&in_a_window(&seen), &Filter::default()))
}

/// Rounding may take a nanosecond off each part.
fn is_ten_times(estimate: Option<u64>, exact: Option<u64>) -> bool {
    match (estimate, exact) {
        (Some(estimate), Some(exact)) => estimate.abs_diff(exact * TIMES) <= 20,
        (estimate, exact) => estimate == exact,
    }
}

#[test]
fn times_are_estimates_and_what_the_kernel_counts_stays() {
    let (exact, windowed) = both();
    let window = windowed.window.expect("it says so");
    assert_eq!((window.attached_ns, window.count), (exact.interval_ns, 1));
    assert!(windowed.host.problems.iter().any(|problem| problem.contains("took too much")));
    assert!(exact.cpus.iter().any(|cpu| cpu.softirq.unwrap().net_rx.vector.ns > Some(1_000_000)));
    for (one, ten) in exact.cpus.iter().zip(&windowed.cpus) {
        assert!(is_ten_times(ten.hardirq_est_ns, one.hardirq_ns) && ten.hardirq_ns.is_none(), "{ten:?}");
        let (one, ten) = (one.softirq.unwrap(), ten.softirq.unwrap());
        for (one, ten) in one.vectors().into_iter().zip(ten.vectors()) {
            assert!(is_ten_times(ten.est_ns, one.ns) && ten.ns.is_none(), "{one:?} {ten:?}");
            assert_eq!((ten.count, ten.max_seen_ns, ten.max_ns), (one.count * TIMES, one.max_ns, None));
            assert_eq!(ten.est_ci_ns, None, "one window says nothing of others");
        }
        assert!(is_ten_times(ten.net_rx.other_est_ns, one.net_rx.other_ns));
    }
    for (one, ten) in exact.irqs.iter().zip(&windowed.irqs) {
        assert_eq!((one.irq, &one.action, &one.nic), (ten.irq, &ten.action, &ten.nic));
        for (one, ten) in one.cpus.iter().zip(&ten.cpus) {
            assert!(is_ten_times(ten.est_ns, one.ns) && is_ten_times(ten.count, one.count), "{ten:?}");
        }
    }
}

#[test]
fn nics_have_estimates_and_napis_only_proportions() {
    let (exact, windowed) = both();
    assert!(exact.nics.iter().any(|nic| nic.poll_ns > Some(1_000_000) && nic.hardirq_ns > Some(0)));
    for one in &exact.nics {
        let ten = windowed.nics.iter().find(|ten| ten.name == one.name).expect("the same NICs");
        assert!(is_ten_times(ten.poll_est_ns, one.poll_ns) && ten.poll_ns.is_none(), "{ten:?}");
        assert!(is_ten_times(ten.hardirq_est_ns, one.hardirq_ns) && ten.hardirq_ns.is_none(), "{ten:?}");
        assert_eq!(ten.is_softirq(), one.is_softirq());
        for (one, ten) in one.cpus.iter().zip(&ten.cpus) {
            assert!(is_ten_times(ten.poll_est_ns, one.poll_ns), "{one:?} {ten:?}");
            assert_eq!((ten.polls, ten.work, ten.load_pct), (None, None, None));
            let close = |a: f64, b: f64| (a - b).abs() < 0.01;
            assert!(ten.load_est_pct.zip(one.load_pct).is_none_or(|(ten, one)| close(ten, one)), "{ten:?}");
        }
        let rows = |nic: &crate::frame::Nic| {
            let softirq = |napi: &&crate::frame::Napi| napi.mode == NapiMode::Softirq;
            let napis = nic.napis.iter().flatten().filter(softirq);
            napis.flat_map(|napi| napi.cpus.clone()).collect::<Vec<_>>()
        };
        for (one, ten) in rows(one).iter().zip(rows(ten)) {
            assert!(is_ten_times(ten.poll_est_ns, one.poll_ns), "{one:?} {ten:?}");
            let recent = ten.recent.as_ref().map(|recent| (recent.polls, recent.work));
            assert_eq!((recent, ten.polls), (one.polls.zip(one.work), None));
        }
    }
}

#[test]
fn an_interval_without_a_window_has_what_the_last_ones_had() {
    let mut seen = in_a_window(&measured());
    let with = assemble(&seen, &Filter::default());
    seen.reading.windows.as_mut().expect("windows").new = 0;
    let without = assemble(&seen, &Filter::default());
    assert_eq!(without.window.map(|window| (window.attached_ns, window.count)), Some((0, 0)));
    for (one, other) in with.nics.iter().zip(&without.nics) {
        let (one, other) = (one.poll_est_ns.unwrap_or(0), other.poll_est_ns.unwrap_or(0));
        assert!(one.abs_diff(other) <= 20, "{one} {other}");
    }
    // Before the first window, times are unknown.
    let windows = seen.reading.windows.as_mut().expect("windows");
    windows.recent.clear();
    seen.reading.napis = Some(Vec::new());
    let first = assemble(&seen, &Filter::default());
    let net_rx = first.cpus.iter().map(|cpu| cpu.softirq.unwrap().net_rx.vector);
    assert!(net_rx.filter(|runs| runs.count > 0).all(|runs| runs.est_ns.is_none() && runs.ns.is_none()));
}

#[test]
fn a_sum_of_exact_and_windowed_frames_is_an_estimate() {
    let (exact, windowed) = both();
    let sum = |frames: &[&Frame]| {
        let mut merged = Merged::default();
        for frame in frames {
            merged.add(frame);
        }
        merged.frame().expect("frames")
    };
    let all = sum(&[&exact, &windowed, &windowed, &exact]);
    assert_eq!(all.window.map(|window| window.count), Some(2));
    for one in &exact.nics {
        let sum = all.nics.iter().find(|sum| sum.name == one.name).expect("the same NICs");
        let expected = one.poll_ns.map(|ns| ns * (2 * TIMES + 2));
        let off = sum.poll_est_ns.zip(expected).map(|(sum, expected)| sum.abs_diff(expected));
        assert!(off.is_none_or(|off| off <= 200), "{:?} is not {expected:?}", sum.poll_est_ns);
        assert_eq!((sum.poll_ns, sum.poll_est_ns.is_some()), (None, one.poll_ns.is_some()), "{}", one.name);
    }
    for (one, sum) in exact.cpus.iter().zip(&all.cpus) {
        for (one, sum) in one.softirq.unwrap().vectors().into_iter().zip(sum.softirq.unwrap().vectors()) {
            let expected = one.ns.map_or(0, |ns| ns * (2 * TIMES + 2));
            assert!(sum.est_ns.unwrap_or(0).abs_diff(expected) <= 200, "{one:?} {sum:?}");
            assert_eq!((sum.ns, sum.count), (None, one.count * (2 * TIMES + 2)));
        }
    }
    // In two steps, as in a recording with sums.
    let steps = sum(&[&sum(&[&exact, &windowed]), &sum(&[&windowed, &exact])]);
    for (one, other) in all.nics.iter().zip(&steps.nics) {
        assert_eq!((one.poll_est_ns, one.hardirq_est_ns), (other.poll_est_ns, other.hardirq_est_ns));
    }
    assert_eq!(all.window, steps.window);
}

/// The last windows, the newest of which is this interval's.
fn with_windows(change: impl Fn(&mut SeenInWindows)) -> Frame {
    let mut seen = in_a_window(&measured());
    change(seen.reading.windows.as_mut().expect("windows"));
    assemble(&seen, &Filter::default())
}

#[test]
fn an_interval_without_runs_has_no_time_and_none_has_more_than_there_is() {
    let net_rx = |frame: &Frame| -> Vec<u64> {
        frame.cpus.iter().map(|cpu| cpu.softirq.unwrap().net_rx.vector.est_ns.unwrap()).collect()
    };
    let quiet = with_windows(|windows| {
        windows.new = 0;
        windows.counted.iter_mut().flatten().for_each(|counted| counted.runs[3] = 0);
    });
    assert!(net_rx(&quiet).iter().all(|ns| *ns == 0), "{:?}", net_rx(&quiet));
    let absurd = with_windows(|windows| {
        windows.counted.iter_mut().flatten().for_each(|counted| counted.runs[3] *= 1000);
    });
    let most = net_rx(&absurd).into_iter().max().unwrap();
    assert!((absurd.interval_ns * 99 / 100..=absurd.interval_ns).contains(&most), "{most}");
}

#[test]
fn a_nic_that_was_quiet_in_this_intervals_windows_keeps_its_row() {
    let frame = with_windows(|windows| {
        let mut quiet = SeenInWindow::clone(&windows.recent[0]);
        quiet.napis.clear();
        for cpu in &mut quiet.cpus {
            cpu.vectors[3].ns = Some(0);
            cpu.backlog = crate::counters::PollActivity::default();
            cpu.other_ns = Some(0);
        }
        windows.recent.push(Arc::new(quiet));
    });
    let rows: Vec<_> = frame.nics.iter().flat_map(|nic| &nic.cpus).collect();
    let quiet = rows.iter().filter(|row| row.windowed.as_ref().is_some_and(|all| all.expected_seen_ns > 0));
    assert!(quiet.clone().count() > 0 && quiet.clone().all(|row| row.poll_est_ns == Some(0)), "{rows:?}");
}

#[test]
fn a_line_that_another_driver_uses_now_has_its_action() {
    let frame = with_windows(|windows| {
        let mut before = SeenInWindow::clone(&windows.recent[0]);
        before.irqs.iter_mut().for_each(|irq| irq.action = format!("old-{}", irq.action));
        windows.recent.insert(0, Arc::new(before));
    });
    assert!(!frame.irqs.is_empty() && frame.irqs.iter().all(|irq| !irq.action.contains("old-")));
    let (exact, _) = both();
    let calls = |frame: &Frame| -> u64 {
        frame.irqs.iter().flat_map(|irq| &irq.cpus).filter_map(|on| on.count).sum()
    };
    assert_eq!(calls(&frame), calls(&exact) * TIMES);
}
