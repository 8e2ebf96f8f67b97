//! `host`: the machine, and how it was measured.

use super::{Observation, cpus::Between, drops, weights::Weights};
use crate::{
    counters::{SampleEvent, SampleKind, Samples},
    frame::{Host, Sampling, Source},
    host::machine::SOFTIRQS_TAKE_TURNS,
};

/// Facts about the whole machine.
pub(super) fn host(seen: &Observation, weights: Option<&Weights>) -> Host {
    let machine = &seen.facts.machine;
    let samples = seen.reading.samples.as_ref();
    Host {
        hostname: machine.hostname.clone(),
        kernel: machine.kernel.clone(),
        cpus_online: u32::try_from(seen.facts.now.cpus().len()).unwrap_or(u32::MAX),
        source: seen.source,
        source_reason: seen.source_reason.clone(),
        sample_event: samples.map(|samples| samples.event),
        sample_event_reason: samples.and_then(|samples| samples.timer_reason.clone()),
        drivers_reason: drivers_reason(seen),
        drivers_gap: None,
        sockets_gap: None,
        sampling: samples.map(|samples| sampling(samples, weights, seen)),
        sampling_reason: samples
            .zip(weights)
            .and_then(|(samples, weights)| weights.reason(samples.frequency, seen.sample_limit_per_s)),
        accounting: seen.accounting,
        preempt_rt: machine.preempt_rt,
        problems: problems(seen),
        nics_left_out: None,
        netns_left_out: None,
        drops: seen.reading.drops.as_ref().map(|dropped| drops::drops(dropped, &seen.code.symbols)),
    }
}

/// What could not be read, or cannot be believed.
fn problems(seen: &Observation) -> Vec<String> {
    let take_turns = seen.facts.machine.softirqs_take_turns && seen.source == Source::Bpf;
    let read = Between::of(seen).stat_problem().into_iter().chain(seen.facts.now.problems.iter().cloned());
    let read = read.chain(seen.unsampled.clone()).chain(seen.flow_problem.clone());
    let read = read.chain(seen.reading.drops_paused.clone());
    let read = read.chain(seen.reading.windows.as_ref().map(|windows| windows.why.clone()));
    let read = read.chain(seen.reading.windows_refused.clone());
    read.chain(take_turns.then(|| SOFTIRQS_TAKE_TURNS.to_owned())).collect()
}

/// Why the cost of drivers is unknown; `None` if it is known or the user did not ask for it.
fn drivers_reason(seen: &Observation) -> Option<String> {
    if !seen.asked.sampling {
        return None;
    }
    let none = || {
        if seen.reading.windows.as_ref().is_some_and(|windows| windows.new == 0)
            && !seen.is_sampled_throughout()
        {
            return Some("samples count only in windows, and this interval had none".to_owned());
        }
        let text = "none of the CPUs shown is sampled: name isolated and tickless CPUs with -C to have them \
                    sampled";
        seen.reading.samples.is_none().then(|| text.to_owned())
    };
    seen.sampling_problem.clone().or_else(none).or_else(|| seen.code.symbols.problem.clone())
}

fn sampling(samples: &Samples, weights: Option<&Weights>, seen: &Observation) -> Sampling {
    let count = |kind| samples.taken.iter().filter(|sample| sample.kind == kind).count() as u64;
    let (taken, idle) = (samples.taken.len() as u64, count(SampleKind::Idle));
    let cpus = samples.cpus.len();
    let in_interval = u128::from(samples.frequency) * cpus as u128 * u128::from(seen.interval_ns);
    let is_timer = samples.event == SampleEvent::CpuClock;
    Sampling {
        frequency_per_s: Some(samples.frequency),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        samples: taken,
        idle,
        user: count(SampleKind::User),
        busy: taken - idle,
        busy_expected: weights.and_then(|weights| weights.busy_expected),
        // In windows, samples stand for more than their period, as with cycles.
        expected: (is_timer && seen.is_sampled_throughout())
            .then(|| u64::try_from(in_interval / 1_000_000_000).unwrap_or(u64::MAX)),
        lost: samples.lost,
    }
}
