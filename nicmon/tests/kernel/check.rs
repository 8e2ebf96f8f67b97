//! Checks of what must hold in every frame, and sums over frames.

use anyhow::{Context as _, Result, anyhow, ensure};
use nicmon::frame::{Frame, Napi, NapiMode, Nic, SCHEMA, Softirqs, Source};
use serde_json::Value;

use crate::child::Arrived;

/// A negative difference stored in a u64 is near 2^64. No real number comes near this.
const ABSURD: f64 = 1e18;

/// Parses a line and checks what must hold in every frame.
pub(crate) fn parsed(line: &str) -> Result<Frame> {
    checked(line).map_err(|error| anyhow!("{error:#}; the frame: {line}"))
}

fn checked(line: &str) -> Result<Frame> {
    // RFC 8259, section 7. DEL needs no escape.
    ensure!(!line.bytes().any(|byte| byte < b' '), "a raw control character");
    let value: Value = serde_json::from_str(line).context("not JSON")?;
    numbers(&value, "")?;
    let frame: Frame = serde_json::from_value(value).context("not a frame")?;
    sane(&frame)?;
    Ok(frame)
}

fn numbers(value: &Value, path: &str) -> Result<()> {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().context("a number that does not fit")?;
            ensure!((0.0..ABSURD).contains(&number), "{path} is {number}");
        }
        Value::Array(array) => {
            for (at, value) in array.iter().enumerate() {
                numbers(value, &format!("{path}[{at}]"))?;
            }
        }
        Value::Object(object) => {
            for (name, value) in object {
                numbers(value, &format!("{path}.{name}"))?;
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
    Ok(())
}

fn sane(frame: &Frame) -> Result<()> {
    ensure!(frame.schema == SCHEMA, "schema {}", frame.schema);
    ensure!(frame.interval_ns > 0, "an empty interval");
    ensure!(frame.host.source == Source::Bpf, "there are no exact times: {:?}", frame.host.source_reason);
    if frame.window.is_some() {
        return estimated(frame);
    }
    let runs = |what: &str, count: u64, ns: Option<u64>, max_ns: Option<u64>| -> Result<u64> {
        let (ns, max_ns) = ns.zip(max_ns).with_context(|| format!("{what} has no times"))?;
        ensure!(max_ns <= frame.interval_ns, "{what}: max_ns {max_ns} is above the interval");
        // Part of the time of a run that is not over may be in `ns` already; the run is not in `count` yet.
        if count > 0 {
            ensure!(max_ns <= ns, "{what}: max_ns {max_ns} is above the sum {ns}");
            let mean_ns = ns.div_ceil(count).min(frame.interval_ns);
            ensure!(max_ns >= mean_ns, "{what}: max_ns {max_ns} is below the mean {mean_ns} of {count} runs");
        }
        Ok(max_ns)
    };
    let mut longest = 0;
    for cpu in &frame.cpus {
        let softirqs = cpu.softirq.context("no softirq times")?;
        for (at, vector) in softirqs.vectors().into_iter().enumerate() {
            let what = format!("cpu {} vector {at}", cpu.cpu);
            longest = longest.max(runs(&what, vector.count, vector.ns, vector.max_ns)?);
        }
    }
    for irq in &frame.irqs {
        for cpu in &irq.cpus {
            let count = cpu.count.expect("the programs count them");
            runs(&format!("irq {} cpu {}", irq.irq, cpu.cpu), count, cpu.ns, cpu.max_ns)?;
        }
    }
    // A run that started in the previous interval counts here with its whole time.
    let line_time = frame.interval_ns + (frame.interval_ns / 100).max(longest);
    for cpu in &frame.cpus {
        let busy = busy_ns(frame, cpu.cpu);
        ensure!(
            busy <= line_time,
            "cpu {}: {busy} ns in interrupts in an interval of {}",
            cpu.cpu,
            frame.interval_ns
        );
    }
    for nic in &frame.nics {
        for cpu in &nic.cpus {
            let most = line_time as f64 * 100.0 / frame.interval_ns as f64;
            let load = cpu.load_pct.unwrap_or(0.0);
            ensure!(load <= most, "{} has a load of {load} % on cpu {}", nic.name, cpu.cpu);
        }
    }
    Ok(())
}

/// A frame that was measured in windows has no exact time, and no estimate without what it is made from.
fn estimated(frame: &Frame) -> Result<()> {
    for cpu in &frame.cpus {
        ensure!(cpu.hardirq_ns.is_none(), "an exact time: {cpu:?}");
        for vector in cpu.softirq.context("no softirqs")?.vectors() {
            ensure!(vector.ns.is_none() && vector.max_ns.is_none(), "an exact time: {vector:?}");
            let made = vector.windowed.map(|windowed| windowed.est_ns());
            ensure!(made == vector.est_ns, "{made:?} is not {vector:?}");
            if let (Some(est), Some([low, high])) = (vector.est_ns, vector.est_ci_ns) {
                ensure!(low <= est && est <= high, "outside its interval: {vector:?}");
            }
        }
    }
    for nic in &frame.nics {
        let exact = nic.poll_ns.or(nic.hardirq_ns);
        ensure!(exact.is_none(), "{}: exact times", nic.name);
        for cpu in &nic.cpus {
            let exact = cpu.poll_ns.or(cpu.hardirq_ns).or(cpu.polls).or(cpu.work);
            ensure!(exact.is_none() && cpu.load_pct.is_none(), "{}: {cpu:?}", nic.name);
        }
        for row in napis(nic).flat_map(|napi| &napi.cpus) {
            ensure!(row.poll_ns.or(row.polls).or(row.work).is_none(), "{}: {row:?}", nic.name);
        }
    }
    for row in frame.irqs.iter().flat_map(|irq| &irq.cpus) {
        ensure!(row.ns.is_none() && row.max_ns.is_none(), "an exact time: {row:?}");
    }
    Ok(())
}

/// The time a CPU spent in hard and soft interrupts, in nanoseconds.
pub(crate) fn busy_ns(frame: &Frame, cpu: u32) -> u64 {
    frame
        .cpus
        .iter()
        .filter(|row| row.cpu == cpu)
        .map(|row| {
            let softirq: u64 =
                row.softirq.iter().flat_map(Softirqs::vectors).filter_map(|vector| vector.ns).sum();
            row.hardirq_ns.unwrap_or(0) + softirq
        })
        .sum()
}

/// The NIC of this name in this namespace; the backlog has none.
pub(crate) fn nic<'a>(frame: &'a Frame, netns: Option<u32>, name: &str) -> Option<&'a Nic> {
    frame.nics.iter().find(|nic| nic.name == name && nic.netns == netns)
}

/// A NIC's NAPIs.
pub(crate) fn napis(nic: &Nic) -> impl Iterator<Item = &Napi> {
    nic.napis.iter().flatten()
}

/// The name of the backlog in frames.
pub(crate) const BACKLOG: &str = "(backlog)";

/// A NIC's polls in one mode, on one CPU or on all, summed over frames.
#[derive(Debug, Default)]
pub(crate) struct Polled {
    pub(crate) polls: u64,
    pub(crate) work: u64,
    pub(crate) ns: u64,
    /// Rows whose time is unknown.
    pub(crate) untimed: usize,
}

pub(crate) fn polled<'a>(
    frames: impl IntoIterator<Item = &'a Arrived>,
    netns: Option<u32>,
    name: &str,
    is_wanted: impl Fn(&Napi) -> bool,
    cpu: Option<u32>,
) -> Polled {
    let mut sum = Polled::default();
    let nics = frames.into_iter().filter_map(|arrived| nic(&arrived.frame, netns, name));
    for row in nics.flat_map(napis).filter(|napi| is_wanted(napi)).flat_map(|napi| &napi.cpus) {
        if cpu.is_none_or(|cpu| row.cpu == cpu) {
            sum.polls += row.polls.unwrap_or(0);
            sum.work += row.work.unwrap_or(0);
            sum.ns += row.poll_ns.unwrap_or(0);
            sum.untimed += usize::from(row.poll_ns.is_none());
        }
    }
    sum
}

/// A CPU's `NET_RX` time by its parts, in nanoseconds: polls in the softirq, and runs without a poll.
pub(crate) fn filed_ns(frame: &Frame, cpu: u32) -> u64 {
    let polls: u64 = frame
        .nics
        .iter()
        .flat_map(napis)
        .filter(|napi| matches!(napi.mode, NapiMode::Softirq | NapiMode::Backlog))
        .flat_map(|napi| &napi.cpus)
        .filter(|row| row.cpu == cpu)
        .filter_map(|row| row.poll_ns)
        .sum();
    let other: u64 = frame
        .cpus
        .iter()
        .filter(|row| row.cpu == cpu)
        .filter_map(|row| row.softirq)
        .filter_map(|softirq| softirq.net_rx.other_ns)
        .sum();
    polls + other
}

/// Whether two counts differ by no more than `pct` percent of the second.
pub(crate) fn within(left: u64, right: u64, pct: f64) -> bool {
    left.abs_diff(right) as f64 <= right as f64 * pct / 100.0
}

/// `part` in percent of `whole`.
pub(crate) fn pct(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / (whole.max(1)) as f64
}
