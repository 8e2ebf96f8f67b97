//! Samples: against the exact time of polls, and against perf's samples of the same load at the same time.

use anyhow::{Context as _, Result, bail, ensure};
use nicmon::frame::Frame;
use testkit::{
    load::{Receive, UdpLoad, VethPair},
    share::Share,
};

use crate::{
    check::{nic, pct},
    loads::{inode, plan},
    perf, tell,
};

/// How many seconds nicmon and perf watch the load.
const SECONDS: u64 = 8;

/// How often they do it at most. In one of fifty runs perf misses a tenth of its samples, none of them in
/// polls, which makes its share of polls too high by as much (docs/kernel-notes.md). Such a run shows nothing
/// about nicmon.
const ATTEMPTS: u32 = 3;

pub(crate) fn agree() -> Result<()> {
    for _ in 0..ATTEMPTS {
        let (ours, perfs) = sample()?;
        tell("samples", &format!("{} of {}, perf {}", ours.taken, ours.expected, perfs.samples.all));
        if perfs.samples.all * 100 >= ours.taken * 95 {
            return compare(&ours, &perfs);
        }
    }
    bail!("perf missed one in twenty samples or more, {ATTEMPTS} times")
}

/// The load with nicmon and perf beside it.
fn sample() -> Result<(Sums, PerfsSums)> {
    let pair = VethPair::create("nicmon-t-samples")?;
    pair.receive_by(Receive::Napi, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let (frames, _folder, data) = perf::beside_nicmon(&[], SECONDS)?;
    load.stop()?;
    let stacks = perf::Stacked::read(&data)?;
    let (first, last) = stacks.first().zip(stacks.last()).context("no samples of perf")?;

    // Both are compared over the same time: the load's share changes with what else the machine does.
    let mut ours = Sums::default();
    let (mut begin_ns, mut end_ns) = (u64::MAX, 0);
    for frame in frames.iter().map(|arrived| &arrived.frame) {
        let start_ns = frame.mono_ns - frame.interval_ns;
        let is_seen_by_perf = start_ns >= first.mono_ns && frame.mono_ns <= last.mono_ns;
        if ours.add(frame, inode(&pair.rx)?, is_seen_by_perf)? {
            begin_ns = begin_ns.min(start_ns);
            end_ns = frame.mono_ns;
        }
    }
    let perfs = PerfsSums::of(stacks.iter().filter(|stack| (begin_ns..end_ns).contains(&stack.mono_ns)));
    Ok((ours, perfs))
}

/// What nicmon's frames add up to.
#[derive(Default)]
struct Sums {
    taken: u64,
    expected: u64,
    busy: u64,
    /// Busy samples in veth's code, and those filed in the polls of the NIC.
    driver: u64,
    polls: u64,
    /// Exact time of the NIC's polls, and time by samples of its polls and its driver.
    exact_ns: u64,
    sampled_ns: u64,
}

impl Sums {
    /// Checks a frame, and adds it if it is wanted and knows everything.
    fn add(&mut self, frame: &Frame, netns: u32, is_wanted: bool) -> Result<bool> {
        ensure!(frame.host.drivers_reason.is_none(), "{:?}", frame.host.drivers_reason);
        let sampling = frame.host.sampling.context("the CPUs are not sampled")?;
        ensure!(sampling.lost == 0, "{} samples are lost", sampling.lost);
        // The first frames may come before the kernel symbols have been read.
        let Some(drivers) = &frame.drivers else { return Ok(false) };
        let veth = drivers.iter().find(|driver| driver.driver == "veth").context("no driver veth")?;
        let driver = veth.samples.with_context(|| format!("veth's code is unknown: {:?}", veth.unknown))?;
        let nic = nic(frame, Some(netns), VethPair::RX_NAME).context("no veth")?;
        // If two NICs share the driver, its time is split by packets, which the first frame of a namespace
        // does not know.
        let Some((driver_ns, stack_ns)) = nic.driver_est_ns.zip(nic.stack_est_ns) else {
            let has_packets = nic.counters.rx_packets.is_some();
            ensure!(!has_packets || frame.seq == 0, "no estimate in frame {}", frame.seq);
            return Ok(false);
        };
        let polls: u64 = nic.stages.iter().flatten().map(|stage| stage.samples).sum();
        ensure!(polls > 0, "no stage has a sample");
        if is_wanted {
            self.taken += sampling.samples;
            self.expected += sampling.expected.unwrap_or(sampling.samples);
            self.busy += sampling.busy;
            self.driver += driver;
            self.polls += polls;
            self.exact_ns += nic.poll_ns.context("poll_ns is null")?;
            self.sampled_ns += driver_ns + stack_ns;
        }
        Ok(is_wanted)
    }
}

/// What perf's samples add up to.
#[derive(Default)]
struct PerfsSums {
    samples: perf::Samples,
    /// Busy samples in the softirq that polls the veth.
    polls: u64,
    /// Busy samples in programs at the entry or exit of any softirq. nicmon's own programs run there, a part
    /// of them inside what it takes for the run.
    edges: u64,
}

impl PerfsSums {
    fn of<'a>(stacks: impl Iterator<Item = &'a perf::Stacked>) -> Self {
        let mut sums = Self::default();
        for stack in stacks {
            let innermost = stack.functions.first().map_or("?", String::as_str);
            sums.samples.add(stack.pid, innermost, "veth_");
            sums.polls += u64::from(stack.is_busy() && is_in_veths_polls(&stack.functions));
            sums.edges += u64::from(stack.is_busy() && is_at_an_edge(&stack.functions));
        }
        sums
    }
}

/// The function that `caller` calls; `None` if it is the innermost or not in the stack.
fn called_by<'a>(functions: &'a [String], caller: &[&str]) -> Option<&'a str> {
    let at = functions.iter().position(|function| caller.contains(&function.as_str()))?;
    functions.get(at.checked_sub(1)?).map(String::as_str)
}

/// Whether a call stack is in the softirq that polls the veth: in its poll, or in what encloses the polls,
/// which nicmon files with them. Another NAPI's poll is not.
fn is_in_veths_polls(functions: &[String]) -> bool {
    let polled = called_by(functions, &["__napi_poll", "napi_poll"]);
    functions.iter().any(|function| function == "net_rx_action")
        // The tracepoint napi_poll comes after the poll.
        && polled.is_none_or(|polled| polled == "veth_poll" || is_tracepoint(polled))
}

fn is_at_an_edge(functions: &[String]) -> bool {
    called_by(functions, &["handle_softirqs", "__do_softirq"]).is_some_and(is_tracepoint)
}

fn is_tracepoint(function: &str) -> bool {
    function.starts_with("bpf_trace_run")
        || function.starts_with("__bpf_trace")
        || function.starts_with("__traceiter")
}

fn compare(ours: &Sums, perfs: &PerfsSums) -> Result<()> {
    let (taken, all) = (ours.taken, perfs.samples.all);
    let share = |hits, busy| Share::of(hits, busy).context("no samples");
    let (driver, polls) = (share(ours.driver, ours.busy)?, share(ours.polls, ours.busy)?);
    let (perfs_driver, busy) = (perfs.samples.share()?, perfs.samples.busy);
    let (least, most) = (share(perfs.polls, busy)?, share(perfs.polls + perfs.edges, busy)?);
    let (exact_ns, sampled_ns) = (ours.exact_ns, ours.sampled_ns);
    tell(
        "samples",
        &format!(
            "polls {exact_ns} ns exact, {sampled_ns} by samples; veth's code {}; \
             its polls at most {most}, {}",
            driver.beside(perfs_driver),
            polls.beside(least)
        ),
    );
    // If a host gives the CPUs to others, or wakes idle ones late, both miss ticks: then nicmon must get
    // about as many as perf. With one CPU too few it would be half.
    ensure!(pct(taken.abs_diff(all), all) <= 25.0, "{taken} samples, perf took {all}");
    // A timer's samples do not measure exact time: a tick that falls due with interrupts off is taken where
    // they come on again (docs/kernel-notes.md). So this only finds a wrong time per sample.
    let is_near = sampled_ns > exact_ns / 2 && sampled_ns < exact_ns * 2;
    ensure!(is_near, "samples give {sampled_ns} ns of {exact_ns} ns of polls");
    // The shares find samples in the wrong place. Each of the two comparisons fails by chance in at most 2 of
    // 10,000 runs (`Share::can_be`), so this test in 4 of 10,000. A sampler that files half of the polls'
    // samples wrongly passes in 1 of 50 runs if perf has 200 of them, and in 1 of 2,000 if it has 300. An
    // idle machine gives more than 1,000.
    ensure!(perfs.polls >= 200, "perf has {} samples in polls of the veth: too few to decide", perfs.polls);
    ensure!(driver.can_be(perfs_driver), "veth's code has {driver}, in perf {perfs_driver}");
    ensure!(polls.pct() >= least.pct() || polls.can_be(least), "the polls have {polls}, in perf {least}");
    ensure!(
        polls.pct() <= most.pct() || polls.can_be(most),
        "the polls have {polls}, in perf at most {most}"
    );
    Ok(())
}
