//! Counts samples by driver, by companion and by poll: whose code ran, and in whose poll.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    super::observation::{DriverCode, NicKey},
    Filter, Observation,
    cpus::busy_ns,
    outside::{Outside, outside},
};
use crate::{
    counters::{SampleEvent, SampleKind, SamplePoll, Samples, TakenSample},
    frame::{Context, Stage},
    symbols::{Companion, Kallsyms, Unknown, stage_of},
};

/// The samples of an interval, counted in the ways that a frame needs.
pub(super) struct Attribution<'a> {
    pub(super) code: &'a DriverCode,
    /// Samples that were not idle.
    pub(super) busy: u64,
    /// By the driver's text, outside hard irqs.
    pub(super) drivers: HashMap<&'a str, u64>,
    pub(super) companions: BTreeMap<&'static str, (u64, &'static Companion)>,
    pub(super) functions: HashMap<InDriver<'a>, u64>,
    /// By poll, then by place.
    pub(super) polls: HashMap<PollOf, HashMap<Place<'a>, u64>>,
    /// Functions in polls that belong to no stage of the stack, with their driver if they have one.
    pub(super) others: HashMap<PollOf, HashMap<(Option<&'a str>, &'a str), u64>>,
    /// The softirqs in which network code ran outside polls, with the CPUs.
    pub(super) outside: BTreeMap<Outside, BTreeSet<u32>>,
    /// What each sample stands for, in ns.
    period_ns: f64,
    kallsyms: &'a Kallsyms,
}

/// A function of a driver, and where it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct InDriver<'a> {
    /// The driver's text.
    pub(super) text: &'a str,
    pub(super) symbol: &'a str,
    pub(super) context: Context,
    pub(super) comm: &'a str,
}

/// The poll that a sample was in, or what stands for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PollOf {
    Nic(NicKey),
    Backlog,
    /// No poll: network code in a softirq other than `NET_RX`.
    Softirq(Outside),
}

/// Where in the code of a poll a sample was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place<'a> {
    Driver(&'a str),
    Stage(Stage),
}

impl<'a> Attribution<'a> {
    /// Counts the samples of the CPUs that are shown. `None` if nothing is sampled or there are no
    /// symbols.
    pub(super) fn of(seen: &'a Observation, filter: &Filter) -> Option<Self> {
        let samples = seen.reading.samples.as_ref()?;
        let kallsyms = seen.code.symbols.current()?;
        let mut this = Self {
            code: seen.code.drivers.as_deref()?,
            busy: 0,
            drivers: HashMap::new(),
            companions: BTreeMap::new(),
            functions: HashMap::new(),
            polls: HashMap::new(),
            others: HashMap::new(),
            outside: BTreeMap::new(),
            period_ns: ns_per_sample(samples, &busy_ns(seen, filter)),
            kallsyms,
        };
        for sample in samples.taken.iter().filter(|sample| filter.shows_cpu(sample.cpu)) {
            this.busy += u64::from(sample.kind != SampleKind::Idle);
            if let Some(context) = context_of(sample.kind) {
                this.add(sample, context);
            }
        }
        Some(this)
    }

    fn add(&mut self, sample: &'a TakenSample, context: Context) {
        let text = &self.code.text;
        let function = self.kallsyms.function_at(sample.address);
        let driver = text.driver_at(sample.address);
        if let Some(driver) = driver {
            // Interrupt handlers are timed exactly: with their samples, they would count twice.
            if context != Context::Hardirq {
                *self.drivers.entry(driver).or_default() += 1;
            }
            if let Some(function) = &function {
                let at = InDriver { text: driver, symbol: function.name, context, comm: &sample.comm };
                *self.functions.entry(at).or_default() += 1;
            }
        }
        if let Some(companion) = text.companion_at(sample.address) {
            self.companions.entry(companion.name).or_insert((0, companion)).0 += 1;
        }
        let poll = match sample.poll {
            None => match function.as_ref().and_then(|function| outside(sample.kind, function, driver)) {
                Some(outside) => {
                    self.outside.entry(outside).or_default().insert(sample.cpu);
                    PollOf::Softirq(outside)
                }
                None => return,
            },
            Some(SamplePoll::Backlog) => PollOf::Backlog,
            Some(SamplePoll::Napi(key)) => PollOf::Nic((key.netns, key.ifindex)),
        };
        let stage = || function.as_ref().map_or(Stage::Other, stage_of);
        let place = driver.map_or_else(|| Place::Stage(stage()), Place::Driver);
        if let (Place::Stage(Stage::Other) | Place::Driver(_), Some(function)) = (place, &function) {
            *self.others.entry(poll).or_default().entry((driver, function.name)).or_default() += 1;
        }
        *self.polls.entry(poll).or_default().entry(place).or_default() += 1;
    }

    /// The name of the text that contains a driver's code. Several drivers may share one.
    ///
    /// # Errors
    /// Why it is not known.
    pub(super) fn text_of(&self, driver: &str) -> Result<&'a str, Unknown> {
        let slot = self.code.text.slot(driver)?;
        Ok(self.code.text.texts().get(usize::from(slot)).map_or("", |text| text.name.as_str()))
    }

    /// Samples in a driver's text, outside hard irqs.
    pub(super) fn of_driver(&self, text: &str) -> u64 {
        self.drivers.get(text).copied().unwrap_or(0)
    }

    /// The time, in ns, that this many samples stand for.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of positive numbers")]
    pub(super) fn estimate_ns(&self, samples: u64) -> u64 {
        (samples as f64 * self.period_ns) as u64
    }
}

/// What a sample stands for, in ns. A timer's sample stands for its period: the only ticks that are
/// missing are those of idle CPUs, which the host of a virtual machine wakes late. How long a number of
/// cycles takes depends on the speed of the CPUs, so for cycles the busy samples share the time for which
/// the CPUs were busy.
fn ns_per_sample(samples: &Samples, busy_ns: &[(u32, u64)]) -> f64 {
    let nominal = 1e9 / f64::from(samples.frequency.max(1));
    let busy = samples.taken.iter().filter(|sample| sample.kind != SampleKind::Idle).count();
    let busy_ns: u64 = busy_ns.iter().map(|(_, ns)| ns).sum();
    match samples.event {
        SampleEvent::Cycles if busy > 0 && busy_ns > 0 => busy_ns as f64 / busy as f64,
        _ => nominal,
    }
}

/// The context in which kernel code ran; `None` if it did not.
pub(super) fn context_of(kind: SampleKind) -> Option<Context> {
    match kind {
        SampleKind::Idle | SampleKind::User => None,
        SampleKind::HardIrq => Some(Context::Hardirq),
        SampleKind::Softirq(_) | SampleKind::SoftirqLoop => Some(Context::Softirq),
        SampleKind::Task => Some(Context::Task),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_samples_stand_for_a_period_and_cycle_samples_share_busy_time() {
        let sample = |kind| TakenSample {
            cpu: 0,
            address: 0,
            kind,
            poll: None,
            pid: 0,
            comm: String::new(),
            stack: Vec::new(),
        };
        let samples = |event, taken: &[SampleKind]| Samples {
            event,
            frequency: 100,
            cpus: 2,
            taken: taken.iter().map(|kind| sample(*kind)).collect(),
            lost: 0,
        };
        let taken = [SampleKind::User, SampleKind::Idle, SampleKind::Task, SampleKind::Softirq(3)];
        let close = |value: f64, expected: f64| (value - expected).abs() < 1e-6;
        let busy = [(0, 50_000_000), (1, 10_000_000)];
        assert!(close(ns_per_sample(&samples(SampleEvent::CpuClock, &taken), &busy), 1e7));
        // At half the speed, or on a CPU that is busy for longer, the same cycles take longer.
        assert!(close(ns_per_sample(&samples(SampleEvent::Cycles, &taken), &busy), 2e7));
        assert!(
            close(ns_per_sample(&samples(SampleEvent::Cycles, &[]), &busy), 1e7),
            "there is nothing to share"
        );
        assert!(close(ns_per_sample(&samples(SampleEvent::Cycles, &taken), &[]), 1e7), "unknown busy time");
    }
}
