//! What nicmon says of its own cost, beside the kernel's count of its programs' runs, and beside what
//! packets take longer while its programs are attached.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nicmon::{
    counters::bpf::MEASURED,
    frame::{OwnCost, pct_of},
};
use rustix::process::Signal;
use serde_json::Value;
use testkit::{
    load::{FlowsPlan, UdpFlows, VethPair},
    process::output,
};

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

/// A small file that is as it was when this is dropped, or gone again.
struct Restored {
    path: &'static str,
    before: Option<Vec<u8>>,
}

impl Restored {
    fn later(path: &'static str) -> Self {
        Self { path, before: fs::read(path).ok() }
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        let restored = match &self.before {
            Some(before) => fs::write(self.path, before),
            None => fs::remove_file(self.path),
        };
        if let Err(error) = restored {
            eprintln!("cannot restore {}: {error}", self.path);
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
    // The kernel counts runs while statistics are on.
    let statistics = Restored::later(STATISTICS);
    fs::write(STATISTICS, "1").context("cannot switch BPF statistics on")?;
    nicmon.more(1)?;
    let start = Instant::now();
    let before = kernel_counts(nicmon.pid())?;
    let mut ours_s = 0.0;
    let mut ours = BTreeMap::<String, u64>::new();
    for _ in 0..6 {
        let frame = &nicmon.more(1)?.frame;
        ours_s += frame.interval_ns as f64 / 1e9;
        let own = frame.own.clone();
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
    let kernels_s = start.elapsed().as_secs_f64();
    let after = kernel_counts(nicmon.pid())?;
    drop(statistics);
    nicmon.stop()?;
    load.stop()?;

    let mut text = String::new();
    for name in ["softirq_entry", "softirq_exit", "napi_poll"] {
        let ours = ours.get(name).copied().unwrap_or(0) as f64 / ours_s;
        let kernels = after.get(name).zip(before.get(name)).map(|(after, before)| after - before);
        let kernels = kernels.with_context(|| format!("no {name} in {after:?}"))? as f64 / kernels_s;
        ensure!(kernels > 10_000.0, "only {kernels} runs of {name} per second");
        // The two times are not quite the same.
        ensure!((ours / kernels - 1.0).abs() < 0.05, "{name}: {ours} and {kernels} per second");
        let _ = write!(text, "{name} {ours:.0} and {kernels:.0}, ");
    }
    tell("own cost", &format!("runs per second, ours and the kernel's: {text}"));
    Ok(())
}

/// The measured share of the CPU and what frames would say of it, attached in both ways. Of 10 pairs here,
/// the two differed by 2 to 10 % of the share; the test fails if they differ by more than 15 % for sure.
pub(crate) fn agrees() -> Result<()> {
    // Seven loads of the programs say how far they differ by chance: beyond 3.72 errors on top of the 15 %,
    // less than one run in a thousand.
    const ERRORS: f64 = 3.72;
    let _measured = Restored::later(MEASURED);
    for raw in [false, true] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
        command.args(["overhead", "--for", TIME, "--json"]).args(raw.then_some("--raw"));
        let report: Value = serde_json::from_str(&output(&mut command)?)?;
        let number = |value: &Value| value.as_f64().context("no number");
        let measured = number(&report["measured_pct"]["mean"])?;
        let off = &report["difference_pct"];
        let (off, error) = (number(&off["mean"])?, number(&off["error"])?);
        let kind = report["attached"].as_str().unwrap_or("?");
        tell(
            "own cost",
            &format!("{kind}: {measured:.2} % measured, {off:+.2} points by itself, +- {error:.2}"),
        );
        ensure!(measured > 1.0, "the programs cost nothing: {report}");
        ensure!(off.abs() <= measured * 0.15 + ERRORS * error, "{off} points off, of {measured} %: {report}");
        ensure!(error < measured / 3.0, "too uncertain to tell: {report}");
    }
    Ok(())
}

/// Under a flood of packets that are dropped, nicmon stops counting them if that costs more than allowed, and
/// counts everything else as before.
pub(crate) fn drops_given_up() -> Result<()> {
    let pair = VethPair::create("nicmon-t-own")?;
    let plan = FlowsPlan {
        from: VethPair::TX_ADDRESS.parse()?,
        to: VethPair::RX_ADDRESS.parse()?,
        flows: 1,
        addresses: 1,
        pps: 40_000,
        sender_cpu: Some(0),
        phases: None,
        limit: Duration::from_mins(1),
    };
    let load = UdpFlows::start(&pair.tx, plan)?;
    let counts = |own: &OwnCost| {
        own.programs.iter().flatten().any(|own| own.program == "kfree_skb" && own.runs > 10_000)
    };
    // Without a limit, every packet is counted.
    let mut cost = None;
    let mut nicmon = Nicmon::start(&["-d", "1s", "--max-overhead", "off"])?;
    for _ in 0..4 {
        let frame = &nicmon.more(1)?.frame;
        ensure!(frame.host.drops.is_some() && counts(&frame.own), "{:?}", frame.own);
        let counted = frame.own.programs.iter().flatten().find(|own| own.program == "kfree_skb");
        cost = counted.and_then(|own| Some((own.runs, pct_of(own.est_ns?, frame.interval_ns))));
    }
    tell("own cost", &format!("drops counted per second, and what that costs in % of a CPU: {cost:?}"));
    nicmon.stop()?;

    let mut nicmon = Nicmon::start(&["-d", "1s", "--max-overhead", "0.1"])?;
    let mut frames = 0;
    loop {
        let frame = &nicmon.more(1)?.frame;
        if let Some(problem) = frame.host.problems.iter().find(|problem| problem.contains("dropped packets"))
        {
            ensure!(frame.host.drops.is_none(), "drops are known, but {problem}");
            ensure!(!counts(&frame.own), "drops are counted, but {problem}");
            ensure!(frame.own.lost == Some(0), "lost {:?}", frame.own.lost);
            tell("own cost", &format!("after {frames} frames: {problem}"));
            break;
        }
        ensure!(counts(&frame.own), "{:?}", frame.own);
        frames += 1;
        ensure!(frames < 10, "nicmon goes on counting drops: {:?}", frame.own);
    }
    let packets = nicmon.more(1)?.frame.nics.iter().filter_map(|nic| nic.counters.rx_packets).sum::<u64>();
    ensure!(packets > 10_000, "only {packets} packets");
    nicmon.stop()?;
    load.stop().map(drop)
}

/// Ended in the middle of a block, `nicmon overhead` leaves nothing in the kernel.
pub(crate) fn killed() -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
    command.args(["overhead", "--for", "60s"]);
    let mut nicmon = Lines::start(command)?;
    // Programs are attached in every third block; stopped there, they stay. To stop it interrupts the
    // verifier, which needs some 50 ms for the largest program.
    let start = Instant::now();
    let objects = loop {
        std::thread::sleep(Duration::from_millis(400));
        nicmon.signal(Signal::STOP);
        let objects = objects_of(nicmon.pid())?;
        if objects.links.len() > 3 {
            break objects;
        }
        nicmon.signal(Signal::CONT);
        if start.elapsed() > Duration::from_secs(40) {
            bail!("nothing is ever attached: {}", nicmon.stderr());
        }
    };
    let pid = nicmon.pid();
    nicmon.signal(Signal::KILL);
    gone("overhead killed", pid, &objects, nicmon.status()?)
}
