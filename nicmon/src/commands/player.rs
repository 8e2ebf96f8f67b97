//! Which frame of a replay is shown, and when the next is due.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::frame::{FindingKey, Frame, Severity};

/// How many frames the user can step back.
const KEPT: usize = 300;
/// The longest time that a frame is shown, whatever interval the recording claims.
const LONGEST: Duration = Duration::from_hours(1);
/// How far a seek goes.
const SEEK_NS: u64 = 30_000_000_000;

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
    /// The frame that is looked for further on; none is shown before it.
    wanted: Option<Wanted>,
}

/// A frame that is looked for.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// The first at or after this time.
    Time(u64),
    /// The next in which a finding begins.
    Finding,
}

impl Player {
    pub(super) fn new(speed: Option<f64>) -> Self {
        Self {
            frames: VecDeque::new(),
            at: 0,
            since: Instant::now(),
            speed,
            paused: false,
            ended: false,
            wanted: None,
        }
    }

    /// Whether to read more: always if frames are shown as they arrive, else one frame ahead.
    pub(super) fn wants_more(&self) -> bool {
        let is_behind = self.speed.is_none() || self.at + 1 >= self.frames.len();
        !self.ended && (is_behind || self.wanted.is_some())
    }

    /// Adds a frame. Returns it if it is to be shown now.
    pub(super) fn take(&mut self, frame: Frame) -> Option<Arc<Frame>> {
        if self.frames.len() == KEPT {
            self.frames.pop_front();
            self.at = self.at.saturating_sub(1);
        }
        self.frames.push_back(Arc::new(frame));
        if let Some(wanted) = self.wanted {
            let last = self.frames.len() - 1;
            return if self.is(last, wanted) { self.arrive(last) } else { None };
        }
        let is_first = self.frames.len() == 1;
        let is_due = is_first || (self.speed.is_none() && !self.paused);
        if !is_due {
            return None;
        }
        self.since = Instant::now();
        self.go_to(self.frames.len() - 1)
    }

    /// Notes that no more frames will come. Returns the last, if one was looked for in vain.
    pub(super) fn end(&mut self) -> Option<Arc<Frame>> {
        self.ended = true;
        self.wanted.and_then(|_| self.arrive(self.frames.len().checked_sub(1)?))
    }

    /// Goes 30 s forward or back. Returns the frame that is to be shown now.
    pub(super) fn seek(&mut self, forward: bool) -> Option<Arc<Frame>> {
        let now_ns = self.frames.get(self.at)?.mono_ns;
        if forward {
            return self.look_for(Wanted::Time(now_ns.saturating_add(SEEK_NS)));
        }
        let then_ns = now_ns.saturating_sub(SEEK_NS);
        let at = (0..self.at).rev().find(|at| self.frames[*at].mono_ns <= then_ns).unwrap_or(0);
        self.arrive(at)
    }

    /// Goes to the next frame in which a finding begins. Returns it, if it was read already.
    pub(super) fn next_finding(&mut self) -> Option<Arc<Frame>> {
        self.look_for(Wanted::Finding)
    }

    fn look_for(&mut self, wanted: Wanted) -> Option<Arc<Frame>> {
        let last = self.frames.len().checked_sub(1)?;
        match (self.at + 1..=last).find(|at| self.is(*at, wanted)) {
            Some(at) => self.arrive(at),
            None if self.ended => self.arrive(last),
            None => {
                self.wanted = Some(wanted);
                None
            }
        }
    }

    fn is(&self, at: usize, wanted: Wanted) -> bool {
        let frame = &self.frames[at];
        match wanted {
            Wanted::Time(mono_ns) => frame.mono_ns >= mono_ns,
            Wanted::Finding => {
                let before = at.checked_sub(1).map(|before| &self.frames[before]);
                let is_known = |key: &FindingKey| {
                    before
                        .iter()
                        .flat_map(|frame| frame.findings.iter().flatten())
                        .any(|old| old.key() == *key)
                };
                let findings = frame.findings.iter().flatten();
                findings.filter(|new| new.severity > Severity::Info).any(|new| !is_known(&new.key()))
            }
        }
    }

    fn arrive(&mut self, at: usize) -> Option<Arc<Frame>> {
        self.wanted = None;
        self.since = Instant::now();
        self.go_to(at)
    }

    /// Whether the last frame is shown, and no more will come.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.at + 1 >= self.frames.len()
    }

    /// When the next frame is due; `None` if it does not depend on time.
    pub(super) fn due(&self) -> Option<Instant> {
        let speed = self.speed.filter(|_| !self.paused && self.wanted.is_none())?;
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
    async fn seeking_and_the_next_finding() {
        let at = |second: u64| Frame { mono_ns: second * 1_000_000_000, ..frame(second) };
        let mut player = Player::new(Some(1.0));
        player.take(at(0));
        assert_eq!(seq(player.seek(true)), None, "it is not read yet");
        assert!(player.due().is_none() && player.wants_more());
        assert!((1..30).all(|second| player.take(at(second)).is_none()));
        assert_eq!(seq(player.take(at(30))), Some(30));
        assert!(!(player.due().is_some() && player.wants_more()), "it goes on as before");
        assert_eq!(seq(player.next_finding()), None);
        player.take(at(31));
        assert_eq!(seq(player.end()), Some(31), "there was none");
        assert_eq!((seq(player.seek(false)), seq(player.seek(false))), (Some(1), Some(0)));
        assert_eq!((seq(player.seek(true)), seq(player.seek(true))), (Some(30), Some(31)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurd_interval_does_not_panic() {
        let mut player = Player::new(Some(0.01));
        player.take(frame(0));
        player.take(Frame { interval_ns: u64::MAX, ..frame(1) });
        assert_eq!(player.due(), Some(Instant::now() + LONGEST));
    }
}
