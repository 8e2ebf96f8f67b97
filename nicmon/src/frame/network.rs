//! All that the network costs a machine, side by side.

use super::{Direction, Driver, Frame, Nic, NicCounters};

/// Time of network work in one frame, or in several. Polls and interrupts are exact, the rest is estimated.
///
/// Drivers and stack are the parts of the polls, but for what drivers do to send. Sockets are outside both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkTime {
    /// Polls of all NICs and of the backlog.
    pub polls_ns: Option<u64>,
    /// Interrupt handlers of all NICs.
    pub irqs_ns: Option<u64>,
    /// Code of drivers outside interrupts.
    pub drivers_est_ns: Option<u64>,
    /// Polls outside the code of their drivers.
    pub stack_est_ns: Option<u64>,
    /// Tasks that receive from sockets.
    pub receive_est_ns: Option<u64>,
    /// Tasks that send through sockets.
    pub send_est_ns: Option<u64>,
}

impl NetworkTime {
    /// Of a frame. A part is `None` if it is unknown of a NIC, or driver, that was not idle.
    pub fn of(frame: &Frame) -> Self {
        let polled = || frame.nics.iter().filter(|nic| !nic.is_softirq() && !is_idle(nic));
        let sockets = |direction: Direction| {
            let own = frame.sockets.iter().flatten().filter(move |one| one.direction == direction);
            frame.sockets.is_some().then(|| own.fold(0_u64, |sum, one| sum.saturating_add(one.est_ns)))
        };
        let works = |driver: &&Driver| {
            let mut own = frame.nics.iter().filter(|nic| nic.driver.as_ref() == Some(&driver.driver));
            driver.samples.is_some() || !own.all(is_idle)
        };
        Self {
            polls_ns: sum(polled().map(|nic| nic.poll_ns)),
            irqs_ns: sum(polled().filter(|nic| nic.netns.is_some()).map(|nic| nic.hardirq_ns)),
            drivers_est_ns: (frame.drivers.as_ref())
                .and_then(|drivers| sum(drivers.iter().filter(works).map(|driver| driver.sampled_est_ns))),
            stack_est_ns: sum(polled().map(|nic| nic.stack_est_ns)),
            receive_est_ns: sockets(Direction::Rx),
            send_est_ns: sockets(Direction::Tx),
        }
    }

    /// Of both; a part that is unknown of one is unknown.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let both = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
        Self {
            polls_ns: both(self.polls_ns, more.polls_ns),
            irqs_ns: both(self.irqs_ns, more.irqs_ns),
            drivers_est_ns: both(self.drivers_est_ns, more.drivers_est_ns),
            stack_est_ns: both(self.stack_est_ns, more.stack_est_ns),
            receive_est_ns: both(self.receive_est_ns, more.receive_est_ns),
            send_est_ns: both(self.send_est_ns, more.send_est_ns),
        }
    }
}

/// Whether a NIC had nothing to do, so that nothing was to be measured.
fn is_idle(nic: &Nic) -> bool {
    let NicCounters { rx_packets, tx_packets, .. } = nic.counters;
    (rx_packets, tx_packets) == (Some(0), Some(0))
        && nic.cpus.iter().all(|row| row.polls.unwrap_or(0) == 0 && row.hardirq_ns.unwrap_or(0) == 0)
}

fn sum(mut parts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    parts.try_fold(0_u64, |sum, part| Some(sum.saturating_add(part?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::SocketUse;

    fn frame() -> Frame {
        const RECORDING: &str = include_str!("../../tests/fixtures/frames/drivers.ndjson");
        serde_json::from_str(RECORDING.lines().next().unwrap()).unwrap()
    }

    #[test]
    fn what_is_unknown_of_an_idle_nic_does_not_matter() {
        let mut frame = frame();
        let one = |direction, est_ns| SocketUse::of("curl".to_owned(), direction, 1, est_ns, None);
        frame.sockets = Some(vec![one(Direction::Rx, 7), one(Direction::Rx, 3), one(Direction::Tx, 5)]);
        let time = NetworkTime::of(&frame);
        assert!(time.polls_ns.unwrap() > time.stack_est_ns.unwrap() / 2, "{time:?}");
        assert!(time.drivers_est_ns.unwrap() > 0 && time.irqs_ns.is_some(), "{time:?}");
        assert_eq!((time.receive_est_ns, time.send_est_ns), (Some(10), Some(5)));
        assert_eq!(time.plus(time).receive_est_ns, Some(20));

        let mut idle = frame.nics[0].clone();
        (idle.driver, idle.poll_ns, idle.hardirq_ns, idle.stack_est_ns) = (None, None, None, None);
        idle.cpus.clear();
        (idle.counters.rx_packets, idle.counters.tx_packets) = (Some(0), Some(0));
        frame.nics.push(idle.clone());
        assert_eq!(NetworkTime::of(&frame), time);
        idle.counters.rx_packets = Some(1);
        frame.nics.push(idle);
        frame.sockets = None;
        let unknown = NetworkTime::of(&frame);
        assert_eq!((unknown.polls_ns, unknown.stack_est_ns, unknown.receive_est_ns), (None, None, None));
        assert_eq!(unknown.drivers_est_ns, time.drivers_est_ns);
    }
}
