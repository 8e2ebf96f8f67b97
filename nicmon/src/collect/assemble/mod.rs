//! Makes a frame from an observation. This is a pure function, so a saved observation gives the same
//! frame again.

mod attribution;
mod cpus;
mod drivers;
mod drops;
mod dummies;
mod histograms;
mod host;
mod irqs;
mod napis;
mod netns;
mod nics;
mod outside;
mod own;
mod sampled;
mod sockets;
mod stacks;
mod traffic;
mod weights;
mod windowed;

use self::{attribution::Attribution, dummies::Dummies, weights::Weights};
pub(super) use self::{
    cpus::{Between, busy_ns},
    nics::BACKLOG,
    outside::names as softirq_rows,
};
use super::{Filter, observation::Observation};
use crate::frame::{Frame, SCHEMA};

/// The frame of an observation, reduced to what the filter shows.
pub fn assemble(seen: &Observation, filter: &Filter) -> Frame {
    let dummies = Dummies::of(seen);
    let Some((as_if_exact, estimates)) = windowed::estimated(seen, &dummies) else {
        return assemble_as_exact(seen, filter, &dummies);
    };
    let mut frame = assemble_as_exact(&as_if_exact, filter, &dummies);
    if let Some(windows) = &seen.reading.windows {
        windowed::mark(&mut frame, windows, &estimates, &dummies);
    }
    frame
}

/// What samples stand for; `None` if there are none.
fn weights(seen: &Observation, filter: &Filter) -> Option<Weights> {
    let samples = seen.reading.samples.as_ref()?;
    let interval = weights::Interval {
        ns: seen.interval_ns,
        ticks_per_second: seen.facts.ticks_per_second,
        is_sampled_throughout: seen.is_sampled_throughout(),
    };
    Some(Weights::of(samples, &cpus::busy_ns(seen, filter), interval, seen.sample_limit_per_s))
}

/// The frame of an observation whose times are exact, or are to be marked as estimates afterwards.
fn assemble_as_exact(seen: &Observation, filter: &Filter, dummies: &Dummies) -> Frame {
    let cpus = cpus::cpus(seen, filter);
    let irqs = irqs::irqs(seen, filter);
    let mut nics = nics::nics(seen, filter, &irqs, dummies);

    // A driver's cost covers all its NICs, so the NICs are filtered afterwards.
    let weights = weights(seen, filter);
    let attribution = weights.as_ref().and_then(|weights| Attribution::of(seen, filter, weights, dummies));
    let mut drivers = None;
    if let Some(attribution) = &attribution {
        nics.extend(outside::nics(&attribution.outside));
        let by_driver = drivers::by_driver(attribution, &nics);
        let estimates = sampled::estimates(attribution, &nics, &by_driver);
        drivers = Some(drivers::drivers(attribution, &nics, &by_driver, seen));
        for (nic, estimate) in nics.iter_mut().zip(estimates) {
            estimate.write_to(nic);
        }
    }
    nics.retain(|nic| {
        let link = nic.netns.and_then(|netns| seen.facts.link((netns, nic.ifindex)));
        let alt_names = link.into_iter().flat_map(|link| &link.link.alt_names);
        filter.shows_interface(std::iter::once(&nic.name).chain(alt_names).map(String::as_str))
    });
    if let Some(drivers) = &mut drivers {
        drivers.retain(|driver| nics.iter().any(|nic| nic.driver.as_ref() == Some(&driver.driver)));
    }

    let host = host::host(seen, weights.as_ref());
    let sockets =
        attribution.as_ref().and_then(|attribution| sockets::sockets(attribution, &host, seen.interval_ns));
    Frame {
        schema: SCHEMA.to_owned(),
        seq: seen.seq,
        time: seen.time.clone(),
        mono_ns: seen.reading.mono_ns,
        boot_id: seen.facts.machine.boot_id.clone(),
        interval_ns: seen.interval_ns,
        window: None,
        host,
        cpus,
        softirqs: histograms::softirqs(seen, filter),
        nics,
        drivers,
        sockets,
        stacks: stacks::stacks(seen, filter),
        irqs,
        netns: netns::netns(seen),
        topology: seen.topology.clone(),
        findings: None,
        headroom: None,
        not_judged: Vec::new(),
        rules_version: None,
        own: own::own_cost(seen),
    }
}
