//! `sockets[]`: the samples of tasks in calls of sockets.

use super::attribution::Attribution;
use crate::frame::{Gap, Host, SampledPart, SocketUse, ranked};

/// What each program spends there, the most expensive first. `None` if calls were not looked for in all
/// samples.
pub(super) fn sockets(
    attribution: &Attribution<'_>,
    host: &Host,
    interval_ns: u64,
) -> Option<Vec<SocketUse>> {
    let known = Gap { ns: interval_ns, busy: attribution.busy };
    let part = SampledPart { host, interval_ns, known };
    let uses = attribution.sockets.as_ref()?.iter().map(|((comm, direction), tally)| {
        SocketUse::of((*comm).to_owned(), *direction, tally.samples, tally.estimate_ns(), part)
    });
    Some(ranked(uses.collect(), part))
}
