//! `ring-overrun`: a NIC had no buffers left. docs/findings/ring-overrun.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, compared, told},
    view::View,
};
use crate::frame::{FindingId, Nic, Severity, Subject, Unit};

pub(super) const RULE: Rule =
    Rule { id: FindingId::RingOverrun, hold: Hold { bad_s: 3.0, of_s: 5.0, good_s: 5.0 }, cases };

/// Fewer lost packets per second than this are of no account ...
const LEAST_PER_S: f64 = 10.0;
/// ... and so is a smaller part of the packets.
const LEAST_PART: f64 = 1e-5;
/// Below this part of either limit, it is over.
const OVER: f64 = 0.5;

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    if view.frame.nics.iter().all(|nic| nic.counters.drops.is_none()) {
        return Err("no NIC says how many packets it lost".to_owned());
    }
    let of_nic = |(at, nic): (usize, &Nic)| {
        let (drops, packets) = (nic.counters.drops?, nic.counters.rx_packets?);
        let lost = drops.rx_missed.saturating_add(drops.rx_fifo);
        let key = Key::Nic(nic.netns?, nic.ifindex);
        let part = lost as f64 / packets.saturating_add(lost).max(1) as f64;
        let rate = view.per_s(lost);
        let level = if rate >= LEAST_PER_S && part >= LEAST_PART {
            Level::Bad
        } else if rate < LEAST_PER_S * OVER || part < LEAST_PART * OVER {
            Level::Good
        } else {
            Level::Between
        };
        (level != Level::Good || standing.contains(&key)).then(|| case(view, at, nic, key, level, rate))
    };
    Ok(view.frame.nics.iter().enumerate().filter_map(of_nic).collect::<Vec<Case>>().into())
}

fn case(view: &View<'_>, at: usize, nic: &Nic, key: Key, level: Level, rate: f64) -> Case {
    let ring = view.setup(nic).and_then(|setup| setup.rings).and_then(|rings| rings.rx.zip(rings.rx_max));
    let size =
        ring.map_or_else(String::new, |(now, most)| format!(" ({now} of {most} possible descriptors)"));
    let why = format!("{} loses packets because its receive ring{size} is full", nic.name);
    let subject = Subject { nic: Some(nic.name.clone()), netns: nic.netns, ..Subject::default() };
    let mut case = Case::new(key, level, Severity::Critical, subject, why);
    let field = format!("/nics/{at}/drops/rx_missed");
    case.evidence.push(compared("packets lost".to_owned(), field, rate, Unit::PerS, LEAST_PER_S));
    let received = view.per_s(nic.counters.rx_packets.unwrap_or(0));
    let field = format!("/nics/{at}/rx_packets");
    case.evidence.push(told("packets received".to_owned(), field, received, Unit::PerS));
    case
}
