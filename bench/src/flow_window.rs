//! How much slower packets are in an interval in which the flow window looks at them.

use std::{
    fs,
    net::UdpSocket,
    os::unix::fs::MetadataExt as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nicmon::{
    counters::bpf::look_at_flows,
    frame::WhoseFlows,
    host::{
        btf::{KERNEL_BTF, KernelBtf},
        own::waited_for_cpu,
    },
    overhead::Measure,
};
use testkit::{
    load::{Receive, VethPair, pin_thread},
    process::{self, output},
};

use crate::{Args, figures::Verdicts};

/// Pairs of blocks, one with a window and one without. A block is long enough for all of a window, and short
/// compared with changes in the machine's speed.
const PAIRS: u32 = 200;
const BLOCK: Duration = Duration::from_millis(200);
/// There is at most one window in an interval of this length, the default.
const INTERVAL: Duration = Duration::from_secs(1);
/// How much slower the packets may be, in percent, and the largest standard error at which that can be
/// judged.
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
    let alone = block(&pair, args.cpu, 50_000, || Ok(()))?.context("50,000 packets took too little time")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some ten thousand")]
    let packets = (BLOCK.as_nanos() as f64 / alone) as u32;
    let mut random = fastrand::Rng::with_seed(1);
    let mut slower = Vec::new();
    for done in 0..PAIRS {
        if done.is_multiple_of(20) {
            eprintln!("bench: flow window, {done} of {PAIRS}");
        }
        let first = random.bool();
        let mut costs = [None; 2];
        for with in [first, !first] {
            let beside: &dyn Fn() -> Result<()> = if with { &look } else { &|| Ok(()) };
            costs[usize::from(with)] = block(&pair, args.cpu, packets, beside)?;
        }
        let [without, with] = costs;
        slower.extend(with.zip(without).map(|(with, without)| (with / without - 1.0) * 100.0));
    }

    let pairs = slower.len();
    let in_block = Measure::of(&slower, &[0]).with_context(|| format!("only {pairs} pairs were of use"))?;
    println!(
        "UDP over a veth pair on CPU {}: {pairs} pairs of blocks of {packets} packets ({BLOCK:?}), in random \
         order",
        args.cpu
    );
    println!(
        "  {:+.2} +- {:.2} %: time per packet with a flow window, less that without",
        in_block.mean, in_block.error
    );
    let share = BLOCK.as_secs_f64() / INTERVAL.as_secs_f64();
    let (slower, error) = (in_block.mean * share, in_block.error * share);
    verdicts.add(
        format!("packets beside a flow window: {slower:+.2} +- {error:.2} % slower, limit {LIMIT_PCT}"),
        (error <= LARGEST_ERROR_PCT).then_some(slower <= LIMIT_PCT),
    );
    Ok(())
}

/// Time per packet of a block, in ns, less what the thread waited for its CPU, while something happens
/// beside it. The kernel receives these packets within the call that sends them. `None` if what happens
/// beside it did not begin and end within the block.
fn block(pair: &VethPair, cpu: usize, packets: u32, beside: impl Fn() -> Result<()>) -> Result<Option<f64>> {
    process::check_signalled()?;
    let enter = pair.tx.entrance();
    let load = thread::spawn(move || -> Result<(Instant, Duration, Duration)> {
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
        let (waited, start) = (waited_for_cpu()?, Instant::now());
        send(packets)?;
        let took = start.elapsed();
        Ok((start, took, waited_for_cpu()?.saturating_sub(waited)))
    });
    thread::sleep(BEFORE);
    let from = Instant::now();
    let done = beside();
    let to = Instant::now();
    let (start, took, waited) = load.join().map_err(|_| anyhow!("the thread of the load panicked"))??;
    done?;
    let is_inside = start <= from && to <= start + took;
    Ok(is_inside.then_some(took.saturating_sub(waited).as_nanos() as f64 / f64::from(packets)))
}
