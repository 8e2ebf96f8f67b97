//! Blocks of packets, with and without programs, in random order.

use std::time::{Duration, Instant};

use super::{
    OverheadError,
    loopback::{Load, Request},
    model::{Attached, OverheadReport},
    rounds::{NicmonBlock, Rounds},
};
use crate::{
    counters::bpf::{AttachKind, CALIBRATION_WINDOW, Probe, ProbeError},
    host::monotonic_ns,
};

/// Length of a block: long compared with the first packets after attaching, short compared with changes in
/// the speed of a machine.
pub const BLOCK: Duration = Duration::from_millis(25);
/// Packets before each block that are not timed: what was just attached is not in the caches yet.
const WARM_UP: u32 = 500;
/// Rounds before the programs are loaded anew. Where the kernel places them and their maps changes their
/// cost: docs/results/2026-11-27-kernel-programs-in-adjacent-blocks.md.
const ROUNDS_PER_LOAD: usize = 30;

/// What is attached in a block.
#[derive(Debug, Clone, Copy)]
enum Side {
    Without,
    Empty,
    Nicmon,
}

/// Measures on this CPU for about this long. `load` loads the programs and attaches them, with calls that
/// cost nothing. Ends early, with the rounds done so far, once `is_over` returns true.
///
/// # Errors
/// Programs or namespaces are not allowed, the load does not do what it should, or there were too few rounds.
pub async fn measure(
    load: impl Fn() -> Result<Probe, ProbeError>,
    cpu: u32,
    time: Duration,
    mut is_over: impl AsyncFnMut() -> bool,
) -> Result<OverheadReport, OverheadError> {
    let packets = Load::start(cpu)?;
    let mut probe = load()?;
    if probe.costs().is_none() {
        return Err(OverheadError::NoStatistics);
    }
    let attached = match probe.kind() {
        AttachKind::TpBtf => Attached::BtfTracepoint,
        AttachKind::RawTp => Attached::RawTracepoint,
    };
    probe.detach_programs();
    let ns_per_packet = packets.send(Request { warm_up: WARM_UP, packets: 10 * WARM_UP })?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
    let per_block = (BLOCK.as_nanos() as f64 / ns_per_packet).max(1.0) as u32;
    let block = Request { warm_up: WARM_UP, packets: per_block };

    let (mut rounds, mut random) = (Rounds::default(), fastrand::Rng::with_seed(monotonic_ns()));
    let (start, mut is_whole) = (Instant::now(), true);
    while start.elapsed() < time {
        if is_over().await {
            is_whole = false;
            break;
        }
        if rounds.count().is_multiple_of(ROUNDS_PER_LOAD) {
            if rounds.count() > 0 {
                drop(probe);
                probe = load()?;
            }
            calibrate(&mut probe, &packets, block)?;
            rounds.begin_load();
        }
        let mut order = [Side::Without, Side::Empty, Side::Nicmon];
        random.shuffle(&mut order);
        for side in order {
            add_block(&mut rounds, side, &mut probe, &packets, block, cpu)?;
        }
    }
    rounds.report(cpu, attached, is_whole)
}

/// Measures what a run of each attached program costs under this load, and detaches them.
fn calibrate(probe: &mut Probe, load: &Load, block: Request) -> Result<(), OverheadError> {
    // A little longer than the measurement takes.
    let blocks = 1 + CALIBRATION_WINDOW.as_nanos() / BLOCK.as_nanos();
    let packets = block.packets.saturating_mul(u32::try_from(blocks).unwrap_or(1));
    load.begin(Request { packets, ..block })?;
    probe.calibrate();
    load.finish()?;
    probe.detach_programs();
    Ok(())
}

fn add_block(
    rounds: &mut Rounds,
    side: Side,
    probe: &mut Probe,
    load: &Load,
    block: Request,
    cpu: u32,
) -> Result<(), OverheadError> {
    match side {
        Side::Without => rounds.without.push(load.send(block)?),
        Side::Empty => {
            probe.attach_empties()?;
            rounds.empty.push(load.send(block)?);
            probe.detach_empties();
        }
        Side::Nicmon => {
            probe.attach_programs()?;
            // The first reading is of what happened until now.
            probe.read()?;
            let ns_per_packet = load.send(block)?;
            let reading = probe.read()?;
            probe.detach_programs();
            let costs = reading.programs.unwrap_or_default();
            let own = costs.cpus.iter().find(|own| own.cpu == cpu);
            let backlog = reading.cpus.get(cpu as usize).map(|activity| activity.backlog.polls());
            let (own, polls) = own.zip(backlog).ok_or(OverheadError::NoPolls)?;
            let inside_ns = own.cost.ok_or(OverheadError::NoStatistics)?.ns;
            rounds.nicmon.push(NicmonBlock { ns_per_packet, runs: own.runs, inside_ns, polls });
        }
    }
    Ok(())
}
