//! When frames are due.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Deadlines at start + k x delay: they do not drift, and one that was missed is skipped, so that a late frame covers a
/// longer interval and the next is on time again.
pub struct Clock(tokio::time::Interval);

impl Clock {
    /// The first deadline is one delay from now.
    pub fn start(delay: Duration) -> Self {
        let mut interval = interval_at(Instant::now() + delay, delay);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self(interval)
    }

    /// Waits for the next deadline.
    pub async fn tick(&mut self) {
        self.0.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_tick_is_skipped_and_the_next_is_on_time() {
        let start = Instant::now();
        let mut clock = Clock::start(Duration::from_secs(1));
        clock.tick().await;
        tokio::time::advance(Duration::from_millis(2300)).await;
        clock.tick().await;
        assert_eq!(start.elapsed(), Duration::from_millis(3300), "the late one comes at once");
        clock.tick().await;
        assert_eq!(start.elapsed(), Duration::from_secs(4), "the next is on the grid");
    }
}
