//! Feeds the programs sequences of events that no machine gives on request, by `BPF_PROG_TEST_RUN` of the raw
//! tracepoints: nested interrupts, softirqs of several tasks on one CPU, more NAPIs than there are slots. The
//! programs are loaded but not attached, so nothing else is counted.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use aya::{RawTracePointRunOptions, TestRun as _, programs::RawTracePoint};
use nicmon_common::NET_RX;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::*;
use crate::{
    counters::{PollActivity, PollTimes, Reading, Unfiled},
    frame::Histogram,
    host::monotonic_ns,
};

/// The TASKLET vector.
const TASKLET: u32 = 6;

/// The CPU on which all events happen.
const CPU: u32 = 0;

/// The programs of a probe, to be run from any thread.
struct Programs(HashMap<String, RawTracePoint>);

impl Programs {
    fn run(&self, program: &str, args: &[u64]) {
        let mut options = RawTracePointRunOptions::new();
        options.args[..args.len()].copy_from_slice(args);
        self.0[program].test_run(options).unwrap();
    }

    fn irq_entry(&self, action: u64) {
        self.run("irq_handler_entry", &[7, action]);
    }

    fn irq_exit(&self, action: u64) {
        self.run("irq_handler_exit", &[7, action, 1]);
    }

    fn softirq_entry(&self, vector: u32) {
        self.run("softirq_entry", &[vector.into()]);
    }

    fn softirq_exit(&self, vector: u32) {
        self.run("softirq_exit", &[vector.into()]);
    }

    fn poll(&self, napi: u64) {
        self.run("napi_poll", &[napi, 3, 64]);
    }
}

/// Loads the programs. `None` (and a note that the test did not run) where that is not possible.
fn load(preempt_rt: bool) -> Option<(Probe, Arc<Programs>)> {
    let options = Options {
        cpus: 1,
        preempt_rt,
        latency: false,
        sampling: None,
        cpu_hz: None,
        interval: std::time::Duration::from_secs(1),
        max_overhead_pct: None,
        call_cost: super::CallCost::UNMEASURED,
        log: false,
        privileges: super::privileged::own(),
    };
    let kernel = KernelBtf::read(Path::new(KERNEL_BTF)).map_err(|error| error.to_string());
    let loaded = kernel.and_then(|kernel| {
        Probe::load(AttachKind::RawTp, options, &kernel).map_err(|error| error.to_string())
    });
    match loaded {
        Ok(mut probe) => {
            read(&mut probe);
            let programs = (probe.attached.iter())
                .map(|id| {
                    let info = probe.ebpf.program(&id.full_name(AttachKind::RawTp)).unwrap().info().unwrap();
                    let program = RawTracePoint::from_program_info(info, id.name().into()).unwrap();
                    (id.name().to_owned(), program)
                })
                .collect();
            Some((probe, Arc::new(Programs(programs))))
        }
        Err(error) => {
            testkit::not_run::say_of_this_thread(error.lines().next().unwrap_or_default());
            None
        }
    }
}

fn read(probe: &mut Probe) -> Reading {
    probe.read().unwrap()
}

/// Runs on one CPU, where the events are fed.
fn on_the_cpu<T>(body: impl FnOnce() -> T) -> T {
    let mut only = CpuSet::new();
    only.set(CPU as usize);
    sched_setaffinity(None, &only).unwrap();
    body()
}

/// A task that feeds events when told to.
struct Task {
    orders: mpsc::Sender<Order>,
    done: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

type Order = Box<dyn FnOnce() + Send>;

impl Task {
    fn start() -> Self {
        let (orders, to_do) = mpsc::channel::<Order>();
        let (finished, done) = mpsc::channel();
        let thread = thread::spawn(move || {
            on_the_cpu(|| {
                for order in to_do {
                    order();
                    let _ = finished.send(());
                }
            });
        });
        Self { orders, done, thread }
    }

    /// Runs something in this task, and waits for it.
    fn run(&self, fed: &Arc<Programs>, what: impl FnOnce(&Programs) + Send + 'static) {
        let fed = Arc::clone(fed);
        self.orders.send(Box::new(move || what(&fed))).unwrap();
        self.done.recv().unwrap();
    }

    fn end(self) {
        drop(self.orders);
        self.thread.join().unwrap();
    }
}

/// An address at which the programs find no NAPI: like the backlog's, it has no device.
const BACKLOG: u64 = 0;

#[test]
fn handlers_that_call_handlers_are_each_charged_for_their_own_time() {
    let Some((mut probe, fed)) = load(false) else { return };
    let reading = on_the_cpu(|| {
        // The outer handler (1) calls two others; the second of these calls a third.
        fed.irq_entry(1);
        fed.irq_entry(2);
        fed.irq_exit(2);
        fed.irq_entry(3);
        fed.irq_entry(4);
        fed.irq_exit(4);
        fed.irq_exit(3);
        fed.irq_exit(1);
        read(&mut probe)
    });
    assert_eq!(reading.lost, Some(0));
    let runs: Vec<_> = reading.irqs.iter().filter_map(|irq| irq.cpus[0].1).collect();
    assert_eq!(runs.iter().map(|runs| runs.count).collect::<Vec<_>>(), [1, 1, 1, 1]);
    let sum: u64 = runs.iter().filter_map(|runs| runs.ns).sum();
    assert_eq!(Some(sum), reading.cpus[CPU as usize].hardirq_ns, "nothing counts twice");
    assert!(runs.iter().all(|runs| runs.ns > Some(0)), "{runs:?}");
}

#[test]
fn handlers_that_are_too_deep_are_lost_and_the_others_are_right() {
    let Some((mut probe, fed)) = load(false) else { return };
    let reading = on_the_cpu(|| {
        (1..=6).for_each(|action| fed.irq_entry(action));
        (1..=6).rev().for_each(|action| fed.irq_exit(action));
        fed.irq_entry(9);
        fed.irq_exit(9);
        read(&mut probe)
    });
    assert_eq!(reading.lost, Some(2));
    let sum: u64 = reading.irqs.iter().filter_map(|irq| irq.cpus[0].1?.ns).sum();
    assert_eq!(reading.irqs.len(), 5);
    assert_eq!(Some(sum), reading.cpus[CPU as usize].hardirq_ns);
}

#[test]
fn missed_exits_and_entries_of_handlers_are_lost() {
    let Some((mut probe, fed)) = load(false) else { return };
    let reading = on_the_cpu(|| {
        // The exit of 2 is missed; then an exit comes whose entry was missed.
        fed.irq_entry(1);
        fed.irq_entry(2);
        fed.irq_exit(1);
        fed.irq_exit(5);
        // The entry of 6 is missed while 3 runs: nothing can be said about either.
        fed.irq_entry(3);
        fed.irq_exit(6);
        fed.irq_exit(3);
        fed.irq_entry(4);
        fed.irq_exit(4);
        read(&mut probe)
    });
    assert_eq!(reading.lost, Some(2));
    assert_eq!(reading.irqs.len(), 2, "1 and 4");
    let sum: u64 = reading.irqs.iter().filter_map(|irq| irq.cpus[0].1?.ns).sum();
    assert_eq!(Some(sum), reading.cpus[CPU as usize].hardirq_ns);
}

#[test]
fn softirqs_of_two_tasks_may_take_turns() {
    let Some((mut probe, fed)) = load(true) else { return };
    let (first, second) = (Task::start(), Task::start());
    first.run(&fed, |fed| fed.softirq_entry(NET_RX));
    second.run(&fed, |fed| fed.softirq_entry(TASKLET));
    first.run(&fed, |fed| fed.poll(BACKLOG));
    second.run(&fed, |fed| fed.softirq_exit(TASKLET));
    first.run(&fed, |fed| {
        fed.poll(BACKLOG);
        fed.softirq_exit(NET_RX);
    });
    // A poll outside softirqs is a task's own.
    second.run(&fed, |fed| fed.poll(BACKLOG));
    [first, second].into_iter().for_each(Task::end);

    let reading = read(&mut probe);
    let cpu = &reading.cpus[CPU as usize];
    assert_eq!(reading.lost, Some(0));
    assert_eq!((cpu.vectors[NET_RX as usize].count, cpu.vectors[TASKLET as usize].count), (1, 1));
    let PollActivity { softirq, busy, softirq_ns, .. } = cpu.backlog;
    assert_eq!((softirq.polls, softirq.work, busy.polls), (2, 6, 1));
    assert_eq!(cpu.vectors[NET_RX as usize].ns, Some(softirq_ns + cpu.other_ns.unwrap()));
}

#[test]
fn softirqs_of_too_many_tasks_are_lost_and_not_called_busy_polls() {
    let Some((mut probe, fed)) = load(true) else { return };
    let tasks: Vec<Task> = (0..7).map(|_| Task::start()).collect();
    // One runs, four are set aside, and two are dropped: which two does not matter.
    for task in &tasks {
        task.run(&fed, |fed| fed.softirq_entry(NET_RX));
    }
    for task in &tasks {
        task.run(&fed, |fed| {
            fed.poll(BACKLOG);
            fed.softirq_exit(NET_RX);
        });
    }
    // All is as before.
    tasks[0].run(&fed, |fed| {
        fed.softirq_entry(NET_RX);
        fed.poll(BACKLOG);
        fed.softirq_exit(NET_RX);
        fed.poll(BACKLOG);
    });
    tasks.into_iter().for_each(Task::end);

    let reading = read(&mut probe);
    let cpu = &reading.cpus[CPU as usize];
    assert_eq!(cpu.vectors[NET_RX as usize].count, 6);
    assert_eq!((cpu.backlog.softirq.polls, cpu.backlog.busy.polls), (6, 1));
    assert_eq!(reading.lost, Some(4), "two polls and two exits");
}

/// Addresses at which the programs find something that they take for NAPIs: the kernel's own code.
fn napis(count: usize) -> Option<Vec<u64>> {
    let kallsyms = std::fs::read_to_string("/proc/kallsyms").ok()?;
    let address = |line: &str| u64::from_str_radix(line.strip_suffix(" T _stext")?, 16).ok();
    let start = kallsyms.lines().find_map(address).filter(|start| *start != 0)?;
    Some((0..count as u64).map(|number| start + number * 64).collect())
}

#[test]
fn polls_without_a_slot_are_told_and_slots_are_given_out_again() {
    let Some((mut probe, fed)) = load(false) else { return };
    let slots = usize::try_from(object::slots_for(1).0).unwrap();
    let Some(all) = napis(slots + 200) else {
        return testkit::not_run::say_of_this_thread("no kernel symbols");
    };
    let poll_all = |fed: &Programs, napis: &[u64]| {
        for napi in napis {
            fed.softirq_entry(NET_RX);
            fed.poll(*napi);
            fed.softirq_exit(NET_RX);
        }
    };
    let (first, more) = on_the_cpu(|| {
        poll_all(&fed, &all[..slots]);
        let first = read(&mut probe);
        poll_all(&fed, &all);
        (first, read(&mut probe))
    });
    // Some of the code may look like a NAPI without a device. No slot is needed for those.
    let polls = |reading: &Reading| -> u64 {
        let napis = reading.napis.iter().flatten().flat_map(|napi| &napi.cpus);
        napis.map(|(_, polls)| polls.polls()).sum::<u64>() + reading.cpus[CPU as usize].backlog.polls()
    };
    assert_eq!((first.lost, first.unfiled.clone()), (Some(0), Unfiled::default()));
    assert_eq!(polls(&first), slots as u64);
    let lost = more.lost.unwrap();
    assert!(lost > 0 && polls(&more) + lost == all.len() as u64, "{lost} of {}", all.len());
    assert!(!more.unfiled.nics.is_empty() || more.unfiled.other_nics);
    for reading in [&first, &more] {
        let cpu = &reading.cpus[CPU as usize];
        let napis = reading.napis.iter().flatten().flat_map(|napi| &napi.cpus);
        let filed: u64 = napis.map(|(_, polls)| polls.softirq_ns).sum();
        let all_ns = filed + cpu.backlog.softirq_ns + cpu.other_ns.unwrap();
        assert_eq!(cpu.vectors[NET_RX as usize].ns, Some(all_ns), "no time is lost");
    }

    // Take all slots back, let them rest, and give them to the NAPIs that had none.
    let known: Vec<NapiKey> = probe.known_napis().into_iter().map(|(key, ..)| key).collect();
    assert!(known.len() <= slots);
    probe.forget_napis(&known, 1);
    assert!(probe.known_napis().is_empty());
    assert!(probe.recycle(monotonic_ns()));
    probe.new_generation();
    let again = on_the_cpu(|| {
        poll_all(&fed, &all[all.len() - slots..]);
        read(&mut probe)
    });
    assert_eq!((polls(&again), again.lost), (slots as u64, Some(0)), "counters of a new owner start at 0");

    // There are fewer histograms than slots, and they come back with the slots.
    let with_histogram = |reading: &Reading| {
        let polls = &reading.histograms.as_ref().unwrap().polls;
        polls.iter().filter(|polls| polls.napi.is_some()).map(|polls| polls.times.values()).sum::<u64>()
    };
    let pool = u64::from(object::napi_histograms_for(1));
    assert_eq!((with_histogram(&first), with_histogram(&again)), (pool, pool));
}

#[test]
fn nothing_is_lost_if_slots_are_taken_back_between_readings() {
    let Some((mut probe, fed)) = load(false) else { return };
    let Some(napis) = napis(40) else {
        return testkit::not_run::say_of_this_thread("no kernel symbols");
    };
    let poll_all = || {
        for napi in &napis {
            fed.softirq_entry(NET_RX);
            fed.poll(*napi);
            fed.softirq_exit(NET_RX);
        }
        fed.irq_entry(1);
        fed.irq_exit(1);
    };
    let reading = on_the_cpu(|| {
        poll_all();
        // All are silent for long, and then some more happens to them.
        probe.forget_between_readings();
        poll_all();
        probe.forget_idle(monotonic_ns() + 2 * reading::IDLE_NS);
        poll_all();
        read(&mut probe)
    });
    let polled = reading.napis.iter().flatten().flat_map(|napi| &napi.cpus);
    let (polls, ns) = polled.fold((0, 0), |(polls, ns), (_, of)| (polls + of.polls(), ns + of.softirq_ns));
    let cpu = &reading.cpus[CPU as usize];
    assert_eq!(polls + cpu.backlog.polls(), 3 * napis.len() as u64);
    assert_eq!(cpu.vectors[NET_RX as usize].ns, Some(ns + cpu.backlog.softirq_ns + cpu.other_ns.unwrap()));
    assert_eq!((reading.irqs.len(), reading.irqs[0].cpus[0].1.unwrap().count), (1, 3));
    assert_eq!(reading.lost, Some(0));
    let histograms = reading.histograms.unwrap();
    let values = |of: fn(&PollTimes) -> &Histogram| -> u64 {
        histograms.polls.iter().map(|polls| of(polls).values()).sum()
    };
    let all = 3 * napis.len() as u64;
    assert_eq!((values(|polls| &polls.times), values(|polls| &polls.packets)), (all, all));
    let runs = histograms.runs.iter().find(|runs| runs.vector == NET_RX as usize).unwrap();
    assert_eq!(runs.times.values(), all);
    // Nothing counts twice.
    let again = read(&mut probe);
    assert_eq!((again.napis.map(|napis| napis.len()), again.irqs.len()), (Some(0), 0));
}
