use super::*;
use crate::frame::{Context, Driver, Origin, SampleEvent, SampledFunction, SampledStack, Sampling};

fn frames(text: &str) -> Vec<Frame> {
    text.lines().map(|line| serde_json::from_str(line).expect("the recording's lines are frames")).collect()
}

fn demo() -> Vec<Frame> {
    frames(include_str!("../../../tests/fixtures/frames/demo-rps.ndjson"))
}

/// The demo as if its CPUs had been sampled.
fn sampled() -> Vec<Frame> {
    let mut frames = demo();
    for frame in &mut frames {
        frame.host.sample_event = Some(SampleEvent::CpuClock);
        frame.host.sampling = Some(Sampling {
            frequency_per_s: Some(99),
            cpus: 2,
            samples: 198,
            idle: 100,
            user: 10,
            busy: 98,
            busy_expected: Some(98),
            expected: Some(198),
            lost: 2,
        });
        let driver = |name: &str, samples: Option<u64>, hardirq_ns| Driver {
            driver: name.to_owned(),
            origin: samples.map(|_| Origin::Inferred),
            unknown: samples.is_none().then(|| "none of its NICs was polled yet".to_owned()),
            samples,
            busy_share_pct: None,
            busy_share_ci_pct: None,
            hardirq_ns: Some(hardirq_ns),
            hardirq_est_ns: None,
            sampled_est_ns: samples.map(|samples| samples * 10_101_010),
            cost_cpu_pct: None,
            packets: samples.map(|_| 100_000),
            bytes: samples.map(|_| 10_000_000),
            counted_est_ns: samples.map(|samples| samples * 10_101_010 + hardirq_ns),
            ns_per_packet: None,
            cpu_s_per_gb: None,
            companions: Vec::new(),
            functions: samples
                .map(|samples| SampledFunction {
                    symbol: format!("{name}_poll"),
                    context: Context::Softirq,
                    comm: "ksoftirqd/0".to_owned(),
                    samples,
                    share_pct: None,
                })
                .into_iter()
                .collect(),
            gap: None,
        };
        let stack = |functions: [&str; 3], comm: Option<&str>, samples| SampledStack {
            context: if comm.is_some() { Context::Task } else { Context::Softirq },
            comm: comm.map(str::to_owned),
            functions: functions.map(str::to_owned).to_vec(),
            samples,
        };
        frame.stacks = Some(vec![
            stack(["handle_softirqs", "net_rx_action", "veth_poll"], None, 12),
            stack(["handle_softirqs", "net_rx_action", "virtnet_poll"], None, 3),
            stack(["__sys_sendto", "udp_sendmsg", "veth_xmit"], Some("sender"), 5),
        ]);
        frame.drivers = Some(vec![
            driver("veth", Some(12), 0),
            driver("virtio_net", Some(3), 25_000_000),
            driver("ifb", None, 0),
        ]);
    }
    frames
}

fn page(frames: &[Frame]) -> String {
    let mut page = Page::default();
    for frame in frames {
        page.add(frame);
    }
    page.render()
}

/// Parses the page: it must be well-formed, and load nothing.
fn check(html: &str) {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let document = roxmltree::Document::parse_with_options(html, options).expect("well-formed");
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        assert!(
            !["script", "link", "img", "iframe", "image", "use", "foreignObject"].contains(&name),
            "{name}"
        );
        for attribute in node.attributes() {
            assert!(!["href", "src", "srcset", "style"].contains(&attribute.name()), "{name} {attribute:?}");
            assert!(!attribute.name().starts_with("on"), "{name} {attribute:?}");
        }
    }
    for outside in ["://", "url(", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn a_recording() {
    let html = page(&sampled());
    check(&html);
    insta::assert_snapshot!(html.replace(STYLE, "(style)\n"));
}

#[test]
fn unknown_stays_unknown() {
    let html = page(&demo());
    check(&html);
    assert!(html.contains("Unknown: the CPUs were not sampled."), "{html}");
    let html = page(&frames(include_str!("../../../tests/fixtures/frames/counts.ndjson")));
    check(&html);
    assert!(html.contains("No load was measured.") && html.contains("the load is unknown"), "{html}");
    check(&page(&[]));
}

#[test]
fn a_moment_is_told_in_milliseconds() {
    let mut frame = sampled().swap_remove(0);
    frame.interval_ns = 2_248_699;
    let html = page(&[frame]);
    assert!(html.contains("<dd>0.002 s in 1 frame</dd>"), "{html}");
}

#[test]
fn odd_names_do_no_harm() {
    let odd = "\"><script>alert('1')</script>&\u{1b}\u{ffff}";
    let mut frames = sampled();
    for frame in &mut frames {
        frame.host.hostname = odd.to_owned();
        frame.host.kernel = odd.to_owned();
        frame.time = odd.to_owned();
        for nic in &mut frame.nics {
            (nic.name, nic.driver) = (odd.to_owned(), Some(odd.to_owned()));
        }
        for stack in frame.stacks.iter_mut().flatten() {
            stack.comm = Some(odd.to_owned());
            stack.functions = vec![odd.to_owned(); 200];
        }
        for driver in frame.drivers.iter_mut().flatten() {
            driver.driver = odd.to_owned();
            driver.unknown = driver.unknown.as_ref().map(|_| odd.to_owned());
            for function in &mut driver.functions {
                (function.symbol, function.comm) = (odd.to_owned(), odd.to_owned());
            }
        }
    }
    check(&page(&frames));
}

#[test]
fn a_large_machine() {
    let mut frame = demo().swap_remove(0);
    let nic = frame.nics.swap_remove(0);
    let on = nic.cpus[0].clone();
    frame.nics = (0..16)
        .map(|index| {
            let mut nic = nic.clone();
            (nic.name, nic.ifindex) = (format!("eth{index}"), index);
            nic.cpus = (0..256).map(|cpu| crate::frame::NicCpu { cpu, ..on.clone() }).collect();
            nic
        })
        .collect();
    let html = page(&vec![frame; 250]);
    check(&html);
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    assert!(html.contains("eth9 on 0-255"), "the rest is named");
}

#[test]
fn absurd_numbers() {
    let mut frames = sampled();
    for (frame, value) in frames.iter_mut().zip([0, u64::MAX, 1]) {
        frame.interval_ns = value;
        for nic in &mut frame.nics {
            nic.counters.rx_bytes = Some(u64::MAX);
            for on in &mut nic.cpus {
                (on.poll_ns, on.hardirq_ns) = (Some(u64::MAX), Some(u64::MAX));
            }
        }
        for driver in frame.drivers.iter_mut().flatten() {
            (driver.samples, driver.hardirq_ns) = (Some(u64::MAX), Some(u64::MAX));
        }
    }
    check(&page(&frames));
}

#[test]
fn a_finding_has_its_place_in_time() {
    let mut page = Page::default();
    let mut diagnosis = crate::diagnose::Diagnosis::default();
    for mut frame in frames(include_str!("../../../tests/findings/one-queue.ndjson")) {
        diagnosis.complete(&mut frame);
        page.add(&frame);
    }
    let html = page.render();
    let at = html.find("<div class=\"when\"><div class=\"h6\"").expect("a critical finding");
    let style = html[at..].split('"').nth(5).expect("a style");
    assert!(style.starts_with("margin-left:") && style.contains("%;width:"), "{style}");
}
