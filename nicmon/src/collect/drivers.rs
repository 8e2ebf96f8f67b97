//! `drivers[]`, and what samples say of each NIC: exact interrupt time joined with samples of the drivers' code.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use super::{facts::NicKey, filter::Filter, nics::BACKLOG, source::Source, stacks::stacks};
use crate::{
    frame::{
        Companion, Context, Driver, Nic, NicCounters, SampledFunction, SampledStack, Share, Stage,
        StageFunction, StageShare, ns_per, pct_of,
    },
    reading::{DriverFunctions, SampleEvent, SampleKind, SamplePoll, Samples, TakenSample},
    symbols::{self, BuiltinRanges, DriverText, Kallsyms, Seed, Symbols, stage_of},
};

/// Functions that are listed of each driver.
const FUNCTIONS: usize = 20;
/// Functions that are listed of what is in no stage.
const OTHER_FUNCTIONS: usize = 5;

/// Where the drivers' code is, as long as it holds.
pub(super) struct DriverCode {
    /// The running kernel's modules.
    modules: PathBuf,
    derived: Option<Derived>,
    /// Functions of drivers that were seen since kallsyms was last read, as long as there is a NIC of theirs: a NAPI that
    /// is silent for long is forgotten, its driver's code stays where it is.
    known: BTreeMap<String, (BTreeSet<u64>, BTreeSet<u64>)>,
}

/// What was made of one reading of kallsyms for some drivers.
struct Derived {
    kallsyms: Arc<Kallsyms>,
    seeds: Vec<Seed>,
    text: DriverText,
}

impl DriverCode {
    pub(super) fn new(kernel: &str) -> Self {
        Self { modules: PathBuf::from("/lib/modules").join(kernel), derived: None, known: BTreeMap::new() }
    }

    /// Call stacks of network code; `None` while there are no symbols.
    pub(super) fn stacks(&self, samples: &Samples, filter: &Filter) -> Option<Vec<SampledStack>> {
        let Derived { kallsyms, text, .. } = self.derived.as_ref()?;
        let shown = samples.taken.iter().filter(|sample| filter.shows_cpu(sample.cpu));
        Some(stacks(kallsyms, text, shown))
    }

    /// The code of these NICs' drivers; `None` while there are no symbols.
    fn of(&mut self, symbols: &Symbols, source: &Source, nics: &[Nic]) -> Option<&Derived> {
        let kallsyms = symbols.kallsyms()?;
        if !self.derived.as_ref().is_some_and(|derived| Arc::ptr_eq(&derived.kallsyms, &kallsyms)) {
            // Modules may have come and gone.
            self.known.clear();
        }
        let seeds = self.seeds(source, nics);
        let holds = |derived: &Derived| Arc::ptr_eq(&derived.kallsyms, &kallsyms) && derived.seeds == seeds;
        if !self.derived.as_ref().is_some_and(holds) {
            // Most kernels have no such file.
            let ranges = BuiltinRanges::read(&self.modules, &kallsyms).ok();
            let text = DriverText::new(&kallsyms, ranges.as_ref(), &seeds);
            self.derived = Some(Derived { kallsyms, seeds, text });
        }
        self.derived.as_ref()
    }

    /// What is known of the functions of these NICs' drivers, by driver.
    fn seeds(&mut self, source: &Source, nics: &[Nic]) -> Vec<Seed> {
        let mut functions: HashMap<NicKey, Vec<DriverFunctions>> = HashMap::new();
        for (key, of_napi) in source.driver_functions() {
            functions.entry((key.netns, key.ifindex)).or_default().push(of_napi);
        }
        self.known.retain(|driver, _| nics.iter().any(|nic| nic.driver.as_ref() == Some(driver)));
        for nic in nics {
            let Some((driver, netns)) = nic.driver.as_ref().zip(nic.netns) else { continue };
            let (polls, ops) = self.known.entry(driver.clone()).or_default();
            for of_napi in functions.get(&(netns, nic.ifindex)).into_iter().flatten() {
                polls.insert(of_napi.poll);
                ops.extend(of_napi.ops.into_iter().filter(|function| *function != 0));
            }
        }
        let seed = |(driver, (polls, ops)): (&String, &(BTreeSet<u64>, BTreeSet<u64>))| Seed {
            driver: driver.clone(),
            polls: polls.iter().copied().collect(),
            ops: ops.iter().copied().collect(),
        };
        self.known.iter().map(seed).collect()
    }
}

/// The samples of an interval.
pub(super) struct Sampled<'a> {
    samples: &'a Samples,
    /// What each stands for.
    period_ns: f64,
    interval_ns: u64,
}

impl<'a> Sampled<'a> {
    /// `busy_ns` is for how long each CPU was busy, by the kernel.
    pub(super) fn of(samples: &'a Samples, busy_ns: &[(u32, u64)], interval_ns: u64) -> Self {
        Self { samples, period_ns: ns_per_sample(samples, busy_ns), interval_ns }
    }

    /// Adds to the NICs (all there are) what samples say of them, and says what their drivers cost; `None` where there are
    /// no symbols.
    pub(super) fn drivers(
        &self,
        code: &mut DriverCode,
        symbols: &Symbols,
        source: &Source,
        filter: &Filter,
        nics: &mut [Nic],
    ) -> Option<Vec<Driver>> {
        let Self { samples, period_ns, interval_ns } = *self;
        let derived = code.of(symbols, source, nics)?;
        let shown = samples.taken.iter().filter(|sample| filter.shows_cpu(sample.cpu));
        let sorted = Sorted::sort(derived, shown);
        for nic in nics.iter_mut() {
            sorted.of_polls(&derived.text, nic, period_ns);
        }
        let mut drivers: Vec<Driver> = derived
            .seeds
            .iter()
            .map(|Seed { driver, polls, .. }| {
                let mut own: Vec<&mut Nic> =
                    nics.iter_mut().filter(|nic| nic.driver.as_ref() == Some(driver)).collect();
                sorted.share_out(&derived.text, driver, &mut own, period_ns);
                sorted.driver(&derived.text, driver, &own, !polls.is_empty(), period_ns, interval_ns)
            })
            .collect();
        drivers.sort_by(|a, b| b.cost_cpu_pct.unwrap_or(-1.0).total_cmp(&a.cost_cpu_pct.unwrap_or(-1.0)));
        Some(drivers)
    }
}

/// What a sample stands for. Of a timer it is its period: ticks that do not come are those of idle CPUs, which a virtual
/// machine's host wakes late. How long so many cycles take depends on how fast the CPUs were, so there the busy samples
/// share the time in which the CPUs were busy.
fn ns_per_sample(samples: &Samples, busy_ns: &[(u32, u64)]) -> f64 {
    let nominal = 1e9 / f64::from(samples.frequency.max(1));
    let busy = samples.taken.iter().filter(|sample| sample.kind != SampleKind::Idle).count();
    let busy_ns: u64 = busy_ns.iter().map(|(_, ns)| ns).sum();
    match samples.event {
        SampleEvent::Cycles if busy > 0 && busy_ns > 0 => busy_ns as f64 / busy as f64,
        _ => nominal,
    }
}

/// Whose poll a sample fell into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum PollOf {
    Nic(NicKey),
    Backlog,
}

/// The samples, counted by what they are asked for.
struct Sorted<'a> {
    busy: u64,
    /// By text, outside hard irqs.
    drivers: HashMap<&'a str, u64>,
    companions: BTreeMap<&'static str, (u64, &'static symbols::Companion)>,
    functions: HashMap<(&'a str, &'a str, Context, &'a str), u64>,
    /// By poll and text: outside every driver's, the stage.
    polls: HashMap<PollOf, HashMap<Place<'a>, u64>>,
    /// Functions in polls that are in no stage, or in a driver, which may be another NIC's.
    others: HashMap<PollOf, HashMap<(Option<&'a str>, &'a str), u64>>,
}

/// Where in the code a sample fell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place<'a> {
    Driver(&'a str),
    Stage(Stage),
}

impl<'a> Sorted<'a> {
    fn sort(derived: &'a Derived, samples: impl Iterator<Item = &'a TakenSample>) -> Self {
        let mut this = Self {
            busy: 0,
            drivers: HashMap::new(),
            companions: BTreeMap::new(),
            functions: HashMap::new(),
            polls: HashMap::new(),
            others: HashMap::new(),
        };
        for sample in samples {
            this.busy += u64::from(sample.kind != SampleKind::Idle);
            if let Some(context) = context_of(sample.kind) {
                this.add(derived, sample, context);
            }
        }
        this
    }

    fn add(&mut self, derived: &'a Derived, sample: &'a TakenSample, context: Context) {
        let Derived { kallsyms, text, .. } = derived;
        let function = kallsyms.function_at(sample.address);
        let driver = text.driver_at(sample.address);
        if let Some(driver) = driver {
            // Interrupt handlers are timed exactly: their samples would count them twice.
            if context != Context::Hardirq {
                *self.drivers.entry(driver).or_default() += 1;
            }
            if let Some(function) = &function {
                *self.functions.entry((driver, function.name, context, &sample.comm)).or_default() += 1;
            }
        }
        if let Some(companion) = text.companion_at(sample.address) {
            self.companions.entry(companion.name).or_insert((0, companion)).0 += 1;
        }
        let poll = match sample.poll {
            None => return,
            Some(SamplePoll::Backlog) => PollOf::Backlog,
            Some(SamplePoll::Napi(key)) => PollOf::Nic((key.netns, key.ifindex)),
        };
        let place = driver
            .map_or_else(|| Place::Stage(function.as_ref().map_or(Stage::Other, stage_of)), Place::Driver);
        if let (Place::Stage(Stage::Other) | Place::Driver(_), Some(function)) = (place, &function) {
            *self.others.entry(poll).or_default().entry((driver, function.name)).or_default() += 1;
        }
        *self.polls.entry(poll).or_default().entry(place).or_default() += 1;
    }

    /// Name of a driver's text; an error where it is not known.
    fn text_of(text: &'a DriverText, driver: &str) -> Result<&'a str, symbols::Unknown> {
        let slot = text.slot(driver)?;
        Ok(text.texts().get(usize::from(slot)).map_or("", |text| text.name.as_str()))
    }

    /// What the samples in a NIC's polls say. The code of another NIC's driver (which its polls may call, to send) is
    /// none of its own.
    fn of_polls(&self, text: &'a DriverText, nic: &mut Nic, period_ns: f64) {
        let own = match &nic.driver {
            None => None,
            Some(driver) => match Self::text_of(text, driver) {
                Ok(name) => Some(name),
                Err(_) => return,
            },
        };
        let poll = match nic.netns {
            Some(netns) => PollOf::Nic((netns, nic.ifindex)),
            None if nic.name == BACKLOG => PollOf::Backlog,
            None => return,
        };
        let mut stages: BTreeMap<Stage, u64> = BTreeMap::new();
        for (place, count) in self.polls.get(&poll).into_iter().flatten() {
            let stage = match place {
                Place::Driver(driver) if Some(*driver) == own => Stage::Driver,
                Place::Driver(_) => Stage::Other,
                Place::Stage(stage) => *stage,
            };
            *stages.entry(stage).or_default() += count;
        }
        let all: u64 = stages.values().sum();
        let driver = stages.get(&Stage::Driver).copied().unwrap_or(0);
        nic.driver_est_ns = own.map(|_| estimate(driver, period_ns));
        nic.stack_est_ns = Some(estimate(all - driver, period_ns));
        let mut shares: Vec<StageShare> = stages
            .into_iter()
            .filter_map(|(stage, samples)| {
                let Share { pct, ci_pct } = Share::of(samples, all)?;
                let functions =
                    if stage == Stage::Other { self.other_functions(poll, own) } else { Vec::new() };
                Some(StageShare { stage, samples, share_pct: pct, ci_pct, functions })
            })
            .collect();
        shares.sort_by_key(|share| Reverse(share.samples));
        nic.stages = Some(shares);
    }

    /// What is in no stage of the stack, most samples first.
    fn other_functions(&self, poll: PollOf, own: Option<&str>) -> Vec<StageFunction> {
        let is_other = |driver: Option<&str>| driver.is_none() || driver != own;
        let mut functions: Vec<StageFunction> = (self.others.get(&poll).into_iter().flatten())
            .filter(|((driver, _), _)| is_other(*driver))
            .map(|((_, symbol), samples)| StageFunction { symbol: (*symbol).to_owned(), samples: *samples })
            .collect();
        functions.sort_by(|a, b| b.samples.cmp(&a.samples).then_with(|| a.symbol.cmp(&b.symbol)));
        functions.truncate(OTHER_FUNCTIONS);
        functions
    }

    /// Gives the samples of a driver outside polls (sending, mostly) to its NICs: whole to an only one, else by packets.
    fn share_out(&self, text: &'a DriverText, driver: &str, own: &mut [&mut Nic], period_ns: f64) {
        let Ok(name) = Self::text_of(text, driver) else { return };
        let all = estimate(self.drivers.get(name).copied().unwrap_or(0), period_ns);
        let in_polls: u64 = own.iter().filter_map(|nic| nic.driver_est_ns).sum();
        let rest = all.saturating_sub(in_polls);
        let packets = |nic: &Nic| packets_of(&nic.counters);
        let total: Option<u64> = own.iter().map(|nic| packets(nic)).sum();
        let several = own.len() > 1;
        for nic in own {
            let part = match (several, packets(nic), total) {
                (false, ..) => Some(rest),
                (true, Some(packets), Some(total)) if total > 0 => {
                    u64::try_from(u128::from(rest) * u128::from(packets) / u128::from(total)).ok()
                }
                _ => (rest == 0).then_some(0),
            };
            nic.driver_est_ns = nic.driver_est_ns.zip(part).map(|(ns, part)| ns + part);
            nic.driver_est_split = several && rest > 0;
        }
    }

    fn driver(
        &self,
        text: &'a DriverText,
        driver: &str,
        own: &[&mut Nic],
        polled: bool,
        period_ns: f64,
        interval_ns: u64,
    ) -> Driver {
        let name = Self::text_of(text, driver);
        let samples = name.as_ref().ok().map(|name| self.drivers.get(name).copied().unwrap_or(0));
        let share = samples.and_then(|samples| Share::of(samples, self.busy));
        let hardirq_ns: Option<u64> = own.iter().map(|nic| nic.hardirq_ns).sum();
        let sampled_est_ns = samples.map(|samples| estimate(samples, period_ns));
        let cost_ns = hardirq_ns.zip(sampled_est_ns).map(|(exact, sampled)| exact + sampled);
        let companions = self
            .companions
            .values()
            .filter(|(_, companion)| companion.serves(driver))
            .map(|(samples, companion)| Companion {
                name: companion.name.to_owned(),
                samples: *samples,
                busy_share_pct: Share::of(*samples, self.busy).map(|share| share.pct),
            })
            .collect();
        Driver {
            driver: driver.to_owned(),
            origin: text.origin(driver).ok(),
            unknown: name.as_ref().err().map(|unknown| match unknown {
                symbols::Unknown::NoSymbol if !polled => "none of its NICs was polled yet".to_owned(),
                unknown => unknown.to_string(),
            }),
            samples,
            busy_share_pct: share.map(|share| share.pct),
            busy_share_ci_pct: share.map(|share| share.ci_pct),
            hardirq_ns,
            sampled_est_ns,
            cost_cpu_pct: cost_ns.map(|ns| pct_of(ns, interval_ns)),
            packets: None,
            bytes: None,
            counted_est_ns: None,
            ns_per_packet: None,
            cpu_s_per_gb: None,
            companions,
            functions: name.map_or_else(|_| Vec::new(), |name| self.functions_of(name)),
            gap: None,
        }
    }

    fn functions_of(&self, text: &str) -> Vec<SampledFunction> {
        let mut functions: Vec<SampledFunction> = self
            .functions
            .iter()
            .filter(|((driver, ..), _)| *driver == text)
            .map(|((_, symbol, context, comm), samples)| SampledFunction {
                symbol: (*symbol).to_owned(),
                context: *context,
                comm: (*comm).to_owned(),
                samples: *samples,
                share_pct: Share::of(*samples, self.busy).map(|share| share.pct),
            })
            .collect();
        functions.sort_by(|a, b| {
            b.samples.cmp(&a.samples).then_with(|| (&a.symbol, &a.comm).cmp(&(&b.symbol, &b.comm)))
        });
        functions.truncate(FUNCTIONS);
        functions
    }
}

/// Where code of the kernel ran; `None` where none did.
pub(super) fn context_of(kind: SampleKind) -> Option<Context> {
    match kind {
        SampleKind::Idle | SampleKind::User => None,
        SampleKind::HardIrq => Some(Context::Hardirq),
        SampleKind::Softirq(_) | SampleKind::SoftirqLoop => Some(Context::Softirq),
        SampleKind::Task => Some(Context::Task),
    }
}

/// Sets what drivers cost beside what their NICs (all there are) received and sent.
pub(super) fn count_traffic(costs: &mut [Driver], nics: &[Nic]) {
    for cost in costs {
        let own = || nics.iter().filter(|nic| nic.driver.as_ref() == Some(&cost.driver));
        let packets: Option<u64> = own().map(|nic| packets_of(&nic.counters)).sum();
        let bytes: Option<u64> = own().map(|nic| bytes_of(&nic.counters)).sum();
        let cost_ns = cost.hardirq_ns.zip(cost.sampled_est_ns).map(|(exact, sampled)| exact + sampled);
        let Some(((packets, bytes), ns)) = packets.zip(bytes).zip(cost_ns) else { continue };
        cost.packets = Some(packets);
        cost.bytes = Some(bytes);
        cost.counted_est_ns = Some(ns);
        cost.ns_per_packet = ns_per(ns, packets);
        // ns for a byte are seconds for 10^9 bytes.
        cost.cpu_s_per_gb = ns_per(ns, bytes);
    }
}

/// The time that samples stand for.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of positive numbers")]
fn estimate(samples: u64, period_ns: f64) -> u64 {
    (samples as f64 * period_ns) as u64
}

fn packets_of(counters: &NicCounters) -> Option<u64> {
    Some(counters.rx_packets?.saturating_add(counters.tx_packets?))
}

fn bytes_of(counters: &NicCounters) -> Option<u64> {
    Some(counters.rx_bytes?.saturating_add(counters.tx_bytes?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sample_stands_for() {
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
        // At half the speed, or of a CPU that is busy for longer, the same cycles take longer.
        assert!(close(ns_per_sample(&samples(SampleEvent::Cycles, &taken), &busy), 2e7));
        assert!(
            close(ns_per_sample(&samples(SampleEvent::Cycles, &[]), &busy), 1e7),
            "there is nothing to share"
        );
        assert!(close(ns_per_sample(&samples(SampleEvent::Cycles, &taken), &[]), 1e7), "nobody knows");
    }
}
