//! Blocks of packets, with and without programs, in random order.

use std::time::{Duration, Instant};

use super::{
    OverheadError,
    estimate::Measure,
    loopback::{Load, Request},
    model::{Attached, OverheadReport, SCHEMA},
};
use crate::{
    counters::bpf::{AttachKind, CALIBRATION_WINDOW, Probe},
    host::monotonic_ns,
};

/// Length of a block: long compared with the first packets after attaching, short compared with changes in
/// the speed of a machine.
pub const BLOCK: Duration = Duration::from_millis(25);
/// Packets before each block that are not timed: what was just attached is not in the caches yet.
const WARM_UP: u32 = 500;
/// Hooks that a packet passes: softirq entry, `napi_poll`, softirq exit.
const HOOKS: f64 = 3.0;
/// How often, in rounds, the cost of a run is measured anew.
const CALIBRATE_EVERY: usize = 100;

/// What was measured in each round, in ns per packet.
#[derive(Debug, Default)]
struct Rounds {
    without: Vec<f64>,
    empty: Vec<f64>,
    nicmon: Vec<f64>,
    /// In nicmon's blocks: runs of its programs on this CPU, and the time within them.
    runs: u64,
    inside_ns: u64,
    /// The time of these blocks.
    time_ns: f64,
}

/// What is attached in a block.
#[derive(Debug, Clone, Copy)]
enum Side {
    Without,
    Empty,
    Nicmon,
}

/// Measures for about this long, on this CPU, with programs that are attached, and for
/// which a call costs nothing. Returns early with what there is if
/// `is_over`.
///
/// # Errors
/// Programs or namespaces are not allowed, or it was over too early.
pub async fn measure(
    mut probe: Probe,
    cpu: u32,
    time: Duration,
    mut is_over: impl AsyncFnMut() -> bool,
) -> Result<OverheadReport, OverheadError> {
    let attached = match probe.kind() {
        AttachKind::TpBtf => Attached::BtfTracepoint,
        AttachKind::RawTp => Attached::RawTracepoint,
    };
    if probe.costs().is_none() {
        return Err(OverheadError::NoStatistics);
    }
    probe.detach_programs();
    let load = Load::start(cpu)?;
    let ns_per_packet = load.send(Request { warm_up: WARM_UP, packets: 10 * WARM_UP })?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
    let packets = (BLOCK.as_nanos() as f64 / ns_per_packet).max(1.0) as u32;

    let block = Request { warm_up: WARM_UP, packets };
    let (mut rounds, mut random, start) =
        (Rounds::default(), fastrand::Rng::with_seed(monotonic_ns()), Instant::now());
    while start.elapsed() < time && !is_over().await {
        if rounds.without.len().is_multiple_of(CALIBRATE_EVERY) {
            calibrate(&mut probe, &load, block)?;
        }
        let mut order = [Side::Without, Side::Empty, Side::Nicmon];
        random.shuffle(&mut order);
        for side in order {
            rounds.add_block(side, &mut probe, &load, block, cpu)?;
        }
    }
    rounds.report(cpu, attached).ok_or(OverheadError::Interrupted)
}

/// Measures what a run of each program costs under this load.
fn calibrate(probe: &mut Probe, load: &Load, block: Request) -> Result<(), OverheadError> {
    probe.attach_programs()?;
    // A little longer than the measurement takes.
    let blocks = 1 + (CALIBRATION_WINDOW.as_nanos() / BLOCK.as_nanos());
    let packets = block.packets.saturating_mul(u32::try_from(blocks).unwrap_or(1));
    load.begin(Request { packets, ..block })?;
    probe.calibrate();
    load.finish()?;
    probe.detach_programs();
    Ok(())
}

impl Rounds {
    fn add_block(
        &mut self,
        side: Side,
        probe: &mut Probe,
        load: &Load,
        block: Request,
        cpu: u32,
    ) -> Result<(), OverheadError> {
        match side {
            Side::Without => self.without.push(load.send(block)?),
            Side::Empty => {
                probe.attach_empties()?;
                self.empty.push(load.send(block)?);
                probe.detach_empties();
            }
            Side::Nicmon => {
                probe.attach_programs()?;
                probe.read()?;
                let ns = load.send(block)?;
                let reading = probe.read()?;
                probe.detach_programs();
                self.nicmon.push(ns);
                // The packets before the block are counted, too, and cost about as much.
                self.time_ns += ns * f64::from(block.warm_up + block.packets);
                let costs = reading.programs.unwrap_or_default();
                for own in costs.cpus.iter().filter(|own| own.cpu == cpu) {
                    self.runs += own.runs;
                    self.inside_ns += own.cost.unwrap_or_default().ns;
                }
            }
        }
        Ok(())
    }

    /// `None` of too few rounds.
    fn report(&self, cpu: u32, attached: Attached) -> Option<OverheadReport> {
        let each = |first: &[f64], value: fn(f64, f64) -> f64| {
            let both = first.iter().zip(&self.without);
            Measure::of(&both.map(|(with, without)| value(*with, *without)).collect::<Vec<_>>())
        };
        let empty_ns = each(&self.empty, |with, without| with - without)?;
        let call_ns = empty_ns.times(1.0 / HOOKS);
        let own_ns = self.inside_ns as f64 + self.runs as f64 * call_ns.mean;
        Some(OverheadReport {
            schema: SCHEMA.to_owned(),
            cpu,
            attached,
            blocks: u32::try_from(self.without.len()).unwrap_or(u32::MAX),
            without_ns: Measure::of(&self.without)?,
            empty_ns,
            nicmon_ns: each(&self.nicmon, |with, without| with - without)?,
            call_ns,
            measured_pct: each(&self.nicmon, |with, without| (with - without) / with * 100.0)?,
            self_pct: own_ns / self.time_ns * 100.0,
        })
    }
}
