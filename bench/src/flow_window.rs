//! How much slower packets are in an interval in which the flow window looks at them.

use std::{fs, net::UdpSocket, os::unix::fs::MetadataExt as _, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use nicmon::{
    counters::bpf::look_at_flows,
    frame::WhoseFlows,
    host::{
        btf::{KERNEL_BTF, KernelBtf},
        own::thread_cpu_ns,
    },
};
use testkit::{
    load::{Receive, VethPair, pin_thread},
    process::{self, output},
};

use crate::{
    Args,
    figures::{Estimate, Verdicts, trimmed_mean},
};

/// Pairs of blocks, one with a window and one without. A block is long enough for all of a window, and short
/// compared with changes in the machine's speed.
const PAIRS: u32 = 200;
const BLOCK: Duration = Duration::from_millis(200);
/// There is at most one window in an interval of this length, the default.
const INTERVAL: Duration = Duration::from_secs(1);
/// How much slower the packets may be, in percent, and the largest standard error at which that can be judged.
const LIMIT_PCT: f64 = 1.0;
const LARGEST_ERROR_PCT: f64 = 0.3;
/// The window opens this long after the load starts, which warms up for a tenth of a block.
const BEFORE: Duration = Duration::from_millis(30);
/// Discard. Without a reader, the kernel drops each packet as late as it can.
const PORT: u16 = 9;

pub(super) fn measure(args: &Args, verdicts: &mut Verdicts) -> Result<()> {
    let kernel = KernelBtf::read(Path::new(KERNEL_BTF))?;
    let pair = VethPair::create("nicmon-b-flows")?;
    pair.receive_by(Receive::Napi, args.cpu)?;
    let index = output(pair.rx.command("cat").arg(format!("/sys/class/net/{}/ifindex", VethPair::RX_NAME)))?;
    let netns = u32::try_from(fs::metadata(Path::new("/run/netns").join(pair.rx.name()))?.ino())?;
    let whose = WhoseFlows { netns, ifindex: index.trim().parse()?, cpu: u32::try_from(args.cpu)? };
    let look = || -> Result<()> {
        let look = look_at_flows(whose, &kernel)?;
        ensure!(!look.samples.is_empty(), "the flow window saw no packet");
        Ok(())
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some ten thousand")]
    let packets = (BLOCK.as_nanos() as f64 / block(&pair, args.cpu, 100_000, || Ok(()))?) as u32;
    let mut random = fastrand::Rng::with_seed(1);
    let mut slower = Vec::new();
    for done in 0..PAIRS {
        if done.is_multiple_of(20) {
            eprintln!("bench: flow window, {done} of {PAIRS}");
        }
        let first = random.bool();
        let mut costs = [0.0; 2];
        for with in [first, !first] {
            let beside: &dyn Fn() -> Result<()> = if with { &look } else { &|| Ok(()) };
            costs[usize::from(with)] = block(&pair, args.cpu, packets, beside)?;
        }
        slower.push((costs[1] / costs[0] - 1.0) * 100.0);
    }

    let error = Estimate::of(&slower).error;
    let in_block = Estimate { value: trimmed_mean(&mut slower), error };
    println!(
        "UDP over a veth pair on CPU {}: {PAIRS} pairs of blocks of {packets} packets ({BLOCK:?}), in random \
         order",
        args.cpu
    );
    println!("  {in_block} %: CPU time per packet with a flow window, less that without");
    let share = BLOCK.as_secs_f64() / INTERVAL.as_secs_f64();
    let slower = Estimate { value: in_block.value * share, error: error * share };
    let is_known = slower.error <= LARGEST_ERROR_PCT;
    verdicts.add(
        format!("packets of an interval with a flow window: {slower} % slower, limit {LIMIT_PCT}"),
        is_known.then_some(slower.value <= LIMIT_PCT),
    );
    Ok(())
}

/// CPU time per packet of a block, in ns, while something happens beside it. The kernel receives these
/// packets within the call that sends them, so that their cost is part of the thread's time.
fn block(pair: &VethPair, cpu: usize, packets: u32, beside: impl Fn() -> Result<()>) -> Result<f64> {
    process::check_signalled()?;
    let enter = pair.tx.entrance();
    let load = thread::spawn(move || -> Result<f64> {
        enter()?;
        pin_thread(cpu)?;
        let socket = UdpSocket::bind("0.0.0.0:0").context("cannot open a socket")?;
        let send = |packets: u32| -> Result<()> {
            for _ in 0..packets {
                socket.send_to(&[0; 32], (VethPair::RX_ADDRESS, PORT))?;
            }
            Ok(())
        };
        send(packets / 10)?;
        let before = thread_cpu_ns();
        send(packets)?;
        Ok((thread_cpu_ns() - before) as f64 / f64::from(packets))
    });
    thread::sleep(BEFORE);
    let done = beside();
    let cost = load.join().map_err(|_| anyhow!("the thread of the load panicked"))?;
    done?;
    cost
}
