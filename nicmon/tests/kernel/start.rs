//! The first frame comes soon, and the frames follow one another without gaps.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    child::{Lines, Nicmon},
    tell,
};

/// The first frame comes within 300 ms of its interval or, on a slow machine, not much later than it comes
/// without eBPF programs: there it took a ninth of the time.
pub(crate) fn first_frame() -> Result<()> {
    const INTERVAL: Duration = Duration::from_secs(1);
    const START: Duration = Duration::from_millis(300);
    const TIMES: u32 = 12;
    let mut took = Vec::new();
    // Something else may delay one start, but not three.
    for _ in 0..3 {
        let mut nicmon = Nicmon::start(&["-d", "1s"])?;
        let started = nicmon.started;
        let start = (nicmon.more(1)?.at - started).saturating_sub(INTERVAL);
        nicmon.stop()?;
        let without = first_frame_without_programs()?.saturating_sub(INTERVAL);
        took.push((start, without));
        if start <= START.max(without * TIMES) {
            tell("start", &format!("first frame later than its interval, and without programs: {took:.3?}"));
            return Ok(());
        }
    }
    bail!("the first frame is too late, and without programs it is: {took:.3?}")
}

fn first_frame_without_programs() -> Result<Duration> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
    command.args(["--json", "--source", "proc", "-d", "1s", "-n", "1"]);
    let started = Instant::now();
    let mut lines = Lines::start(command)?;
    let (at, _) = lines.next()?.context("no frame")?;
    Ok(at - started)
}

pub(crate) fn clock() -> Result<()> {
    let frames = Nicmon::start(&["-d", "100ms", "-n", "20"])?.finish()?;
    ensure!(frames.len() == 20, "{} frames", frames.len());
    for pair in frames.windows(2) {
        let (before, now) = (&pair[0].frame, &pair[1].frame);
        ensure!(now.seq == before.seq + 1, "seq {} after {}", now.seq, before.seq);
        ensure!(
            now.mono_ns == before.mono_ns + now.interval_ns,
            "frame {} does not start where the one before ended",
            now.seq
        );
        ensure!(now.time > before.time, "time {} after {}", now.time, before.time);
        ensure!(now.boot_id == before.boot_id, "the boot id changed");
    }
    let (first, last) = frames.first().zip(frames.last()).context("no frames")?;
    let sum: u64 = frames.iter().map(|arrived| arrived.frame.interval_ns).sum();
    let span = last.frame.mono_ns - (first.frame.mono_ns - first.frame.interval_ns);
    ensure!(sum == span, "the intervals' sum {sum} is not the span {span}");
    // The deadlines are at start + k x 100 ms, and late ones are skipped, so most frames end near a deadline.
    // At least one frame was on time, and measured from that one the others are the least off.
    let ends: Vec<u64> = frames.iter().map(|arrived| arrived.frame.mono_ns).collect();
    let median_off = |origin: u64| {
        let mut off: Vec<u64> = ends.iter().map(|end| off_grid(*end, origin)).collect();
        off.sort_unstable();
        off[off.len() / 2]
    };
    let origin = ends.iter().copied().min_by_key(|origin| median_off(*origin)).context("no frames")?;
    let median = median_off(origin);
    tell(
        "start, clock",
        &format!("20 frames over {:.3} s, median {} us off the grid", span as f64 / 1e9, median / 1000),
    );
    // With a sleep after each frame instead, whose making takes a few ms, the middle frame would be 20 ms
    // off.
    ensure!(median < 5_000_000, "the frames of {ends:?} ns are off the grid");
    Ok(())
}

fn off_grid(end: u64, origin: u64) -> u64 {
    let past = end.abs_diff(origin) % 100_000_000;
    past.min(100_000_000 - past)
}
