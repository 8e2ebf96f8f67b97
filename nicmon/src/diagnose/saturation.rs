//! When a CPU is full of receiving: what `single-cpu-receive`, `machine-saturated` and `cpu-shared` share.

use super::{
    case::{Level, compared, told},
    setup::Origin,
    view::{CpuView, View},
};
use crate::frame::{Evidence, Severity, Unit};

/// A CPU with no more idle time than this is full.
pub(super) const FULL_PCT: f64 = 5.0;
/// With this much idle time, it is no longer full.
pub(super) const ROOM_PCT: f64 = 10.0;
/// Receiving takes at least this much of a CPU that is full of it.
pub(super) const RECEIVE_PCT: f64 = 40.0;
/// Below this, it no longer does.
const LITTLE_RECEIVE_PCT: f64 = 30.0;
/// With ksoftirqd at this share of the CPU, packets wait for tasks.
const KSOFTIRQD_PCT: f64 = 20.0;
/// A few runs that end early are normal; this part of them is not.
const SQUEEZED: f64 = 0.01;

/// Whether a CPU is full of receiving; `None` if that is unknown. If too much of its time is stolen, it is
/// neither good nor bad.
pub(super) fn level(cpu: &CpuView<'_>) -> Option<Level> {
    let (idle, receive) = (cpu.idle_pct?, cpu.receive_pct?);
    Some(if idle >= ROOM_PCT || receive < LITTLE_RECEIVE_PCT {
        Level::Good
    } else if idle <= FULL_PCT && receive >= RECEIVE_PCT && !cpu.is_stolen() {
        Level::Bad
    } else {
        Level::Between
    })
}

/// Signs that packets are lost or late on a CPU.
pub(super) fn losses(view: &View<'_>, cpu: &CpuView<'_>) -> Vec<Evidence> {
    let mut signs = Vec::new();
    let number = cpu.cpu.cpu;
    if let Some(softnet) = cpu.cpu.softnet {
        if softnet.dropped > 0 {
            let what = format!("packets that the backlog of CPU {number} dropped");
            let dropped = softnet.dropped as f64;
            signs.push(compared(what, cpu.field("softnet/dropped"), dropped, Unit::Packets, 0.0));
        }
        let ksoftirqd = cpu.cpu.ksoftirqd_ns.map_or(0.0, |ns| view.pct(ns));
        let runs = cpu.cpu.softirq.map_or(0, |all| all.net_rx.vector.count);
        let is_squeezed = runs > 0 && softnet.time_squeeze as f64 >= runs as f64 * SQUEEZED;
        if ksoftirqd >= KSOFTIRQD_PCT && is_squeezed {
            let field = cpu.field("ksoftirqd_ns");
            let what = format!("ksoftirqd/{number}");
            signs.push(compared(what, field, ksoftirqd, Unit::PctOfCpu, KSOFTIRQD_PCT));
            let squeezes = softnet.time_squeeze as f64;
            let what = "runs of NET_RX that ended with work left".to_owned();
            signs.push(told(what, cpu.field("softnet/time_squeeze"), squeezes, Unit::Count));
        }
    }
    for row in cpu.rows.iter().filter(|row| view.origin(row.nic) == Origin::Hardware) {
        let lost = row.nic.counters.drops.map_or(0, |drops| drops.rx_missed.saturating_add(drops.rx_fifo));
        if lost > 0 {
            let what = format!("packets that {} had no buffers for", row.nic.name);
            let field = format!("/nics/{}/drops/rx_missed", row.at);
            signs.push(compared(what, field, lost as f64, Unit::Packets, 0.0));
        }
    }
    signs
}

/// Critical only if packets are lost or late.
pub(super) fn severity(losses: &[Evidence]) -> Severity {
    if losses.is_empty() { Severity::Warning } else { Severity::Critical }
}

/// Idle time of a CPU.
pub(super) fn idle(cpu: &CpuView<'_>, limit: f64) -> Evidence {
    let what = format!("idle time of CPU {}", cpu.cpu.cpu);
    compared(what, cpu.field("stat/idle_pct"), cpu.idle_pct.unwrap_or(0.0), Unit::PctOfCpu, limit)
}

/// Receive time of a CPU.
pub(super) fn receive(cpu: &CpuView<'_>, limit: f64) -> Evidence {
    let what = format!("receiving on CPU {}", cpu.cpu.cpu);
    compared(what, cpu.field("softirq/net_rx/ns"), cpu.receive_pct.unwrap_or(0.0), Unit::PctOfCpu, limit)
}
