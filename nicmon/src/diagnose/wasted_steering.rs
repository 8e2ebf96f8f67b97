//! `wasted-steering`: RPS moves packets that the NIC's queues spread already.
//! docs/findings/wasted-steering.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, compared, told},
    setup::rps_targets,
    view::{BACKLOG, IN_WINDOWS, View, total},
};
use crate::frame::{FindingId, NapiCpu, NapiKind, Nic, Severity, Subject, Unit};

pub(super) const RULE: Rule = Rule { id: FindingId::WastedSteering, hold: Hold::LASTING, cases };

/// What RPS takes of all `NET_RX` time.
const MUCH_PCT: f64 = 10.0;
/// Below this, it is of no account.
const LITTLE_PCT: f64 = 5.0;
/// A queue with a smaller part of the NIC's polls is idle.
const IDLE_PART: f64 = 0.05;
/// A NIC with fewer packets than this part of what the backlog handled is not what RPS works for.
const OWNS_BACKLOG: f64 = 0.5;

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    if view.topology().is_none() {
        return Err("how RPS is set up is unknown: no frame had the topology yet".to_owned());
    }
    let net_rx = view.cpus.iter().filter_map(|cpu| cpu.cpu.softirq?.net_rx.vector.time_ns());
    let all_ns = total(net_rx);
    if view.cpus.iter().all(|cpu| cpu.cpu.softirq.is_none_or(|all| all.net_rx.vector.time_ns().is_none())) {
        return Err("times are unknown, because the eBPF programs are not in use".to_owned());
    }
    let backlog = view.frame.nics.iter().enumerate().find(|(_, nic)| nic.name == BACKLOG);
    let backlog_ns = backlog.and_then(|(_, nic)| nic.poll_time_ns()).unwrap_or(0);
    let pct = backlog_ns as f64 / all_ns.max(1) as f64 * 100.0;
    if pct < LITTLE_PCT && standing.is_empty() {
        return Ok(Cases::default());
    }
    if view.is_estimated() {
        return Err(IN_WINDOWS.to_owned());
    }
    let handled = backlog.map_or(0, |(_, nic)| total(nic.cpus.iter().filter_map(|on| on.work)));
    let place = backlog.map_or(0, |(at, _)| at);
    let of_nic = |nic: &Nic| {
        let (level, queues, targets) = judge(view, nic, pct, handled)?;
        let key = Key::Nic(nic.netns?, nic.ifindex);
        (level != Level::Good || standing.contains(&key))
            .then(|| case(nic, key, level, (queues, targets), (place, pct)))
    };
    Ok(view.frame.nics.iter().filter_map(of_nic).collect::<Vec<Case>>().into())
}

/// How a NIC with RPS does, how many queues receive, and over how many CPUs RPS spreads.
fn judge(view: &View<'_>, nic: &Nic, pct: f64, handled: u64) -> Option<(Level, usize, usize)> {
    let setup = view.setup(nic)?;
    let targets = rps_targets(setup).len();
    if targets == 0 {
        return None;
    }
    let flows = view.topology().and_then(|topology| topology.sysctls.rps_sock_flow_entries).unwrap_or(0);
    let steers_flows = flows > 0 && setup.queues.iter().any(|queue| queue.rps_flow_cnt.unwrap_or(0) > 0);
    let queues = busy_queues(nic);
    let packets = nic.counters.rx_packets.unwrap_or(0);
    let spreads = queues > 1 && queues >= targets && packets as f64 >= handled as f64 * OWNS_BACKLOG;
    let level = if !spreads || steers_flows || pct < LITTLE_PCT {
        Level::Good
    } else if pct >= MUCH_PCT {
        Level::Bad
    } else {
        Level::Between
    };
    Some((level, queues, targets))
}

/// Queues that receive a fair part of the packets.
fn busy_queues(nic: &Nic) -> usize {
    let rx = nic.napis.iter().flatten().filter(|napi| napi.kind != Some(NapiKind::Tx));
    let work: Vec<u64> = rx.map(|napi| total(napi.cpus.iter().map(NapiCpu::relative_work))).collect();
    let all = total(work.iter().copied());
    work.into_iter().filter(|work| *work as f64 > all as f64 * IDLE_PART).count()
}

fn case(
    nic: &Nic,
    key: Key,
    level: Level,
    (queues, targets): (usize, usize),
    (backlog, pct): (usize, f64),
) -> Case {
    let name = &nic.name;
    let why = format!(
        "RPS takes {pct:.0} % of the receive time, although {name} has {queues} queues that spread its \
         packets already"
    );
    let subject = Subject { nic: Some(name.clone()), netns: nic.netns, ..Subject::default() };
    let mut case = Case::new(key, level, Severity::Info, subject, why);
    let what = "the backlog's part of NET_RX".to_owned();
    case.evidence.push(compared(what, format!("/nics/{backlog}/poll_ns"), pct, Unit::Pct, MUCH_PCT));
    let what = "CPUs that RPS spreads over".to_owned();
    case.evidence.push(told(what, "/topology/nics".to_owned(), targets as f64, Unit::Count));
    case.caveats.push("the backlog also handles loopback and devices without NAPI".to_owned());
    let meant = "RPS may be meant, to receive on cores that share a cache with the readers";
    case.caveats.push(meant.to_owned());
    case
}
