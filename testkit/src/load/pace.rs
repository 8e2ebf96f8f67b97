//! Sends packets at a steady rate.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// How long the sender sleeps between bursts. At 60,000 packets per second, a burst is about 30 packets. The
/// time always varies, because bursts in step with a sampling timer would be seen too often or never.
const TICKS: std::ops::Range<u64> = 300..700;
/// The sender does not catch up after a pause longer than this, because a long burst would only overflow
/// queues.
const CATCH_UP: Duration = Duration::from_millis(10);

/// How fast to send, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Packets per second.
    pub(super) pps: u32,
    /// Only a part of the time; all of it if this is `None`.
    pub(super) phases: Option<Phases>,
    /// The sender ends on its own after this time.
    pub(super) limit: Duration,
}

/// A load that comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// How long it lasts ...
    pub on: Duration,
    /// ... in each period of this length, from its start.
    pub every: Duration,
}

impl Phases {
    fn is_on(self, elapsed: Duration) -> bool {
        elapsed.as_nanos() % self.every.as_nanos().max(1) < self.on.as_nanos()
    }
}

/// Packets handed to the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// How many.
    pub packets: u64,
    /// From the first to the last.
    pub time: Duration,
}

/// Calls `packet` for each packet to send, until `stop` is set or the limit is reached.
pub(super) fn send(
    pace: Pace,
    stop: &AtomicBool,
    mut packet: impl FnMut() -> io::Result<usize>,
) -> Result<Sent> {
    let rate = f64::from(pace.pps);
    let start = Instant::now();
    let (mut packets, mut due) = (0_u64, 0_f64);
    let mut last = start;
    let mut tick = TICKS.start;
    while !stop.load(Ordering::Relaxed) && start.elapsed() < pace.limit {
        let now = Instant::now();
        if pace.phases.is_none_or(|phases| phases.is_on(now - start)) {
            due += (now - last).min(CATCH_UP).as_secs_f64() * rate;
        }
        last = now;
        while due >= 1.0 {
            due -= 1.0;
            match packet() {
                Ok(_) => packets += 1,
                // The queue is full: the packet is lost, as it would be on a real link. Or nobody listens,
                // which the other end may report once per second.
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOBUFS | libc::ECONNREFUSED)) => {}
                Err(e) => return Err(e).context("cannot send"),
            }
        }
        // The step and the range's length have no common factor, so the steps visit the whole range.
        tick = TICKS.start + (tick - TICKS.start + 157) % (TICKS.end - TICKS.start);
        thread::sleep(Duration::from_micros(tick));
    }
    Ok(Sent { packets, time: start.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_comes_and_goes() {
        let phases = Phases { on: Duration::from_secs(1), every: Duration::from_secs(6) };
        let is_on = |millis| phases.is_on(Duration::from_millis(millis));
        assert!(is_on(0) && is_on(999) && !is_on(1000) && !is_on(5999) && is_on(6000) && !is_on(7001));
    }

    #[test]
    fn packets_are_counted_until_the_limit() {
        let mut calls = 0;
        let pace = Pace { pps: 10_000, phases: None, limit: Duration::from_millis(50) };
        let sent = send(pace, &AtomicBool::new(false), || {
            calls += 1;
            if calls == 1 { Err(io::Error::from_raw_os_error(libc::ECONNREFUSED)) } else { Ok(64) }
        });
        let sent = sent.unwrap();
        assert!(sent.packets > 0 && sent.packets + 1 == calls && sent.time >= Duration::from_millis(50));
        let failed = send(pace, &AtomicBool::new(false), || Err(io::Error::from_raw_os_error(libc::EPERM)));
        assert!(failed.is_err());
    }
}
