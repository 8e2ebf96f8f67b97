//! What the drivers cost over several frames, from the sums of the frames' counts. Exact and sampled figures
//! stay separate.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{
    figures,
    window::{Excerpt, NicExcerpt},
};
use crate::frame::{Context, Driver, Origin, Share, Stage};

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A driver with all its NICs.
    Driver(String),
    /// A NIC without a driver, such as the backlog. Only the stages of its polls are known.
    Nic {
        /// Inode of its network namespace; `None` for the backlog and for softirqs.
        netns: Option<u32>,
        /// Its index; 0 for the backlog and for softirqs.
        ifindex: u32,
        /// What tells rows without a namespace apart; empty for an interface, whose name may change.
        name: String,
    },
}

/// One row in the table of drivers.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) subject: Subject,
    pub(super) name: &'a str,
    /// `None` for a NIC without a driver.
    pub(super) cost: Option<Cost<'a>>,
}

/// What a driver cost.
#[derive(Debug)]
pub(super) struct Cost<'a> {
    pub(super) origin: Option<Origin>,
    /// Why its code is unknown.
    pub(super) unknown: Option<&'a str>,
    /// The time that the figures cover.
    pub(super) interval_ns: u64,
    /// Its interrupt handlers, in percent of one CPU: exact.
    pub(super) irq_pct: Option<f64>,
    /// Its other code, in percent of one CPU: estimated from samples.
    pub(super) code_pct: Option<f64>,
    pub(super) samples: Option<u64>,
    /// Its share of the busy samples.
    pub(super) share: Option<Share>,
    /// The sum of both per packet, in nanoseconds; `None` without packets.
    pub(super) ns_per_packet: Option<f64>,
    /// CPU seconds of both per 10^9 bytes; `None` without bytes.
    pub(super) s_per_gb: Option<f64>,
}

/// Something that samples were counted for.
#[derive(Debug, PartialEq)]
pub(super) struct Counted<T> {
    pub(super) what: T,
    pub(super) samples: u64,
    pub(super) share: Option<Share>,
}

/// A function in one context and process.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Function<'a> {
    pub(super) symbol: &'a str,
    pub(super) context: &'static str,
    pub(super) comm: &'a str,
}

/// Where polls spent their time.
#[derive(Debug)]
pub(super) struct Polls<'a> {
    pub(super) stages: Vec<Counted<Stage>>,
    /// Functions that belong to no stage, as far as the frames list them.
    pub(super) others: Vec<Counted<&'a str>>,
}

/// The parts of a row's cost, most samples first. Shares are shares of the busy samples; those of stages, of
/// the samples in polls.
#[derive(Debug, Default)]
pub(super) struct Details<'a> {
    pub(super) functions: Vec<Counted<Function<'a>>>,
    /// The same functions by process.
    pub(super) processes: Vec<Counted<&'a str>>,
    /// Samples in functions that the frames do not list; each frame has room for 20.
    pub(super) unlisted: Option<Counted<()>>,
    pub(super) companions: Vec<Counted<&'a str>>,
    /// `None` if unknown.
    pub(super) polls: Option<Polls<'a>>,
    /// Names of the NICs whose polls these are.
    pub(super) nics: Vec<&'a str>,
}

/// The drivers of the newest of these frames, the most expensive first, followed by the NICs without a
/// driver.
pub(super) fn rows<'a>(recent: &[&'a Excerpt]) -> Vec<Row<'a>> {
    let Some(newest) = recent.first() else { return Vec::new() };
    let mut costs: Vec<_> = newest
        .drivers
        .iter()
        .map(|driver| (driver, cost(driver, &frames_of(recent, &driver.driver))))
        .collect();
    costs.sort_by(|(a, of_a), (b, of_b)| by_cost(of_a, of_b).then_with(|| a.driver.cmp(&b.driver)));
    let drivers = costs.into_iter().map(|(driver, cost)| Row {
        subject: Subject::Driver(driver.driver.clone()),
        name: &driver.driver,
        cost: Some(cost),
    });
    let was_sampled = |nic: &NicExcerpt| {
        let subject = subject_of(nic);
        let is_it = |other: &&NicExcerpt| subject_of(other) == subject;
        let mut frames = recent.iter().filter_map(|excerpt| excerpt.nics.iter().find(is_it));
        frames.any(|nic| nic.stages.as_ref().is_some_and(|stages| !stages.is_empty()))
    };
    let others = newest.nics.iter().filter(|nic| nic.driver.is_none() && was_sampled(nic)).map(|nic| Row {
        subject: subject_of(nic),
        name: &nic.name,
        cost: None,
    });
    drivers.chain(others).collect()
}

fn subject_of(nic: &NicExcerpt) -> Subject {
    let name = if nic.netns.is_some() { String::new() } else { nic.name.clone() };
    Subject::Nic { netns: nic.netns, ifindex: nic.ifindex, name }
}

/// The chosen row, or the first if that one is gone.
pub(super) fn chosen(rows: &[Row<'_>], subject: Option<&Subject>) -> usize {
    subject.and_then(|subject| rows.iter().position(|row| row.subject == *subject)).unwrap_or(0)
}

/// The most expensive first, unknown costs last.
fn by_cost(a: &Cost<'_>, b: &Cost<'_>) -> Ordering {
    let pct = |cost: &Cost| cost.irq_pct.zip(cost.code_pct).map_or(-1.0, |(irq, code)| irq + code);
    pct(b).total_cmp(&pct(a))
}

/// The newest consecutive frames that know the same things about a driver. A sum over other frames would be
/// incomplete.
fn frames_of<'a>(recent: &[&'a Excerpt], name: &str) -> Vec<(&'a Excerpt, &'a Driver)> {
    let known = |driver: &Driver| (driver.samples.is_some(), driver.hardirq_time_ns().is_some());
    let mut frames: Vec<(&Excerpt, &Driver)> =
        recent.iter().map_while(|excerpt| excerpt.driver(name).map(|driver| (*excerpt, driver))).collect();
    let newest = frames.first().map(|(_, driver)| known(driver));
    let same = frames.iter().take_while(|(_, driver)| Some(known(driver)) == newest).count();
    frames.truncate(same);
    frames
}

fn cost<'a>(newest: &'a Driver, frames: &[(&'a Excerpt, &'a Driver)]) -> Cost<'a> {
    let sum = |of: fn(&Driver) -> Option<u64>| total(frames.iter().map(|(_, driver)| of(driver)));
    let interval_ns = total(frames.iter().map(|(excerpt, _)| Some(excerpt.interval_ns))).unwrap_or(0);
    let (irq_ns, code_ns) = (sum(Driver::hardirq_time_ns), sum(|driver| driver.sampled_est_ns));
    let samples = sum(|driver| driver.samples);
    let cost_ns = sum(Driver::cost_ns);
    let per = |count: Option<u64>| {
        cost_ns.zip(count.filter(|count| *count > 0)).map(|(ns, count)| ns as f64 / count as f64)
    };
    Cost {
        origin: newest.origin,
        unknown: newest.unknown.as_deref(),
        interval_ns,
        irq_pct: figures::share(irq_ns, interval_ns),
        code_pct: figures::share(code_ns, interval_ns),
        samples,
        share: samples.and_then(|samples| Share::of(samples, busy(frames))),
        ns_per_packet: per(sum(|driver| driver.packets)),
        // Nanoseconds per byte are seconds per 10^9 bytes.
        s_per_gb: per(sum(|driver| driver.bytes)),
    }
}

/// The parts of a row's cost.
pub(super) fn details<'a>(recent: &[&'a Excerpt], subject: &Subject) -> Details<'a> {
    match subject {
        Subject::Driver(name) => of_driver(&frames_of(recent, name)),
        Subject::Nic { .. } => {
            let is_it = |nic: &&NicExcerpt| subject_of(nic) == *subject;
            let there = recent.iter().map_while(|excerpt| excerpt.nics.iter().find(is_it));
            let nics: Vec<_> = there.take_while(|nic| nic.stages.is_some()).collect();
            Details { polls: polls(&nics), nics: names(&nics), ..Details::default() }
        }
    }
}

fn of_driver<'a>(frames: &[(&'a Excerpt, &'a Driver)]) -> Details<'a> {
    let busy = busy(frames);
    let (mut functions, mut processes, mut companions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut all, mut listed) = (0_u64, 0_u64);
    for (_, driver) in frames {
        all = all.saturating_add(driver.samples.unwrap_or(0));
        for function in &driver.functions {
            let context = function.context.label();
            // The driver's samples leave out interrupt handlers, which are timed exactly.
            if function.context != Context::Hardirq {
                listed = listed.saturating_add(function.samples);
            }
            let comm = function.comm.as_str();
            add(&mut functions, Function { symbol: &function.symbol, context, comm }, function.samples);
            add(&mut processes, comm, function.samples);
        }
        for companion in &driver.companions {
            add(&mut companions, companion.name.as_str(), companion.samples);
        }
    }
    let rest = all.saturating_sub(listed);
    let nics: Vec<_> = frames.iter().flat_map(|(excerpt, driver)| excerpt.nics_of(&driver.driver)).collect();
    Details {
        functions: most_first(functions, busy),
        processes: most_first(processes, busy),
        unlisted: (rest > 0).then(|| Counted { what: (), samples: rest, share: Share::of(rest, busy) }),
        companions: most_first(companions, busy),
        polls: polls(&nics),
        nics: names(&nics),
    }
}

fn polls<'a>(nics: &[&'a NicExcerpt]) -> Option<Polls<'a>> {
    let (mut stages, mut others) = (BTreeMap::new(), BTreeMap::new());
    for nic in nics {
        for stage in nic.stages.as_ref()? {
            add(&mut stages, stage.stage, stage.samples);
            for function in &stage.functions {
                add(&mut others, function.symbol.as_str(), function.samples);
            }
        }
    }
    let all = stages.values().fold(0, |sum: u64, samples| sum.saturating_add(*samples));
    Some(Polls { stages: most_first(stages, all), others: most_first(others, all) })
}

fn names<'a>(nics: &[&'a NicExcerpt]) -> Vec<&'a str> {
    let mut names: Vec<&str> = nics.iter().map(|nic| nic.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn busy(frames: &[(&Excerpt, &Driver)]) -> u64 {
    frames.iter().fold(0, |sum, (excerpt, _)| excerpt.sampling.busy.saturating_add(sum))
}

/// Unknown if any part is.
fn total(mut parts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    parts.try_fold(0_u64, |sum, part| Some(sum.saturating_add(part?)))
}

fn add<T: Ord>(counts: &mut BTreeMap<T, u64>, what: T, samples: u64) {
    let count = counts.entry(what).or_default();
    *count = count.saturating_add(samples);
}

fn most_first<T>(counts: BTreeMap<T, u64>, of: u64) -> Vec<Counted<T>> {
    let mut counted: Vec<_> = counts
        .into_iter()
        .map(|(what, samples)| Counted { what, samples, share: Share::of(samples, of) })
        .collect();
    // Those with equal samples stay in their own order.
    counted.sort_by_key(|counted| std::cmp::Reverse(counted.samples));
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::{Frame, pct_of},
        tui::{
            Span,
            window::tests::{sampled, window},
        },
    };

    fn veth() -> Subject {
        Subject::Driver("veth".to_owned())
    }

    /// The rows and the details of veth, of all these frames.
    fn with<R>(frames: &[Frame], look: impl FnOnce(Vec<Row<'_>>, Details<'_>) -> R) -> R {
        let window = window(frames);
        let recent = window.until(frames.last().expect("there are frames"), Span::Short);
        look(rows(&recent), details(&recent, &veth()))
    }

    fn first_cost<'a>(rows: &'a [Row<'_>]) -> &'a Cost<'a> {
        rows[0].cost.as_ref().expect("it is a driver")
    }

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-9)
    }

    #[test]
    fn intervals_are_of_the_sums() {
        let frames = sampled();
        with(&frames, |rows, details| {
            let cost = first_cost(&rows);
            assert_eq!(cost.samples, Some(14 + 10 + 14 + 16 + 12));
            let busy =
                frames.iter().filter_map(|frame| frame.host.sampling).map(|sampling| sampling.busy).sum();
            assert_eq!(cost.share, Share::of(66, busy));
            let ns = |of: fn(&Driver) -> Option<u64>| -> u64 {
                frames.iter().filter_map(|frame| of(&frame.drivers.as_ref()?[0])).sum()
            };
            let interval_ns = frames.iter().map(|frame| frame.interval_ns).sum();
            assert_eq!(cost.interval_ns, interval_ns);
            let (irq_ns, code_ns) = (ns(|driver| driver.hardirq_ns), ns(|driver| driver.sampled_est_ns));
            assert!(close(cost.irq_pct, pct_of(irq_ns, interval_ns)));
            assert!(close(cost.code_pct, pct_of(code_ns, interval_ns)));
            let nics = frames.iter().flat_map(|frame| &frame.nics);
            let veths = nics.filter(|nic| nic.driver.as_deref() == Some("veth"));
            let packets: u64 = veths.filter_map(|nic| nic.counters.packets()).sum();
            assert!(close(cost.ns_per_packet, (irq_ns + code_ns) as f64 / packets as f64));

            let of_functions: u64 = details.functions.iter().map(|function| function.samples).sum();
            assert_eq!((of_functions, details.unlisted.as_ref()), (66, None));
            assert_eq!(details.functions[0].share, Share::of(details.functions[0].samples, busy));
            assert_eq!(
                details.processes,
                [Counted { what: "udp-sender", samples: 66, share: Share::of(66, busy) }]
            );
            let stages = details.polls.expect("the polls were sampled").stages;
            let polls = stages.iter().map(|stage| stage.samples).sum();
            assert!(stages.iter().all(|stage| stage.share == Share::of(stage.samples, polls)));
            assert_eq!(details.nics, ["demo-rx"]);
        });
    }

    #[test]
    fn one_frame_is_what_it_says_itself() {
        let frame = sampled().swap_remove(0);
        let driver = frame.drivers.as_ref().expect("it was sampled")[0].clone();
        with(&[frame], |rows, _| {
            let cost = first_cost(&rows);
            assert_eq!(cost.share.map(|share| share.ci_pct), driver.busy_share_ci_pct);
            let pct = cost.irq_pct.zip(cost.code_pct).map(|(irq, code)| irq + code);
            assert!(close(pct, driver.cost_cpu_pct.expect("it is known")));
            assert!(close(cost.ns_per_packet, driver.ns_per_packet.expect("it had packets")));
            assert!(close(cost.s_per_gb, driver.cpu_s_per_gb.expect("it had bytes")));
        });
    }

    #[test]
    fn sums_end_where_something_else_is_known() {
        let mut frames = sampled();
        frames[1].drivers.as_mut().expect("they were sampled")[0].samples = None;
        with(&frames, |rows, _| {
            let cost = first_cost(&rows);
            assert_eq!(cost.samples, Some(14 + 16 + 12));
            let interval_ns: u64 = frames[2..].iter().map(|frame| frame.interval_ns).sum();
            assert_eq!(cost.interval_ns, interval_ns);
        });
        frames[4].drivers.iter_mut().flatten().for_each(|driver| driver.packets = None);
        with(&frames, |rows, _| assert_eq!(first_cost(&rows).ns_per_packet, None, "a part is unknown"));
    }

    #[test]
    fn functions_that_frames_do_not_list_are_counted() {
        let mut frames = sampled();
        frames[4].drivers.as_mut().expect("they were sampled")[0].functions.clear();
        with(&frames, |_, details| {
            let unlisted = details.unlisted.expect("there are such");
            assert_eq!(unlisted.samples, 12);
        });
        // Samples of interrupt handlers are listed and not among the driver's.
        for frame in &mut frames {
            let functions = &mut frame.drivers.as_mut().expect("they were sampled")[0].functions;
            for function in functions {
                function.context = Context::Hardirq;
            }
        }
        with(&frames, |_, details| assert_eq!(details.unlisted.map(|rest| rest.samples), Some(66)));
    }

    #[test]
    fn the_chosen_stays_chosen() {
        with(&sampled(), |rows, _| {
            let names: Vec<_> = rows.iter().map(|row| row.name).collect();
            assert_eq!(names, ["veth", "ifb", "virtio_net", "(backlog)"]);
            let chosen = |subject: &Subject| chosen(&rows, Some(subject));
            assert_eq!(chosen(&Subject::Driver("virtio_net".to_owned())), 2);
            assert_eq!(chosen(&Subject::Driver("gone".to_owned())), 0);
            assert_eq!(chosen(&rows[3].subject), 3);
        });
    }
}
