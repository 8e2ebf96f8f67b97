//! Call stacks in a NIC's polls: they must be complete, and lead through the same functions as perf's stacks
//! from the same time.

use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testkit::{process::output, share::Share};

use super::{
    Args, Done,
    device::Device,
    frames::{array, number, window_ns},
    job,
    load::Load,
    perf::{SOFTIRQS, Stacked, Symbols},
    plan::Plan,
    results::Results,
    sockets,
    table::Verdicts,
};

/// The functions that lead to a poll, outermost first (kernel/softirq.c, net/core/dev.c).
const WAY: [&[&str]; 2] = [&SOFTIRQS, &["net_rx_action"]];
/// Functions that polls call, with their names in different kernels. Since 6.15, `napi_gro_receive` only
/// calls `gro_receive_skb` and is inlined.
const CALLED: [&[&str]; 2] = [&["napi_gro_receive", "gro_receive_skb"], &["tcp_v4_rcv"]];

/// What the program receives that reads datagrams. A guest's CPU is not full of it.
const LOAD: Load = Load { flows: 16, pps: 5_000, addresses: None, phases_s: None };
const DATAGRAMS: &str = "datagrams";
const DATAGRAM_SECONDS: u64 = 10;

/// How many stacks may be truncated. The kernel's unwinder stops in thunks of indirect calls
/// (`UNWIND_HINT_EMPTY` in arch/x86/lib/retpoline.S), and at the start and the end of a BPF program, where
/// there is no stack frame.
const CUT_OFF_PER_MILLE: u64 = 20;

pub(super) fn plan(args: &Args) -> Plan {
    let mut plan = Plan::of(args, &[Device::Rtl8139]);
    plan.programs = ["perf", "perl"].map(str::to_owned).to_vec();
    plan.script.push_str(include_str!("scripts/stacks.sh"));
    plan.measurements = plan.devices.iter().map(|device| device.downloads()).sum();
    for (index, device) in plan.numbered().collect::<Vec<_>>() {
        let (folder, nic, url, downloads) =
            (job::folder(index), job::nic(index), job::url(index), device.downloads());
        let seconds = plan.transfer_s() * downloads;
        let _ = writeln!(plan.script, "stacks {folder} {nic} {url} {seconds} {downloads}");
    }
    plan.load = Some(LOAD);
    plan.measurements += 1;
    let _ = writeln!(plan.script, "datagrams {DATAGRAMS} {} {DATAGRAM_SECONDS}", job::nic(0));
    plan
}

pub(super) fn judge(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    for (index, device) in done.plan.numbered() {
        let both = Both::read(done, index, device);
        let Both { ours, perf, softirqs, receiving } =
            both.with_context(|| format!("the stacks of {}", device.model()))?;
        println!("{}", device.driver());
        println!("  -       {} of perf's {} stacks in polls are complete", perf.whole, perf.all);
        verdicts.check(
            ours.all > 0 && ours.whole == ours.all,
            &format!("{} of nicmon's {} stacks in polls are complete", ours.whole, ours.all),
        );
        verdicts.check(
            (softirqs.all - softirqs.whole) * 1000 <= softirqs.all * CUT_OFF_PER_MILLE,
            &format!("{} of nicmon's {} stacks in softirqs start there", softirqs.whole, softirqs.all),
        );
        for (at, names) in CALLED.iter().enumerate() {
            let what = format!("of the polls in {}", names.join(" or "));
            verdicts.check(perf.called[at] > 0, &format!("samples of perf {what}: {}", perf.called[at]));
            verdicts.shares(
                &what,
                Share::of(ours.called[at], ours.all),
                Share::of(perf.called[at], perf.all),
            );
        }
        let itself = (Share::of(ours.itself, ours.all), Share::of(perf.itself, perf.all));
        verdicts.shares("of the polls in the poll function itself", itself.0, itself.1);
        verdicts.shares("of the busy samples in tasks that receive", receiving.0, receiving.1);
    }
    let Some((_, device)) = done.plan.numbered().next() else { return Ok(()) };
    let results = Results::open(&done.out.join(DATAGRAMS))?;
    let (frame, perf, symbols) = recorded(done, &results)?;
    let theirs = sockets::of_perf(&perf, &symbols, device.module(), window_ns(&frame));
    println!("UDP datagrams");
    verdicts.shares("of the busy samples in tasks that receive", sockets::of_frame(&frame), theirs);
    Ok(())
}

/// The sum of nicmon's recording, what perf sampled meanwhile, and the kernel's symbols.
fn recorded(done: &Done<'_>, results: &Results) -> Result<(Value, String, Symbols)> {
    let mut report = Command::new(done.nicmon);
    let frame = output(report.args(["report", "--json"]).arg(results.path("recording")))?;
    let frame = serde_json::from_str(&frame).context("cannot parse the output of nicmon report")?;
    let perf = perf_script(&results.path("perf.data"))?;
    Ok((frame, perf, Symbols::parse(&results.text("kallsyms")?)))
}

/// nicmon's stacks, and perf's from the same time.
struct Both {
    ours: Polls,
    perf: Polls,
    /// nicmon's stacks in softirqs. A stack that is truncated before the poll is not recognised as one in a
    /// poll, but it is counted here.
    softirqs: Softirqs,
    /// What tasks spend in receiving, by both.
    receiving: (Option<Share>, Option<Share>),
}

impl Both {
    fn read(done: &Done<'_>, index: usize, device: Device) -> Result<Self> {
        let results = Results::open(&done.out.join(job::folder(index)))?;
        let (frame, perf, symbols) = recorded(done, &results)?;
        Ok(Self {
            ours: Polls::of_frame(&frame, device.polls()),
            perf: Polls::of_perf(&perf, &symbols, window_ns(&frame), device.polls()),
            softirqs: Softirqs::of_frame(&frame),
            receiving: (
                sockets::of_frame(&frame),
                sockets::of_perf(&perf, &symbols, device.module(), window_ns(&frame)),
            ),
        })
    }
}

fn perf_script(data: &Path) -> Result<String> {
    let mut script = Command::new("perf");
    script.args(["script", "--force", "--ns", "-F", "pid,time,ip", "-i"]).arg(data).stdin(Stdio::null());
    output(&mut script).context("cannot read the guest's samples")
}

/// Samples in the polls of a NIC.
#[derive(Debug, Default, PartialEq, Eq)]
struct Polls {
    all: u64,
    /// Samples whose stacks contain [`WAY`].
    whole: u64,
    /// Samples in each of [`CALLED`], or in a function that it calls.
    called: [u64; CALLED.len()],
    /// Samples in the poll function itself, not in functions that it calls.
    itself: u64,
}

impl Polls {
    fn of_frame(frame: &Value, poll: &[&str]) -> Self {
        let mut polls = Self::default();
        for stack in array(&frame["stacks"]) {
            polls.add(&functions(stack), poll, number(&stack["samples"]));
        }
        polls
    }

    /// Of perf's samples in this time.
    fn of_perf(script: &str, symbols: &Symbols, window_ns: (u64, u64), poll: &[&str]) -> Self {
        let mut polls = Self::default();
        for sample in Stacked::all(script, symbols, window_ns) {
            let mut functions = sample.functions();
            functions.reverse();
            polls.add(&functions, poll, 1);
        }
        polls
    }

    /// Adds the samples of a stack, given its functions, outermost first.
    fn add(&mut self, functions: &[&str], poll: &[&str], samples: u64) {
        let Some(at) = functions.iter().position(|function| poll.contains(function)) else { return };
        let (before, within) = functions.split_at(at);
        self.all += samples;
        let mut before = before.iter();
        let is_whole = WAY.iter().all(|names| before.any(|function| names.contains(function)));
        self.whole += if is_whole { samples } else { 0 };
        for (called, names) in self.called.iter_mut().zip(CALLED) {
            *called += if within.iter().any(|function| names.contains(function)) { samples } else { 0 };
        }
        self.itself += if within.len() == 1 { samples } else { 0 };
    }
}

/// Samples in softirqs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Softirqs {
    all: u64,
    /// Samples whose stacks contain the function that runs softirqs.
    whole: u64,
}

impl Softirqs {
    fn of_frame(frame: &Value) -> Self {
        let mut softirqs = Self::default();
        for stack in array(&frame["stacks"]).filter(|stack| stack["context"] == "softirq") {
            let samples = number(&stack["samples"]);
            softirqs.all += samples;
            let is_whole = functions(stack).iter().any(|function| SOFTIRQS.contains(function));
            softirqs.whole += if is_whole { samples } else { 0 };
        }
        softirqs
    }
}

/// The functions of a stack, outermost first.
fn functions(stack: &Value) -> Vec<&str> {
    array(&stack["functions"]).map(|function| function.as_str().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: [&str; 1] = ["cp_rx_poll"];

    #[test]
    fn stacks_of_a_report() {
        let frame = serde_json::from_str(
            r#"{"stacks":[
            {"context":"softirq","samples":5,"functions":["asm_common_interrupt","handle_softirqs","net_rx_action","cp_rx_poll"]},
            {"context":"softirq","samples":3,"functions":["handle_softirqs","net_rx_action","cp_rx_poll","napi_gro_receive","tcp4_gro_receive"]},
            {"context":"softirq","samples":2,"functions":["net_rx_action","cp_rx_poll","tcp_v4_rcv"]},
            {"context":"task","samples":1,"functions":["do_syscall_64","tcp_recvmsg"]}]}"#,
        )
        .unwrap();
        let polls = Polls { all: 10, whole: 8, called: [3, 2], itself: 5 };
        assert_eq!(Polls::of_frame(&frame, &POLL), polls);
        assert_eq!(Softirqs::of_frame(&frame), Softirqs { all: 10, whole: 8 });
        assert_eq!(Polls::of_frame(&serde_json::json!({ "stacks": null }), &POLL), Polls::default());
    }

    #[test]
    fn stacks_of_perf() {
        let symbols = Symbols::parse(
            "ffffffff81000000 T do_exit\nffffffff81000100 T __do_softirq\nffffffff81000200 t net_rx_action\n\
             ffffffff81000300 T napi_gro_receive\nffffffffc0000000 t cp_rx_poll\t[8139cp]\n",
        );
        let script = "    0    12.000000001: \n\tffffffff81000310\n\tffffffffc0000020\n\tffffffff81000300\n\
                      \tffffffff81000110\n\n    0    12.000000002: \n\tffffffff81000010\n\n\
                      \x20   0    13.000000001: \n\tffffffffc0000020\n\n";
        let polls = |window| Polls::of_perf(script, &symbols, window, &POLL);
        let first = Polls { all: 1, whole: 1, called: [1, 0], itself: 0 };
        assert_eq!(polls((12_000_000_000, 13_000_000_000)), first);
        assert_eq!(polls((13_000_000_000, 14_000_000_000)), Polls { all: 1, itself: 1, ..Polls::default() });
        assert_eq!(polls((0, 1)), Polls::default());
    }
}
