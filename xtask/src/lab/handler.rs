//! An interrupt handler, timed by nicmon and by bpftrace at the same time.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Args, Done, device::Device, frames, job, plan::Plan, results::Results, table::Verdicts};

/// Which tool attaches first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Nicmon,
    Bpftrace,
}

impl First {
    const BOTH: [Self; 2] = [Self::Nicmon, Self::Bpftrace];

    fn name(self) -> &'static str {
        match self {
            Self::Nicmon => "nicmon",
            Self::Bpftrace => "bpftrace",
        }
    }
}

/// How bpftrace times the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// A kprobe and a kretprobe. Under emulation they cost as much as the handler.
    Kprobe,
    /// BPF trampolines (`fentry` and `fexit`), which cost less. They work in modules since 5.11.
    Fentry,
}

impl Method {
    const ALL: [Self; 2] = [Self::Kprobe, Self::Fentry];

    fn name(self) -> &'static str {
        match self {
            Self::Kprobe => "kprobe",
            Self::Fentry => "fentry",
        }
    }

    /// The bpftrace program, which counts and times calls of a function.
    fn program(self, module: &str, function: &str) -> String {
        let (entry, exit) = match self {
            Self::Kprobe => (format!("kprobe:{function}"), format!("kretprobe:{function}")),
            Self::Fentry => (format!("kfunc:{module}:{function}"), format!("kretfunc:{module}:{function}")),
        };
        // An interrupt handler is not interrupted by another, so one start time per CPU is enough.
        format!(
            "BEGIN {{ printf(\"attached\\n\"); }}\n{entry} {{ @start[cpu] = nsecs; }}\n\
             {exit} {{ @ = stats(nsecs - @start[cpu]); }}\n"
        )
    }
}

/// One timing.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The number of the NIC.
    index: usize,
    device: Device,
    function: &'static str,
    method: Method,
    first: First,
}

impl Run {
    fn all(plan: &Plan) -> Vec<Self> {
        let mut runs = Vec::new();
        for (index, device) in plan.numbered() {
            for (method, first) in
                Method::ALL.into_iter().flat_map(|method| First::BOTH.map(|first| (method, first)))
            {
                runs.extend(device.handler().map(|function| Self { index, device, function, method, first }));
            }
        }
        runs
    }

    /// What nicmon and bpftrace measured.
    fn read(self, done: &Done<'_>) -> Result<(Timing, Timing)> {
        let results = Results::open(&done.out.join(self.folder()))?;
        let frames = results.text("frames")?;
        let nicmon = frames::Sums::read(&frames, &results.interface()?, self.device, (0, 0))?.handlers();
        let probed = Timing::of_bpftrace(&results.text("other")?);
        Ok((nicmon, probed.with_context(|| format!("bpftrace counted no call of {}", self.function))?))
    }

    fn folder(self) -> String {
        format!("{}-{}-{}-first", job::folder(self.index), self.method.name(), self.first.name())
    }
}

pub(super) fn plan(args: &Args) -> Plan {
    let mut plan = Plan::of(args, &[Device::Rtl8139]);
    plan.programs = vec!["bpftrace".to_owned()];
    plan.script.push_str(include_str!("scripts/handler.sh"));
    let runs = Run::all(&plan);
    plan.measurements = runs.len() as u64;
    for run in runs {
        let Run { index, device, function, method, first } = run;
        let program = method.program(device.module(), function);
        plan.files.push((format!("{function}.{}.bt", method.name()), program.into_bytes()));
        let (folder, nic, url) = (run.folder(), job::nic(index), job::url(index));
        let (seconds, first, method) = (plan.transfer_s(), first.name(), method.name());
        let _ =
            writeln!(plan.script, "time_handler {folder} {nic} {url} {seconds} {first} {method} {function}");
    }
    plan
}

/// Compares the timings. The probes run inside the time that nicmon measures, so nicmon's time must be the
/// longer one. How much longer is only printed: under emulation, each probe takes as long as the handler.
pub(super) fn judge(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    for run in Run::all(done.plan) {
        let (nicmon, other) = run.read(done).with_context(|| format!("the timing in {}", run.folder()))?;
        println!("{}, by {}, {} attached first", run.function, run.method.name(), run.first.name());
        verdicts.calls(nicmon.calls, other.calls);
        verdicts.check(
            nicmon.ns >= other.ns,
            &format!(
                "ns per call: nicmon {:.0} around the probes, bpftrace {:.0} within: {:+.0} %",
                nicmon.mean_ns(),
                other.mean_ns(),
                (nicmon.mean_ns() / other.mean_ns() - 1.0) * 100.0
            ),
        );
    }
    Ok(())
}

/// Calls of a function, and their total time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) calls: u64,
    pub(super) ns: u64,
}

impl Timing {
    /// Mean time per call.
    pub(super) fn mean_ns(self) -> f64 {
        self.ns as f64 / self.calls.max(1) as f64
    }

    /// Parses the output of bpftrace (`-f json`).
    fn of_bpftrace(printed: &str) -> Option<Self> {
        let lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let stats =
            lines.filter(|line| line["type"] == "stats").find_map(|line| line["data"].get("@").cloned())?;
        Some(Self { calls: stats["count"].as_u64()?, ns: stats["total"].as_u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_as_bpftrace_prints_them() {
        let printed = "{\"type\": \"printf\", \"data\": \"attached\\n\"}\n\n\n\
            {\"type\": \"stats\", \"data\": {\"@\": {\"count\": 124607, \"average\": 18619, \"total\": 2320142908}}}\n\
            {\"type\": \"map\", \"data\": {\"@start\": {\"0\": 32817550142}}}\n";
        assert_eq!(Timing::of_bpftrace(printed), Some(Timing { calls: 124_607, ns: 2_320_142_908 }));
        assert_eq!(Timing::of_bpftrace(""), None);
    }
}
