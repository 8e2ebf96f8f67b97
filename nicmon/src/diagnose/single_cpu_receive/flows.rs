//! Why one queue gets most of the packets although the RSS table is even: the packets themselves tell.

use super::cause::Blame;
use crate::{
    diagnose::{
        case::{compared, told},
        view::Row,
    },
    frame::{Cause, Evidence, Flows, Unit},
};

/// A flow with this part of the packets fills the queue: without all others, it would still be busy.
const LARGEST_PCT: f64 = 75.0;
/// The packets of fewer flows between two addresses may be on one queue by chance.
const LEAST_FLOWS: u32 = 4;
/// With fewer packets, nothing is said. Of three equal flows, 9 of 12 packets would be of the same in one
/// look of 100.
const LEAST_KNOWN: u32 = 12;

/// `None` if nobody looked, or if the packets have nothing in common.
pub(super) fn cause<'a>(row: &Row<'a>) -> Option<Blame<'a>> {
    let flows = row.nic.flows.filter(|flows| flows.cpu == row.on.cpu && flows.known >= LEAST_KNOWN)?;
    let pct = |part: Option<f64>| part.filter(|pct| *pct >= LARGEST_PCT);
    let blame = if let Some(largest) = pct(flows.largest_flow_pct) {
        let why = format!("{largest:.0} % of its packets are of one flow, which only one queue can have");
        let what = "packets of the largest flow".to_owned();
        let field = row.nic_field("flows/largest_flow_pct");
        let evidence = compared(what, field, largest, Unit::Pct, LARGEST_PCT);
        Blame::new(Cause::ElephantFlow, why).with(Some(evidence))
    } else {
        let largest = pct(flows.largest_pair_pct).filter(|_| flows.flows >= LEAST_FLOWS)?;
        let why = format!(
            "{largest:.0} % of its packets are between the same two addresses, and its hash ignores ports"
        );
        let what = "packets between these addresses".to_owned();
        let field = row.nic_field("flows/largest_pair_pct");
        let evidence = compared(what, field, largest, Unit::Pct, LARGEST_PCT);
        Blame::new(Cause::HashAddressesOnly, why).with(Some(evidence))
    };
    Some(blame.with(Some(cost(row, flows))))
}

/// What it cost to look, or how long it took if that is unknown.
fn cost(row: &Row<'_>, flows: Flows) -> Evidence {
    let (what, field, ns) = match flows.cost_ns {
        Some(ns) => ("time of the program that looked at packets", "flows/cost_ns", ns),
        None => ("time during which packets were looked at", "flows/attached_ns", flows.attached_ns),
    };
    let what = format!("{what} ({})", flows.packets);
    told(what, row.nic_field(field), ns as f64, Unit::Ns)
}
