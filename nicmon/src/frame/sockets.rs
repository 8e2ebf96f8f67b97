//! `sockets[]`: what receiving and sending cost outside polls, in the tasks that read and write sockets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use nicmon_common::SOCKETS_ONE_IN;

use super::{SampledPart, Share};

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
    /// 95 % interval of `est_ns`. `null` in a report of frames that were sampled at different rates.
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
    /// `samples` of this part of the time, which stand for `est_ns`.
    pub fn of(comm: String, direction: Direction, samples: u64, est_ns: u64, part: SampledPart<'_>) -> Self {
        Self { comm, direction, samples, est_ns, est_ci_ns: ci_ns(samples, est_ns, part) }
    }
}

/// The interval of the time that these samples stand for. Any of the samples might have been here and have
/// been looked at.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of positive numbers")]
fn ci_ns(samples: u64, est_ns: u64, part: SampledPart<'_>) -> Option<[u64; 2]> {
    let ns_per_sample = est_ns as f64 / samples as f64 / f64::from(SOCKETS_ONE_IN);
    let share = Share::of(samples, part.trials(ns_per_sample)?).filter(|share| share.pct > 0.0)?;
    Some(share.ci_pct.map(|bound| (est_ns as f64 * bound / share.pct).round() as u64))
}

/// The most expensive first; those beyond [`MOST_SOCKET_USERS`] are taken together. All are samples of
/// `part`.
pub fn ranked(mut uses: Vec<SocketUse>, part: SampledPart<'_>) -> Vec<SocketUse> {
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
            uses.push(SocketUse::of(OTHER_COMMS.to_owned(), direction, samples, est_ns, part));
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, Host, SampleEvent, Sampling};

    fn host(event: SampleEvent, busy: u64) -> Host {
        const RECORDING: &str = include_str!("../../tests/fixtures/frames/drivers.ndjson");
        let line = RECORDING.lines().next().expect("the recording has frames");
        let frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        let sampling = Sampling {
            frequency_per_s: Some(1000),
            cpus: 2,
            samples: 2000,
            idle: 2000 - busy,
            user: 0,
            busy,
            busy_expected: Some(busy),
            expected: (event == SampleEvent::CpuClock).then_some(2000),
            lost: 0,
        };
        Host { sample_event: Some(event), sampling: Some(sampling), ..frame.host }
    }

    fn second(host: &Host) -> SampledPart<'_> {
        SampledPart { host, interval_ns: 1_000_000_000, known: host.whole(1_000_000_000) }
    }

    #[test]
    fn with_cycles_an_interval_is_that_of_the_share_of_busy_samples() {
        let of = |samples, busy| {
            let host = host(SampleEvent::Cycles, busy);
            SocketUse::of("curl".to_owned(), Direction::Rx, samples, 810, second(&host)).est_ci_ns
        };
        // 81 of 263 is 25.53 to 36.62 % (see `Share`), and 30.8 % stand for 810 ns.
        assert_eq!(of(81, 263), Some([671, 963]));
        assert_eq!((of(2, 1), of(0, 10)), (None, None));
    }

    /// However busy the machine is, the 95 % interval holds the true time in 95 of 100 cases. The seed is
    /// fixed; see the same test of drivers.
    #[test]
    fn the_true_time_is_inside_in_95_of_100() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (own_part, busy_part) in [(20_u64, 900), (300, 900), (100, 500), (190, 200), (100, 110)] {
            const RUNS: u32 = 2000;
            let mut inside = 0;
            for _ in 0..RUNS {
                let ticks: Vec<u64> = std::iter::repeat_with(|| rng.u64(..1000)).take(2000).collect();
                let hits = |part: u64| ticks.iter().filter(move |tick| **tick < part);
                let host = host(SampleEvent::CpuClock, hits(busy_part).count() as u64);
                let looked_at = hits(own_part).filter(|_| rng.bool()).count() as u64;
                let est_ns = looked_at * 2 * 1_000_000;
                let one = SocketUse::of("dd".to_owned(), Direction::Rx, looked_at, est_ns, second(&host));
                let [low, high] = one.est_ci_ns.expect("an interval");
                inside += u32::from((low..=high).contains(&(own_part * 2_000_000)));
            }
            let coverage = f64::from(inside) * 100.0 / f64::from(RUNS);
            assert!((93.5..=97.0).contains(&coverage), "{own_part} of {busy_part} per mille: {coverage} %");
        }
    }

    #[test]
    fn the_cheapest_are_taken_together() {
        let host = host(SampleEvent::Cycles, 100);
        let all = (0..70).map(|number| {
            let direction = if number % 2 == 0 { Direction::Rx } else { Direction::Tx };
            SocketUse::of(format!("p{number}"), direction, 1, 1000 - number, second(&host))
        });
        let ranked = super::ranked(super::ranked(all.collect(), second(&host)), second(&host));
        assert_eq!(ranked.len(), MOST_SOCKET_USERS + 2);
        assert_eq!((ranked[0].comm.as_str(), ranked[63].comm.as_str()), ("p0", "p63"));
        let rest: Vec<_> = ranked[64..].iter().map(|one| (one.direction, one.samples, one.est_ns)).collect();
        assert_eq!(rest, [(Direction::Rx, 3, 936 + 934 + 932), (Direction::Tx, 3, 935 + 933 + 931)]);
    }
}
