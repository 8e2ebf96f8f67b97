//! `socket-drops`: a program reads too slowly from its UDP sockets. docs/findings/socket-drops.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, compared, told},
    saturation,
    view::View,
};
use crate::frame::{Evidence, FindingId, Netns, Severity, Subject, UdpReader, Unit};

pub(super) const RULE: Rule = Rule { id: FindingId::SocketDrops, hold: Hold::LASTING, cases };

/// Fewer datagrams per second than this are of no account ...
const LEAST_PER_S: f64 = 10.0;
/// ... and so is a smaller part of the packets.
const LEAST_PART: f64 = 1e-3;
/// Below this part of either limit, it is over.
const OVER: f64 = 0.5;

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    let namespaces = &view.frame.netns;
    if namespaces.iter().all(|netns| netns.udp_rcvbuf_errors.is_none()) {
        return Err("no network namespace says how many datagrams its sockets dropped".to_owned());
    }
    // A reader that gets no time because receiving fills its CPU is that finding, not this one.
    let is_full = view.cpus.iter().any(|cpu| saturation::level(cpu) == Some(Level::Bad));
    let of_netns = |(at, netns): (usize, &Netns)| {
        let dropped = netns.udp_rcvbuf_errors?;
        let part = dropped as f64 / netns.ip_packets.unwrap_or(0).max(dropped).max(1) as f64;
        let rate = view.per_s(dropped);
        let level = if rate < LEAST_PER_S * OVER || part < LEAST_PART * OVER {
            Level::Good
        } else if rate >= LEAST_PER_S && part >= LEAST_PART && !is_full {
            Level::Bad
        } else {
            Level::Between
        };
        let key = Key::Netns(netns.inum);
        (level != Level::Good || standing.contains(&key)).then(|| case(view, at, netns, level, rate))
    };
    Ok(namespaces.iter().enumerate().filter_map(of_netns).collect::<Vec<Case>>().into())
}

fn case(view: &View<'_>, at: usize, netns: &Netns, level: Level, rate: f64) -> Case {
    let reader = netns.udp_reader.as_ref();
    let comm = reader.and_then(|reader| reader.comm.clone());
    let why = why(view, netns, reader);
    let subject = Subject { netns: Some(netns.inum), comm, ..Subject::default() };
    let mut case = Case::new(Key::Netns(netns.inum), level, Severity::Warning, subject, why);
    let field = format!("/netns/{at}/udp_rcvbuf_errors");
    case.evidence.push(compared("datagrams dropped".to_owned(), field, rate, Unit::PerS, LEAST_PER_S));
    let received = view.per_s(netns.ip_packets.unwrap_or(0));
    let field = format!("/netns/{at}/ip_packets");
    case.evidence.push(told("packets received there".to_owned(), field, received, Unit::PerS));
    case.evidence.extend(reader.into_iter().flat_map(|reader| of_reader(view, at, reader)));
    // Where the quota is known, it is in the evidence.
    let is_known = reader.is_some_and(|reader| reader.nr_throttled.is_some());
    if !is_known && (netns.cgroup.is_some() || reader.is_some_and(|reader| reader.pid.is_some())) {
        let text =
            "a CPU quota of its control group may be what slows the program down (cpu.stat: nr_throttled)";
        case.caveats.push(text.to_owned());
    }
    case
}

fn why(view: &View<'_>, netns: &Netns, reader: Option<&UdpReader>) -> String {
    let place = netns.name.as_ref().map_or_else(String::new, |name| format!(" in namespace {name}"));
    let program = reader.and_then(|UdpReader { pid, comm, .. }| {
        let pid = (*pid)?;
        Some(comm.as_ref().map_or_else(|| format!("process {pid}"), |comm| format!("{comm} (pid {pid})")))
    });
    let Some(program) = program else {
        return format!("a program reads too slowly from a UDP socket{place}, and its buffer overflows");
    };
    let throttled = reader.and_then(|reader| reader.nr_throttled).map_or(0.0, |count| view.per_s(count));
    if throttled > 0.0 {
        let often = if throttled < 1.5 { "about once".to_owned() } else { format!("{throttled:.0} times") };
        return format!(
            "the CPU quota of its control group stops {program} {often} per second, so it reads too slowly \
             from a UDP socket{place}, and its buffer overflows"
        );
    }
    format!("{program} reads too slowly from a UDP socket{place}, and its buffer overflows")
}

/// What is known of the reader.
fn of_reader(view: &View<'_>, at: usize, reader: &UdpReader) -> Vec<Evidence> {
    let field = |name: &str| format!("/netns/{at}/udp_reader/{name}");
    let rate = |count: u64, what: &str, name: &str| {
        told(what.to_owned(), field(name), view.per_s(count), Unit::PerS)
    };
    let dropped = reader.dropped.map(|count| rate(count, "of them by the socket that drops most", "dropped"));
    let quota = "times that the CPU quota of its reader was used up";
    let throttled = reader.nr_throttled.map(|count| rate(count, quota, "nr_throttled"));
    let stopped = reader.throttled_ns.map(|ns| {
        let what = "time that the quota stopped it, added up over CPUs".to_owned();
        told(what, field("throttled_ns"), view.pct(ns), Unit::Pct)
    });
    [dropped, throttled, stopped].into_iter().flatten().collect()
}
