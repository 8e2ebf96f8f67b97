//! The samples of the last frames. One second has few samples, so shares are computed over several frames.

use std::collections::VecDeque;

use crate::frame::{Driver, Frame, NetworkLoad, Nic, SampleEvent, Sampling, StageShare};

/// How long excerpts of frames are kept.
const KEPT_NS: u64 = 30_000_000_000;

/// How many frames are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Only the frame on the screen.
    Frame,
    /// The frames of the last 10 s.
    Short,
    /// The frames of the last 30 s.
    Long,
}

impl Span {
    /// The next one in the cycle.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Frame => Self::Short,
            Self::Short => Self::Long,
            Self::Long => Self::Frame,
        }
    }

    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frame => "1 frame",
            Self::Short => "10 s",
            Self::Long => "30 s",
        }
    }

    fn ns(self) -> u64 {
        match self {
            Self::Frame => 0,
            Self::Short => 10_000_000_000,
            Self::Long => KEPT_NS,
        }
    }
}

/// Excerpts of the frames shown so far, oldest first. Whole frames of a large machine would take too much
/// memory.
#[derive(Debug, Clone, Default)]
pub struct Window {
    excerpts: VecDeque<Excerpt>,
}

/// The part of one frame that driver costs are computed from.
#[derive(Debug, Clone)]
pub(super) struct Excerpt {
    /// Samples can be added up only if these are equal: the same machine and boot, sampled in the same way.
    key: (String, Option<String>, Option<SampleEvent>, Option<u32>),
    mono_ns: u64,
    pub(super) interval_ns: u64,
    pub(super) event: Option<SampleEvent>,
    pub(super) sampling: Sampling,
    pub(super) drivers: Vec<Driver>,
    pub(super) nics: Vec<NicExcerpt>,
    pub(super) network: NetworkLoad,
}

/// The part of a NIC that is kept.
#[derive(Debug, Clone)]
pub(super) struct NicExcerpt {
    pub(super) name: String,
    pub(super) ifindex: u32,
    pub(super) netns: Option<u32>,
    pub(super) driver: Option<String>,
    pub(super) stages: Option<Vec<StageShare>>,
}

impl Window {
    /// Adds the frame that is now shown. After a step back in a replay, later frames are forgotten.
    pub(super) fn add(&mut self, frame: &Frame) {
        let Some(excerpt) = Excerpt::of(frame) else { return };
        if self.excerpts.back().is_some_and(|last| last.key != excerpt.key) {
            self.excerpts.clear();
        }
        while self.excerpts.back().is_some_and(|last| last.mono_ns >= excerpt.mono_ns) {
            self.excerpts.pop_back();
        }
        let now = excerpt.mono_ns;
        self.excerpts.push_back(excerpt);
        while self.excerpts.front().is_some_and(|first| !first.is_within(now, KEPT_NS)) {
            self.excerpts.pop_front();
        }
    }

    /// This frame and the ones before it, newest first; empty if the frame does not know about drivers.
    pub(super) fn until(&self, frame: &Frame, span: Span) -> Vec<&Excerpt> {
        let is_newest = self.excerpts.back().is_some_and(|last| last.mono_ns == frame.mono_ns);
        if frame.drivers.is_none() || !is_newest {
            return Vec::new();
        }
        self.excerpts.iter().rev().take_while(|excerpt| excerpt.is_within(frame.mono_ns, span.ns())).collect()
    }
}

impl Excerpt {
    fn of(frame: &Frame) -> Option<Self> {
        let (host, sampling) = (&frame.host, frame.host.sampling?);
        Some(Self {
            key: (host.hostname.clone(), frame.boot_id.clone(), host.sample_event, sampling.frequency_per_s),
            mono_ns: frame.mono_ns,
            interval_ns: frame.interval_ns,
            event: host.sample_event,
            sampling,
            drivers: frame.drivers.clone()?,
            nics: frame.nics.iter().map(NicExcerpt::of).collect(),
            network: NetworkLoad::of(frame),
        })
    }

    /// Whether at least half of the interval lies within this time before `now`. Intervals are never exactly
    /// as long as requested.
    fn is_within(&self, now: u64, ns: u64) -> bool {
        let middle = self.mono_ns.saturating_sub(self.interval_ns / 2);
        now.saturating_sub(middle) <= ns || self.mono_ns == now
    }

    pub(super) fn driver(&self, name: &str) -> Option<&Driver> {
        self.drivers.iter().find(|driver| driver.driver == name)
    }

    pub(super) fn nics_of<'a>(&'a self, driver: &'a str) -> impl Iterator<Item = &'a NicExcerpt> {
        self.nics.iter().filter(move |nic| nic.driver.as_deref() == Some(driver))
    }
}

impl NicExcerpt {
    fn of(nic: &Nic) -> Self {
        Self {
            name: nic.name.clone(),
            ifindex: nic.ifindex,
            netns: nic.netns,
            driver: nic.driver.clone(),
            stages: nic.stages.clone(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Five real frames of one second each.
    pub(in crate::tui) fn sampled() -> Vec<Frame> {
        const RECORDING: &str = include_str!("../../tests/fixtures/frames/drivers.ndjson");
        let frame = |line| serde_json::from_str(line).expect("the recording's lines are frames");
        RECORDING.lines().map(frame).collect()
    }

    pub(in crate::tui) fn window(frames: &[Frame]) -> Window {
        let mut window = Window::default();
        for frame in frames {
            window.add(frame);
        }
        window
    }

    /// One frame per second, each a little late.
    fn seconds(count: u64) -> Vec<Frame> {
        let like = sampled().swap_remove(0);
        let frame = |number| {
            let mut frame = like.clone();
            frame.interval_ns = 1_000_100_000;
            frame.mono_ns += number * frame.interval_ns;
            frame
        };
        (0..count).map(frame).collect()
    }

    fn lengths(window: &Window, frame: &Frame) -> [usize; 3] {
        [Span::Frame, Span::Short, Span::Long].map(|span| window.until(frame, span).len())
    }

    #[test]
    fn frames_of_a_time_are_added_up() {
        let frames = seconds(100);
        let window = window(&frames);
        assert_eq!(lengths(&window, &frames[99]), [1, 10, 30]);
        assert_eq!(window.excerpts.len(), 30, "others are forgotten");
        assert_eq!(lengths(&window, &frames[98]), [0; 3], "that is not the newest");
    }

    #[test]
    fn an_interval_longer_than_the_time_is_one_frame() {
        let mut frame = sampled().swap_remove(0);
        frame.interval_ns = 3_600_000_000_000;
        assert_eq!(lengths(&window(std::slice::from_ref(&frame)), &frame), [1; 3]);
    }

    #[test]
    fn a_step_back_forgets_what_came_later() {
        let frames = seconds(20);
        let mut window = window(&frames);
        window.add(&frames[17]);
        assert_eq!(lengths(&window, &frames[17]), [1, 10, 18]);
        window.add(&frames[17]);
        assert_eq!(window.excerpts.len(), 18, "the same frame once more");
    }

    #[test]
    fn what_cannot_be_added_is_not() {
        let frames = seconds(3);
        let mut other = frames[2].clone();
        other.boot_id = Some("another boot".to_owned());
        assert_eq!(lengths(&window(&[frames[0].clone(), frames[1].clone(), other.clone()]), &other), [1; 3]);
        other = frames[2].clone();
        other.host.sampling.as_mut().expect("it was sampled").frequency_per_s = Some(99);
        assert_eq!(lengths(&window(&[frames[0].clone(), frames[1].clone(), other.clone()]), &other), [1; 3]);
        other.drivers = None;
        let window = window(&[frames[0].clone(), frames[1].clone(), other.clone()]);
        assert_eq!(lengths(&window, &other), [0; 3]);
    }
}
