//! What the programs of `nicmon path` count. They are only in nicmon with eBPF programs, what is made of it
//! is not.

use std::collections::HashMap;

use nicmon_common::Passed;

/// Packets of one NIC since its programs were attached, or between two readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathReading {
    /// Handed over by the driver, to be received at once.
    pub entered: Passed,
    /// Handed over by the driver, to be received from the backlog.
    pub queued: Passed,
    /// Received by the stack, after GRO and the backlog.
    pub received: Passed,
    /// Of those received, IPv4 packets.
    pub ipv4: u64,
    /// Of those received, IPv6 packets.
    pub ipv6: u64,
    /// Packets dropped, by reason and place.
    pub drops: HashMap<PathDropAt, Passed>,
    /// Drops that were not counted, because there were too many reasons and places.
    pub drops_lost: u64,
}

/// Why and where packets were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathDropAt {
    /// The kernel's reason, without its prefix; `None` before 5.17, which gives none.
    pub reason: Option<String>,
    /// Address of the code that dropped it.
    pub location: u64,
    /// Where on the NIC's way.
    pub place: PathPlace,
}

/// Where on a NIC's way a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathPlace {
    /// Between the driver and the stack: in GRO or in the backlog.
    Entering,
    /// After the stack received it.
    Received,
    /// On its way out, from a socket of this machine.
    Outgoing,
}

impl PathReading {
    /// What came after an earlier reading of the same programs.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let passed = |now: Passed, before: Passed| Passed {
            packets: now.packets.saturating_sub(before.packets),
            segments: now.segments.saturating_sub(before.segments),
        };
        let drops = self.drops.iter().map(|(at, now)| {
            let before = before.drops.get(at).copied().unwrap_or_default();
            (at.clone(), passed(*now, before))
        });
        Self {
            entered: passed(self.entered, before.entered),
            queued: passed(self.queued, before.queued),
            received: passed(self.received, before.received),
            ipv4: self.ipv4.saturating_sub(before.ipv4),
            ipv6: self.ipv6.saturating_sub(before.ipv6),
            drops: drops.filter(|(_, passed)| passed.packets > 0).collect(),
            drops_lost: self.drops_lost.saturating_sub(before.drops_lost),
        }
    }
}
