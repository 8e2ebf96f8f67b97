//! When frames are due.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::Collector;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// A frame.
    Frame,
    /// What must not wait for a frame that is far away: [`Collector::between_frames`].
    Chores,
    /// The start or the end of a window: [`Collector::follow_windows`].
    Window,
}

/// The longest time without a frame or chores.
const CHORES_AGAIN: Duration = Duration::from_secs(10);

/// Deadlines at start + k x delay. They do not drift. A missed deadline is skipped, so a late frame
/// covers a longer interval and the next one is on time again.
pub struct Clock {
    interval: tokio::time::Interval,
    /// The last deadline that passed.
    last: Instant,
    /// When something was last due.
    busy: Instant,
}

impl Clock {
    /// Waits until a frame is due, and meanwhile does what must not wait for it.
    pub async fn frame(&mut self, collector: &mut Collector) {
        loop {
            match self.next(collector.window_due()).await {
                Due::Frame => return,
                Due::Chores => collector.between_frames(),
                Due::Window => collector.follow_windows(),
            }
        }
    }

    /// The first deadline is one delay from now.
    pub fn start(delay: Duration) -> Self {
        let now = Instant::now();
        Self { interval: deadlines(now + delay, delay), last: now, busy: now }
    }

    /// Uses another delay from now on, counted from the last deadline. If that time has passed, the next
    /// tick comes at once.
    pub fn change(&mut self, delay: Duration) {
        self.interval = deadlines((self.last + delay).max(Instant::now()), delay);
    }

    /// Moves the next deadline to one delay from now.
    pub fn restart(&mut self) {
        self.last = Instant::now();
        self.interval.reset();
    }

    /// Waits for the next deadline, for chores if that is far away, or for this moment of a window.
    async fn next(&mut self, window: Option<std::time::Instant>) -> Due {
        let window = async {
            match window {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            deadline = self.interval.tick() => {
                (self.last, self.busy) = (deadline, Instant::now());
                Due::Frame
            }
            () = window => Due::Window,
            () = sleep_until(self.busy + CHORES_AGAIN) => {
                self.busy = Instant::now();
                Due::Chores
            }
        }
    }
}

fn deadlines(first: Instant, delay: Duration) -> tokio::time::Interval {
    let mut interval = interval_at(first, delay);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_tick_is_skipped_and_the_next_is_on_time() {
        let start = Instant::now();
        let mut clock = Clock::start(Duration::from_secs(1));
        assert_eq!(clock.next(None).await, Due::Frame);
        tokio::time::advance(Duration::from_millis(2300)).await;
        assert_eq!(clock.next(None).await, Due::Frame);
        assert_eq!(start.elapsed(), Duration::from_millis(3300), "the late tick comes at once");
        assert_eq!(clock.next(None).await, Due::Frame);
        assert_eq!(start.elapsed(), Duration::from_secs(4), "the next is on the grid");
    }

    #[tokio::test(start_paused = true)]
    async fn chores_are_due_every_ten_seconds_whatever_the_delay_is() {
        let start = Instant::now();
        let mut clock = Clock::start(Duration::from_secs(25));
        for (seconds, expected) in [(10, Due::Chores), (20, Due::Chores), (25, Due::Frame), (35, Due::Chores)]
        {
            assert_eq!((clock.next(None).await, start.elapsed().as_secs()), (expected, seconds));
        }
        let mut clock = Clock::start(Duration::from_secs(2));
        for _ in 0..30 {
            assert_eq!(clock.next(None).await, Due::Frame);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_delay_counts_from_the_last_deadline() {
        let start = Instant::now();
        let mut clock = Clock::start(Duration::from_mins(1));
        tokio::time::advance(Duration::from_millis(700)).await;
        clock.change(Duration::from_secs(1));
        assert_eq!(clock.next(None).await, Due::Frame);
        assert_eq!(start.elapsed(), Duration::from_secs(1), "it does not wait for the long delay");
        tokio::time::advance(Duration::from_millis(300)).await;
        clock.change(Duration::from_millis(100));
        assert_eq!(clock.next(None).await, Due::Frame);
        assert_eq!(start.elapsed(), Duration::from_millis(1300), "a tick that is due comes at once");
        clock.change(Duration::from_secs(2));
        assert_eq!(clock.next(None).await, Due::Frame);
        assert_eq!(start.elapsed(), Duration::from_millis(3300));
    }
}
