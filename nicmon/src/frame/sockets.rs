//! `sockets[]`: what receiving and sending cost outside polls, in the tasks that read and write sockets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Share;

/// The processes of one name beyond this many are taken together.
pub const MOST_SOCKET_USERS: usize = 64;
/// What stands for the name of those.
pub const OTHER_COMMS: &str = "(others)";

/// What one program spends in calls that receive from IP and packet sockets, or send through them: copying,
/// waiting for locks, and all else below the call, outside drivers. What softirqs and interrupts do meanwhile
/// is not in it. Which NIC the packets came from or go to is unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SocketUse {
    /// Name of the thread (lossy UTF-8). `(others)` stands for all beyond the 64 most expensive.
    #[schemars(title = "Thread")]
    pub comm: String,
    /// Whether it receives or sends.
    #[schemars(title = "Receives or sends")]
    pub direction: Direction,
    /// Samples. Only every second sample of a task is looked at, and each stands for two.
    #[schemars(title = "Samples")]
    pub samples: u64,
    /// The time that they stand for, estimated.
    #[schemars(title = "Time, estimated")]
    pub est_ns: u64,
    /// 95 % interval of `est_ns`: as wide as that of the share of busy samples. `null` in a report of frames
    /// that were sampled at different rates.
    #[schemars(title = "95 % interval of that time")]
    pub est_ci_ns: Option<[u64; 2]>,
}

/// The way of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Receiving.
    Rx,
    /// Sending.
    Tx,
}

impl Direction {
    /// The word for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rx => "receives",
            Self::Tx => "sends",
        }
    }
}

impl SocketUse {
    /// `samples` of `busy` samples of a CPU, which stand for `est_ns`.
    pub fn of(comm: String, direction: Direction, samples: u64, est_ns: u64, busy: Option<u64>) -> Self {
        let est_ci_ns = busy.and_then(|busy| ci_ns(samples, est_ns, busy));
        Self { comm, direction, samples, est_ns, est_ci_ns }
    }
}

/// The interval of the time that these samples stand for.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of positive numbers")]
fn ci_ns(samples: u64, est_ns: u64, busy: u64) -> Option<[u64; 2]> {
    let share = Share::of(samples, busy).filter(|share| share.pct > 0.0)?;
    Some(share.ci_pct.map(|bound| (est_ns as f64 * bound / share.pct).round() as u64))
}

/// The most expensive first; those beyond [`MOST_SOCKET_USERS`] are taken together. `busy` is the number of
/// busy samples, if all stand for the same.
pub fn ranked(mut uses: Vec<SocketUse>, busy: Option<u64>) -> Vec<SocketUse> {
    let order = |one: &SocketUse, other: &SocketUse| {
        let by_name = || (&one.comm, one.direction).cmp(&(&other.comm, other.direction));
        other.est_ns.cmp(&one.est_ns).then_with(by_name)
    };
    uses.sort_by(order);
    // Those of a sum that is added up again stay together.
    let mut rest: Vec<SocketUse> = uses.extract_if(.., |one| one.comm == OTHER_COMMS).collect();
    rest.extend(uses.split_off(uses.len().min(MOST_SOCKET_USERS)));
    for direction in [Direction::Rx, Direction::Tx] {
        let own = || rest.iter().filter(|more| more.direction == direction);
        let samples = own().fold(0_u64, |sum, more| sum.saturating_add(more.samples));
        let est_ns = own().fold(0_u64, |sum, more| sum.saturating_add(more.est_ns));
        if own().next().is_some() {
            uses.push(SocketUse::of(OTHER_COMMS.to_owned(), direction, samples, est_ns, busy));
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_that_of_the_share() {
        let of = |samples, busy| SocketUse::of("curl".to_owned(), Direction::Rx, samples, 810, Some(busy));
        // 81 of 263 is 25.53 to 36.62 % (see `Share`), and 30.8 % stand for 810 ns.
        assert_eq!(of(81, 263).est_ci_ns, Some([671, 963]));
        assert_eq!(of(2, 1).est_ci_ns, None);
        assert_eq!(of(0, 10).est_ci_ns, None);
    }

    #[test]
    fn the_cheapest_are_taken_together() {
        let all = (0..70).map(|number| {
            let direction = if number % 2 == 0 { Direction::Rx } else { Direction::Tx };
            SocketUse::of(format!("p{number}"), direction, 1, 1000 - number, Some(100))
        });
        let ranked = super::ranked(super::ranked(all.collect(), Some(100)), Some(100));
        assert_eq!(ranked.len(), MOST_SOCKET_USERS + 2);
        assert_eq!((ranked[0].comm.as_str(), ranked[63].comm.as_str()), ("p0", "p63"));
        let rest: Vec<_> = ranked[64..].iter().map(|one| (one.direction, one.samples, one.est_ns)).collect();
        assert_eq!(rest, [(Direction::Rx, 3, 936 + 934 + 932), (Direction::Tx, 3, 935 + 933 + 931)]);
    }
}
