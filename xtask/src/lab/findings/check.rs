//! Whether the findings in a run's frames are those that they should be.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::scenario::Scenario;
use crate::lab::{
    frames::{array, number},
    load::Load,
    table::Verdicts,
};

/// A CPU with at most this much idle time is full.
const FULL_PCT: f64 = 5.0;
/// A finding may come this many frames after the first bad one.
const IN_TIME: usize = 5;
/// The load has reached the NIC when it receives one in this many of the packets: a NIC that is overrun does
/// not receive all, and a NIC at rest receives nearly none.
const ONE_IN: f64 = 100.0;
/// Interrupts per second on one CPU that are a storm.
const STORM_PER_S: f64 = 20_000.0;
/// The first frame in which the guest's own load may run.
const BESIDE: usize = 2;

/// A finding that must appear. What is left out may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    id: String,
    cause: Option<String>,
    /// Each of these, and perhaps more.
    #[serde(default)]
    contributing: Vec<String>,
    severity: Option<String>,
    nic: Option<String>,
    cpu: Option<u64>,
    queue: Option<u64>,
    comm: Option<String>,
    /// How to recognise the first bad frame.
    #[serde(default)]
    bad: Bad,
}

/// What is seen in a bad frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Bad {
    /// The CPU in question is full; any CPU if none is given.
    #[default]
    FullCpu,
    /// The NIC receives the load.
    Packets,
    /// Interrupts come so often that they are a storm.
    Interrupts,
}

/// A check that holds or not, in words.
#[derive(Debug)]
struct Checked {
    holds: bool,
    text: String,
}

/// Checks the frames of one run. Prints what they show of the load, and all their findings.
pub(super) fn all(scenario: &Scenario, nic: &str, frames: &[Value], verdicts: &mut Verdicts) {
    let loaded = match scenario.load {
        Some(load) => first_with_load(load, nic, frames),
        // What runs beside starts with the second frame.
        None => scenario.has_load_of_its_own().then_some(BESIDE),
    };
    if let Some(first) = loaded {
        println!("  -       {}", figures(nic, &frames[first..]));
    }
    for seen in sightings(frames) {
        println!("  -       {seen}");
    }
    if scenario.load.is_some() {
        let from = loaded.map_or_else(|| "no frame".to_owned(), |first| format!("frame {first}"));
        verdicts.check(loaded.is_some(), &format!("{from} of {} is the first with load", frames.len()));
    }
    let checks: Vec<Checked> = if scenario.healthy {
        vec![healthy(frames)]
    } else {
        scenario.expect.iter().map(|expected| found(expected, loaded, frames)).collect()
    };
    for Checked { holds, text } in checks {
        verdicts.check(holds, &text);
    }
}

/// Whether nothing is wrong in any frame. A frame that was not judged proves nothing, but on a host that has
/// other work as well, a guest's CPUs lose time, which nicmon notices.
fn healthy(frames: &[Value]) -> Checked {
    let is_alarm = |finding: &Value| finding["severity"] != "info";
    let alarms = frames.iter().filter(|frame| array(&frame["findings"]).any(is_alarm)).count();
    let unjudged = frames.iter().filter(|frame| !frame["findings"].is_array()).count();
    Checked {
        holds: alarms == 0 && unjudged * 4 <= frames.len() && !frames.is_empty(),
        text: format!("of {} frames, {alarms} have a warning, and {unjudged} were not judged", frames.len()),
    }
}

/// Whether a finding appears in time; `loaded` is the first frame with load.
fn found(expected: &Expected, loaded: Option<usize>, frames: &[Value]) -> Checked {
    let what = expected.shown();
    let first_bad = match expected.bad {
        // nicmon's start fills CPUs as well.
        Bad::FullCpu => loaded
            .and_then(|loaded| (loaded..frames.len()).find(|&at| has_full_cpu(&frames[at], expected.cpu))),
        Bad::Packets => loaded,
        Bad::Interrupts => frames.iter().position(has_storm),
    };
    let is_it = |frame: &Value| array(&frame["findings"]).any(|finding| expected.is(finding));
    let first_found = frames.iter().position(is_it);
    let (holds, text) = match (first_bad, first_found) {
        (None, _) => (false, format!("{what}: no frame is bad")),
        (Some(bad), None) => (false, format!("{what}: in no frame; frame {bad} is the first bad one")),
        (Some(bad), Some(found)) => {
            (found <= bad + IN_TIME, format!("{what}: in frame {found}; frame {bad} is the first bad one"))
        }
    };
    Checked { holds, text }
}

impl Expected {
    fn is(&self, finding: &Value) -> bool {
        let text = |wanted: &Option<String>, found: &Value| {
            wanted.as_ref().is_none_or(|wanted| found == wanted.as_str())
        };
        let count = |wanted: Option<u64>, found: &Value| wanted.is_none_or(|wanted| *found == wanted);
        let contributes = |wanted: &String| array(&finding["contributing"]).any(|one| *one == **wanted);
        let subject = &finding["subject"];
        finding["id"] == *self.id
            && text(&self.cause, &finding["cause"])
            && text(&self.severity, &finding["severity"])
            && text(&self.nic, &subject["nic"])
            && text(&self.comm, &subject["comm"])
            && count(self.cpu, &subject["cpu"])
            && count(self.queue, &subject["queue"])
            && self.contributing.iter().all(contributes)
    }

    fn shown(&self) -> String {
        let mut parts: Vec<String> = self.severity.iter().cloned().collect();
        parts.push(self.id.clone());
        parts.extend(self.cause.clone());
        parts.extend(self.contributing.iter().map(|one| format!("+ {one}")));
        parts.extend(self.nic.clone());
        parts.extend(self.queue.map(|queue| format!("queue {queue}")));
        parts.extend(self.cpu.map(|cpu| format!("CPU {cpu}")));
        parts.extend(self.comm.clone());
        parts.join(" ")
    }
}

/// Each finding that the frames have, and in which of them.
fn sightings(frames: &[Value]) -> Vec<String> {
    let mut seen: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    for (at, frame) in frames.iter().enumerate() {
        for finding in array(&frame["findings"]) {
            let (_, last, count) = seen.entry(shown(finding)).or_insert((at, at, 0));
            (*last, *count) = (at, *count + 1);
        }
    }
    let mut seen: Vec<_> = seen.into_iter().collect();
    seen.sort_by_key(|(_, (first, ..))| *first);
    let line = |(what, (first, last, count))| format!("{what}: in {count} of the frames {first} to {last}");
    seen.into_iter().map(line).collect()
}

fn shown(finding: &Value) -> String {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let subject = &finding["subject"];
    let numbered = |name: &str, value: &Value| value.as_u64().map(|number| format!("{name} {number}"));
    let parts = [
        word(&finding["severity"]),
        word(&finding["id"]),
        word(&finding["cause"]),
        Some(
            array(&finding["contributing"])
                .filter_map(word)
                .map(|one| format!("+ {one}"))
                .collect::<Vec<_>>()
                .concat(),
        ),
        word(&subject["nic"]),
        numbered("queue", &subject["queue"]),
        numbered("irq", &subject["irq"]),
        numbered("CPU", &subject["cpu"]),
        word(&subject["comm"]),
    ];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The first frame in which the NIC receives the load.
fn first_with_load(load: Load, nic: &str, frames: &[Value]) -> Option<usize> {
    frames.iter().position(|frame| rx_per_s(frame, nic) >= f64::from(load.pps) / ONE_IN)
}

fn rx_per_s(frame: &Value, nic: &str) -> f64 {
    let packets = array(&frame["nics"]).filter(|entry| entry["name"] == nic);
    let packets: u64 = packets.map(|entry| number(&entry["rx_packets"])).sum();
    packets as f64 * 1e9 / number(&frame["interval_ns"]).max(1) as f64
}

fn has_full_cpu(frame: &Value, wanted: Option<u64>) -> bool {
    let is_wanted = |cpu: &&Value| wanted.is_none_or(|wanted| cpu["cpu"] == wanted);
    array(&frame["cpus"]).filter(is_wanted).any(|cpu| idle_pct(cpu).is_some_and(|idle| idle <= FULL_PCT))
}

/// Whether a CPU takes so many interrupts.
fn has_storm(frame: &Value) -> bool {
    let of_line = |irq: &Value| array(&irq["cpus"]).map(|on| number(&on["count"])).max().unwrap_or(0);
    let most = array(&frame["irqs"]).map(of_line).max().unwrap_or(0);
    most as f64 * 1e9 / number(&frame["interval_ns"]).max(1) as f64 >= STORM_PER_S
}

/// Idle, or waiting for a disk.
fn idle_pct(cpu: &Value) -> Option<f64> {
    let stat = &cpu["stat"];
    Some(stat["idle_pct"].as_f64()? + stat["iowait_pct"].as_f64().unwrap_or(0.0))
}

/// The load in these frames: packets, and idle time and `NET_RX` of each CPU, each the median.
fn figures(nic: &str, frames: &[Value]) -> String {
    let mut cpus: BTreeMap<u64, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for frame in frames {
        let interval = number(&frame["interval_ns"]).max(1) as f64;
        for cpu in array(&frame["cpus"]) {
            let (idle, net_rx) = cpus.entry(number(&cpu["cpu"])).or_default();
            idle.extend(idle_pct(cpu));
            net_rx.push(number(&cpu["softirq"]["net_rx"]["ns"]) as f64 / interval * 100.0);
        }
    }
    let packets = median(frames.iter().map(|frame| rx_per_s(frame, nic)).collect());
    let each = cpus.into_iter().map(|(cpu, (idle, net_rx))| {
        format!("CPU {cpu} {:.0} % idle and {:.0} % NET_RX", median(idle), median(net_rx))
    });
    format!("{packets:.0} packets per second; {}", each.collect::<Vec<_>>().join(", "))
}

/// The middle one; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A frame of one second: idle time of CPU 1, packets of eth0, and findings.
    fn frame(idle: f64, packets: u64, findings: &Value) -> Value {
        json!({
            "interval_ns": 1_000_000_000,
            "cpus": [
                {"cpu": 0, "stat": {"idle_pct": 97.0, "iowait_pct": 0.0}, "softirq": {"net_rx": {"ns": 0}}},
                {"cpu": 1, "stat": {"idle_pct": idle, "iowait_pct": 0.5},
                    "softirq": {"net_rx": {"ns": 900_000_000}}}
            ],
            "nics": [{"name": "eth0", "rx_packets": packets}],
            "findings": findings
        })
    }

    fn finding(severity: &str, cpu: u64) -> Value {
        json!([{"id": "single-cpu-receive", "severity": severity, "cause": "one-queue",
            "contributing": ["netfilter-rules"],
            "subject": {"nic": "eth0", "queue": 0, "irq": null, "cpu": cpu}}])
    }

    fn expected() -> Expected {
        toml::from_str(
            "id = 'single-cpu-receive'\ncause = 'one-queue'\nnic = 'eth0'\nqueue = 0\ncpu = 1\n\
             contributing = ['netfilter-rules']",
        )
        .unwrap()
    }

    /// Two quiet frames, `late` full ones without a finding, then one with it.
    fn run(late: usize, last: &Value) -> Vec<Value> {
        let mut frames = vec![frame(98.0, 1, &json!([])), frame(96.0, 2, &json!([]))];
        frames.extend(vec![frame(3.0, 20_000, &json!([])); late]);
        frames.push(frame(3.0, 20_000, last));
        frames
    }

    #[test]
    fn the_right_finding_in_time() {
        let checked = found(&expected(), Some(2), &run(5, &finding("critical", 1)));
        assert!(checked.holds);
        assert_eq!(
            checked.text,
            "single-cpu-receive one-queue + netfilter-rules eth0 queue 0 CPU 1: in frame 7; frame 2 is the \
             first bad one"
        );
    }

    #[test]
    fn a_finding_that_is_late_or_wrong_fails() {
        let holds = |frames: &[Value]| found(&expected(), Some(2), frames).holds;
        assert!(!holds(&run(6, &finding("critical", 1))), "too late");
        assert!(!holds(&run(3, &finding("critical", 0))), "another CPU");
        assert!(!holds(&run(3, &json!([]))) && !holds(&run(3, &Value::Null)) && !holds(&[]));
        for (field, other) in [("cause", json!("unknown")), ("contributing", json!([]))] {
            let mut wrong = finding("critical", 1);
            wrong[0][field] = other;
            assert!(!holds(&run(3, &wrong)), "another {field}");
        }
        for field in ["nic", "queue"] {
            let mut wrong = finding("critical", 1);
            wrong[0]["subject"][field] = Value::Null;
            assert!(!holds(&run(3, &wrong)), "no {field}");
        }
        let severe = Expected { severity: Some("critical".to_owned()), ..expected() };
        assert!(!found(&severe, Some(2), &run(3, &finding("warning", 1))).holds, "another severity");
    }

    #[test]
    fn without_a_bad_frame_nothing_is_proved() {
        let quiet = [frame(50.0, 20_000, &finding("critical", 1))];
        assert!(!found(&expected(), Some(0), &quiet).holds);
        let by_packets = Expected { bad: Bad::Packets, ..expected() };
        assert!(found(&by_packets, Some(0), &quiet).holds && !found(&by_packets, None, &quiet).holds);
        let load = Load { flows: 16, pps: 70_000, addresses: None, phases_s: None };
        assert_eq!(first_with_load(load, "eth0", &run(3, &json!([]))), Some(2));
        assert_eq!(first_with_load(load, "eth1", &run(3, &json!([]))), None);
    }

    #[test]
    fn healthy_has_no_warning() {
        assert!(healthy(&run(3, &json!([]))).holds && healthy(&run(3, &finding("info", 1))).holds);
        let checked = healthy(&run(3, &finding("warning", 1)));
        assert!(!checked.holds);
        assert_eq!(checked.text, "of 6 frames, 1 have a warning, and 0 were not judged");
        // One frame of six may be unjudged, but not half of them.
        assert!(healthy(&run(3, &Value::Null)).holds && !healthy(&[]).holds);
        let unjudged = [frame(98.0, 1, &Value::Null), frame(98.0, 1, &json!([]))];
        assert!(!healthy(&unjudged).holds);
    }

    #[test]
    fn findings_are_listed_once() {
        let mut frames = run(3, &finding("warning", 1));
        frames.extend(run(0, &finding("warning", 1)));
        frames.push(frame(3.0, 20_000, &finding("critical", 1)));
        let finding = "single-cpu-receive one-queue + netfilter-rules eth0 queue 0 CPU 1: in";
        let lines = [
            format!("warning {finding} 2 of the frames 5 to 8"),
            format!("critical {finding} 1 of the frames 9 to 9"),
        ];
        assert_eq!(sightings(&frames), lines);
    }

    #[test]
    fn figures_are_medians() {
        assert_eq!(
            figures("eth0", &run(3, &json!([]))[2..]),
            "20000 packets per second; CPU 0 97 % idle and 0 % NET_RX, CPU 1 4 % idle and 90 % NET_RX"
        );
        assert_eq!(figures("eth0", &[]), "0 packets per second; ");
    }
}
