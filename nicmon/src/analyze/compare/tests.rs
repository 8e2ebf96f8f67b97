use super::*;
use crate::frame::{Driver, Frame, Nic, SampleEvent, Sampling};

/// A real frame, from which others are made.
fn capture() -> Frame {
    const RECORDING: &str = include_str!("../../../tests/fixtures/frames/demo-cpu1.ndjson");
    let line = RECORDING.lines().next().expect("the recording has frames");
    serde_json::from_str(line).expect("the recording's lines are frames")
}

/// What a driver does in each frame.
#[derive(Clone, Copy)]
struct Work {
    driver: &'static str,
    packets: u64,
    samples: u64,
    hardirq_ns: u64,
}

const OLD: Work = Work { driver: "8139cp", packets: 8_000, samples: 17, hardirq_ns: 40_000_000 };
const NEW: Work = Work { driver: "virtio_net", packets: 8_000, samples: 1, hardirq_ns: 6_000_000 };

/// A number from 0 to 6 that goes up and down with the frame.
fn wave(seq: u64) -> u64 {
    seq * seq * 31 % 7
}

fn frame(seq: u64, works: &[Work]) -> Frame {
    let mut frame = capture();
    (frame.seq, frame.interval_ns) = (seq, 1_000_000_000);
    frame.host.sample_event = Some(SampleEvent::CpuClock);
    frame.host.sampling = Some(Sampling {
        frequency_per_s: Some(99),
        cpus: frame.host.cpus_online,
        samples: 99,
        idle: 0,
        user: 0,
        busy: 99,
        busy_expected: Some(99),
        expected: Some(99),
        lost: 0,
    });
    let nic = frame.nics.swap_remove(0);
    frame.nics.clear();
    let mut drivers = Vec::new();
    for work in works {
        let mut nic = nic.clone();
        nic.ifindex += u32::try_from(drivers.len()).expect("a few drivers");
        let packets = work.packets * (20 + wave(seq)) / 20;
        nic.driver = Some(work.driver.to_owned());
        nic.poll_ns = Some(packets * 2_000);
        nic.hardirq_ns = Some(work.hardirq_ns * (20 + wave(seq + 3)) / 20);
        (nic.counters.rx_packets, nic.counters.rx_bytes) = (Some(packets), Some(packets * 1_500));
        (nic.counters.tx_packets, nic.counters.tx_bytes) = (Some(0), Some(0));
        frame.nics.push(nic);
        let samples = work.samples * (wave(seq + 1) + 1) / 3;
        drivers.push(Driver {
            driver: work.driver.to_owned(),
            origin: None,
            unknown: None,
            samples: Some(samples),
            busy_share_pct: None,
            busy_share_ci_pct: None,
            hardirq_ns: None,
            hardirq_est_ns: None,
            sampled_est_ns: Some(samples * 10_101_010),
            cost_cpu_pct: None,
            packets: None,
            bytes: None,
            counted_est_ns: None,
            ns_per_packet: None,
            cpu_s_per_gb: None,
            companions: Vec::new(),
            functions: Vec::new(),
            gap: None,
        });
    }
    frame.drivers = Some(drivers);
    frame
}

fn recording(name: &str, frames: impl IntoIterator<Item = Frame>) -> Recording {
    let mut recording = Recording::new(name.to_owned());
    frames.into_iter().for_each(|frame| recording.add(&frame));
    recording
}

fn of(name: &str, frames: u64, works: &[Work]) -> Recording {
    recording(name, (0..frames).map(|seq| frame(seq, works)))
}

fn figure(pair: &Pair, figure: Figure) -> &Compared {
    pair.figures.iter().find(|compared| compared.figure == figure).expect("every figure is there")
}

/// The driver's packets are those of all its NICs, as its samples are.
#[test]
fn figures_do_not_depend_on_which_nics_are_listed() {
    let whole = |seq, listed: usize| {
        let mut frame = frame(seq, &[OLD]);
        let nic = frame.nics[0].clone();
        let driver = &mut frame.drivers.as_mut().expect("drivers")[0];
        (driver.hardirq_ns, driver.packets) = (nic.hardirq_ns, nic.counters.packets().map(|one| one * 2));
        driver.bytes = nic.counters.bytes().map(|one| one * 2);
        let silent = Nic { poll_ns: Some(0), hardirq_ns: Some(0), ifindex: 99, ..nic };
        frame.nics.extend(vec![silent; listed - 1]);
        frame
    };
    let a = recording("a.rec", (0..40).map(|seq| whole(seq, 1)));
    let b = recording("b.rec", (0..40).map(|seq| whole(seq, 2)));
    let comparison = compare(&a, Some(&b), &[], 0.0).expect("comparable");
    let with_packets = comparison.drivers[0].figures.iter().filter(|figure| figure.a.is_some());
    let mut count = 0;
    for figure in with_packets {
        assert_eq!(figure.a, figure.b, "{:?}", figure.figure);
        count += 1;
    }
    assert!(count >= 4, "{count}");
}

#[test]
fn another_driver_costs_less() {
    let (a, b) = (of("a.rec", 40, &[OLD]), of("b.rec", 40, &[NEW]));
    let comparison = compare(&a, Some(&b), &[], 0.15).expect("a comparison");
    let [pair] = comparison.drivers.as_slice() else { panic!("one pair: {:?}", comparison.drivers) };
    assert_eq!((pair.a.as_str(), pair.b.as_str()), ("8139cp", "virtio_net"));
    let per_gb = figure(pair, Figure::CostPerGb);
    // Per frame: about 23 samples of 10.1 ms, and 46 ms exactly, for 9,200 packets of 1500 bytes.
    assert!(per_gb.a.is_some_and(|cost| (23.0..24.0).contains(&cost)), "{per_gb:?}");
    let per_packet = figure(pair, Figure::CostPerPacket);
    assert!(
        per_packet.ratio.zip(per_gb.ratio).is_some_and(|(a, b)| (a - b).abs() < 1e-9),
        "all are 1500 bytes"
    );
    let polls = figure(pair, Figure::PollNsPerPacket);
    assert_eq!((polls.a, polls.b, polls.is_estimate), (Some(2000.0), Some(2000.0), false));
    let figures: Vec<Figure> = pair.verdicts.iter().map(|verdict| verdict.figure).collect();
    assert_eq!(figures, [Figure::CostPerGb, Figure::CostPerPacket, Figure::BusyShare]);
    assert!(pair.verdicts.iter().all(|verdict| verdict.dearer == Side::A && verdict.times_ci[0] > 5.0));
    insta::assert_snapshot!(pair.summary);
    let claim = |text: &str| text.parse::<Claim>().expect("a claim").judge(&comparison);
    assert!(
        matches!(claim("cost_per_gb < 0.5"), Judgement::Holds(how) if how.contains("virtio_net vs. 8139cp"))
    );
    assert_eq!(claim("cost_per_gb > 1.1"), Judgement::No);
    assert_eq!(claim("poll_ns_per_packet > 1"), Judgement::No);
}

#[test]
fn the_same_is_the_same() {
    let a = of("a.rec", 40, &[OLD]);
    let b = recording("b.rec", (3..43).map(|seq| frame(seq, &[OLD])));
    for run_to_run in [0.0, 0.15] {
        let comparison = compare(&a, Some(&b), &[], run_to_run).expect("a comparison");
        let pair = &comparison.drivers[0];
        assert!(pair.verdicts.is_empty(), "{pair:?}");
        assert_eq!(pair.summary, "no difference at 95 % confidence");
        let per_gb = figure(pair, Figure::CostPerGb);
        let ([low, high], [low_frames, high_frames]) =
            (per_gb.ratio_ci.expect("an interval"), per_gb.frames_ci.expect("an interval"));
        assert!(
            low <= low_frames + 1e-9
                && high >= high_frames - 1e-9
                && (low < low_frames - 0.01) == (run_to_run > 0.0)
        );
    }
}

#[test]
fn two_drivers_of_one_recording() {
    let both = of("both.rec", 40, &[OLD, NEW]);
    let comparison = compare(&both, None, &[], 0.15).expect("a comparison");
    let pair = &comparison.drivers[0];
    assert_eq!((pair.a.as_str(), pair.b.as_str(), pair.verdicts.len()), ("8139cp", "virtio_net", 3));
    assert!(comparison.left_out.is_empty());
    // One after the other, like downloads: each has frames in which the other has no traffic.
    let idle = |work: Work| Work { packets: 0, samples: 0, hardirq_ns: 0, ..work };
    let works = |seq| if seq < 30 { [OLD, idle(NEW)] } else { [idle(OLD), NEW] };
    let in_turn = recording("in-turn.rec", (0..60).map(|seq| frame(seq, &works(seq))));
    let comparison = compare(&in_turn, None, &[], 0.15).expect("a comparison");
    let per_gb = figure(&comparison.drivers[0], Figure::CostPerGb);
    assert!(per_gb.ratio_ci.is_some_and(|[low, high]| 0.03 < low && high < 0.3), "{per_gb:?}");
    assert_eq!(per_gb.frames, Some(30));
}

#[test]
fn unknown_is_not_compared() {
    let b = of("b.rec", 40, &[OLD]);
    let without = |change: fn(&mut Frame)| {
        let frames = (0..40).map(|seq| {
            let mut frame = frame(seq, &[OLD]);
            change(&mut frame);
            frame
        });
        let comparison = compare(&recording("a.rec", frames), Some(&b), &[], 0.15).expect("a comparison");
        let pair = comparison.drivers[0].clone();
        let is_known = |name| figure(&pair, name).ratio_ci.is_some();
        ([Figure::CostPerGb, Figure::BusyShare, Figure::PollNsPerPacket].map(is_known), comparison)
    };
    let (known, comparison) = without(|frame| frame.drivers = None);
    assert_eq!(known, [false, false, true]);
    let why = figure(&comparison.drivers[0], Figure::CostPerGb).unknown.as_deref();
    assert_eq!(why, Some("the code of 8139cp in a.rec is unknown: the CPUs were not sampled"));
    let (known, comparison) = without(|frame| frame.host.sample_event = Some(SampleEvent::Cycles));
    assert_eq!(known, [false, false, true]);
    assert!(comparison.differences.iter().any(|one| one.starts_with("sampling events differ (cycles and")));
    let (known, comparison) = without(|frame| frame.nics[0].threaded_est_ns = Some(5));
    assert!(known == [true; 3] && figure(&comparison.drivers[0], Figure::PollNsPerPacket).is_estimate);
    let (known, _) = without(|frame| frame.nics[0].hardirq_ns = None);
    assert_eq!(known, [false, true, true]);
    let (known, comparison) = without(|frame| {
        for driver in frame.drivers.iter_mut().flatten() {
            (driver.samples, driver.sampled_est_ns) = (Some(u64::from(frame.seq == 7)), Some(0));
        }
    });
    assert_eq!(known, [false, false, true]);
    let why = figure(&comparison.drivers[0], Figure::BusyShare).unknown.as_deref();
    assert!(why.is_some_and(|why| why.starts_with("only 1 sample for 8139cp in a.rec")), "{why:?}");
    let (known, _) = without(|frame| {
        if frame.seq % 2 == 0 {
            frame.drivers = None;
        }
    });
    assert_eq!(known, [true; 3], "half of the frames are enough");
    let claim: Claim = "cost_per_gb>1.1".parse().expect("a claim");
    assert!(matches!(claim.judge(&comparison), Judgement::Unknown(_)));
}

#[test]
fn few_frames_give_no_verdict() {
    let (a, b) = (of("a.rec", 4, &[OLD]), of("b.rec", 40, &[NEW]));
    let pair = compare(&a, Some(&b), &[], 0.15).expect("a comparison").drivers.swap_remove(0);
    assert!(pair.verdicts.is_empty());
    assert_eq!(
        pair.summary,
        "no verdict: only 4 frames with traffic, but 5 are needed: record for longer, or with a shorter -d"
    );
}

#[test]
fn recordings_on_end() {
    let three = |name, work| recording(name, (0..60).map(|at| frame(at % 20, &[work])));
    let (a, b) = (three("a", OLD), three("b", NEW));
    assert_eq!((a.about.runs, a.about.frames), (3, 60));
    let comparison = compare(&a, Some(&b), &[], 0.15).expect("a comparison");
    let per_gb = figure(&comparison.drivers[0], Figure::CostPerGb);
    let ([low, high], ratio) = (per_gb.ratio_ci.expect("an interval"), per_gb.ratio.expect("a ratio"));
    assert!(
        (low - ratio).abs() < 1e-9 && (high - ratio).abs() < 1e-9,
        "they do not differ at all: {per_gb:?}"
    );
}

#[test]
fn what_is_compared() {
    let trace = Work { packets: 1, samples: 0, hardirq_ns: 0, ..NEW };
    let other = Work { driver: "veth", ..NEW };
    let pairs = |a: &Recording, b: &Recording, wanted: &[&str]| {
        let wanted: Vec<Wanted> = wanted.iter().map(|text| text.parse().expect("a pair")).collect();
        compare(a, Some(b), &wanted, 0.15).map(|comparison| {
            let pairs = comparison.drivers.into_iter().map(|pair| format!("{}={}", pair.a, pair.b));
            (pairs.collect::<Vec<_>>().join(" "), comparison.left_out.join(" "))
        })
    };
    let (old, new) = (of("old", 9, &[OLD, trace]), of("new", 9, &[NEW]));
    assert_eq!(pairs(&old, &new, &[]).ok(), Some(("8139cp=virtio_net".into(), String::new())));
    let many = of("many", 9, &[OLD, NEW, other]);
    assert_eq!(
        pairs(&many, &many, &[]).ok(),
        Some(("8139cp=8139cp veth=veth virtio_net=virtio_net".into(), String::new()))
    );
    assert_eq!(pairs(&many, &new, &[]).ok(), Some(("virtio_net=virtio_net".into(), "8139cp veth".into())));
    assert_eq!(
        pairs(&many, &new, &["veth=virtio_net"]).ok(),
        Some(("veth=virtio_net".into(), "8139cp virtio_net".into()))
    );
    let error = |result: Result<_, PairError>| result.expect_err("nothing to compare").to_string();
    assert_eq!(
        error(pairs(&old, &new, &["e1000"])),
        "old has no NIC with the driver e1000. Its drivers are: 8139cp, virtio_net"
    );
    let idle = of("idle", 9, &[Work { packets: 0, ..OLD }]);
    assert!(
        error(pairs(&idle, &many, &[]))
            .contains("idle: no driver has traffic\nmany: 8139cp, veth, virtio_net")
    );
    assert!(compare(&new, None, &[], 0.15).is_err(), "one driver is not two");
}

/// A bridge over the NIC counts the same bytes. The NIC is what the recording is about.
#[test]
fn a_bridge_is_not_compared_instead_of_its_nic() {
    let bridged = |name, work| {
        let bridge = Work { driver: "bridge", samples: 0, hardirq_ns: 0, ..work };
        of(name, 9, &[work, bridge])
    };
    let (a, b) = (bridged("a", OLD), bridged("b", NEW));
    let comparison = compare(&a, Some(&b), &[], 0.15).expect("a comparison");
    let pairs: Vec<_> = comparison.drivers.iter().map(|pair| (pair.a.as_str(), pair.b.as_str())).collect();
    assert_eq!((pairs, comparison.left_out), (vec![("8139cp", "virtio_net")], Vec::new()));
    // Whoever asks for the bridge gets it.
    let wanted = ["bridge".parse().expect("a pair")];
    assert_eq!(compare(&a, Some(&b), &wanted, 0.15).expect("a comparison").drivers[0].a, "bridge");
}

/// Numbers that no counter has must not end in a panic.
#[test]
fn absurd_numbers() {
    let absurd = |value: u64| {
        let frames = (0..30).map(|seq| {
            let mut frame = frame(seq, &[OLD]);
            frame.interval_ns = value;
            let nic = &mut frame.nics[0];
            (nic.counters.rx_packets, nic.counters.rx_bytes) = (Some(value), Some(value));
            (nic.poll_ns, nic.hardirq_ns) = (Some(value), Some(value));
            frame
        });
        recording("absurd", frames)
    };
    for value in [0, 1, u64::MAX] {
        let (a, b) = (absurd(value), of("b", 30, &[OLD]));
        for (a, b) in [(&a, &b), (&b, &a)] {
            let wanted = ["8139cp".parse().expect("a pair")];
            let comparison = compare(a, Some(b), &wanted, 0.15).expect("a comparison");
            serde_json::to_string(&comparison).expect("JSON");
        }
    }
}
