//! Reports of real recordings, and of odd and large ones.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::{Report, csv};
use crate::frame::{
    Context, Cpu, Frame, Gap, Histogram, Machine, Merged, NapiMode, NicCpu, SampledStack, SoftirqTimes,
};

const SAMPLED: &str = include_str!("../../../tests/fixtures/frames/sampled.ndjson");
const RPS: &str = include_str!("../../../tests/fixtures/frames/demo-rps.ndjson");
const COUNTS: &str = include_str!("../../../tests/fixtures/frames/counts.ndjson");

fn frames(capture: &str) -> Vec<Frame> {
    capture.lines().map(|line| serde_json::from_str(line).expect("a frame")).collect()
}

fn merged(frames: &[Frame]) -> Merged {
    let mut merged = Merged::default();
    for frame in frames {
        merged.add(frame);
    }
    merged
}

fn text_of(frames: &[Frame], top: usize) -> String {
    let merged = merged(frames);
    let frame = merged.frame().expect("frames");
    let (frames, machines) = (frames.len() as u64, merged.machines());
    Report { name: "a.rec", frame: &frame, frames, start_ns: Some(1_795_415_590_000_000_000), machines, top }
        .text()
}

fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn a_finding_has_its_place_in_time() {
    let mut frames = frames(include_str!("../../../tests/findings/healthy-bursts.ndjson"));
    let mut diagnosis = crate::diagnose::Diagnosis::default();
    for (at, frame) in frames.iter_mut().enumerate() {
        // Seconds 8 to 13 of 20.
        for cpu in frame.cpus.iter_mut().filter(|cpu| cpu.cpu == 1 && (8..14).contains(&at)) {
            cpu.softnet.as_mut().expect("softnet").dropped = 10;
        }
        diagnosis.complete(frame);
    }
    let merged = merged(&frames);
    let frame = merged.frame().expect("frames");
    let start_ns = crate::stream::Span::of(&frames[0]).map(|span| span.start_ns);
    let (frames, machines) = (frames.len() as u64, merged.machines());
    let text = Report { name: "a.rec", frame: &frame, frames, start_ns, machines, top: 4 }.text();
    assert_fits(&text);
    let bar = text.lines().find(|line| line.starts_with("  [")).expect("a line of time");
    let (from, length) = (bar.find('#').expect("a start") - 3, bar.matches('#').count());
    assert_eq!(bar.len(), 64);
    // It stands from the second of the bad seconds on, until five were good.
    assert!((24..31).contains(&from) && (24..34).contains(&length), "{bar}");
}

#[test]
fn real_recordings() {
    for (name, capture) in [("sampled", SAMPLED), ("rps", RPS), ("counts", COUNTS)] {
        let text = text_of(&frames(capture), 20);
        assert_fits(&text);
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn what_is_cut_away_is_told() {
    let mut all = frames(SAMPLED);
    all[1].boot_id = Some("another".to_owned());
    all[2].drivers = None;
    for driver in all[3].drivers.iter_mut().flatten() {
        driver.functions.truncate(1);
    }
    all[0].nics.iter_mut().for_each(|nic| nic.counters.rx_bytes = None);
    let text = text_of(&all, 2);
    assert_fits(&text);
    insta::assert_snapshot!("cut_away", text);
}

#[test]
fn a_large_machine_and_odd_names() {
    let mut frame = frames(SAMPLED).swap_remove(3);
    let cpu = frame.cpus[0].clone();
    frame.cpus = (0..256).map(|number| Cpu { cpu: number, ..cpu.clone() }).collect();
    let nic = frame.nics[0].clone();
    frame.nics = (0..16)
        .map(|number| {
            let mut nic = nic.clone();
            nic.ifindex += number;
            nic.name = format!("a\u{1b}[31m{}\u{202e}{number}", "long".repeat(20));
            nic.driver = Some("a-driver-with-a-very-long-name".repeat(2));
            nic.cpus = (0..256).map(|cpu| NicCpu { cpu, ..nic.cpus[0].clone() }).collect();
            nic.counters.rx_bytes = Some(u64::MAX);
            nic
        })
        .collect();
    for driver in frame.drivers.iter_mut().flatten() {
        driver.driver = "long-driver".repeat(10);
        driver.hardirq_ns = Some(200_000_000_000);
        driver.gap = Some(Gap { ns: 5, busy: 1 });
    }
    let text = text_of(&[frame.clone()], 20);
    assert_fits(&text);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    assert!(text.contains("  236 more; --top 256 shows them\n"), "{text}");
    let text = text_of(&[frame], 256);
    assert!(!text.contains("more; --top"), "{text}");
}

#[test]
fn a_moment_is_told_in_milliseconds() {
    let mut frame = frames(SAMPLED).swap_remove(3);
    (frame.own.bpf_est_ns, frame.own.cpu_ns, frame.interval_ns) = (Some(150_000), 650_000, 2_248_699);
    let text = text_of(&[frame], 20);
    assert!(text.contains(", 0.002 s in 1 frame\n"), "{text}");
    assert!(text.contains("nicmon itself: 0.8 ms of CPU time, estimated;"), "{text}");
}

/// Recordings of different -F, joined with cat.
#[test]
fn samples_at_different_rates() {
    let mut frames = frames(SAMPLED);
    assert!(text_of(&frames, 20).contains("samples: 997 per second"));
    frames[3].host.sampling.as_mut().expect("it was sampled").frequency_per_s = Some(99);
    let text = text_of(&frames, 20);
    assert!(text.contains("samples: ? per second") && text.contains("\nveth      ?    ?"), "{text}");
    assert!(text.contains("\nUnknown where samples were taken at different rates"), "{text}");
    // Samples of different weight give no share, in any table.
    let frame = merged(&frames).frame().expect("frames");
    for driver in frame.drivers.iter().flatten() {
        let functions = || driver.functions.iter().map(|function| function.share_pct);
        let companions = driver.companions.iter().map(|companion| companion.busy_share_pct);
        assert!(
            driver.busy_share_pct.is_none() && functions().chain(companions).all(|share| share.is_none())
        );
        assert!(driver.samples.is_none_or(|samples| samples == 0) || driver.sampled_est_ns > Some(0));
    }
    assert!(frame.nics.iter().all(|nic| nic.stages.is_none()));
    let function = text.lines().find(|line| line.contains("veth_poll")).expect("functions are listed");
    assert!(function.ends_with('?') && !text.contains("Stages of the network stack"), "{text}");
}

/// Times of only some CPUs or some polls give no cost per packet.
#[test]
fn parts_that_do_not_belong_together() {
    let row = |text: &str| -> Vec<String> {
        let costs = text.split_once("Polls (driver and stack)").expect("costs").1;
        let row = costs.lines().find(|line| line.starts_with("demo-rx")).expect("demo-rx");
        row.split_whitespace().map(str::to_owned).collect()
    };
    let whole = frames(RPS);
    assert!(row(&text_of(&whole, 20))[3..5].iter().all(|figure| figure != "?"));
    let mut one_cpu = whole.clone();
    for frame in &mut one_cpu {
        frame.cpus.truncate(1);
    }
    let text = text_of(&one_cpu, 20);
    assert_eq!(row(&text)[3..5], ["?", "?"]);
    assert!(text.contains("Times cover 1 CPU of 2, but packets cover all"), "{text}");

    let mut busy = whole.clone();
    for frame in &mut busy {
        let nic = frame.nics.iter_mut().find(|nic| nic.name == "demo-rx").expect("demo-rx");
        let napis = nic.napis.as_mut().expect("polls are counted");
        let mut other = napis[0].clone();
        other.mode = NapiMode::Busy;
        for row in &mut other.cpus {
            row.poll_ns = None;
        }
        napis.push(other);
        frame.nics.retain(|nic| nic.name == "demo-rx");
        let nic = &mut frame.nics[0];
        nic.cpus.truncate(1);
        let unknown =
            NicCpu { cpu: 1, poll_ns: None, load_pct: None, hardirq_ns: Some(0), ..nic.cpus[0].clone() };
        nic.cpus.push(unknown);
    }
    let text = text_of(&busy, 20);
    assert_eq!(row(&text)[3..5], ["?", "?"]);
    assert!(text.contains("some polls are busy polls"), "{text}");
}

#[test]
fn idle_drivers_are_named_and_others_have_rows() {
    let mut frame = frames(SAMPLED).swap_remove(3);
    let drivers = |frame: &Frame| text_of(std::slice::from_ref(frame), 20);
    assert!(drivers(&frame).contains("\nIdle: ifb, virtio_net (not measured"));
    // A driver that has traffic, or may have, is not idle: its cost is unknown.
    for counters in [Some(1), None] {
        let mut known = frame.clone();
        let eth0 = known.nics.iter_mut().find(|nic| nic.name == "eth0").expect("eth0");
        eth0.counters.rx_packets = counters;
        let text = drivers(&known);
        assert!(text.contains("\nvirtio_net ?") && text.contains("\nIdle: ifb (not measured"), "{text}");
    }
    frame.drivers.as_mut().expect("drivers").retain(|driver| driver.driver != "veth");
    assert!(drivers(&frame).contains("Drivers: all were idle\nIdle: ifb, virtio_net (not"));
}

/// An ifb: its tasklet costs more than the polls.
#[test]
fn softirqs_outside_polls_are_part_of_the_network_load() {
    let mut frame = frames(RPS).swap_remove(1);
    frame.interval_ns = 1_000_000_000;
    frame.nics.retain(|nic| nic.name == "demo-rx");
    let nic = &mut frame.nics[0];
    let row = NicCpu { hardirq_ns: Some(0), ..nic.cpus[0].clone() };
    nic.cpus = vec![
        NicCpu { cpu: 0, poll_ns: Some(50_000_000), ..row.clone() },
        NicCpu { cpu: 1, poll_ns: Some(40_000_000), ..row.clone() },
    ];
    for cpu in &mut frame.cpus {
        cpu.softirq.as_mut().expect("softirqs are timed").tasklet.ns = Some(90_000_000);
    }
    let outside = |name: &str, cpu| {
        let mut nic = frame.nics[0].clone();
        (nic.name, nic.netns, nic.napis, nic.poll_ns) = (name.to_owned(), None, None, None);
        nic.cpus = vec![NicCpu { cpu, poll_ns: None, hardirq_ns: None, ..row.clone() }];
        nic
    };
    let headline = |outside: &[crate::frame::Nic]| {
        let mut frame = frame.clone();
        frame.nics.extend_from_slice(outside);
        let report =
            Report { name: "a.rec", frame: &frame, frames: 1, start_ns: None, machines: &[], top: 20 };
        let text = report.text().split_whitespace().collect::<Vec<_>>().join(" ");
        let start = text.find("CPU 0 carries").or_else(|| text.find("CPU 1 carries")).expect("a headline");
        text[start..].split_once(". ").expect("an end").0.to_owned()
    };
    assert_eq!(
        headline(&[outside("(tasklet)", 1)]),
        "CPU 1 carries the most network load (polls and interrupts of NICs, and all of TASKLET, partly \
         network code): 13.00 % (TASKLET 9.00 %, demo-rx 4.00 %); next is CPU 0 with 5.00 %"
    );
    // A stray sample, whose softirq is mostly other work, changes nothing.
    let alone = headline(&[]);
    assert!(alone.starts_with("CPU 0 carries") && !alone.contains("at least"), "{alone}");
    assert_eq!(headline(&[outside("(rcu)", 0), outside("(timer)", 1)]), alone);
}

#[test]
fn another_cpu_may_carry_more_than_is_known() {
    let mut frame = frames(RPS).swap_remove(1);
    let text = |frame: &Frame| {
        Report { name: "a.rec", frame, frames: 1, start_ns: None, machines: &[], top: 20 }.text()
    };
    assert!(text(&frame).contains("\nCPU 0 carries the most"), "{}", text(&frame));
    let nic = frame.nics.iter_mut().find(|nic| nic.cpus.iter().any(|on| on.cpu == 1)).expect("one on CPU 1");
    for on in nic.cpus.iter_mut().filter(|on| on.cpu == 1) {
        (on.poll_ns, on.load_pct) = (None, None);
    }
    assert!(text(&frame).contains("\nAs far as is known, CPU 0 carries the most"), "{}", text(&frame));
}

#[test]
fn nothing_at_all() {
    let mut frame = frames(COUNTS).swap_remove(0);
    frame.interval_ns = 0;
    frame.cpus.clear();
    frame.nics.clear();
    frame.irqs.clear();
    frame.drivers = Some(Vec::new());
    let text = text_of(&[frame], 1);
    assert_fits(&text);
    assert!(text.contains("No CPU carried any network load."), "{text}");
}

#[test]
fn machines_are_named() {
    let merged = merged(&frames(RPS));
    let frame = merged.frame().expect("frames");
    let machine = |boot: &str| Machine { hostname: "vm".to_owned(), boot_id: Some(boot.to_owned()) };
    let machines = [machine("one"), machine("two")];
    let report = Report { name: "a", frame: &frame, frames: 3, start_ns: None, machines: &machines, top: 20 };
    assert!(report.text().contains("It covers 2 machines or boots"));
}

#[test]
fn rows_of_csv() {
    let mut frame = merged(&frames(SAMPLED)).frame().expect("frames");
    // Stacks are not figures.
    frame.stacks = Some(vec![SampledStack {
        context: Context::Softirq,
        comm: None,
        functions: vec!["veth_poll".to_owned()],
        samples: 3,
    }]);
    frame.nics[0].name = "a,\"b\"\n".to_owned();
    let mut twin = frame.nics[0].clone();
    twin.netns = Some(7);
    frame.nics.push(twin);
    let text = csv(&frame).expect("rows");
    assert_eq!(text.lines().next(), Some("section,subject,part,cpu,name,value,unit"));
    assert!(text.contains("\"a,\"\"b\"\"\u{fffd}@7\""), "{text}");
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<Vec<String>> =
        reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect();
    let value = |wanted: [&str; 5]| {
        let mut found = rows.iter().filter(|row| row[..5] == wanted);
        let row = found.next().unwrap_or_else(|| panic!("no row {wanted:?}"));
        assert!(found.next().is_none(), "two rows {wanted:?}");
        (row[5].clone(), row[6].clone())
    };
    let pair = |value: &dyn ToString, unit: &str| (value.to_string(), unit.to_owned());
    assert_eq!(value(["frame", "", "", "", "interval_ns"]), pair(&frame.interval_ns, "ns"));
    let net_rx = frame.cpus[1].softirq.unwrap().net_rx.vector.ns.unwrap();
    assert_eq!(value(["cpus", "", "", "1", "softirq.net_rx.ns"]), pair(&net_rx, "ns"));
    let veth = &frame.drivers.as_ref().unwrap()[0];
    assert_eq!(value(["drivers", "veth", "", "", "samples"]), pair(&veth.samples.unwrap(), ""));
    let low = veth.busy_share_ci_pct.unwrap()[0];
    assert_eq!(value(["drivers", "veth", "", "", "busy_share_ci_pct.low"]), pair(&low, "%"));
    assert_eq!(value(["drivers", "ifb", "", "", "samples"]), pair(&"", ""), "unknown");
    let function = &veth.functions[0];
    let part = format!("{} softirq {}", function.symbol, function.comm);
    assert_eq!(value(["drivers", "veth", &part, "", "samples"]), pair(&function.samples, ""));
    // An unknown part has no row; an unknown interval has one.
    assert_eq!(value(["drivers", "ifb", "", "", "busy_share_ci_pct"]), pair(&"", "%"));
    assert!(!rows.iter().any(|row| ["stages", "napis", "stat"].contains(&row[4].as_str())));
    // Every figure has exactly one row.
    let mut keys: Vec<String> = rows.iter().fold(Vec::new(), |mut keys, row| {
        let mut key = String::new();
        let _ = write!(key, "{:?}", &row[..5]);
        keys.push(key);
        keys
    });
    keys.sort();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

#[test]
fn percentiles_of_what_was_seen_often_enough() {
    let mut frames = frames(RPS);
    assert!(!text_of(&frames, 4).contains("How long"), "recorded before there were histograms");
    // 4,000 runs of 4.1 to 4.6 us and 20 of 131 to 147 us in each of three frames.
    let counts = |bucket| match bucket {
        80 => 4000,
        120 => 20,
        _ => 0,
    };
    let histogram = Histogram::of((0..200).map(counts));
    for frame in &mut frames {
        frame.softirqs = Some(vec![SoftirqTimes {
            vector: "net_rx".to_owned(),
            run_ns_histogram: histogram.clone(),
            raise_to_run_ns_histogram: None,
        }]);
        for nic in frame.nics.iter_mut().filter(|nic| nic.name == "demo-rx") {
            nic.poll_ns_histogram = Some(histogram.clone());
            nic.poll_work_histogram = Some(Histogram::of([0, 12_000, 60]));
        }
    }
    let text = text_of(&frames, 4);
    assert_fits(&text);
    let row = |start| {
        let line = text.lines().find(|line| line.starts_with(start));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    assert!(row("NET_RX").is_some_and(|row| row.starts_with("NET_RX 12.06k 4.4 4.4 ? ")), "{text}");
    assert_eq!(row("demo-rx, polls").as_deref(), Some("demo-rx, polls 12.06k 4.4 4.4 ? 139 1, 1"));
    let csv = csv(&merged(&frames).frame().expect("frames")).expect("CSV");
    assert!(csv.contains("softirqs,net_rx,,,run_ns_histogram.p50,4351,\r\n"), "{csv}");
    assert_eq!(csv.matches("histogram.").count(), 3 * 3, "percentiles alone: {csv}");
}
