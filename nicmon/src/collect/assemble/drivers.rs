//! `drivers[]`: exact interrupt time of a driver's NICs, samples of its code, and the traffic of its
//! NICs.

use super::{
    Observation,
    attribution::{Attribution, InDriver, Tally},
    traffic::{self, Traffic},
};
use crate::{
    frame::{Companion, Driver, Nic, SampledFunction, Share, can_be_polled, ns_per, pct_of},
    symbols::{self, Seed, Unknown},
};

/// How many functions are listed per driver.
const FUNCTIONS: usize = 20;

/// A kind of interface that has a NAPI only if its program asks for one, as few do (`tun_attach`,
/// `drivers/net/tun.c`).
const NAPI_ON_REQUEST: &str = "tun";

/// A driver and its NICs, as positions in the list of all NICs.
pub(super) struct ByDriver<'a> {
    pub(super) driver: &'a str,
    /// Whether at least one of its NAPIs was polled.
    is_polled: bool,
    pub(super) nics: Vec<usize>,
}

/// All drivers that have a NIC.
pub(super) fn by_driver<'a>(attribution: &Attribution<'a>, nics: &[Nic]) -> Vec<ByDriver<'a>> {
    let own = |driver: &str| {
        let of_driver = nics.iter().enumerate().filter(|(_, nic)| nic.driver.as_deref() == Some(driver));
        of_driver.map(|(at, _)| at).collect()
    };
    let by_driver = |Seed { driver, polls, .. }: &'a Seed| ByDriver {
        driver,
        is_polled: !polls.is_empty(),
        nics: own(driver),
    };
    attribution.code.seeds.iter().map(by_driver).collect()
}

/// What each driver cost, the most expensive first. `nics` are all NICs.
pub(super) fn drivers(
    attribution: &Attribution<'_>,
    nics: &[Nic],
    by_driver: &[ByDriver<'_>],
    seen: &Observation,
) -> Vec<Driver> {
    // Packets count on all CPUs, so they can be related to a cost only if all CPUs are sampled.
    let samples = seen.reading.samples.as_ref();
    let is_sampled = |cpu: u32| samples.is_some_and(|samples| samples.cpus.contains(&cpu));
    let is_whole = seen.facts.now.cpus().into_iter().all(is_sampled);
    let driver = |own: &ByDriver<'_>| {
        let nics: Vec<&Nic> = own.nics.iter().map(|at| &nics[*at]).collect();
        let mut driver = driver(attribution, own, &nics, seen);
        if is_whole {
            count_traffic(&mut driver, traffic::of_driver(seen, own.driver));
        }
        driver
    };
    let mut drivers: Vec<Driver> = by_driver.iter().map(driver).collect();
    drivers.sort_by(|a, b| b.cost_cpu_pct.unwrap_or(-1.0).total_cmp(&a.cost_cpu_pct.unwrap_or(-1.0)));
    drivers
}

fn driver(attribution: &Attribution<'_>, own: &ByDriver<'_>, nics: &[&Nic], seen: &Observation) -> Driver {
    let ByDriver { driver, is_polled, .. } = *own;
    let text = attribution.text_of(driver);
    let tally = text.as_ref().ok().map(|text| attribution.of_driver(text));
    let samples = tally.map(|tally| tally.samples);
    let share = samples.and_then(|samples| Share::of(samples, attribution.busy));
    let hardirq_ns: Option<u64> = nics.iter().map(|nic| nic.hardirq_ns).sum();
    let sampled_est_ns = tally.map(Tally::estimate_ns);
    let mut driver = Driver {
        driver: driver.to_owned(),
        origin: attribution.code.text.origin(driver).ok(),
        unknown: text.as_ref().err().map(|unknown| match unknown {
            Unknown::NoSymbol if !is_polled => {
                let kinds = nics.iter().map(|nic| kind(nic, seen));
                why_unpolled(&kinds.collect::<Vec<_>>()).to_owned()
            }
            unknown => unknown.to_string(),
        }),
        samples,
        busy_share_pct: share.map(|share| share.pct),
        busy_share_ci_pct: share.map(|share| share.ci_pct),
        hardirq_ns,
        hardirq_est_ns: None,
        sampled_est_ns,
        cost_cpu_pct: None,
        packets: None,
        bytes: None,
        counted_est_ns: None,
        ns_per_packet: None,
        cpu_s_per_gb: None,
        companions: companions(attribution, driver),
        functions: text.map_or_else(|_| Vec::new(), |text| functions(attribution, text)),
        gap: None,
    };
    driver.cost_cpu_pct = driver.cost_ns().map(|ns| pct_of(ns, seen.interval_ns));
    driver
}

/// What kind of interface a NIC is, if it is not hardware.
fn kind<'a>(nic: &Nic, seen: &'a Observation) -> Option<&'a str> {
    seen.facts.link((nic.netns?, nic.ifindex))?.link.kind.as_deref()
}

/// Why none of these NICs of one driver was polled, by their kinds.
fn why_unpolled(kinds: &[Option<&str>]) -> &'static str {
    if !kinds.iter().any(|kind| can_be_polled(*kind)) {
        "the kernel never polls NICs of this kind"
    } else if kinds.iter().all(|kind| *kind == Some(NAPI_ON_REQUEST)) {
        "no NIC of it was polled yet; the kernel polls only those with IFF_NAPI"
    } else {
        "none of its NICs was polled yet"
    }
}

fn companions(attribution: &Attribution<'_>, driver: &str) -> Vec<Companion> {
    let serving = attribution.companions.values().filter(|(_, companion)| companion.serves(driver));
    let companion = |(samples, companion): &(u64, &'static symbols::Companion)| Companion {
        name: companion.name.to_owned(),
        samples: *samples,
        busy_share_pct: Share::of(*samples, attribution.busy).map(|share| share.pct),
    };
    serving.map(companion).collect()
}

/// The functions of a text with the most samples, by context and process.
fn functions(attribution: &Attribution<'_>, text: &str) -> Vec<SampledFunction> {
    let own = attribution.functions.iter().filter(|(function, _)| function.text == text);
    let mut functions: Vec<SampledFunction> = own
        .map(|(InDriver { symbol, context, comm, .. }, samples)| SampledFunction {
            symbol: (*symbol).to_owned(),
            context: *context,
            comm: (*comm).to_owned(),
            samples: *samples,
            share_pct: Share::of(*samples, attribution.busy).map(|share| share.pct),
        })
        .collect();
    functions.sort_by(|a, b| {
        b.samples.cmp(&a.samples).then_with(|| (&a.symbol, &a.comm).cmp(&(&b.symbol, &b.comm)))
    });
    functions.truncate(FUNCTIONS);
    functions
}

/// Relates a driver's cost to what its NICs received and sent.
fn count_traffic(driver: &mut Driver, traffic: Option<Traffic>) {
    let Some((Traffic { packets, bytes }, ns)) = traffic.zip(driver.cost_ns()) else { return };
    driver.packets = Some(packets);
    driver.bytes = Some(bytes);
    driver.counted_est_ns = Some(ns);
    driver.ns_per_packet = ns_per(ns, packets);
    // ns per byte are seconds per 10^9 bytes.
    driver.cpu_s_per_gb = ns_per(ns, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_to_come_that_never_does() {
        let never = "the kernel never polls NICs of this kind";
        assert_eq!(why_unpolled(&[Some("dummy"), Some("dummy")]), never);
        assert_eq!(why_unpolled(&[Some("openvswitch")]), never);
        assert!(why_unpolled(&[Some("tun"), Some("tun")]).ends_with("only those with IFF_NAPI"));
        assert_eq!(why_unpolled(&[None]), "none of its NICs was polled yet");
        assert_eq!(why_unpolled(&[Some("wireguard")]), "none of its NICs was polled yet");
    }
}
