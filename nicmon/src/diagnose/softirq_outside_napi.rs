//! `softirq-outside-napi`: network code takes much of a CPU in a softirq other than `NET_RX`.
//! docs/findings/softirq-outside-napi.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, compared},
    saturation::{self, FULL_PCT},
    view::{CpuView, View, total},
};
use crate::frame::{Cpu, FindingId, Nic, Severity, Subject, Unit};

pub(super) const RULE: Rule = Rule { id: FindingId::SoftirqOutsideNapi, hold: Hold::LASTING, cases };

/// The softirqs take at least this much of a CPU.
const MUCH_PCT: f64 = 20.0;
/// Below this, they no longer do.
const LITTLE_PCT: f64 = 15.0;
/// At least this part of a softirq's time is network code.
const NETWORK_PART: f64 = 0.5;

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    if let Some(why) = view.unjudged() {
        return Err(why);
    }
    if view.frame.drivers.is_none() {
        return Err("what runs in softirqs is unknown without samples".to_owned());
    }
    let rows: Vec<(&str, &Nic)> = network_softirqs(view).collect();
    let of_cpu = |cpu: &CpuView<'_>| {
        let number = cpu.cpu.cpu;
        let here = rows.iter().filter(|(_, nic)| nic.cpus.iter().any(|on| on.cpu == number));
        let parts = here.filter_map(|(name, _)| Some((*name, view.pct(ns_of(cpu.cpu, name)?))));
        let parts: Vec<(&str, f64)> = parts.collect();
        let pct: f64 = parts.iter().map(|(_, pct)| pct).sum();
        let level = if pct >= MUCH_PCT {
            Level::Bad
        } else if pct < LITTLE_PCT {
            Level::Good
        } else {
            Level::Between
        };
        let (name, _) = *parts.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let stands = standing.contains(&Key::Cpu(number));
        (level != Level::Good || stands).then(|| case(view, cpu, level, name, pct))
    };
    Ok(view.cpus.iter().filter_map(of_cpu).collect::<Vec<Case>>().into())
}

/// The softirqs of which samples found enough to be network code.
fn network_softirqs<'a>(view: &View<'a>) -> impl Iterator<Item = (&'static str, &'a Nic)> {
    let (nics, cpus) = (&view.frame.nics, &view.frame.cpus);
    ["tasklet", "hrtimer", "net_tx"].into_iter().filter_map(move |name| {
        let row = nics.iter().find(|nic| nic.is_softirq() && nic.name == format!("({name})"))?;
        let all_ns = total(cpus.iter().filter_map(|cpu| ns_of(cpu, name)));
        let is_network = row.stack_est_ns? as f64 >= all_ns as f64 * NETWORK_PART;
        is_network.then_some((name, row))
    })
}

fn ns_of(cpu: &Cpu, name: &str) -> Option<u64> {
    let all = cpu.softirq?;
    match name {
        "tasklet" => all.tasklet.time_ns(),
        "hrtimer" => all.hrtimer.time_ns(),
        _ => all.net_tx.time_ns(),
    }
}

/// The ifb whose packets these are: it hands packets on in a tasklet (`ifb_ri_tasklet`, drivers/net/ifb.c).
/// `None` if it is not an ifb, or one of several.
fn shaper<'a>(view: &View<'a>, name: &str) -> Option<&'a Nic> {
    let has_packets = |nic: &Nic| nic.counters.rx_packets.is_some_and(|packets| packets > 0);
    let is_ifb = |nic: &&Nic| nic.driver.as_deref() == Some("ifb") && has_packets(nic);
    let mut all = view.frame.nics.iter().filter(is_ifb);
    all.next().filter(|_| name == "tasklet" && all.next().is_none())
}

fn case(view: &View<'_>, cpu: &CpuView<'_>, level: Level, name: &str, pct: f64) -> Case {
    let number = cpu.cpu.cpu;
    let vector = name.to_uppercase();
    let is_full = cpu.idle_pct.is_some_and(|idle| idle <= FULL_PCT);
    let severity = if is_full { Severity::Warning } else { Severity::Info };
    let shaper = shaper(view, name);
    let whose = shaper.map_or_else(String::new, |nic| format!(" for {}", nic.name));
    let why = format!(
        "network code takes {pct:.0} % of CPU {number} in {vector}{whose}, which is not part of any NIC's \
         load"
    );
    let subject = Subject {
        nic: Some(shaper.map_or_else(|| format!("({name})"), |nic| nic.name.clone())),
        netns: shaper.and_then(|nic| nic.netns),
        cpu: Some(number),
        ..Subject::default()
    };
    let mut case = Case::new(Key::Cpu(number), level, severity, subject, why);
    let field = cpu.field(&format!("softirq/{name}/ns"));
    let what = format!("softirqs with network code on CPU {number}");
    case.evidence =
        vec![compared(what, field, pct, Unit::PctOfCpu, MUCH_PCT), saturation::idle(cpu, FULL_PCT)];
    let time =
        if cpu.is_estimated { "the time is estimated from windows, and" } else { "the time is exact, but" };
    case.caveats.push(format!("{time} that it is network code is known from samples"));
    case
}
