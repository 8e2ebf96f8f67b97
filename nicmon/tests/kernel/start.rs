//! The first frame comes soon, and frames follow each other without gaps.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{child::Nicmon, tell};

pub(crate) fn first_frame() -> Result<()> {
    const INTERVAL: Duration = Duration::from_secs(1);
    const START: Duration = Duration::from_millis(300);
    let mut took = Vec::new();
    // Another load may hold up a start; not three of them.
    for _ in 0..3 {
        let mut nicmon = Nicmon::start(&["-d", "1s"])?;
        let started = nicmon.started;
        took.push(nicmon.more(1)?.at - started);
        nicmon.stop()?;
        if took.last().is_some_and(|time| *time <= INTERVAL + START) {
            tell("start", &format!("first frame after {took:.3?}"));
            return Ok(());
        }
    }
    bail!("the first frame came after {took:.3?}: more than the interval + 300 ms")
}

pub(crate) fn clock() -> Result<()> {
    let frames = Nicmon::start(&["-d", "100ms", "-n", "20"])?.finish()?;
    ensure!(frames.len() == 20, "{} frames", frames.len());
    for pair in frames.windows(2) {
        let (before, now) = (&pair[0].frame, &pair[1].frame);
        ensure!(now.seq == before.seq + 1, "seq {} after {}", now.seq, before.seq);
        ensure!(
            now.mono_ns == before.mono_ns + now.interval_ns,
            "frame {} does not join the one before",
            now.seq
        );
        ensure!(now.time > before.time, "time {} after {}", now.time, before.time);
        ensure!(now.boot_id == before.boot_id, "the boot id changed");
    }
    let (first, last) = frames.first().zip(frames.last()).context("no frames")?;
    let sum: u64 = frames.iter().map(|arrived| arrived.frame.interval_ns).sum();
    let span = last.frame.mono_ns - (first.frame.mono_ns - first.frame.interval_ns);
    ensure!(sum == span, "the intervals' sum {sum} is not the span {span}");
    // Deadlines stand at start + k x 100 ms, and late ones are skipped: every frame ends near one of them.
    let off: Vec<u64> = frames
        .iter()
        .map(|arrived| {
            let past = (arrived.frame.mono_ns - first.frame.mono_ns) % 100_000_000;
            past.min(100_000_000 - past)
        })
        .collect();
    let mut sorted = off;
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    tell(
        "start, clock",
        &format!("20 frames over {:.3} s, median {} us off the grid", span as f64 / 1e9, median / 1000),
    );
    // One late frame at the start would shift them all: the median bears a few, not a drift.
    ensure!(median < 30_000_000, "frames are {sorted:?} ns off the grid");
    Ok(())
}
