//! `host.drops`: packets that the kernel dropped, by reason and place.

use std::cmp::Reverse;

use crate::{
    counters::DropActivity,
    frame::{DropLocation, DroppedPackets},
    symbols::Snapshot,
};

/// The reasons with the most packets come first, and so do the places within each reason.
pub(super) fn drops(dropped: &[DropActivity], symbols: &Snapshot) -> Vec<DroppedPackets> {
    let mut drops: Vec<DroppedPackets> = Vec::new();
    for DropActivity { reason, location, count } in dropped {
        let symbol = symbols.name(*location).map(str::to_owned);
        let at = drops.iter().position(|drop| drop.reason == *reason).unwrap_or_else(|| {
            drops.push(DroppedPackets { reason: reason.clone(), count: 0, locations: Vec::new() });
            drops.len() - 1
        });
        drops[at].count += count;
        drops[at].locations.push(DropLocation { symbol, count: *count });
    }
    for drop in &mut drops {
        drop.locations.sort_by_key(|location| Reverse(location.count));
    }
    drops.sort_by_key(|drop| Reverse(drop.count));
    drops
}
