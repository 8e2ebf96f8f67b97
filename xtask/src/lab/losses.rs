//! Packets that a guest loses on purpose, one reason after the other: `nicmon path` must show each loss in
//! its stage, as large as it was, and leave nothing over.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;
use testkit::filter::{Verdict, object_file};

use super::{
    Args, Done,
    device::Device,
    frames::{array, number},
    job,
    load::Load,
    path,
    plan::Plan,
    results::Results,
    rules::STANDARD,
    table::Verdicts,
};

/// How long `nicmon path` runs each time: half of it counts packets.
const SECONDS: u64 = 26;
/// Enough that one packet is less than a thousandth of them.
const LOAD: Load = Load { flows: 16, pps: 3_000, addresses: None, phases_s: None };
/// Turns of the slow program: the guest needs some tenths of a millisecond for them, and a minute to verify
/// twice as many.
const SLOW: i32 = 100_000;

/// A loss: the function of the script that has it happen, the stage in which nicmon must show it, and who
/// else counts it.
struct Provoked {
    name: &'static str,
    stage: &'static str,
    counted_by: Counter,
}

/// Who counts a loss besides nicmon.
enum Counter {
    /// A counter of `/proc/net/snmp` or `/proc/net/netstat`: the head of its line, and its name.
    Protocol(&'static str, &'static str),
    /// The rule that drops.
    Rule,
    /// The drops of all backlogs.
    Backlog,
    /// All that was sent is lost.
    Sender,
}

const PROVOKED: [Provoked; 6] = [
    Provoked { name: "full_socket", stage: "socket", counted_by: Counter::Protocol("Udp:", "RcvbufErrors") },
    Provoked { name: "netfilter", stage: "netfilter", counted_by: Counter::Rule },
    Provoked { name: "no_route", stage: "ip", counted_by: Counter::Protocol("IpExt:", "InNoRoutes") },
    Provoked { name: "backlog", stage: "gro", counted_by: Counter::Backlog },
    Provoked { name: "native_xdp", stage: "driver", counted_by: Counter::Sender },
    Provoked { name: "generic_xdp", stage: "core", counted_by: Counter::Sender },
];

pub(super) fn plan(args: &Args) -> Result<Plan> {
    let mut plan = Plan::of(args, &[Device::Virtio]);
    // Kernels before 5.15 want a transmit queue of its own for each CPU that runs an XDP program.
    plan.queues = args.queues.unwrap_or(4);
    plan.smp = Some(2);
    plan.programs = ["perl", "ip", "xtables-legacy-multi"].map(str::to_owned).into();
    plan.modules = vec!["iptable_filter".to_owned()];
    plan.binaries.push((STANDARD.into(), "xtables/libxt_standard.so".to_owned()));
    plan.files.push(("drop.o".to_owned(), object_file(1, Verdict::Drop)?));
    plan.files.push(("slow.o".to_owned(), object_file(SLOW, Verdict::Pass)?));
    plan.script.push_str(include_str!("scripts/path.sh"));
    plan.script.push_str(include_str!("scripts/losses.sh"));
    plan.load = Some(LOAD);
    plan.measurements = PROVOKED.len() as u64;
    let names: Vec<_> = PROVOKED.iter().map(|provoked| provoked.name).collect();
    let _ = writeln!(plan.script, "losses {} {SECONDS} {}", job::nic(0), names.join(" "));
    Ok(plan)
}

pub(super) fn judge(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    for provoked in PROVOKED {
        println!("{}", provoked.name);
        let results = Results::open(&done.out.join(provoked.name))?;
        let seen: Value = serde_json::from_str(&results.text("path")?).context("cannot parse the path")?;
        path::check(&results, &seen, verdicts)?;

        let wanted = provoked.counted_by.grown(&results)?;
        verdicts.check(wanted > 500, &format!("{wanted} packets were lost"));
        let lost = |stage: &Value| array(&stage["lost"]).map(|loss| number(&loss["packets"])).sum::<u64>();
        let here = array(&seen["receive"]).filter(|stage| stage["stage"] == provoked.stage).map(lost).sum();
        verdicts.check(
            wanted.abs_diff(here) * 1000 <= wanted,
            &format!("{here} of them in the stage {}", provoked.stage),
        );
        let elsewhere = array(&seen["receive"]).map(lost).sum::<u64>() - here;
        // What the backlog lets through, nobody reads.
        let sent: u64 = results.text("sent")?.trim().parse()?;
        let unread = if matches!(provoked.counted_by, Counter::Backlog) { sent - wanted } else { 0 };
        verdicts.check(
            elsewhere.abs_diff(unread) * 1000 <= sent,
            &format!("{elsewhere} lost in other stages, where {unread} should be"),
        );
    }
    Ok(())
}

impl Counter {
    /// How many packets it counted.
    fn grown(&self, results: &Results) -> Result<u64> {
        let (before, after) = (self.read(results, "before")?, self.read(results, "after")?);
        after.checked_sub(before).context("a counter decreased")
    }

    fn read(&self, results: &Results, when: &str) -> Result<u64> {
        Ok(match self {
            Self::Protocol(head, name) => {
                let text = results.text(&format!("protocols.{when}"))?;
                protocol(&text, head, name).with_context(|| format!("no {head} {name}"))?
            }
            Self::Rule => {
                let text = results.text(&format!("rules.{when}"))?;
                let rule = text.lines().find(|line| line.contains("DROP") && !line.starts_with("Chain"));
                let packets = rule.and_then(|rule| rule.split_whitespace().next());
                packets.context("there is no rule")?.parse()?
            }
            Self::Backlog => {
                let text = results.text(&format!("softnet.{when}"))?;
                let dropped = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
                text.lines().filter_map(dropped).sum()
            }
            Self::Sender if when == "before" => 0,
            Self::Sender => results.text("sent")?.trim().parse()?,
        })
    }
}

/// A counter of `/proc/net/snmp`: a line of names is followed by one of values.
fn protocol(text: &str, head: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(head));
    let at = lines.next()?.split_whitespace().position(|word| word == name)?;
    lines.next()?.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stands_below_its_name() {
        let text = "Ip: Forwarding\nIp: 1\nUdp: InDatagrams RcvbufErrors\nUdp: 7 5\n";
        assert_eq!(protocol(text, "Udp:", "RcvbufErrors"), Some(5));
        assert_eq!(protocol(text, "Udp:", "SndbufErrors"), None);
    }
}
