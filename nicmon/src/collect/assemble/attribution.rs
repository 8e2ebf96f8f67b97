//! Counts samples by driver, by companion and by poll: whose code ran, and in whose poll.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nicmon_common::SOCKETS_ONE_IN;

use super::{
    super::observation::{DriverCode, NicKey},
    Filter, Observation,
    dummies::{Dummies, Home},
    outside::{Outside, outside},
    weights::Weights,
};
use crate::{
    counters::{SampleKind, SamplePoll, TakenSample},
    frame::{Context, Direction, Stage},
    symbols::{Companion, Kallsyms, Unknown, stage_of},
};

/// The samples of an interval, counted in the ways that a frame needs.
pub(super) struct Attribution<'a> {
    pub(super) code: &'a DriverCode,
    /// Samples that were not idle.
    pub(super) busy: u64,
    /// By the driver's text, outside hard irqs.
    drivers: HashMap<&'a str, Tally>,
    pub(super) companions: BTreeMap<&'static str, (u64, &'static Companion)>,
    pub(super) functions: HashMap<InDriver<'a>, u64>,
    /// By poll, then by place.
    pub(super) polls: HashMap<PollOf, HashMap<Place<'a>, Tally>>,
    /// Functions in polls that belong to no stage of the stack, with their driver if they have one.
    pub(super) others: HashMap<PollOf, HashMap<(Option<&'a str>, &'a str), u64>>,
    /// The softirqs in which network code ran outside polls, with the CPUs.
    pub(super) outside: BTreeMap<Outside, BTreeSet<u32>>,
    /// By program and direction; `None` if calls of sockets were not looked for in all samples.
    pub(super) sockets: Option<HashMap<(&'a str, Direction), Tally>>,
    /// Whether the samples say in whose poll they were.
    pub(super) knows_polls: bool,
    weights: &'a Weights,
    pub(super) dummies: &'a Dummies,
    kallsyms: &'a Kallsyms,
}

/// Samples, and the time that they stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) samples: u64,
    ns: f64,
}

impl Tally {
    fn add(&mut self, ns: f64) {
        self.samples += 1;
        self.ns += ns;
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { samples: self.samples + other.samples, ns: self.ns + other.ns }
    }

    /// The time in ns.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of positive numbers")]
    pub(super) fn estimate_ns(self) -> u64 {
        self.ns.round() as u64
    }
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
    /// A row of [`Dummies`].
    Dummies(usize),
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
    pub(super) fn of(
        seen: &'a Observation,
        filter: &Filter,
        weights: &'a Weights,
        dummies: &'a Dummies,
    ) -> Option<Self> {
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
            sockets: samples.has_sockets.then(HashMap::new),
            knows_polls: !seen.counts_only(),
            weights,
            dummies,
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
        let ns = self.weights.ns(sample.cpu);
        let function = self.kallsyms.function_at(sample.address);
        let driver = text.driver_at(sample.address);
        if let Some(driver) = driver {
            // Interrupt handlers are timed exactly: with their samples, they would count twice.
            if context != Context::Hardirq {
                self.drivers.entry(driver).or_default().add(ns);
            }
            if let Some(function) = &function {
                let at = InDriver { text: driver, symbol: function.name, context, comm: &sample.comm };
                *self.functions.entry(at).or_default() += 1;
            }
        }
        // A driver that sends for a task has its own figures, and so has a softirq that interrupts a call.
        let socket = sample.socket.filter(|_| context == Context::Task && driver.is_none());
        if let (Some(sockets), Some(direction)) = (&mut self.sockets, socket) {
            // It also stands for those in which nobody looked.
            let ns = ns * f64::from(SOCKETS_ONE_IN);
            sockets.entry((&sample.comm, direction)).or_default().add(ns);
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
            Some(SamplePoll::Napi(key)) => match self.dummies.home(&key) {
                Some(Home::Nic(nic)) => PollOf::Nic(nic),
                Some(Home::Row(row)) => PollOf::Dummies(row),
                None => return,
            },
        };
        let stage = || function.as_ref().map_or(Stage::Other, stage_of);
        let place = driver.map_or_else(|| Place::Stage(stage()), Place::Driver);
        if let (Place::Stage(Stage::Other) | Place::Driver(_), Some(function)) = (place, &function) {
            *self.others.entry(poll).or_default().entry((driver, function.name)).or_default() += 1;
        }
        self.polls.entry(poll).or_default().entry(place).or_default().add(ns);
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
    pub(super) fn of_driver(&self, text: &str) -> Tally {
        self.drivers.get(text).copied().unwrap_or_default()
    }
}

/// The context in which kernel code ran; `None` if it did not.
pub(super) fn context_of(kind: SampleKind) -> Option<Context> {
    match kind {
        SampleKind::Idle | SampleKind::User => None,
        SampleKind::HardIrq => Some(Context::Hardirq),
        SampleKind::Softirq(_) | SampleKind::SoftirqLoop => Some(Context::Softirq),
        SampleKind::Task => Some(Context::Task),
        SampleKind::Kernel => Some(Context::Unknown),
    }
}
