//! Which frame of a replay is shown, and when the next is due.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::frame::Frame;

/// How many frames the user can step back.
const KEPT: usize = 300;
/// The longest time that a frame is shown, whatever interval the recording claims.
const LONGEST: Duration = Duration::from_hours(1);

/// The frames read so far, and which of them is shown.
pub(super) struct Player {
    frames: VecDeque<Arc<Frame>>,
    /// Index of the one that is shown.
    at: usize,
    /// When it was due to be shown.
    since: Instant,
    /// How many times faster than recorded. `None` shows each frame as it arrives.
    speed: Option<f64>,
    paused: bool,
    ended: bool,
}

impl Player {
    pub(super) fn new(speed: Option<f64>) -> Self {
        Self { frames: VecDeque::new(), at: 0, since: Instant::now(), speed, paused: false, ended: false }
    }

    /// Whether to read more: always if frames are shown as they arrive, else one frame ahead.
    pub(super) fn wants_more(&self) -> bool {
        !self.ended && (self.speed.is_none() || self.at + 1 >= self.frames.len())
    }

    /// Adds a frame. Returns it if it is to be shown now.
    pub(super) fn take(&mut self, frame: Frame) -> Option<Arc<Frame>> {
        if self.frames.len() == KEPT {
            self.frames.pop_front();
            self.at = self.at.saturating_sub(1);
        }
        self.frames.push_back(Arc::new(frame));
        let is_first = self.frames.len() == 1;
        let is_due = is_first || (self.speed.is_none() && !self.paused);
        if !is_due {
            return None;
        }
        self.since = Instant::now();
        self.go_to(self.frames.len() - 1)
    }

    /// Notes that no more frames will come.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the last frame is shown, and no more will come.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.at + 1 >= self.frames.len()
    }

    /// When the next frame is due; `None` if it does not depend on time.
    pub(super) fn due(&self) -> Option<Instant> {
        let speed = self.speed.filter(|_| !self.paused)?;
        let next = self.frames.get(self.at + 1)?;
        let recorded = Duration::from_nanos(next.interval_ns).as_secs_f64();
        let time = Duration::try_from_secs_f64(recorded / speed).map_or(LONGEST, |time| time.min(LONGEST));
        Some(self.since + time)
    }

    /// The frame that is due. After a late one, the next is not shown sooner to catch up.
    pub(super) fn play(&mut self) -> Option<Arc<Frame>> {
        const LATE: Duration = Duration::from_millis(200);
        let now = Instant::now();
        let due = self.due().unwrap_or(now);
        self.since = if now.saturating_duration_since(due) > LATE { now } else { due };
        self.go_to(self.at + 1)
    }

    /// Pauses, and returns the next frame or the previous one, if there is one.
    pub(super) fn step(&mut self, forward: bool) -> Option<Arc<Frame>> {
        self.paused = true;
        self.go_to(if forward { self.at + 1 } else { self.at.checked_sub(1)? })
    }

    /// Pauses or resumes. Returns the frame that is to be shown now, if that is another.
    pub(super) fn pause(&mut self, paused: bool) -> Option<Arc<Frame>> {
        self.paused = paused;
        self.since = Instant::now();
        let is_behind = self.speed.is_none() && !paused && !self.frames.is_empty();
        if is_behind { self.go_to(self.frames.len() - 1) } else { None }
    }

    /// Changes the speed.
    pub(super) fn set_speed(&mut self, speed: f64) {
        self.speed = Some(speed);
        self.since = Instant::now();
    }

    fn go_to(&mut self, at: usize) -> Option<Arc<Frame>> {
        let frame = self.frames.get(at)?;
        self.at = at;
        Some(Arc::clone(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seq: u64) -> Frame {
        const RECORDING: &str = include_str!("../../tests/fixtures/frames/demo-cpu1.ndjson");
        let line = RECORDING.lines().next().expect("the recording has frames");
        let mut frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        (frame.seq, frame.interval_ns) = (seq, 1_000_000_000);
        frame
    }

    fn seq(shown: Option<Arc<Frame>>) -> Option<u64> {
        shown.map(|frame| frame.seq)
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_played_at_its_recorded_speed() {
        let start = Instant::now();
        let mut player = Player::new(Some(2.0));
        assert_eq!(player.due(), None);
        assert_eq!(seq(player.take(frame(0))), Some(0), "the first is shown at once");
        assert!(player.wants_more());
        assert_eq!(seq(player.take(frame(1))), None);
        assert!(!player.wants_more(), "one ahead is enough");
        assert_eq!(player.due(), Some(start + Duration::from_millis(500)));
        tokio::time::advance(Duration::from_millis(510)).await;
        assert_eq!(seq(player.play()), Some(1));
        player.take(frame(2));
        assert_eq!(player.due(), Some(start + Duration::from_secs(1)), "deadlines do not drift");
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(seq(player.play()), Some(2));
        player.take(frame(3));
        assert!(player.due() > Some(Instant::now()), "after a stop it does not run to catch up");
        player.end();
        assert!(!player.is_over());
        assert_eq!(seq(player.play()), Some(3));
        assert!(player.is_over() && player.due().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn stepping_forward_and_back() {
        let mut player = Player::new(Some(1.0));
        player.take(frame(0));
        player.take(frame(1));
        assert_eq!(seq(player.step(false)), None, "nothing is before the first");
        assert_eq!(seq(player.step(true)), Some(1));
        assert_eq!(player.due(), None, "a step pauses");
        player.take(frame(2));
        assert_eq!(seq(player.step(false)), Some(0));
        assert_eq!(seq(player.pause(false)), None);
        assert_eq!(player.due(), Some(Instant::now() + Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_is_shown_as_it_arrives() {
        let mut player = Player::new(None);
        for number in 0..1000 {
            assert_eq!(seq(player.take(frame(number))), Some(number));
            assert!(player.due().is_none() && player.wants_more());
        }
        player.pause(true);
        assert_eq!(seq(player.take(frame(1000))), None);
        assert_eq!(seq(player.step(false)), Some(998), "from the frame that was shown");
        assert_eq!(seq(player.pause(false)), Some(1000), "playing on shows the newest");
        assert!(player.frames.len() <= KEPT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurd_interval_does_not_panic() {
        let mut player = Player::new(Some(0.01));
        player.take(frame(0));
        player.take(Frame { interval_ns: u64::MAX, ..frame(1) });
        assert_eq!(player.due(), Some(Instant::now() + LONGEST));
    }
}
