//! `nicmon record` around `perf record`, under the same load: both must agree on the driver table.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::{Context, Driver, Frame};
use testkit::{
    load::{Receive, UdpLoad, VethPair},
    process::{Running, output},
    share::Share,
};

use crate::{loads::plan, perf, tell};

/// How long perf may take after its command has ended.
const PATIENCE: Duration = Duration::from_mins(1);
/// The exit code of the command.
const CODE: i32 = 7;

pub(crate) fn as_perf() -> Result<()> {
    let pair = VethPair::create("nicmon-t-record")?;
    pair.receive_by(Receive::Napi, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let folder = tempfile::tempdir()?;
    let (recording, data) = (folder.path().join("a.rec"), folder.path().join("perf.data"));
    let said = record(&recording, &data)?;
    load.stop()?;
    ensure!(said.lines().any(|line| line.starts_with("veth ")), "the report has no line of veth: {said}");

    let report =
        output(Command::new(env!("CARGO_BIN_EXE_nicmon")).args(["report", "--json"]).arg(&recording))?;
    let report: Frame = serde_json::from_str(&report).context("the report is not a frame")?;
    let sampling = report.host.sampling.context("the CPUs were not sampled")?;
    ensure!(report.host.drivers_gap.is_none() && sampling.lost == 0, "not all was sampled: {sampling:?}");
    let veth = report.drivers.iter().flatten().find(|driver| driver.driver == "veth");
    let veth = veth.context("no driver veth")?;
    let ours = veth.samples.with_context(|| format!("veth's code is unknown: {:?}", veth.unknown))?;
    let mine = Share::of(ours, sampling.busy).context("no samples")?;
    let told = veth.busy_share_pct.context("veth has no share")?;
    ensure!((told - mine.pct()).abs() < 1e-9, "{ours} of {} are not {told} %", sampling.busy);

    let samples = perf::Samples::read(&data, "veth_")?;
    let theirs = samples.share()?;
    tell(
        "record, as perf",
        &format!(
            "veth has {ours} of {} busy samples of {}, in perf {} of {} of {}: {}",
            sampling.busy,
            sampling.samples,
            samples.driver,
            samples.busy,
            samples.all,
            mine.beside(theirs)
        ),
    );
    ensure!(samples.driver >= 20, "perf has {} samples in veth: the load did not run", samples.driver);
    ensure!(mine.can_be(theirs), "veth has {mine}, in perf {theirs}");
    same_top(&by_function(veth), sampling.busy, &samples)
}

/// Runs a command under perf under `nicmon record`; both pass its exit code on. Returns what nicmon wrote to
/// standard error.
fn record(recording: &Path, data: &Path) -> Result<String> {
    let stderr = recording.with_extension("stderr");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
    command.args(["record", "-F", perf::NICMON_HZ, "-o"]).arg(recording).arg("--");
    let perf = perf::record(data);
    command.arg(perf.get_program()).args(perf.get_args()).args([
        "sh",
        "-c",
        &format!("sleep 10; exit {CODE}"),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&stderr)?);
    let status = Running::start(&mut command)?.wait_for(PATIENCE)?.context("it does not end")?;
    let said = fs::read_to_string(&stderr)?;
    ensure!(status.code() == Some(CODE), "{status}: {said}");
    Ok(said)
}

/// A driver's samples by function. Hard irqs are left out, as they are in its share.
fn by_function(driver: &Driver) -> BTreeMap<String, u64> {
    let mut functions = BTreeMap::new();
    for function in driver.functions.iter().filter(|function| function.context != Context::Hardirq) {
        *functions.entry(function.symbol.clone()).or_default() += function.samples;
    }
    functions
}

/// Checks that both have the same first function, if there are enough samples to decide.
fn same_top(ours: &BTreeMap<String, u64>, busy: u64, perf: &perf::Samples) -> Result<()> {
    let (mine, theirs) = (sorted(ours), sorted(&perf.functions));
    tell("record, functions of veth", &format!("{mine:?}; perf {theirs:?}"));
    let top = theirs.first().context("perf has no function of veth")?.0;
    let share = |functions: &BTreeMap<String, u64>, name: &str, of| {
        Share::of(functions.get(name).copied().unwrap_or(0), of).context("no samples")
    };
    let is_told = match theirs.get(1) {
        Some((second, _)) => {
            share(&perf.functions, second, perf.busy)?.is_below(share(&perf.functions, top, perf.busy)?)
        }
        None => true,
    };
    let first = mine.first().context("veth has no function")?.0;
    let denied = share(ours, top, busy)?.is_below(share(ours, first, busy)?);
    ensure!(!(is_told && denied), "veth's first function is {first}, in perf {top}");
    Ok(())
}

/// Sorts by samples, the most first.
fn sorted(functions: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut sorted: Vec<_> = functions.iter().map(|(name, samples)| (name.as_str(), *samples)).collect();
    sorted.sort_by_key(|(_, samples)| std::cmp::Reverse(*samples));
    sorted
}
