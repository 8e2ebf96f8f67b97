//! A driver and a CPU that disappear and return while nicmon runs.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Args, Done,
    device::Device,
    frames::{self, Sampled, Sums, array, number, window_ns},
    job,
    plan::Plan,
    results::{self, Results},
    table::Verdicts,
};

/// How far the times within an interval may exceed its length, in percent, because clocks are read one after
/// the other.
const SLACK_PCT: u64 = 1;

pub(super) fn plan(args: &Args) -> Plan {
    let mut plan = Plan::of(args, &[Device::Rtl8139]);
    plan.script.push_str(include_str!("scripts/changes.sh"));
    plan.measurements = 5 * plan.devices.len() as u64;
    for (index, device) in plan.numbered().collect::<Vec<_>>() {
        let (folder, nic, url) = (job::folder(index), job::nic(index), job::url(index));
        let _ =
            writeln!(plan.script, "changes {folder} {nic} {url} {} {}", plan.transfer_s(), device.module());
    }
    plan
}

pub(super) fn judge(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    for (index, device) in done.plan.numbered() {
        let run = Run::read(done, index, device);
        let run = run.with_context(|| format!("the changes to {}", device.model()))?;
        println!("{}", device.driver());
        run.print();
        run.frames_are_sane(verdicts);
        run.driver_comes_back(verdicts);
        run.cpus_are_counted(verdicts);
    }
    Ok(())
}

/// The results of one NIC's run.
struct Run {
    device: Device,
    results: Results,
    frames: Vec<Value>,
    marks: BTreeMap<String, u64>,
}

impl Run {
    fn read(done: &Done<'_>, index: usize, device: Device) -> Result<Self> {
        let results = Results::open(&done.out.join(job::folder(index)))?;
        let frames = frames::parse(&results.text("frames")?)?;
        let mark = |line: &str| {
            let (name, time) = line.split_once(' ')?;
            Some((name.to_owned(), results::hundredths_ns(time)?))
        };
        let marks = results.text("marks")?.lines().filter_map(mark).collect();
        Ok(Self { device, results, frames, marks })
    }

    fn at(&self, mark: &str) -> u64 {
        self.marks.get(mark).copied().unwrap_or(0)
    }

    /// The frames between the mark at the start of a phase and the mark at its end.
    fn during(&self, phase: &str) -> impl Iterator<Item = &Value> {
        let (begin, end) = (self.at(phase), self.at(&format!("{phase}-end")));
        self.frames.iter().filter(move |frame| {
            let (from, to) = window_ns(frame);
            from >= begin && to <= end
        })
    }

    fn sampled(&self, phase: &str) -> Sampled {
        let mut sampled = Sampled::default();
        for frame in self.during(phase) {
            sampled.add(frame, self.device);
        }
        sampled
    }

    fn print(&self) {
        println!(
            "{:<10} {:>6} {:>7} {:>8} {:>8} {:>7} {:>7}  NICMON % OF BUSY",
            "PHASE", "FRAMES", "RXPKT", "EXPECTED", "SAMPLES", "BUSY", "DRIVER"
        );
        for phase in ["before", "unloaded", "loaded", "offline", "online"] {
            let sampled = self.sampled(phase);
            let sum =
                |at: &str| self.during(phase).filter_map(|frame| frame.pointer(at)).map(number).sum::<u64>();
            let packets = self
                .during(phase)
                .flat_map(|frame| array(&frame["nics"]))
                .map(|nic| number(&nic["rx_packets"]));
            println!(
                "{phase:<10} {:>6} {:>7} {:>8} {:>8} {:>7} {:>7}  {}",
                self.during(phase).count(),
                packets.sum::<u64>(),
                sum("/host/sampling/expected"),
                sum("/host/sampling/samples"),
                sampled.busy,
                sampled.driver,
                sampled.driver_share().map_or_else(|| "?".to_owned(), |share| share.to_string()),
            );
        }
    }

    /// No time exceeds what fits into the interval. A softirq is counted when it ends, so the longest one may
    /// have started before the interval.
    fn frames_are_sane(&self, verdicts: &mut Verdicts) {
        let (mut lost, mut beyond) = (0, Vec::new());
        for frame in &self.frames {
            lost += number(&frame["self"]["lost"]) + frame.pointer("/host/sampling/lost").map_or(0, number);
            let interval = number(&frame["interval_ns"]) / 100 * (100 + SLACK_PCT);
            for cpu in array(&frame["cpus"]) {
                let vectors = || cpu["softirq"].as_object().into_iter().flat_map(|all| all.values());
                let busy =
                    number(&cpu["hardirq_ns"]) + vectors().map(|vector| number(&vector["ns"])).sum::<u64>();
                let longest = vectors().map(|vector| number(&vector["max_ns"])).max().unwrap_or(0);
                if busy > interval + longest {
                    beyond.push(format!("frame {}, CPU {}: {busy} ns", frame["seq"], cpu["cpu"]));
                }
            }
        }
        let frames = self.frames.len();
        let text = format!("{frames} frames, {} with too much time {}", beyond.len(), beyond.join(", "));
        verdicts.check(beyond.is_empty(), text.trim());
        verdicts.check(lost == 0, &format!("{lost} events and samples lost"));
    }

    /// While the driver was unloaded, frames did not list its NIC. Afterwards its packets and its code are
    /// seen as before.
    fn driver_comes_back(&self, verdicts: &mut Verdicts) {
        let name = self.results.interface().unwrap_or_default();
        let seen = self
            .during("unloaded")
            .flat_map(|frame| array(&frame["nics"]))
            .filter(|nic| nic["name"] == *name);
        let seen = seen.count();
        let away = self.during("unloaded").count();
        verdicts.check(
            seen == 0 && away > 0,
            &format!("{away} frames without the driver, {seen} of them with {name}"),
        );

        // The new interface starts counting from 0.
        let since = self.at("unloaded-end");
        let after = self.frames.iter().filter(|frame| number(&frame["mono_ns"]) > since);
        let mut sums = Sums::default();
        after.for_each(|frame| sums.add(frame, &name));
        let counters = self.results.counters("after").unwrap_or_default();
        let counter = |name: &str| counters.get(name).copied().unwrap_or(0);
        verdicts.packets(&sums, counter("rx_packets"), counter("tx_packets"));

        let (before, loaded) = (self.sampled("before"), self.sampled("loaded"));
        let most = |sampled: &Sampled| {
            sampled.functions.iter().max_by_key(|(_, samples)| **samples).map(|(name, _)| name.clone())
        };
        let (first, again) = (most(&before), most(&loaded));
        verdicts.check(
            first.is_some() && first == again,
            &format!("its most sampled function before and after: {first:?}, {again:?}"),
        );
        // Two downloads in one guest are the same work, but not at the same time.
        let (Some(first), Some(again)) = (before.driver_share(), loaded.driver_share()) else {
            return verdicts.check(false, "no samples before or after");
        };
        let alike = again.pct() > first.pct() / 2.0 && again.pct() < first.pct() * 2.0;
        verdicts
            .check(alike, &format!("its share before {first}, after {again}: at least half, at most twice"));
    }

    /// Only the CPUs that are online are expected to give samples.
    fn cpus_are_counted(&self, verdicts: &mut Verdicts) {
        for (phase, cpus) in [("before", 2), ("offline", 1), ("online", 2)] {
            let (mut right, mut all) = (0, 0);
            for frame in self.during(phase) {
                let sampling = &frame["host"]["sampling"];
                let due = number(&sampling["frequency_per_s"]) * cpus * number(&frame["interval_ns"])
                    / 1_000_000_000;
                let expected = number(&sampling["expected"]);
                // If a timer is late at the end of an interval, it fires in the next one.
                let holds = number(&sampling["cpus"]) == cpus
                    && expected.abs_diff(due) <= 1 + due / 50
                    && number(&sampling["samples"]) <= due + due / 20 + 2 * cpus
                    && array(&frame["cpus"]).count() as u64 == cpus;
                right += u64::from(holds);
                all += 1;
            }
            verdicts.check(
                all > 0 && right == all,
                &format!("{phase}: {right} of {all} frames expect samples from {cpus} CPUs"),
            );
        }
    }
}
