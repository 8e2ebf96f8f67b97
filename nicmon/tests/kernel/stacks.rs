//! Call stacks, compared with perf's of the same load at the same time.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use testkit::{
    load::{Receive, UdpLoad, VethPair},
    process::output,
    share::Share,
};

use crate::{loads::plan, perf, tell};

/// How many seconds nicmon and perf watch the load.
const SECONDS: u64 = 6;
/// The calls that lead to a veth's poll, the outermost first. `handle_softirqs` was `__do_softirq` before
/// 6.11.
const WAY: [&[&str]; 4] =
    [&["handle_softirqs", "__do_softirq"], &["net_rx_action"], &["__napi_poll", "napi_poll"], &["veth_poll"]];
/// A function that only some of the polls call.
const PART: &str = "udp_queue_rcv_one_skb";

pub(crate) fn as_perf() -> Result<()> {
    let pair = VethPair::create("nicmon-t-stacks")?;
    pair.receive_by(Receive::Napi, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let (frames, _folder, data) = perf::beside_nicmon(&["--stacks"], SECONDS)?;
    load.stop()?;

    let (mut polls, mut whole, mut ours) = (0, 0, 0);
    // The first frame has no stacks if the kernel symbols had not been read in time.
    for stack in frames.iter().flat_map(|arrived| &arrived.frame.stacks).flatten() {
        let functions: Vec<&str> = stack.functions.iter().map(String::as_str).collect();
        if functions.contains(&"veth_poll") {
            polls += stack.samples;
            whole += u64::from(has_way(&functions)) * stack.samples;
            ours += u64::from(functions.contains(&PART)) * stack.samples;
        }
    }
    let script = output(Command::new("perf").args(["script", "-F", "ip,sym", "-i"]).arg(&data))?;
    let (mut polls_of_perf, mut perfs) = (0, 0);
    // Each line has an address and a name, and an empty line follows each sample.
    for sample in script.split("\n\n") {
        let has = |name| sample.split_whitespace().any(|word| word == name);
        if has("veth_poll") {
            polls_of_perf += 1;
            perfs += u64::from(has(PART));
        }
    }
    // Shares of the polls, not of all samples, which vary with what else the machine does.
    let mine = Share::of(ours, polls).context("no samples")?;
    let theirs = Share::of(perfs, polls_of_perf).context("no samples of perf")?;
    tell(
        "stacks",
        &format!(
            "{polls} in veth_poll, {whole} from the softirq on; {PART} in {ours} of these, in perf \
             in {perfs} of {polls_of_perf}: {}",
            mine.beside(theirs)
        ),
    );
    ensure!(polls > 100 && whole == polls, "{whole} of {polls} stacks are whole");
    ensure!(mine.can_be(theirs), "{mine} of the stacks, in perf {theirs}");
    Ok(())
}

/// Whether the functions of [`WAY`] were called in this order.
fn has_way(functions: &[&str]) -> bool {
    let mut rest = functions.iter();
    WAY.iter().all(|names| rest.any(|function| names.contains(function)))
}
