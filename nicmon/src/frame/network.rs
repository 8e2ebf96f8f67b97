//! What the network costs a machine, side by side.

use super::{Direction, Driver, Frame, Nic, NicCounters, pct_of};

/// Parts of network work in one frame, or in several, in percent of one CPU. Polls and interrupts are exact,
/// unless they were measured in windows; the rest is estimated.
///
/// These parts are no sum. Drivers and stack make up the polls, but for what drivers do outside polls (they
/// send for tasks), and the code of one driver in a poll of another's NIC is in both. Network code in other
/// softirqs than `NET_RX` is in none. Sockets are outside all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkLoad {
    interval_ns: u64,
    /// Whether polls and interrupts are estimated, too, because they were measured in windows.
    pub is_estimated: bool,
    /// Polls of all NICs and of the backlog.
    pub polls_pct: Option<f64>,
    /// Interrupt handlers of all NICs.
    pub irqs_pct: Option<f64>,
    /// Code of drivers outside interrupts.
    pub drivers_pct: Option<f64>,
    /// Polls outside the code of their drivers.
    pub stack_pct: Option<f64>,
    /// Tasks that receive from sockets.
    pub receive_pct: Option<f64>,
    /// Tasks that send through sockets.
    pub send_pct: Option<f64>,
}

impl NetworkLoad {
    /// Of a frame. A part is `None` if it is unknown of a NIC, or driver, that was not idle. In a report, it
    /// is the load in the time in which it was known.
    pub fn of(frame: &Frame) -> Self {
        let interval_ns = frame.interval_ns;
        let polled = || frame.nics.iter().filter(|nic| !nic.is_softirq() && !is_idle(nic));
        let pct = |ns: Option<u64>, gap_ns: u64| Some(pct_of(ns?, interval_ns.saturating_sub(gap_ns)));
        let sockets = |direction: Direction| {
            let own = frame.sockets.iter().flatten().filter(move |one| one.direction == direction);
            let ns = own.fold(0_u64, |sum, one| sum.saturating_add(one.est_ns));
            frame.sockets.is_some().then(|| pct_of(ns, frame.sockets_known_ns()))
        };
        let works = |driver: &&Driver| {
            let mut own = frame.nics.iter().filter(|nic| nic.driver.as_ref() == Some(&driver.driver));
            driver.samples.is_some() || !own.all(is_idle)
        };
        let drivers_gap_ns = frame.host.drivers_gap.map_or(0, |gap| gap.ns);
        let of_driver = |driver: &Driver| {
            let own_gap_ns = driver.gap.map_or(0, |gap| gap.ns);
            pct(driver.sampled_est_ns, drivers_gap_ns.saturating_add(own_gap_ns))
        };
        Self {
            interval_ns,
            is_estimated: frame.window.is_some(),
            polls_pct: sum(polled().map(|nic| pct(nic.poll_time_ns(), 0))),
            irqs_pct: sum(polled()
                .filter(|nic| nic.netns.is_some())
                .map(|nic| pct(nic.hardirq_time_ns(), 0))),
            drivers_pct: (frame.drivers.as_ref())
                .and_then(|drivers| sum(drivers.iter().filter(works).map(of_driver))),
            stack_pct: sum(polled().map(|nic| pct(nic.stack_est_ns, nic.sampled_gap_ns.unwrap_or(0)))),
            receive_pct: sockets(Direction::Rx),
            send_pct: sockets(Direction::Tx),
        }
    }

    /// Of both one after the other; a part that is unknown of one is unknown.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let interval_ns = self.interval_ns.saturating_add(more.interval_ns);
        let both = |one: Option<f64>, other: Option<f64>| {
            let sum = one? * self.interval_ns as f64 + other? * more.interval_ns as f64;
            Some(sum / interval_ns.max(1) as f64)
        };
        Self {
            interval_ns,
            is_estimated: self.is_estimated || more.is_estimated,
            polls_pct: both(self.polls_pct, more.polls_pct),
            irqs_pct: both(self.irqs_pct, more.irqs_pct),
            drivers_pct: both(self.drivers_pct, more.drivers_pct),
            stack_pct: both(self.stack_pct, more.stack_pct),
            receive_pct: both(self.receive_pct, more.receive_pct),
            send_pct: both(self.send_pct, more.send_pct),
        }
    }
}

/// Whether a NIC had nothing to do, so that nothing was to be measured.
fn is_idle(nic: &Nic) -> bool {
    let NicCounters { rx_packets, tx_packets, .. } = nic.counters;
    (rx_packets, tx_packets) == (Some(0), Some(0))
        && nic.cpus.iter().all(|row| {
            row.polls.or(row.poll_est_ns).unwrap_or(0) == 0 && row.hardirq_time_ns().unwrap_or(0) == 0
        })
}

fn sum(parts: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    // The sum of no floats is -0.
    parts.sum::<Option<f64>>().map(|sum| sum + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Gap, SocketUse};

    fn frame() -> Frame {
        const RECORDING: &str = include_str!("../../tests/fixtures/frames/drivers.ndjson");
        serde_json::from_str(RECORDING.lines().next().unwrap()).unwrap()
    }

    fn one(direction: Direction, est_ns: u64) -> SocketUse {
        SocketUse { comm: "curl".to_owned(), direction, samples: 1, est_ns, est_ci_ns: None }
    }

    #[test]
    fn what_is_unknown_of_an_idle_nic_does_not_matter() {
        let mut frame = frame();
        frame.sockets = Some(vec![one(Direction::Rx, 7), one(Direction::Rx, 3), one(Direction::Tx, 5)]);
        frame.interval_ns = 1000;
        let load = NetworkLoad::of(&frame);
        assert!(load.polls_pct.unwrap() > load.stack_pct.unwrap() / 2.0, "{load:?}");
        assert!(load.drivers_pct.unwrap() > 0.0 && load.irqs_pct.is_some(), "{load:?}");
        assert_eq!((load.receive_pct, load.send_pct), (Some(1.0), Some(0.5)));
        let twice = NetworkLoad { interval_ns: 3000, receive_pct: Some(3.0), ..load };
        assert_eq!(load.plus(twice).receive_pct, Some(2.5));

        let mut idle = frame.nics[0].clone();
        (idle.driver, idle.poll_ns, idle.hardirq_ns, idle.stack_est_ns) = (None, None, None, None);
        idle.cpus.clear();
        (idle.counters.rx_packets, idle.counters.tx_packets) = (Some(0), Some(0));
        frame.nics.push(idle.clone());
        assert_eq!(NetworkLoad::of(&frame), load);
        idle.counters.rx_packets = Some(1);
        frame.nics.push(idle);
        frame.sockets = None;
        let unknown = NetworkLoad::of(&frame);
        assert_eq!((unknown.polls_pct, unknown.stack_pct, unknown.receive_pct), (None, None, None));
        assert_eq!(unknown.drivers_pct, load.drivers_pct);
    }

    #[test]
    fn a_part_is_the_load_while_it_was_known() {
        let mut frame = frame();
        frame.sockets = Some(vec![one(Direction::Rx, 10)]);
        let gap = Gap { ns: frame.interval_ns, busy: 0 };
        let load = NetworkLoad::of(&frame);
        // The same again, in which samples were not known.
        frame.interval_ns *= 2;
        (frame.host.drivers_gap, frame.host.sockets_gap) = (Some(gap), Some(gap));
        frame.nics.iter_mut().for_each(|nic| nic.sampled_gap_ns = Some(gap.ns));
        let half = NetworkLoad::of(&frame);
        assert_eq!((half.drivers_pct, half.stack_pct), (load.drivers_pct, load.stack_pct));
        assert_eq!((half.receive_pct, half.send_pct), (load.receive_pct, load.send_pct));
        assert_eq!(half.polls_pct, load.polls_pct.map(|pct| pct / 2.0));
    }
}
