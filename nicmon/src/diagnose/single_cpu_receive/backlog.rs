//! Why the per-CPU backlog fills a CPU: RPS passes packets to it, or packets are sent there.

use super::cause::Blame;
use crate::{
    diagnose::{
        case::told,
        view::{CpuView, Row, View},
    },
    frame::{Cause, Evidence, Unit, topology},
};

pub(super) fn cause<'a>(view: &View<'a>, cpu: &CpuView<'a>, row: &Row<'a>) -> Blame<'a> {
    let number = cpu.cpu.cpu;
    let nic = view.owner_of_backlog(row);
    let queues: Vec<u32> =
        nic.and_then(|nic| view.setup(nic)).into_iter().flat_map(|setup| steered(setup, number)).collect();
    let received_rps = received_rps(view, cpu);
    if !queues.is_empty() {
        let queue = if let [queue] = queues[..] { Some(queue) } else { None };
        let blame = Blame::new(Cause::RpsTarget, "RPS passes the packets to it".to_owned());
        return Blame { nic, queue, ..blame }.with(received_rps);
    }
    if let Some(nic) = nic {
        let why = "it delivers packets on the CPU that sends them".to_owned();
        return Blame { nic: Some(nic), ..Blame::new(Cause::SenderCpu, why) };
    }
    // The NIC's namespace or settings cannot be read, or several come into question, but RPS leaves a trace.
    if received_rps.as_ref().is_some_and(|evidence| evidence.value > 0.0) {
        let why = "RPS passes packets to it; from which NIC is unknown".to_owned();
        return Blame::new(Cause::RpsTarget, why).with(received_rps);
    }
    Blame::new(Cause::Unknown, "which NIC's packets wait in its backlog is unknown".to_owned())
}

/// The queues of a NIC whose packets RPS passes to this CPU.
fn steered(setup: &topology::Nic, cpu: u32) -> impl Iterator<Item = u32> {
    let is_steered =
        move |queue: &&topology::Queue| queue.rps_cpus.as_ref().is_some_and(|cpus| cpus.contains(&cpu));
    setup.queues.iter().filter(is_steered).map(|queue| queue.index)
}

fn received_rps(view: &View<'_>, cpu: &CpuView<'_>) -> Option<Evidence> {
    let count = cpu.cpu.softnet?.received_rps;
    let what = format!("times that RPS woke CPU {}", cpu.cpu.cpu);
    Some(told(what, cpu.field("softnet/received_rps"), view.per_s(count), Unit::PerS))
}
