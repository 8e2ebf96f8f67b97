//! Sums of small frames with known results, and of random ones in one step and in two.

use serde_json::Value;

use super::Merged;
use crate::frame::{
    Companion, Context, Cpu, CpuFreq, Driver, DropLocation, DroppedPackets, Frame, Gap, Histogram, Irq,
    IrqCpu, Napi, NapiCpu, NapiMode, Netns, Nic, NicCounters, NicCpu, NicDrops, Origin, OwnCost, OwnCpu,
    OwnProgram, SampledFunction, Sampling, Share, SoftirqTimes, Softirqs, Stage, StageFunction, StageShare,
    UdpReader, ns_per, pct_of,
};

/// Frames of a real machine under load.
const CAPTURE: &str = include_str!("../../../tests/fixtures/frames/demo-rps.ndjson");

fn capture() -> Vec<Frame> {
    CAPTURE.lines().map(|line| serde_json::from_str(line).expect("a frame")).collect()
}

fn merged(frames: &[Frame]) -> Frame {
    let mut merged = Merged::default();
    for frame in frames {
        merged.add(frame);
    }
    merged.frame().expect("frames")
}

/// The places where two frames differ by more than the last digits.
fn differences(one: &Value, other: &Value, path: &str, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            let (x, y) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            let is_close = (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0);
            if (a.is_u64() && b.is_u64() && a != b) || !is_close {
                found.push(format!("{path}: {a} and {b}"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{path}[{at}]"), found);
            }
        }
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            for (name, value) in a {
                differences(value, &b[name], &format!("{path}.{name}"), found);
            }
        }
        _ if one == other => {}
        _ => found.push(format!("{path}: {one} and {other}")),
    }
}

fn assert_same(one: &Frame, other: &Frame, what: &str) {
    let value = |frame| serde_json::to_value(frame).expect("JSON");
    let mut found = Vec::new();
    differences(&value(one), &value(other), "", &mut found);
    assert!(found.is_empty(), "{what}: {found:#?}");
}

/// The same random numbers in every run.
struct Numbers(fastrand::Rng);

impl Numbers {
    fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0.u64(..end)
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Some are absent.
    fn most_of<T>(&mut self, all: impl IntoIterator<Item = T>) -> Vec<T> {
        all.into_iter().filter(|_| !self.once_in(3)).collect()
    }

    /// Sometimes unknown.
    fn value(&mut self) -> Option<u64> {
        (!self.once_in(12)).then(|| self.below(1_000_000))
    }
}

/// A frame in which anything may be absent or unknown.
fn random(numbers: &mut Numbers, seq: u64) -> Frame {
    let mut frame = capture().swap_remove(0);
    frame.seq = seq;
    frame.mono_ns += seq;
    frame.softirqs = (!numbers.once_in(20)).then(|| random_softirqs(numbers));
    frame.interval_ns = 900_000_000 + numbers.below(200_000_000);
    let busy = 50 + numbers.below(100);
    frame.host.drops = (!numbers.once_in(20)).then(|| {
        let location = DropLocation { symbol: numbers.once_in(2).then(|| "tcp_v4_rcv".to_owned()), count: 3 };
        vec![DroppedPackets { reason: "NO_SOCKET".to_owned(), count: 3, locations: vec![location] }]
    });
    frame.host.sampling = Some(Sampling {
        frequency_per_s: Some(99),
        cpus: 2,
        samples: busy + 40,
        idle: 40,
        user: 5,
        busy,
        busy_expected: numbers.value(),
        expected: numbers.value(),
        lost: 1,
    });
    let template = frame.cpus[0].clone();
    let interval_ns = frame.interval_ns;
    let cpus = numbers.most_of(0..3).into_iter();
    frame.cpus = cpus.map(|cpu| random_cpu(numbers, &template, cpu)).collect();
    let nics = numbers.most_of([(1, "eth0"), (1, "renamed"), (2, "veth")]).into_iter();
    frame.nics = nics.map(|(ifindex, name)| random_nic(numbers, ifindex, name, interval_ns)).collect();
    let drivers = numbers.most_of(["veth", "virtio_net"]).into_iter();
    let drivers: Vec<Driver> =
        drivers.map(|name| random_driver(numbers, name, busy - 10, interval_ns)).collect();
    frame.drivers = (!numbers.once_in(4)).then_some(drivers);
    let actions = numbers.most_of([(30, "virtio0-rx"), (30, "other"), (31, "virtio0-tx")]).into_iter();
    frame.irqs = actions.map(|(irq, action)| random_irq(numbers, irq, action)).collect();
    let is_new = numbers.once_in(4);
    frame.netns = vec![Netns {
        inum: 7,
        name: None,
        cgroup: None,
        udp_rcvbuf_errors: (!is_new).then_some(2),
        listen_drops: (!is_new).then_some(1),
        gro_ratio: (!is_new).then_some(2.5),
        ip_packets: (!is_new).then_some(100),
        udp_reader: numbers.value().map(|dropped| random_reader(numbers, dropped)),
        gap_ns: None,
    }];
    random_own(numbers, &mut frame.own);
    // Within one frame, all values that follow from other fields are correct as well.
    let host = frame.host.clone();
    Frame { host, ..merged(&[frame]) }
}

/// Sometimes unknown.
fn random_histogram(numbers: &mut Numbers) -> Option<Histogram> {
    let count = |numbers: &mut Numbers| if numbers.once_in(2) { 0 } else { numbers.below(50) };
    (!numbers.once_in(20)).then(|| Histogram::of((0..20).map(|_| count(numbers)).collect::<Vec<_>>()))
}

fn random_softirqs(numbers: &mut Numbers) -> Vec<SoftirqTimes> {
    let names = numbers.most_of(Softirqs::NAMES);
    let times = |name: &str| SoftirqTimes {
        vector: name.to_owned(),
        run_ns_histogram: Histogram::of([numbers.below(9), 0, 1 + numbers.below(99)]),
        raise_to_run_ns_histogram: random_histogram(numbers).filter(|_| numbers.once_in(2)),
    };
    names.into_iter().map(times).collect()
}

fn random_own(numbers: &mut Numbers, own: &mut OwnCost) {
    let ranged = |numbers: &mut Numbers| {
        let time = numbers.value();
        (time, time.filter(|_| !numbers.once_in(12)).map(|time| [time / 2, time * 2]))
    };
    (own.bpf_est_ns, own.bpf_est_ci_ns) = ranged(numbers);
    own.programs = (!numbers.once_in(4)).then(|| {
        let names = numbers.most_of(["softirq_entry", "softirq_exit", "napi_poll"]).into_iter();
        let program = |name: &str| {
            let (est_ns, est_ci_ns) = ranged(numbers);
            OwnProgram { program: name.to_owned(), runs: 7, est_ns, est_ci_ns }
        };
        names.map(program).collect()
    });
    own.cpus = (!numbers.once_in(4)).then(|| {
        let cpus = numbers.most_of(0..3).into_iter();
        let cpu = |cpu| OwnCpu { cpu, bpf_runs: 7, bpf_est_ns: numbers.value(), overhead_pct: None };
        cpus.map(cpu).collect()
    });
    (own.read_ns, own.make_ns) = (numbers.value(), numbers.value());
}

fn random_irq(numbers: &mut Numbers, irq: u32, action: &str) -> Irq {
    Irq {
        irq,
        action: action.to_owned(),
        nic: numbers.once_in(2).then(|| "eth0".to_owned()),
        queue: None,
        threaded: Some(false),
        cpus: vec![IrqCpu {
            cpu: 1,
            count: numbers.value(),
            ns: numbers.value(),
            max_ns: numbers.value(),
            ..IrqCpu::default()
        }],
    }
}

fn random_reader(numbers: &mut Numbers, dropped: u64) -> UdpReader {
    let pid = numbers.once_in(2).then_some(70);
    let comm = pid.map(|_| "resolver".to_owned());
    UdpReader {
        pid,
        comm,
        dropped: Some(dropped),
        nr_throttled: numbers.value(),
        throttled_ns: numbers.value(),
    }
}

fn random_cpu(numbers: &mut Numbers, template: &Cpu, cpu: u32) -> Cpu {
    let mut one = Cpu { cpu, hardirq_ns: numbers.value(), ..template.clone() };
    one.stat = one.stat.filter(|_| !numbers.once_in(4));
    if let Some(stat) = &mut one.stat {
        stat.user_pct = numbers.below(100) as f64;
    }
    one.softirq = one.softirq.filter(|_| !numbers.once_in(20));
    if let Some(softirq) = &mut one.softirq {
        softirq.net_rx.vector.max_ns = numbers.value();
    }
    one.freq = numbers.value().map(|now_khz| CpuFreq { now_khz, max_khz: 2000 });
    one
}

fn random_stages(numbers: &mut Numbers) -> Vec<StageShare> {
    let stages = vec![(Stage::Driver, 1 + numbers.below(5)), (Stage::Tcp, 1 + numbers.below(9))];
    let all = stages.iter().map(|(_, samples)| samples).sum();
    let share = |(stage, samples)| {
        let Share { pct, ci_pct } = Share::of(samples, all).unwrap();
        let function = |symbol: &str| StageFunction { symbol: symbol.to_owned(), samples: 1 };
        let functions = ["net_rx_action", "memcpy"].map(function).into_iter().filter(|_| stage == Stage::Tcp);
        StageShare { stage, samples, share_pct: pct, ci_pct, functions: functions.collect() }
    };
    stages.into_iter().map(share).collect()
}

fn random_nic(numbers: &mut Numbers, ifindex: u32, name: &str, interval_ns: u64) -> Nic {
    let counted = !numbers.once_in(4);
    let count = |numbers: &mut Numbers| counted.then(|| numbers.below(1000));
    let mode =
        [NapiMode::Softirq, NapiMode::Threaded, NapiMode::Busy][usize::try_from(numbers.below(3)).unwrap()];
    let row = NapiCpu {
        cpu: u32::try_from(numbers.below(3)).unwrap(),
        poll_ns: if mode == NapiMode::Busy { None } else { numbers.value() },
        polls: Some(5),
        work: Some(7),
        repolls: Some(1),
        ..NapiCpu::default()
    };
    let napi = Napi {
        napi_id: 300 + u32::try_from(numbers.below(2)).unwrap(),
        poll_fn: Some("veth_poll".to_owned()),
        queue: None,
        kind: None,
        mode,
        cpus: vec![row.clone()],
    };
    let cpu = NicCpu {
        cpu: row.cpu,
        poll_ns: None,
        hardirq_ns: numbers.value(),
        polls: Some(5),
        work: Some(7),
        repolls: Some(1),
        load_pct: row.poll_ns.map(|ns| pct_of(ns, interval_ns)),
        ..NicCpu::default()
    };
    let estimated = !numbers.once_in(3);
    Nic {
        name: name.to_owned(),
        ifindex,
        netns: Some(9),
        driver: Some("veth".to_owned()),
        counters: NicCounters {
            rx_packets: count(numbers),
            rx_bytes: count(numbers),
            tx_packets: count(numbers),
            tx_bytes: count(numbers),
            drops: counted.then(NicDrops::default),
        },
        tx_requeues: numbers.value(),
        flows: None,
        counters_gap_ns: None,
        poll_ns: None,
        poll_est_ns: None,
        poll_est_ci_ns: None,
        poll_ns_histogram: random_histogram(numbers),
        poll_work_histogram: random_histogram(numbers),
        threaded_est_ns: None,
        hardirq_ns: numbers.value(),
        hardirq_est_ns: None,
        driver_est_ns: estimated.then_some(10),
        driver_est_split: numbers.once_in(2),
        stack_est_ns: estimated.then_some(20),
        stages: estimated.then(|| random_stages(numbers)),
        sampled_gap_ns: None,
        cpus: vec![cpu],
        napis: (!numbers.once_in(20)).then(|| vec![napi]),
    }
}

fn random_driver(numbers: &mut Numbers, name: &str, busy: u64, interval_ns: u64) -> Driver {
    let samples = (!numbers.once_in(3)).then(|| 1 + numbers.below(20));
    let share = samples.and_then(|samples| Share::of(samples, busy));
    let hardirq_ns = numbers.value();
    let sampled_est_ns = samples.map(|samples| samples * 10_101_010);
    let cost_ns = hardirq_ns.zip(sampled_est_ns).map(|(one, other)| one + other);
    let counted = cost_ns.filter(|_| !numbers.once_in(3));
    let comm = ["swapper/0", "iperf3"][usize::try_from(numbers.below(2)).unwrap()];
    let function = |samples| SampledFunction {
        symbol: format!("{name}_poll"),
        context: Context::Softirq,
        comm: comm.to_owned(),
        samples,
        share_pct: Share::of(samples, busy).map(|share| share.pct),
    };
    Driver {
        driver: name.to_owned(),
        origin: samples.map(|_| Origin::Inferred),
        unknown: samples.is_none().then(|| "none of its NICs was polled yet".to_owned()),
        samples,
        busy_share_pct: share.map(|share| share.pct),
        busy_share_ci_pct: share.map(|share| share.ci_pct),
        hardirq_ns,
        hardirq_est_ns: None,
        sampled_est_ns,
        cost_cpu_pct: cost_ns.map(|ns| pct_of(ns, interval_ns)),
        packets: counted.map(|_| 10),
        bytes: counted.map(|_| 1000),
        counted_est_ns: counted,
        ns_per_packet: counted.and_then(|ns| ns_per(ns, 10)),
        cpu_s_per_gb: counted.and_then(|ns| ns_per(ns, 1000)),
        companions: vec![Companion {
            name: "page_pool".to_owned(),
            samples: 2,
            busy_share_pct: Share::of(2, busy).map(|share| share.pct),
        }],
        functions: samples.map(function).into_iter().collect(),
        gap: None,
    }
}

#[test]
fn one_frame_stays_what_it_is() {
    for frame in capture() {
        let mut again = merged(std::slice::from_ref(&frame));
        // NICs without load are in another order.
        let order = |nic: &Nic| frame.nics.iter().position(|one| one.name == nic.name);
        again.nics.sort_by_key(order);
        assert_same(&frame, &again, "one frame");
    }
}

#[test]
fn real_frames_add_up() {
    let frames = capture();
    let all = merged(&frames);
    let sum = |of: fn(&Frame) -> u64| frames.iter().map(of).sum::<u64>();
    assert_eq!(all.interval_ns, sum(|frame| frame.interval_ns));
    assert_eq!(all.seq, 2);
    let first =
        |frame: &Frame| frame.cpus[0].softirq.map(|softirq| softirq.net_rx.vector).unwrap_or_default();
    assert_eq!(first(&all).ns, Some(sum(|frame| frame.cpus[0].softirq.unwrap().net_rx.vector.ns.unwrap())));
    assert_eq!(first(&all).max_ns, frames.iter().map(|frame| first(frame).max_ns).max().flatten());
    // Everything that holds in each frame also holds in their sum.
    let polls: u64 = all.nics.iter().map(|nic| nic.poll_ns.unwrap()).sum();
    let net_rx = || all.cpus.iter().map(|cpu| cpu.softirq.unwrap().net_rx);
    let other: u64 = net_rx().map(|net_rx| net_rx.other_ns.unwrap()).sum();
    assert_eq!(polls + other, net_rx().map(|net_rx| net_rx.vector.ns.unwrap()).sum::<u64>());
}

#[test]
fn in_two_steps_as_in_one() {
    let mut numbers = Numbers::seeded(42);
    for round in 0..80 {
        let frames: Vec<Frame> = (0..6).map(|seq| random(&mut numbers, seq)).collect();
        let all = merged(&frames);
        for split in 1..frames.len() {
            let (one, other) = frames.split_at(split);
            let two = merged(&[merged(one), merged(other)]);
            assert_same(&all, &two, &format!("round {round}, split at {split}"));
        }
        let mut one_by_one = frames[0].clone();
        for frame in &frames[1..] {
            one_by_one = merged(&[one_by_one, frame.clone()]);
        }
        assert_same(&all, &one_by_one, &format!("round {round}, one by one"));
    }
}

#[test]
fn what_one_frame_does_not_know() {
    let mut frames = capture();
    frames[1].cpus[0].ksoftirqd_ns = None;
    frames[1].cpus[0].stat = None;
    frames[1].nics[0].counters = NicCounters::default();
    let all = merged(&frames);
    assert_eq!(all.cpus[0].ksoftirqd_ns, None, "not a smaller sum");
    let gap_ns = Some(frames[1].interval_ns);
    assert_eq!((all.cpus[0].stat_gap_ns, all.nics[0].counters_gap_ns), (gap_ns, gap_ns));
    let packets = |at: usize| frames[at].nics[0].counters.rx_packets.unwrap();
    assert_eq!(all.nics[0].counters.rx_packets, Some(packets(0) + packets(2)));
    let share = |at: usize| frames[at].cpus[0].stat.unwrap().system_pct * frames[at].interval_ns as f64;
    let expected = (share(0) + share(2)) / (frames[0].interval_ns + frames[2].interval_ns) as f64;
    assert!((all.cpus[0].stat.unwrap().system_pct - expected).abs() < 1e-9);
}

#[test]
fn busy_polls_leave_the_time_of_others() {
    let mut frames = capture();
    let napis = frames[1].nics[0].napis.as_mut().unwrap();
    napis[0].mode = NapiMode::Busy;
    napis[0].cpus[0].poll_ns = None;
    let both = merged(&frames[..2]);
    assert_eq!(both.nics[0].poll_ns, frames[0].nics[0].poll_ns);
    let busy = merged(&frames[1..2]);
    let nic = busy.nics.iter().find(|nic| nic.name == "demo-rx").unwrap();
    assert_eq!((nic.poll_ns, nic.cpus[0].poll_ns, nic.cpus[0].load_pct), (None, None, None));
}

#[test]
fn a_driver_is_of_the_time_that_knew_it() {
    let mut numbers = Numbers::seeded(7);
    let mut frames: Vec<Frame> = (0..3).map(|seq| random(&mut numbers, seq)).collect();
    for (at, frame) in frames.iter_mut().enumerate() {
        let sampling = frame.host.sampling.as_mut().unwrap();
        sampling.busy = 100;
        frame.interval_ns = 1_000_000_000;
        let mut driver = random_driver(&mut Numbers::seeded(1), "veth", 100, 1_000_000_000);
        driver.samples = (at == 2).then_some(10);
        driver.sampled_est_ns = driver.samples.map(|_| 100_000_000);
        driver.hardirq_ns = Some(1_000_000);
        driver.unknown = (at < 2).then(|| "none of its NICs was polled yet".to_owned());
        frame.drivers = (at > 0).then(|| vec![driver]);
        frame.host.drivers_gap = None;
    }
    let all = merged(&frames);
    assert_eq!(all.host.drivers_gap, Some(Gap { ns: 1_000_000_000, busy: 100 }));
    let driver = &all.drivers.unwrap()[0];
    assert_eq!(driver.gap, Some(Gap { ns: 1_000_000_000, busy: 100 }));
    assert_eq!((driver.samples, driver.hardirq_ns), (Some(10), Some(1_000_000)));
    assert_eq!(driver.busy_share_pct, Some(10.0), "of the 100 samples of the third frame");
    assert!((driver.cost_cpu_pct.unwrap() - 10.1).abs() < 1e-9, "{:?}", driver.cost_cpu_pct);
    assert_eq!(driver.unknown, None);
    // Never known: the exact part alone, of all the time.
    let never = &merged(&frames[..2]).drivers.unwrap()[0];
    assert_eq!((never.samples, never.hardirq_ns, never.cost_cpu_pct), (None, Some(1_000_000), None));
    assert!(never.unknown.is_some());
}

#[test]
fn two_boots_are_noticed() {
    let mut frames = capture();
    frames[2].boot_id = Some("another".to_owned());
    let mut merged = Merged::default();
    assert_eq!(merged.frame(), None);
    for frame in &frames {
        merged.add(frame);
    }
    let boots: Vec<_> = merged.machines().iter().map(|machine| machine.boot_id.clone()).collect();
    assert_eq!(boots, [frames[0].boot_id.clone(), frames[2].boot_id.clone()]);
}

#[test]
fn a_histogram_is_unknown_only_if_there_were_polls_without_one() {
    let polled = |polls: u64, times: Option<Histogram>| {
        let mut frame = capture().swap_remove(0);
        frame.nics.retain(|nic| nic.name == "demo-rx");
        for row in frame
            .nics
            .iter_mut()
            .flat_map(|nic| nic.napis.iter_mut().flatten())
            .flat_map(|napi| &mut napi.cpus)
        {
            row.polls = Some(polls);
        }
        frame.nics[0].poll_ns_histogram.clone_from(&times);
        frame.nics[0].poll_work_histogram = times;
        frame
    };
    let of = |count| Some(Histogram::of([0, count]));
    let sum = |frames: &[Frame]| merged(frames).nics[0].poll_ns_histogram.clone();
    assert_eq!(sum(&[polled(5, of(5)), polled(0, None), polled(3, of(3))]), of(8));
    assert_eq!(sum(&[polled(5, of(5)), polled(3, None), polled(3, of(3))]), None);
    // The frame before had the poll in its histogram already.
    assert_eq!(sum(&[polled(0, of(1)), polled(1, of(0))]), of(1));
    assert_eq!(sum(&[polled(0, None)]), None);
}
