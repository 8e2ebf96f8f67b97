//! `sockets[]`: the samples of tasks in calls of sockets.

use super::attribution::Attribution;
use crate::frame::{SocketUse, ranked};

/// What each program spends there, the most expensive first. `None` if calls were not looked for in all
/// samples.
pub(super) fn sockets(attribution: &Attribution<'_>) -> Option<Vec<SocketUse>> {
    let busy = Some(attribution.busy);
    let uses = attribution.sockets.as_ref()?.iter().map(|((comm, direction), tally)| {
        SocketUse::of((*comm).to_owned(), *direction, tally.samples, tally.estimate_ns(), busy)
    });
    Some(ranked(uses.collect(), busy))
}
