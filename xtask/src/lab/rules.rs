//! A thousand iptables rules that match nothing: their cost must show up in the stage netfilter.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, Result};
use testkit::share::Share;

use super::{
    Args, Done,
    device::Device,
    download,
    frames::{self, Sampled, array, number, window_ns},
    job, net, perf,
    plan::Plan,
    results::Results,
    table::Verdicts,
};

const RULES: u32 = 1000;
/// The iptables extension for targets such as DROP. The path is Debian's.
pub(super) const STANDARD: &str = "/usr/lib/x86_64-linux-gnu/xtables/libxt_standard.so";
/// The modules whose code runs for these rules.
const NETFILTER: [&str; 3] = ["ip_tables", "x_tables", "iptable_filter"];

pub(super) fn plan(args: &Args) -> Plan {
    let mut plan = Plan::of(args, &[Device::E1000]);
    plan.programs = ["perf", "xtables-legacy-multi", "ethtool"].map(str::to_owned).into();
    plan.modules = vec!["iptable_filter".to_owned()];
    // `-j DROP` needs this extension.
    plan.binaries.push((STANDARD.into(), "xtables/libxt_standard.so".to_owned()));
    // No packets come from this network, which is reserved for documentation.
    let rule = |n: u32| format!("-A INPUT -s 198.51.{}.{}/32 -j DROP\n", n / 250, n % 250 + 1);
    let head = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n";
    plan.files.push(("no-rules".to_owned(), format!("{head}COMMIT\n").into_bytes()));
    let rules: String = (0..RULES).map(rule).collect();
    plan.files.push(("rules".to_owned(), format!("{head}{rules}COMMIT\n").into_bytes()));
    plan.script.push_str(include_str!("scripts/download.sh"));
    plan.script.push_str(include_str!("scripts/rules.sh"));
    for (index, device) in plan.numbered().collect::<Vec<_>>() {
        plan.measurements += 2 * device.downloads();
        let without = download::measure(&plan, index, device, &without(index));
        let with = download::measure(&plan, index, device, &job::folder(index));
        // Without GRO, each packet passes through the rules on its own.
        let _ = writeln!(plan.script, "ethtool -K $(interface {}) gro off", net::mac(index));
        let _ = writeln!(plan.script, "{without}\nload /rules\n{with}\nload /no-rules");
    }
    plan
}

/// The folder of the download without rules.
fn without(index: usize) -> String {
    format!("{}-without", job::folder(index))
}

pub(super) fn judge(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    for (index, device) in done.plan.numbered() {
        let read = |folder: String| Stages::read(&Results::open(&done.out.join(folder))?, device);
        let both = read(without(index)).and_then(|without| Ok((without, read(job::folder(index))?)));
        let (without, with) = both.with_context(|| format!("the rules before {}", device.model()))?;
        println!("{}", device.driver());
        println!("  -       without rules: {}", without.shown());
        println!("  -       with {RULES} rules: {}", with.shown());
        let largest = with.stack().next().is_some_and(|(name, _)| name == "netfilter");
        verdicts.check(largest, "with the rules, netfilter is the largest stage of the stack");
        let before = without.stack().next().is_some_and(|(name, _)| name != "netfilter");
        verdicts.check(before, "without them, it is not");
        let (ours, perf) =
            (Share::of(with.netfilter(), with.busy), Share::of(with.perf.driver, with.perf.busy));
        verdicts.shares("netfilter's share of busy samples", ours, perf);
        let most = with.perf.functions.iter().max_by_key(|(_, samples)| **samples);
        println!("  -       the function with the most samples in perf: {most:?}");
    }
    Ok(())
}

/// Samples by stage in the polls of one NIC, and perf's samples in netfilter's modules at the same time.
struct Stages {
    samples: Vec<(String, u64)>,
    busy: u64,
    perf: perf::Samples,
}

impl Stages {
    fn read(results: &Results, device: Device) -> Result<Self> {
        let (name, window) = (results.interface()?, results.window_ns()?);
        let (mut stages, mut sampled) = (BTreeMap::<String, u64>::new(), Sampled::default());
        for frame in frames::parse(&results.text("frames")?)? {
            let (begin, end) = window_ns(&frame);
            if begin < window.0 || end > window.1 {
                continue;
            }
            sampled.add(&frame, device);
            for stage in
                array(&frame["nics"]).filter(|nic| nic["name"] == *name).flat_map(|nic| array(&nic["stages"]))
            {
                let stage_name = stage["stage"].as_str().unwrap_or_default();
                *stages.entry(stage_name.to_owned()).or_default() += number(&stage["samples"]);
            }
        }
        let mut stages: Vec<_> = stages.into_iter().collect();
        stages.sort_by_key(|(_, samples)| std::cmp::Reverse(*samples));
        let window = sampled.window_ns.context("no frame lies within the transfer: increase --megabytes")?;
        let perf = perf::Samples::read(
            &results.path("perf.data"),
            &results.text("kallsyms")?,
            &NETFILTER,
            &[],
            window,
        )?;
        Ok(Self { samples: stages, busy: sampled.busy, perf })
    }

    /// The stages of the stack, starting with the one with the most samples. The driver and functions that
    /// belong to no stage are left out.
    fn stack(&self) -> impl Iterator<Item = &(String, u64)> {
        self.samples.iter().filter(|(name, _)| !["driver", "other"].contains(&name.as_str()))
    }

    fn netfilter(&self) -> u64 {
        self.samples.iter().find(|(name, _)| name == "netfilter").map_or(0, |(_, samples)| *samples)
    }

    fn shown(&self) -> String {
        self.samples.iter().map(|(name, samples)| format!("{name} {samples}")).collect::<Vec<_>>().join(", ")
    }
}
