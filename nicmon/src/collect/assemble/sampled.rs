//! What samples say about each NIC: the time of its driver and of the stack, and the stages of its polls.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    attribution::{Attribution, Place, PollOf, Tally},
    drivers::ByDriver,
    nics::BACKLOG,
    outside,
};
use crate::frame::{Nic, Share, Stage, StageFunction, StageShare};

/// How many functions outside all stages are listed.
const OTHER_FUNCTIONS: usize = 5;

/// The fields of a NIC that come from samples.
#[derive(Default)]
pub(super) struct NicEstimates {
    driver_ns: Option<u64>,
    is_split: bool,
    stack_ns: Option<u64>,
    stages: Option<Vec<StageShare>>,
}

impl NicEstimates {
    /// Writes them to the NIC.
    pub(super) fn write_to(self, nic: &mut Nic) {
        nic.driver_est_ns = self.driver_ns;
        nic.driver_est_split = self.is_split;
        nic.stack_est_ns = self.stack_ns;
        nic.stages = self.stages;
    }
}

/// The estimates for each NIC, in the order of `nics`, which are all NICs.
pub(super) fn estimates(
    attribution: &Attribution<'_>,
    nics: &[Nic],
    by_driver: &[ByDriver<'_>],
) -> Vec<NicEstimates> {
    let mut estimates: Vec<NicEstimates> = nics.iter().map(|nic| of_polls(attribution, nic)).collect();
    for ByDriver { driver, nics: own, .. } in by_driver {
        share_out(attribution, driver, own, nics, &mut estimates);
    }
    estimates
}

/// What the samples in a NIC's polls say. In order to send, its polls may run the code of another NIC's
/// driver; that time is not its own driver's.
fn of_polls(attribution: &Attribution<'_>, nic: &Nic) -> NicEstimates {
    let own = match nic.driver.as_deref().map(|driver| attribution.text_of(driver)) {
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return NicEstimates::default(),
    };
    if !attribution.knows_polls {
        return NicEstimates { driver_ns: own.map(|_| 0), ..NicEstimates::default() };
    }
    let poll = match nic.netns {
        Some(netns) => PollOf::Nic((netns, nic.ifindex)),
        None if nic.name == BACKLOG => PollOf::Backlog,
        None => {
            let softirq = outside::of_name(&nic.name).map(PollOf::Softirq);
            let dummies = || attribution.dummies.row_of(&nic.name).map(PollOf::Dummies);
            match softirq.or_else(dummies) {
                Some(poll) => poll,
                None => return NicEstimates::default(),
            }
        }
    };
    let mut stages: BTreeMap<Stage, Tally> = BTreeMap::new();
    for (place, tally) in attribution.polls.get(&poll).into_iter().flatten() {
        let stage = match place {
            Place::Driver(driver) if Some(*driver) == own => Stage::Driver,
            Place::Driver(_) => Stage::Other,
            Place::Stage(stage) => *stage,
        };
        let all = stages.entry(stage).or_default();
        *all = all.plus(*tally);
    }
    let all: u64 = stages.values().map(|tally| tally.samples).sum();
    let of_stack = stages.iter().filter(|(stage, _)| **stage != Stage::Driver);
    let of_stack = of_stack.fold(Tally::default(), |sum, (_, tally)| sum.plus(*tally));
    let driver = stages.get(&Stage::Driver).copied().unwrap_or_default();
    let mut shares: Vec<StageShare> = stages
        .into_iter()
        .filter_map(|(stage, Tally { samples, .. })| {
            let Share { pct, ci_pct } = Share::of(samples, all)?;
            let is_other = stage == Stage::Other;
            let functions = if is_other { other_functions(attribution, poll, own) } else { Vec::new() };
            Some(StageShare { stage, samples, share_pct: pct, ci_pct, functions })
        })
        .collect();
    shares.sort_by_key(|share| Reverse(share.samples));
    NicEstimates {
        driver_ns: own.map(|_| driver.estimate_ns()),
        is_split: false,
        stack_ns: Some(of_stack.estimate_ns()),
        stages: Some(shares),
    }
}

/// The functions in a poll that belong to no stage of the stack, most samples first.
fn other_functions(attribution: &Attribution<'_>, poll: PollOf, own: Option<&str>) -> Vec<StageFunction> {
    let is_other = |driver: Option<&str>| driver.is_none() || driver != own;
    let mut functions: Vec<StageFunction> = (attribution.others.get(&poll).into_iter().flatten())
        .filter(|((driver, _), _)| is_other(*driver))
        .map(|((_, symbol), samples)| StageFunction { symbol: (*symbol).to_owned(), samples: *samples })
        .collect();
    functions.sort_by(|a, b| b.samples.cmp(&a.samples).then_with(|| a.symbol.cmp(&b.symbol)));
    functions.truncate(OTHER_FUNCTIONS);
    functions
}

/// Distributes a driver's samples outside polls, most of which are from sending, to its NICs: all to one
/// if it is the only one, otherwise by packets.
fn share_out(
    attribution: &Attribution<'_>,
    driver: &str,
    own: &[usize],
    nics: &[Nic],
    estimates: &mut [NicEstimates],
) {
    let Ok(text) = attribution.text_of(driver) else { return };
    let all = attribution.of_driver(text).estimate_ns();
    let in_polls: u64 = own.iter().filter_map(|at| estimates[*at].driver_ns).sum();
    let rest = all.saturating_sub(in_polls);
    let packets = |at: usize| nics[at].counters.packets();
    let total: Option<u64> = own.iter().map(|at| packets(*at)).sum();
    let several = own.len() > 1;
    for at in own.iter().copied() {
        let part = match (several, packets(at), total) {
            (false, ..) => Some(rest),
            (true, Some(packets), Some(total)) if total > 0 => {
                u64::try_from(u128::from(rest) * u128::from(packets) / u128::from(total)).ok()
            }
            _ => (rest == 0).then_some(0),
        };
        let estimate = &mut estimates[at];
        estimate.driver_ns = estimate.driver_ns.zip(part).map(|(ns, part)| ns + part);
        estimate.is_split = several && rest > 0;
    }
}
