//! The flow window: looks at some packets of a NIC that saturates a CPU, on a thread of its own, since that
//! takes up to a tenth of a second.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use nicmon_common::{FLOW_DISSECTED, FLOW_HASHED, FlowSample};

use super::known::NicKey;
use crate::{
    counters::FlowLook,
    frame::{Flows, WhoseFlows},
    privileges::{Privileges, Request},
};

/// The same NIC is not looked at more often.
const EVERY: Duration = Duration::from_mins(1);
/// What was seen longer ago is no longer said.
const KEPT: Duration = Duration::from_secs(75);

/// What was seen, and what is being looked at.
#[derive(Debug, Default)]
pub(super) struct FlowWindows {
    /// Who looks; `None` if it is not allowed, or impossible.
    privileges: Option<Privileges>,
    seen: HashMap<WhoseFlows, (Instant, Flows)>,
    /// When each NIC was last looked at.
    tried: HashMap<NicKey, Instant>,
    running: Option<Receiver<(WhoseFlows, Result<FlowLook, String>)>>,
    /// Why packets could not be looked at the last time.
    problem: Option<String>,
}

impl FlowWindows {
    pub(super) fn new(privileges: Option<Privileges>) -> Self {
        Self { privileges, ..Self::default() }
    }

    /// What was seen of late, by namespace and interface index. Starts to look at one of those of which
    /// nothing is known.
    pub(super) fn follow(&mut self, wanted: &[WhoseFlows]) -> Vec<(NicKey, Flows)> {
        let now = Instant::now();
        let finished = self.running.as_ref().map(Receiver::try_recv);
        match finished {
            Some(Ok((whose, look))) => {
                self.problem = look.as_ref().err().map(|why| format!("packets cannot be looked at: {why}"));
                if let Ok(look) = look {
                    self.seen.insert(whose, (now, summary(whose.cpu, &look)));
                }
                self.running = None;
            }
            Some(Err(mpsc::TryRecvError::Disconnected)) => self.running = None,
            Some(Err(mpsc::TryRecvError::Empty)) | None => {}
        }
        // Also what nobody wants just now: a finding may fade for a frame and come back.
        self.seen.retain(|_, (at, _)| now - *at < KEPT);
        self.tried.retain(|_, at| now - *at < EVERY);
        self.start(wanted, now);
        let with_age = |(whose, (at, flows)): (&WhoseFlows, &(Instant, Flows))| {
            let age_ns = u64::try_from((now - *at).as_nanos()).unwrap_or(u64::MAX);
            ((whose.netns, whose.ifindex), Flows { age_ns, ..*flows })
        };
        self.seen.iter().map(with_age).collect()
    }

    /// Why packets could not be looked at, while somebody wants to know of them.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone().filter(|_| !self.tried.is_empty())
    }

    fn start(&mut self, wanted: &[WhoseFlows], now: Instant) {
        let (Some(privileges), None) = (self.privileges.clone(), &self.running) else { return };
        let is_due = |whose: &&WhoseFlows| !self.tried.contains_key(&(whose.netns, whose.ifindex));
        let Some(whose) = wanted.iter().find(is_due).copied() else { return };
        self.tried.insert((whose.netns, whose.ifindex), now);
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("flow-window".to_owned());
        // Without a thread, nothing is known.
        if thread.spawn(move || sender.send((whose, look(&privileges, whose)))).is_ok() {
            self.running = Some(receiver);
        }
    }
}

/// Looks at packets. It blocks.
fn look(privileges: &Privileges, whose: WhoseFlows) -> Result<FlowLook, String> {
    let looked = privileges.ask(Request::LookAtFlows(whose));
    let first_line = |error: io::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    looked.map(|(look, _)| look).map_err(first_line)
}

/// What the packets have in common.
fn summary(cpu: u32, look: &FlowLook) -> Flows {
    let samples = &look.samples;
    let is = |flag: u32| move |sample: &&FlowSample| sample.flags & flag != 0;
    // Hashes of the NIC and our own cannot be compared, so the kind that more packets have counts.
    let hashed: Vec<u32> = samples.iter().filter(is(FLOW_HASHED)).map(|sample| sample.hash).collect();
    let dissected: Vec<&FlowSample> = samples.iter().filter(is(FLOW_DISSECTED)).collect();
    let by_hash = hashed.len() * 2 > samples.len();
    let flows = if by_hash { hashed } else { dissected.iter().map(|sample| sample.flow).collect() };
    let pairs: Vec<u32> = dissected.iter().map(|sample| sample.pair).collect();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Flows {
        cpu,
        age_ns: 0,
        attached_ns: look.attached_ns,
        cost_ns: look.cost_ns,
        packets: count(samples.len()),
        known: count(flows.len()),
        flows: count(flows.iter().collect::<HashSet<_>>().len()),
        largest_flow_pct: largest_pct(&flows),
        largest_pair_pct: if by_hash { None } else { largest_pct(&pairs) },
    }
}

/// The part of the most frequent value.
fn largest_pct(values: &[u32]) -> Option<f64> {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for value in values {
        *counts.entry(*value).or_default() += 1;
    }
    let largest = counts.into_values().max()?;
    Some(f64::from(largest) * 100.0 / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::privileges::Answer;

    const WHOSE: WhoseFlows = WhoseFlows { netns: 7, ifindex: 2, cpu: 3 };

    fn look(flags: u32, flows: u32, pairs: u32) -> FlowLook {
        let sample = |number: u32| FlowSample {
            flags: if flags == FLOW_DISSECTED && !number.is_multiple_of(64) { 0 } else { flags },
            hash: number % flows,
            flow: number / 64 % flows,
            pair: number / 64 % pairs,
        };
        FlowLook { samples: (0..1000).map(sample).collect(), attached_ns: 5, cost_ns: Some(1) }
    }

    #[test]
    fn one_flow_and_many() {
        let one = summary(3, &look(FLOW_HASHED, 1, 1));
        assert_eq!((one.cpu, one.packets, one.known, one.flows), (3, 1000, 1000, 1));
        assert_eq!((one.largest_flow_pct, one.largest_pair_pct), (Some(100.0), None));
        let many = summary(3, &look(FLOW_HASHED, 10, 1));
        assert_eq!((many.flows, many.largest_flow_pct), (10, Some(10.0)));
        // 16 of 1,000 packets were taken apart.
        let ports = summary(3, &look(FLOW_DISSECTED, 4, 1));
        assert_eq!((ports.known, ports.flows), (16, 4));
        assert_eq!((ports.largest_flow_pct, ports.largest_pair_pct), (Some(25.0), Some(100.0)));
        let none = summary(3, &look(0, 1, 1));
        assert_eq!((none.packets, none.known, none.largest_flow_pct), (1000, 0, None));
        assert_eq!(summary(3, &FlowLook::default()).packets, 0);
    }

    #[test]
    fn a_nic_is_looked_at_once_a_minute() {
        static LOOKS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let mut windows = FlowWindows::new(Some(Privileges::own(Arc::new(|_| {
            LOOKS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Answer::new(&look(FLOW_HASHED, 1, 1), Vec::new())
        }))));
        assert!(windows.follow(&[]).is_empty());
        let seen = || {
            thread::sleep(Duration::from_millis(5));
            windows.follow(&[WHOSE]).into_iter().find(|(nic, _)| *nic == (7, 2)).map(|(_, flows)| flows)
        };
        let found = std::iter::repeat_with(seen).take(1000).flatten().take(3).collect::<Vec<_>>();
        assert_eq!((found.len(), found[0].flows), (3, 1));
        assert!(found[0].age_ns < found[2].age_ns);
        // A finding may fade for a frame.
        assert_eq!(windows.follow(&[]).len(), 1);
        thread::sleep(Duration::from_millis(5));
        assert_eq!(windows.follow(&[WHOSE]).len(), 1);

        assert_eq!(LOOKS.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn a_failure_is_said() {
        let mut windows = FlowWindows::new(Some(Privileges::own(Arc::new(|_| Err(io::Error::other("no"))))));
        let problem = || {
            thread::sleep(Duration::from_millis(5));
            assert!(windows.follow(&[WHOSE]).is_empty());
            windows.problem()
        };
        let found = std::iter::repeat_with(problem).take(1000).flatten().next();
        assert_eq!(found.as_deref(), Some("packets cannot be looked at: no"));
    }

    #[test]
    fn nothing_is_looked_at_without_permission() {
        let mut windows = FlowWindows::new(None);
        assert!(windows.follow(&[WHOSE]).is_empty() && windows.running.is_none());
    }
}
