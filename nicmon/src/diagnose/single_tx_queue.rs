//! `single-tx-queue`: many CPUs send through one queue, and it is full. docs/findings/single-tx-queue.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, compared, told},
    setup::Origin,
    view::View,
};
use crate::frame::{
    FindingId, Nic, Severity, Subject, Unit,
    topology::{self, QueueKind},
};

pub(super) const RULE: Rule = Rule { id: FindingId::SingleTxQueue, hold: Hold::LASTING, cases };

/// How many CPUs send ...
const LEAST_SENDERS: usize = 4;
/// ... which is seen by this many `NET_TX` runs per second on each. A CPU that sends raises it if the driver
/// takes no more, or if it has sent a batch and there is more (`__qdisc_run`, `net/sched/sch_generic.c`).
const LEAST_RUNS_PER_S: f64 = 10.0;
/// With no more senders than this, it is over.
const FEW_SENDERS: usize = 2;
/// Fewer packets put back per second than this are of no account.
const LEAST_REQUEUES_PER_S: f64 = 10.0;
/// Below this part of that, it is over.
const OVER: f64 = 0.5;
/// From this part of the link's speed on, the link is what limits, and more queues would not help.
const FULL_LINK: f64 = 0.9;

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    if !view.frame.has_all_cpus() {
        return Err("the frame does not have all CPUs (-C)".to_owned());
    }
    let senders = senders(view);
    if senders <= FEW_SENDERS && standing.is_empty() {
        return Ok(Cases::default());
    }
    if view.topology().is_none() {
        return Err("how many queues NICs have is unknown: no frame had the topology yet".to_owned());
    }
    let of_nic = |(at, nic): (usize, &Nic)| {
        let key = Key::Nic(nic.netns?, nic.ifindex);
        let level = if has_one_queue(view, nic) { level(view, nic, senders) } else { Level::Good };
        (level != Level::Good || standing.contains(&key)).then(|| case(view, at, nic, key, level, senders))
    };
    Ok(view.frame.nics.iter().enumerate().filter_map(of_nic).collect::<Vec<Case>>().into())
}

/// The NICs whose requeues would show whether this rule holds.
pub(super) fn requeues_of(view: &View<'_>) -> Vec<(u32, u32)> {
    if senders(view) <= FEW_SENDERS {
        return Vec::new();
    }
    let nics = view.frame.nics.iter().filter(|nic| has_one_queue(view, nic));
    nics.filter_map(|nic| Some((nic.netns?, nic.ifindex))).collect()
}

/// How many CPUs send more than a driver takes at once.
fn senders(view: &View<'_>) -> usize {
    let runs = view.cpus.iter().filter_map(|cpu| Some(cpu.cpu.softirq?.net_tx.count));
    runs.filter(|runs| view.per_s(*runs) >= LEAST_RUNS_PER_S).count()
}

/// Whether it is hardware with one transmit queue, and sends.
fn has_one_queue(view: &View<'_>, nic: &Nic) -> bool {
    let sends = nic.counters.tx_packets.is_some_and(|packets| packets > 0);
    sends
        && view.origin(nic) == Origin::Hardware
        && view.setup(nic).is_some_and(|setup| tx_queues(setup) == 1)
}

fn tx_queues(setup: &topology::Nic) -> usize {
    setup.queues.iter().filter(|queue| queue.kind == QueueKind::Tx).count()
}

fn level(view: &View<'_>, nic: &Nic, senders: usize) -> Level {
    let link_bits_per_s =
        view.setup(nic).and_then(|setup| setup.speed_mbps).map(|mbps| f64::from(mbps) * 1e6);
    // The counter has neither preamble, gap nor checksum.
    let (bytes, packets) = (nic.counters.tx_bytes.unwrap_or(0), nic.counters.tx_packets.unwrap_or(0));
    let sent_bits_per_s = view.per_s(bytes.saturating_add(packets.saturating_mul(24))) * 8.0;
    let is_full = link_bits_per_s.is_some_and(|speed| sent_bits_per_s >= speed * FULL_LINK);
    let requeues = nic.tx_requeues.map(|requeues| view.per_s(requeues));
    if senders <= FEW_SENDERS || requeues.is_some_and(|rate| rate < LEAST_REQUEUES_PER_S * OVER) {
        Level::Good
    } else if senders >= LEAST_SENDERS
        && !is_full
        && requeues.is_some_and(|rate| rate >= LEAST_REQUEUES_PER_S)
    {
        Level::Bad
    } else {
        Level::Between
    }
}

fn case(view: &View<'_>, at: usize, nic: &Nic, key: Key, level: Level, senders: usize) -> Case {
    let name = &nic.name;
    let why =
        format!("{senders} CPUs send through the only transmit queue of {name}, and wait because it is full");
    let subject = Subject { nic: Some(name.clone()), netns: nic.netns, queue: Some(0), ..Subject::default() };
    let mut case = Case::new(key, level, Severity::Info, subject, why);
    if let Some(requeues) = nic.tx_requeues.map(|requeues| view.per_s(requeues)) {
        let (what, field) = ("packets put back".to_owned(), format!("/nics/{at}/tx_requeues"));
        case.evidence.push(compared(what, field, requeues, Unit::PerS, LEAST_REQUEUES_PER_S));
    }
    let what = "CPUs with NET_TX".to_owned();
    case.evidence.push(compared(what, "/cpus".to_owned(), senders as f64, Unit::Count, LEAST_SENDERS as f64));
    let sent = view.per_s(nic.counters.tx_packets.unwrap_or(0));
    let field = format!("/nics/{at}/tx_packets");
    case.evidence.push(told("packets sent".to_owned(), field, sent, Unit::PerS));
    case.caveats
        .push("what takes the packets may be the limit: the link, or a virtual machine's host".to_owned());
    case.caveats.push("a CPU that frees what other CPUs sent is counted as well".to_owned());
    case
}
