//! What nicmon's kernel programs add to a packet, compared with those of another nicmon or with no programs.
//! It runs adjacent short blocks of UDP over loopback with one side attached in each, in random order.
//!
//! Both sides of a pair see the same state of the machine, so the differences vary far less than those of
//! whole rounds. Even so, a standard error of a few ns takes thousands of pairs, and minutes. The cost also
//! depends on where the kernel puts programs and maps in memory, by about 10 ns. Therefore both sides are
//! loaded again from time to time, and the error is computed from how the loads differ. The user side is not
//! measured: each nicmon only loads its programs, and this process keeps them after nicmon has ended.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::programs::{BtfTracePoint, ProgramType, loaded_programs, tp_btf::BtfTracePointLinkId};
use testkit::{load::pin_thread, process};

use super::{
    Args,
    contenders::start_nicmon,
    estimate::{Estimate, mean},
    figures::Verdicts,
    loopback::Loopback,
    programs::programs,
};

/// Length of a block: long compared with the first packets after attaching, short compared with changes in
/// the machine's speed.
const BLOCK: Duration = Duration::from_millis(25);
/// Pairs that run before both sides are loaded again.
const PAIRS_PER_LOAD: u32 = 200;
/// Packets before each block that are not timed, because the code just attached is not in the caches yet.
const WARM_UP: u32 = 500;
/// nicmon's tracepoint programs. The kernel cuts program names to 15 characters.
const TRACEPOINTS: [&str; 6] =
    ["softirq_exit", "irq_handler_exi", "softirq_entry", "irq_handler_ent", "napi_poll", "kfree_skb"];
/// The most that the programs may add with `--against`, in ns per packet, and the largest standard error at
/// which that can be judged.
const LIMIT: f64 = 10.0;
const LARGEST_ERROR: f64 = 5.0;
/// The trimmed mean ignores one in this many of a load's differences at each end. These are mostly blocks in
/// which something else ran.
const TRIM: usize = 10;

/// Loaded programs that are attached only while a block runs.
struct Side {
    /// In the order in which nicmon attaches them, exits before entries. Empty if the side has no programs.
    programs: Vec<BtfTracePoint>,
    /// Time per packet in each block, in ns.
    blocks: Vec<f64>,
}

impl Side {
    /// Starts this nicmon and keeps its programs after it has ended.
    fn load(nicmon: Option<&Path>) -> Result<Self> {
        let mut side = Self { programs: Vec::new(), blocks: Vec::new() };
        let Some(nicmon) = nicmon else { return Ok(side) };
        let others = programs();
        let (mut running, _) = start_nicmon(nicmon)?;
        for info in loaded_programs().filter_map(Result::ok).filter(|info| !others.contains_key(&info.id())) {
            let name = info.name_as_str().unwrap_or_default().to_owned();
            if info.program_type() != ProgramType::Tracing.into() || !TRACEPOINTS.contains(&&*name) {
                continue;
            }
            #[expect(unsafe_code, reason = "the kernel does not report which kind of tracing program it is")]
            // SAFETY: nicmon's tracing programs of these names are BTF tracepoints. The kernel would refuse
            // to attach any other program as one.
            let program = unsafe { BtfTracePoint::from_program_info(info, name.into()) };
            side.programs.push(program.context("cannot keep nicmon's programs loaded")?);
        }
        running.stop()?;
        if side.programs.len() < TRACEPOINTS.len() - 1 {
            bail!("{} has only {} BTF tracepoints", nicmon.display(), side.programs.len());
        }
        Ok(side)
    }

    fn block(&mut self, loopback: &Loopback, packets: u32) -> Result<()> {
        let attach = |program: &mut BtfTracePoint| program.attach().context("cannot attach");
        let links = self.programs.iter_mut().map(attach).collect::<Result<Vec<BtfTracePointLinkId>>>()?;
        loopback.slice(WARM_UP)?;
        self.blocks.push(loopback.slice(packets)?);
        // Detach entries first, so that no run stays open.
        for (program, link) in self.programs.iter_mut().zip(links).rev() {
            program.detach(link).context("cannot detach")?;
        }
        Ok(())
    }
}

pub(super) fn measure(args: &Args, verdicts: &mut Verdicts) -> Result<()> {
    let (cpu, loads) = (args.cpu, args.pairs / PAIRS_PER_LOAD);
    let nicmons: [Option<PathBuf>; 2] = [args.against.clone(), Some(args.nicmon.clone())];
    let (mut levels, mut means, mut trimmed) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
    for load in 0..loads {
        eprintln!("bench: pairs, {} of {}", load * PAIRS_PER_LOAD, loads * PAIRS_PER_LOAD);
        let sides = load_both(&nicmons, load % 2 == 0)?;
        // A separate thread, because programs that this thread starts inherit its CPU and priority.
        let sides = thread::spawn(move || run(sides, cpu, u64::from(load)))
            .join()
            .map_err(|_| anyhow!("the loopback thread panicked"))??;
        let [before, after] = &sides;
        let mut differences: Vec<f64> = after.blocks.iter().zip(&before.blocks).map(|(a, b)| a - b).collect();
        means.push(mean(&differences));
        trimmed.push(trimmed_mean(&mut differences));
        for (level, side) in levels.iter_mut().zip(&sides) {
            level.push(mean(&side.blocks));
        }
    }

    println!(
        "UDP over loopback, one packet per poll, on CPU {cpu}: {loads} loads with {PAIRS_PER_LOAD} pairs of \
         {BLOCK:?} blocks each"
    );
    for (nicmon, level) in nicmons.iter().zip(&levels) {
        let label = nicmon.as_ref().map_or("no programs".into(), |nicmon| nicmon.display().to_string());
        println!("  {:8.1} ns per packet: {label}", mean(level));
    }
    let (means, trimmed) = (Estimate::of(&means), Estimate::of(&trimmed));
    println!("  {means} ns: second minus first, with its standard error");
    println!("  {trimmed} ns: the same without 1 in {TRIM} of the pairs at each end");
    if args.against.is_some() {
        let is_known = trimmed.error <= LARGEST_ERROR;
        verdicts.add(
            format!("the programs add no more than before: {trimmed} ns per packet, limit +{LIMIT}"),
            is_known.then_some(trimmed.value <= LIMIT),
        );
    }
    Ok(())
}

fn load_both(nicmons: &[Option<PathBuf>; 2], is_first_first: bool) -> Result<[Side; 2]> {
    let [first, second] = nicmons.each_ref().map(Option::as_deref);
    if is_first_first {
        return Ok([Side::load(first)?, Side::load(second)?]);
    }
    let second = Side::load(second)?;
    Ok([Side::load(first)?, second])
}

/// Runs the pairs of one load on the calling thread, pinned to `cpu`.
fn run(mut sides: [Side; 2], cpu: usize, seed: u64) -> Result<[Side; 2]> {
    pin_thread(cpu)?;
    // With real-time priority, other programs do not run during a block. While a build uses all CPUs, that
    // makes the standard error fifteen times smaller.
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    process::run(Command::new("chrt").args(["--fifo", "--pid", "50", &thread]))?;
    let loopback = Loopback::new().context("cannot open the loopback sockets")?;
    let start = Instant::now();
    loopback.slice(10 * WARM_UP)?;
    let packets = u128::from(10 * WARM_UP) * BLOCK.as_nanos() / start.elapsed().as_nanos().max(1);
    let packets = u32::try_from(packets)?.max(1);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..PAIRS_PER_LOAD {
        process::check_signalled()?;
        let first = usize::from(random.bool());
        sides[first].block(&loopback, packets)?;
        sides[1 - first].block(&loopback, packets)?;
    }
    Ok(sides)
}

/// The mean without 1 in [`TRIM`] of the values at each end.
fn trimmed_mean(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let cut = values.len() / TRIM;
    mean(&values[cut..values.len() - cut])
}

#[cfg(test)]
mod tests {
    use super::trimmed_mean;

    #[test]
    fn a_bad_block_does_not_move_the_trimmed_mean() {
        let mut values: Vec<f64> = (1..=20).map(f64::from).collect();
        values[19] = 1e6;
        assert!((trimmed_mean(&mut values) - 10.5).abs() < 1e-9);
    }
}
