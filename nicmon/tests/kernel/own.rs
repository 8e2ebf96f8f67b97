//! What nicmon says of its own cost, beside the kernel's count of its programs' runs, and beside what
//! packets take longer while its programs are attached.

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use testkit::process::output;

use crate::{
    child::{Lines, Nicmon},
    clean::{gone, objects_of},
    loads::{Loop, Loopback, loopback_namespace},
    tell,
};

/// How long `nicmon overhead` measures here.
const TIME: &str = "30s";
/// The kernel's switch for BPF statistics.
const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The kernel counts runs of programs while statistics are on.
struct Statistics;

impl Statistics {
    fn on() -> Result<Self> {
        fs::write(STATISTICS, "1").context("cannot switch BPF statistics on")?;
        Ok(Self)
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        if let Err(error) = fs::write(STATISTICS, "0") {
            eprintln!("cannot switch BPF statistics off: {error}");
        }
    }
}

/// Runs of the programs that this process holds, by the first 15 characters of their names, which is what the
/// kernel keeps.
fn kernel_counts(pid: u32) -> Result<BTreeMap<String, u64>> {
    let shown: Value = serde_json::from_str(&output(Command::new("bpftool").args(["-j", "prog", "show"]))?)?;
    let own = objects_of(pid)?.programs;
    let is_own = |program: &&Value| program["id"].as_u64().is_some_and(|id| own.contains(&id));
    let programs = shown.as_array().context("no programs")?.iter().filter(is_own);
    let count = |program: &Value| {
        Some((program["name"].as_str()?.to_owned(), program["run_cnt"].as_u64().unwrap_or(0)))
    };
    Ok(programs.filter_map(count).collect())
}

/// Each program runs once for each event that it counts, and the costs of CPUs and programs are of these
/// runs.
pub(crate) fn runs() -> Result<()> {
    let namespace = loopback_namespace("nicmon-t-own")?;
    let load = Loopback::start(&namespace, 1, Loop::Single, Duration::from_secs(30))?;
    let mut nicmon = Nicmon::start(&["-d", "500ms"])?;
    nicmon.more(2)?;
    let statistics = Statistics::on()?;
    // Both counts are taken just after a frame.
    nicmon.more(1)?;
    let before = kernel_counts(nicmon.pid())?;
    let mut ours = BTreeMap::<String, u64>::new();
    for _ in 0..6 {
        let own = nicmon.more(1)?.frame.own.clone();
        let programs = own.programs.context("no programs")?;
        let (runs, ns) = (own.bpf_runs.unwrap_or(0), own.bpf_est_ns.context("no cost")?);
        let cpus = own.cpus.context("no CPUs")?;
        ensure!(programs.iter().map(|program| program.runs).sum::<u64>() == runs, "{programs:?}, not {runs}");
        ensure!(cpus.iter().map(|cpu| cpu.bpf_runs).sum::<u64>() == runs, "{cpus:?}, not {runs}");
        let by_cpu: u64 = cpus.iter().filter_map(|cpu| cpu.bpf_est_ns).sum();
        ensure!(by_cpu == ns, "{by_cpu} ns on CPUs, {ns} ns in all");
        let costliest = cpus.iter().max_by_key(|cpu| cpu.bpf_est_ns).map(|cpu| cpu.cpu);
        ensure!(costliest == Some(1), "the load is on CPU 1: {cpus:?}");
        let [low, high] = own.bpf_est_ci_ns.context("no range")?;
        ensure!(low <= ns && ns <= high, "{ns} is outside {low} to {high}");
        for program in programs {
            *ours.entry(program.program.chars().take(15).collect()).or_default() += program.runs;
        }
    }
    let after = kernel_counts(nicmon.pid())?;
    drop(statistics);
    nicmon.stop()?;
    load.stop()?;

    let mut text = String::new();
    for name in ["softirq_entry", "softirq_exit", "napi_poll"] {
        let ours = ours.get(name).copied().unwrap_or(0);
        let kernels = after.get(name).zip(before.get(name)).map(|(after, before)| after - before);
        let kernels = kernels.with_context(|| format!("no {name} in {after:?}"))?;
        // A program that takes 50 ms to list shifts 3 s by as much.
        ensure!(kernels > 10_000 && ours.abs_diff(kernels) * 20 < kernels, "{name}: {ours} and {kernels}");
        text.push_str(&[name, &ours.to_string(), "and", &kernels.to_string(), ""].join(" "));
    }
    tell("own cost", &format!("runs, ours and the kernel's: {text}"));
    Ok(())
}

/// The measured share of the CPU and what frames would say of it, attached in both ways.
pub(crate) fn agrees() -> Result<()> {
    for raw in [false, true] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
        command.args(["overhead", "--for", TIME, "--json"]).args(raw.then_some("--raw"));
        let report: Value = serde_json::from_str(&output(&mut command)?)?;
        let number = |value: &Value| value.as_f64().context("no number");
        let measured = number(&report["measured_pct"]["mean"])?;
        let (low, high) =
            (number(&report["measured_pct"]["ci"][0])?, number(&report["measured_pct"]["ci"][1])?);
        let (own, error) = (number(&report["self_pct"])?, (high - low) / 2.0 / 1.96);
        let kind = report["attached"].as_str().unwrap_or("?");
        tell(
            "own cost",
            &format!("{kind}: {measured:.2} % measured, {own:.2} % by itself, error {error:.2}"),
        );
        let allowed = (measured * 0.15).max(0.05).max(2.0 * error);
        ensure!(measured > 1.0, "the programs cost nothing: {report}");
        ensure!((own - measured).abs() <= allowed, "{own} % is not {measured} % within {allowed}: {report}");
    }
    Ok(())
}

/// Ended in the middle of a block, `nicmon overhead` leaves nothing in the kernel.
pub(crate) fn killed() -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
    command.args(["overhead", "--for", "60s"]);
    let mut nicmon = Lines::start(command)?;
    std::thread::sleep(Duration::from_secs(3));
    let (pid, objects) = (nicmon.pid(), objects_of(nicmon.pid())?);
    ensure!(!objects.programs.is_empty(), "it has no programs");
    nicmon.signal(Signal::KILL);
    gone("overhead killed", pid, &objects, nicmon.status()?)
}
