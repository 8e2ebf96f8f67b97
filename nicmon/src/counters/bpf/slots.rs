//! Who owns which slot of a statistics array.
//!
//! The programs take a free slot when they first see a NAPI or irq action, and write its owner to a map.
//! User space takes the slot back when the owner is gone: it removes the owner, makes every CPU's cache
//! stale, waits until no program can still be using the slot, and only then gives it out again. Counters
//! are never reset. User space keeps the previous value of each slot, so differences are right whoever
//! owns it.

use std::{collections::HashMap, hash::Hash, time::Duration};

use aya::{
    Pod,
    maps::{self, MapData, Queue},
};

use super::ProbeError;

/// How long a slot rests after its owner was removed. A softirq run that still uses it ends within
/// milliseconds.
const REST: Duration = Duration::from_secs(1);

/// The owners of the slots of one array.
pub(super) struct Slots<K: Pod, I: Pod> {
    name: &'static str,
    owners: maps::HashMap<MapData, K, I>,
    free: Queue<MapData, u32>,
    slot_of: fn(&I) -> u32,
    /// What `owners` contained when it was last read.
    known: HashMap<K, I>,
    /// How often `known` has changed.
    changes: u64,
    /// How many new owners the programs had counted by then.
    seen: u64,
    /// Slots without an owner, and since when, on the monotonic clock.
    resting: Vec<(u32, u64)>,
}

impl<K: Pod + Eq + Hash, I: Pod> Slots<K, I> {
    /// Makes all slots available.
    pub(super) fn new(
        name: &'static str,
        owners: maps::HashMap<MapData, K, I>,
        mut free: Queue<MapData, u32>,
        slot_of: fn(&I) -> u32,
    ) -> Result<Self, ProbeError> {
        for slot in 0..free.capacity() {
            free.push(slot, 0).map_err(|error| ProbeError::map(name, error))?;
        }
        Ok(Self {
            name,
            owners,
            free,
            slot_of,
            known: HashMap::new(),
            changes: 0,
            seen: 0,
            resting: Vec::new(),
        })
    }

    /// Learns of new owners. `seen` is how many the programs have counted so far: the map is read only if
    /// that number grew.
    pub(super) fn refresh(&mut self, seen: u64) -> Result<(), ProbeError> {
        if seen == self.seen {
            return Ok(());
        }
        for entry in &self.owners {
            let (key, info) = entry.map_err(|error| ProbeError::map(self.name, error))?;
            self.known.insert(key, info);
        }
        self.seen = seen;
        self.changes += 1;
        Ok(())
    }

    /// All owners.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &I)> {
        self.known.iter()
    }

    /// How often owners have come or gone so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Removes owners. The caller must then raise [`nicmon_common::CpuState::generation`].
    pub(super) fn remove(&mut self, keys: &[K], now_ns: u64) {
        self.changes += 1;
        for key in keys {
            // A key that is absent from the map was removed already; other failures cannot be handled
            // here.
            let _ = self.owners.remove(key);
            if let Some(info) = self.known.remove(key) {
                self.resting.push(((self.slot_of)(&info), now_ns));
            }
        }
    }

    /// Makes slots available again that have rested.
    pub(super) fn recycle(&mut self, now_ns: u64) -> Result<(), ProbeError> {
        let rest_ns = u64::try_from(REST.as_nanos()).unwrap_or(u64::MAX);
        let (rested, resting) = self
            .resting
            .drain(..)
            .partition::<Vec<_>, _>(|(_, since)| now_ns.saturating_sub(*since) >= rest_ns);
        self.resting = resting;
        for (slot, _) in rested {
            self.free.push(slot, 0).map_err(|error| ProbeError::map(self.name, error))?;
        }
        Ok(())
    }
}
