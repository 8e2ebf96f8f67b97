//! `drivers[]`.

use std::collections::{BTreeMap, HashMap};

use super::sum::{add_time, keep, sum};
use crate::frame::{
    Companion, Context, Driver, Gap, Host, Origin, SampledFunction, Share, cost_ns, ns_per, pct_of,
};

/// All drivers that appeared.
#[derive(Debug, Default)]
pub(super) struct Drivers {
    /// Whether any frame knew drivers.
    are_known: bool,
    /// The sum of the frames that did not know drivers.
    gap: Gap,
    sums: BTreeMap<String, DriverSum>,
}

/// One driver.
#[derive(Debug, Default)]
struct DriverSum {
    origin: Option<Origin>,
    unknown: Option<String>,
    /// The frames in which its code was known; `None` before the first.
    known: Option<Sums>,
    /// The other frames.
    others: Sums,
    gap: Gap,
}

/// The values that are added up.
#[derive(Debug)]
struct Sums {
    samples: u64,
    hardirq_ns: Option<u64>,
    hardirq_est_ns: Option<u64>,
    sampled_est_ns: Option<u64>,
    counted: Option<Counted>,
    companions: BTreeMap<String, u64>,
    functions: HashMap<(String, Context, String), u64>,
}

/// Packets and bytes, and what they cost.
#[derive(Debug, Clone, Copy)]
struct Counted {
    packets: u64,
    bytes: u64,
    est_ns: u64,
}

impl Drivers {
    pub(super) fn add(&mut self, drivers: Option<&[Driver]>, host: &Host, interval_ns: u64) {
        let whole = host.whole(interval_ns);
        let Some(drivers) = drivers else {
            self.gap = self.gap.plus(host.drivers_gap.unwrap_or(whole));
            return;
        };
        self.are_known = true;
        self.gap = self.gap.plus(host.drivers_gap.unwrap_or_default());
        for driver in drivers {
            self.sums.entry(driver.driver.clone()).or_default().add(driver, whole);
        }
    }

    /// The drivers, the most expensive first, and the time in which none was known. There are shares only if
    /// all samples were taken at the same rate.
    pub(super) fn drivers(
        &self,
        interval_ns: u64,
        busy: u64,
        are_alike: bool,
    ) -> (Option<Vec<Driver>>, Option<Gap>) {
        if !self.are_known {
            return (None, None);
        }
        let whole = Gap { ns: interval_ns, busy };
        let time = whole.without(self.gap);
        let mut drivers: Vec<Driver> =
            self.sums.iter().map(|(name, sum)| sum.driver(name, whole, time, are_alike)).collect();
        drivers.sort_by(|a, b| b.cost_cpu_pct.unwrap_or(-1.0).total_cmp(&a.cost_cpu_pct.unwrap_or(-1.0)));
        (Some(drivers), (self.gap.ns > 0).then_some(self.gap))
    }
}

impl DriverSum {
    fn add(&mut self, more: &Driver, whole: Gap) {
        keep(&mut self.origin, more.origin.as_ref());
        keep(&mut self.unknown, more.unknown.as_ref());
        if more.samples.is_some() {
            self.known.get_or_insert_default().add(more);
            self.gap = self.gap.plus(more.gap.unwrap_or_default());
        } else {
            self.others.add(more);
            self.gap = self.gap.plus(more.gap.unwrap_or(whole));
        }
    }

    /// `time` is the part of the interval in which drivers were known at all.
    fn driver(&self, name: &str, whole: Gap, time: Gap, are_alike: bool) -> Driver {
        let Self { origin, unknown, known, others, gap } = self;
        let is_known = known.is_some();
        let sums = known.as_ref().unwrap_or(others);
        let time = if is_known { time.without(*gap) } else { time };
        let share_of = |samples| Share::of(samples, time.busy).filter(|_| are_alike);
        let share = share_of(sums.samples).filter(|_| is_known);
        let sampled_est_ns = sums.sampled_est_ns.filter(|_| is_known);
        let hardirq_ns = sums.hardirq_ns.or(sums.hardirq_est_ns);
        let counted = sums.counted;
        let pct = |samples| share_of(samples).map(|share| share.pct);
        let companion = |(name, samples): (&String, &u64)| Companion {
            name: name.clone(),
            samples: *samples,
            busy_share_pct: pct(*samples),
        };
        Driver {
            driver: name.to_owned(),
            origin: *origin,
            unknown: unknown.clone().filter(|_| !is_known),
            samples: is_known.then_some(sums.samples),
            busy_share_pct: share.map(|share| share.pct),
            busy_share_ci_pct: share.map(|share| share.ci_pct),
            hardirq_ns: sums.hardirq_ns,
            hardirq_est_ns: sums.hardirq_est_ns,
            sampled_est_ns,
            cost_cpu_pct: cost_ns(hardirq_ns, sampled_est_ns).map(|ns| pct_of(ns, time.ns)),
            packets: counted.map(|counted| counted.packets),
            bytes: counted.map(|counted| counted.bytes),
            counted_est_ns: counted.map(|counted| counted.est_ns),
            ns_per_packet: counted.and_then(|counted| ns_per(counted.est_ns, counted.packets)),
            cpu_s_per_gb: counted.and_then(|counted| ns_per(counted.est_ns, counted.bytes)),
            companions: sums.companions.iter().map(companion).collect(),
            functions: sums.functions(pct),
            gap: if is_known {
                Some(*gap).filter(|gap| gap.ns > 0)
            } else {
                Some(*gap).filter(|gap| *gap != whole)
            },
        }
    }
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            samples: 0,
            hardirq_ns: Some(0),
            hardirq_est_ns: None,
            sampled_est_ns: Some(0),
            counted: None,
            companions: BTreeMap::new(),
            functions: HashMap::new(),
        }
    }
}

impl Sums {
    fn add(&mut self, more: &Driver) {
        let Driver {
            driver: _,
            origin: _,
            unknown: _,
            samples,
            busy_share_pct: _,
            busy_share_ci_pct: _,
            hardirq_ns,
            hardirq_est_ns,
            sampled_est_ns,
            cost_cpu_pct: _,
            packets,
            bytes,
            counted_est_ns,
            ns_per_packet: _,
            cpu_s_per_gb: _,
            companions,
            functions,
            gap: _,
        } = more;
        self.samples = self.samples.saturating_add(samples.unwrap_or(0));
        add_time((&mut self.hardirq_ns, &mut self.hardirq_est_ns), (*hardirq_ns, *hardirq_est_ns));
        self.sampled_est_ns = sum(self.sampled_est_ns, *sampled_est_ns);
        if let (Some(packets), Some(bytes), Some(est_ns)) = (*packets, *bytes, *counted_est_ns) {
            let before = self.counted.unwrap_or(Counted { packets: 0, bytes: 0, est_ns: 0 });
            self.counted = Some(Counted {
                packets: before.packets.saturating_add(packets),
                bytes: before.bytes.saturating_add(bytes),
                est_ns: before.est_ns.saturating_add(est_ns),
            });
        }
        for companion in companions {
            let samples = self.companions.entry(companion.name.clone()).or_default();
            *samples = samples.saturating_add(companion.samples);
        }
        for function in functions {
            let key = (function.symbol.clone(), function.context, function.comm.clone());
            let samples = self.functions.entry(key).or_default();
            *samples = samples.saturating_add(function.samples);
        }
    }

    /// Most samples first.
    fn functions(&self, pct: impl Fn(u64) -> Option<f64>) -> Vec<SampledFunction> {
        let function =
            |((symbol, context, comm), samples): (&(String, Context, String), &u64)| SampledFunction {
                symbol: symbol.clone(),
                context: *context,
                comm: comm.clone(),
                samples: *samples,
                share_pct: pct(*samples),
            };
        let mut functions: Vec<SampledFunction> = self.functions.iter().map(function).collect();
        functions.sort_by(|a, b| {
            let names = |function: &SampledFunction| {
                (function.symbol.clone(), function.comm.clone(), function.context)
            };
            b.samples.cmp(&a.samples).then_with(|| names(a).cmp(&names(b)))
        });
        functions
    }
}
