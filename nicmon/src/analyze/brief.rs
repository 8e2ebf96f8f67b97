//! What matters about a machine's network in a few lines: for a ticket, a chat or a language model.
//!
//! The same frames give the same bytes. There are no network addresses in it.

use super::findings::verdict;
use crate::{
    diagnose::Answer,
    frame::{Cpu, Driver, Frame, Nic, NicCpu, per_s, topology},
    present::{
        findings::{of_evidence, of_headroom, title},
        text::{about, interval, pct, plural, printable, share},
    },
};

/// The most bytes.
pub const MOST_BYTES: usize = 4096;
/// Rows of each part.
const ROWS: usize = 4;
/// Most characters of a percentage.
const PCT: usize = 6;

/// The text. `sum` is the sum of the frames that were judged.
pub fn text(answer: &Answer, sum: &Frame) -> String {
    let parts = [head(answer, sum), found(answer), unknown(answer, sum), cpus(sum), nics(sum), drivers(sum)];
    let mut text = String::new();
    // A name from somebody else's recording must not look like a line of its own.
    for line in parts.iter().flatten() {
        text += &printable(line);
        text.push('\n');
    }
    cut(&text)
}

fn head(answer: &Answer, sum: &Frame) -> Vec<String> {
    let host = &sum.host;
    let cpus = plural(u64::from(host.cpus_online), "CPU");
    let Frame { time, .. } = sum;
    vec![
        format!("nicmon brief: {}, Linux {}, {cpus}, until {time}", host.hostname, host.kernel),
        format!("verdict: {}", verdict(answer)),
    ]
}

fn found(answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in answer.findings.iter().take(ROWS) {
        let figures: Vec<String> = finding.evidence.iter().take(ROWS).map(of_evidence).collect();
        let contributing: Vec<&str> = finding.contributing.iter().map(|what| what.label()).collect();
        lines.push(title(finding));
        lines.push(format!("  {}", finding.why));
        if !figures.is_empty() {
            lines.push(format!("  {}", figures.join("; ")));
        }
        if !contributing.is_empty() {
            lines.push(format!("  packets are expensive: {}", contributing.join(", ")));
        }
        lines.extend(finding.caveats.iter().map(|caveat| format!("  but: {caveat}")));
    }
    if answer.findings.len() > ROWS {
        lines.push(format!("and {} more", plural((answer.findings.len() - ROWS) as u64, "finding")));
    }
    let headroom = answer.headroom.iter().take(ROWS);
    lines.extend(headroom.map(|headroom| format!("headroom: {}", of_headroom(headroom))));
    lines
}

/// The CPUs with the least idle time.
fn cpus(sum: &Frame) -> Vec<String> {
    let idle = |cpu: &Cpu| cpu.stat.map(|stat| stat.idle_pct + stat.iowait_pct);
    let mut cpus: Vec<&Cpu> = sum.cpus.iter().filter(|cpu| idle(cpu).is_some()).collect();
    cpus.sort_by(|a, b| idle(a).unwrap_or(0.0).total_cmp(&idle(b).unwrap_or(0.0)));
    let of_cpu = |cpu: &&Cpu| {
        let part = |ns: Option<u64>| about(sum, share(ns, sum.interval_ns, PCT));
        let net_rx = cpu.softirq.and_then(|all| all.net_rx.vector.time_ns());
        let busiest: Vec<String> = rows(sum, cpu.cpu).map(|(nic, load)| format!("{nic} {load}")).collect();
        format!(
            "CPU {}: idle {} %, NET_RX {} %, interrupts {} %; {}",
            cpu.cpu,
            pct(idle(cpu).unwrap_or(0.0), PCT),
            part(net_rx),
            part(cpu.hardirq_time_ns()),
            if busiest.is_empty() { "no NIC".to_owned() } else { busiest.join(", ") }
        )
    };
    cpus.iter().take(ROWS).map(of_cpu).collect()
}

/// What NICs load a CPU.
fn rows(sum: &Frame, cpu: u32) -> impl Iterator<Item = (&str, String)> {
    let on = move |nic: &Nic| nic.cpus.iter().find(|on| on.cpu == cpu).and_then(NicCpu::known_load_pct);
    let loads = sum.nics.iter().filter_map(move |nic| Some((nic.name.as_str(), on(nic)?)));
    loads
        .filter(|(_, load)| *load >= 0.1)
        .take(ROWS)
        .map(|(nic, load)| (nic, format!("{} %", about(sum, pct(load, PCT)))))
}

fn nics(sum: &Frame) -> Vec<String> {
    let of_nic = |nic: &&Nic| {
        let rate = |count: Option<u64>| {
            per_s(count, sum.interval_ns).map_or_else(|| "?".to_owned(), |rate| format!("{rate:.0}"))
        };
        let setup = sum.topology.iter().flat_map(|all| &all.nics);
        let setup =
            setup.into_iter().find(|there| Some(there.netns) == nic.netns && there.ifindex == nic.ifindex);
        format!(
            "NIC {} ({}): {} packets per second in, {} out{}",
            nic.name,
            nic.driver.as_deref().unwrap_or("driver unknown"),
            rate(nic.counters.rx_packets),
            rate(nic.counters.tx_packets),
            setup.map_or_else(String::new, |setup| format!("; {}", set_up(setup)))
        )
    };
    sum.nics.iter().filter(|nic| nic.netns.is_some()).take(ROWS).map(|nic| of_nic(&nic)).collect()
}

/// How a NIC is set up, as far as it matters for receiving.
fn set_up(nic: &topology::Nic) -> String {
    let rx: Vec<&topology::Queue> =
        nic.queues.iter().filter(|queue| queue.kind == topology::QueueKind::Rx).collect();
    let mut parts = vec![plural(rx.len() as u64, "receive queue")];
    if let Some(channels) = nic.channels
        && let (Some(combined), Some(most)) = (channels.combined, channels.combined_max)
    {
        parts.push(format!("{combined} of {most} channels"));
    }
    let steers = rx.iter().any(|queue| queue.rps_cpus.as_ref().is_some_and(|cpus| !cpus.is_empty()));
    parts.push(if steers { "RPS on" } else { "RPS off" }.to_owned());
    if nic.threaded_napi == Some(true) {
        parts.push("NAPI threads".to_owned());
    }
    if nic.xdp.as_ref().is_some_and(|xdp| !xdp.is_empty()) {
        parts.push("XDP".to_owned());
    }
    parts.join(", ")
}

fn drivers(sum: &Frame) -> Vec<String> {
    let of_driver = |driver: &Driver| {
        let part = match (driver.busy_share_pct, driver.busy_share_ci_pct) {
            (Some(part), Some(bounds)) => format!(
                "{} % of busy samples, 95 % interval {}",
                pct(part, PCT),
                interval(bounds, |bound| pct(bound, PCT))
            ),
            _ => "share unknown".to_owned(),
        };
        let each = driver.ns_per_packet.map_or_else(String::new, |ns| format!(", ~{ns:.0} ns per packet"));
        format!("driver {}: {part}{each}", driver.driver)
    };
    sum.drivers.iter().flatten().take(ROWS).map(of_driver).collect()
}

fn unknown(answer: &Answer, sum: &Frame) -> Vec<String> {
    let host = &sum.host;
    let mut texts: Vec<String> = answer
        .not_judged
        .iter()
        .map(|rule| format!("{} not judged: {}", rule.id.label(), rule.why))
        .collect();
    texts.extend(host.source_reason.iter().map(|why| format!("no times: {why}")));
    texts.extend(host.drivers_reason.iter().map(|why| format!("no driver costs: {why}")));
    texts.extend(host.problems.iter().cloned());
    if let Some(lost) = sum.own.lost.filter(|lost| *lost > 0) {
        texts.push(format!("{lost} events were not counted"));
    }
    texts.into_iter().take(2 * ROWS).map(|text| format!("unknown: {text}")).collect()
}

/// Whole lines, as many as fit.
fn cut(text: &str) -> String {
    const MORE: &str = "(more was cut off)\n";
    if text.len() <= MOST_BYTES {
        return text.to_owned();
    }
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        if kept.len() + line.len() + MORE.len() > MOST_BYTES {
            break;
        }
        kept.push_str(line);
    }
    kept + MORE
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{diagnose::Window, frame::Merged, stream::Reader};

    fn judged(change: impl Fn(&mut Frame)) -> String {
        let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/demo-cpu1.ndjson");
        let mut reader = Reader::open(Path::new(recording)).expect("a recording");
        let (mut window, mut sum) = (Window::default(), Merged::default());
        while let Some(mut frame) = reader.next().expect("a frame") {
            change(&mut frame);
            window.add(&frame);
            sum.add(&frame);
        }
        text(&window.answer().expect("an answer"), &sum.frame().expect("a sum"))
    }

    #[test]
    fn the_same_frames_give_the_same_bytes() {
        let text = judged(|_| ());
        assert_eq!(text, judged(|_| ()));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn it_never_has_more_than_4096_bytes() {
        let text = judged(|frame| {
            let problem = |number| format!("problem {number} ").repeat(100);
            frame.host.problems = (0..10).map(problem).collect();
            frame.host.hostname = "é".repeat(64);
        });
        assert!(text.len() <= MOST_BYTES && text.ends_with("(more was cut off)\n"), "{}", text.len());
    }
}
