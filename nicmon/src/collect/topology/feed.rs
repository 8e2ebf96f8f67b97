//! When the topology is read, and which frames carry it.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant},
};

use super::{
    show,
    thread::{Depth, Thread},
};
use crate::{
    collect::Filter,
    frame::topology::Topology,
    host::{self, Roots},
    privileges::Privileges,
};

/// The shortest time between two readings.
const READ_AGAIN: Duration = Duration::from_secs(10);
/// After this time everything is read and sent again, whether or not anything has changed.
const SEND_AGAIN: Duration = Duration::from_mins(1);
/// How long the first frame waits for its topology.
const PATIENCE: Duration = Duration::from_secs(1);

/// The topology in frames: in the first, after each change, and once a minute.
pub(in crate::collect) struct Feed {
    thread: Thread,
    schedule: Schedule,
    /// What was last sent, as a hash: topologies can be large.
    sent: Option<u64>,
}

impl Feed {
    /// Asks for the first topology.
    pub(in crate::collect) fn start(
        roots: Roots,
        privileges: Privileges,
        namespaces: BTreeSet<u32>,
    ) -> Result<Self, host::Error> {
        let thread = Thread::start(roots, privileges)?;
        thread.ask(Depth::Devices, namespaces);
        Ok(Self { thread, schedule: Schedule::new(Instant::now()), sent: None })
    }

    /// The topology in this frame, if any. `links_changed`: interfaces came, went, or went up or down
    /// since the previous frame.
    pub(in crate::collect) fn next(
        &mut self,
        links_changed: bool,
        namespaces: impl FnOnce() -> BTreeSet<u32>,
        filter: &Filter,
    ) -> Option<Topology> {
        let now = Instant::now();
        let patience =
            if self.sent.is_none() && self.schedule.answers == 0 { PATIENCE } else { Duration::ZERO };
        let answer = self.schedule.waiting.and_then(|_| self.thread.answer(patience));
        let mut next = None;
        if let Some(answer) = answer {
            let again = self.schedule.answered();
            // If reading fails now, it is requested again.
            if let Ok(mut topology) = answer {
                show(&mut topology, filter);
                let hash = hash(&topology);
                if again || self.sent != Some(hash) {
                    self.schedule.sent = Some(now);
                    self.sent = Some(hash);
                    next = Some(topology);
                }
            }
        }
        self.schedule.links_changed |= links_changed;
        if let Some(depth) = self.schedule.due(now) {
            self.thread.ask(depth, namespaces());
        }
        next
    }
}

fn hash(topology: &Topology) -> u64 {
    let mut hasher = DefaultHasher::new();
    topology.hash(&mut hasher);
    hasher.finish()
}

/// Decides when to read what.
struct Schedule {
    asked: Instant,
    /// What is being read, and whether to send it in any case.
    waiting: Option<bool>,
    answers: u64,
    links_changed: bool,
    sent: Option<Instant>,
}

impl Schedule {
    /// The first reading was already requested.
    fn new(now: Instant) -> Self {
        Self { asked: now, waiting: Some(true), answers: 0, links_changed: false, sent: None }
    }

    /// Notes that the answer came. Returns true if it must be sent in any case.
    fn answered(&mut self) -> bool {
        self.answers += 1;
        self.waiting.take().unwrap_or(false)
    }

    /// What to read now.
    fn due(&mut self, now: Instant) -> Option<Depth> {
        if self.waiting.is_some() || now.saturating_duration_since(self.asked) < READ_AGAIN {
            return None;
        }
        let again = self.sent.is_none_or(|sent| now.saturating_duration_since(sent) >= SEND_AGAIN);
        let depth = if again || self.links_changed { Depth::Devices } else { Depth::Files };
        (self.asked, self.waiting, self.links_changed) = (now, Some(again), false);
        Some(depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::own;

    #[test]
    fn readings() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::new(start);
        assert_eq!(schedule.due(after(30)), None, "the first is being read");
        assert!(schedule.answered());
        schedule.sent = Some(after(1));
        assert_eq!(schedule.due(after(9)), None);
        assert_eq!(schedule.due(after(10)), Some(Depth::Files));
        assert_eq!(schedule.due(after(25)), None, "still being read");
        assert!(!schedule.answered());
        schedule.links_changed = true;
        assert_eq!(schedule.due(after(19)), None, "ten seconds after the last");
        assert_eq!(schedule.due(after(20)), Some(Depth::Devices));
        assert!(!schedule.answered());
        assert_eq!(schedule.due(after(30)), Some(Depth::Files), "the change was read");
        assert!(!schedule.answered());
        assert_eq!(schedule.due(after(61)), Some(Depth::Devices));
        assert!(schedule.answered(), "sent again after a minute");
    }

    #[test]
    fn of_this_machine() {
        let filter = Filter::new(&["lo".to_owned()], &[]).unwrap();
        let mut feed = Feed::start(Roots::default(), own(Roots::default()), BTreeSet::new()).unwrap();
        let first = feed.next(false, BTreeSet::new, &filter).unwrap();
        assert_eq!(first.nics.iter().map(|nic| nic.name.as_str()).collect::<Vec<_>>(), ["lo"]);
        assert!(!first.cpus.is_empty());
        assert_eq!(feed.next(true, BTreeSet::new, &filter), None);
    }
}
