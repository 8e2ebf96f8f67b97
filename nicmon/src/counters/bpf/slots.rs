//! The slots of one kind, on all CPUs: who owns which, and what was counted in them.
//!
//! Each CPU has slots of its own. The programs take a free one when a NAPI is first polled there, or an irq
//! action first runs there, and write its owner. User space gives out free slots and takes slots back when
//! their owner is gone or silent: it removes the owner from the index, makes the CPU's cache stale, waits
//! until no program can still be using the slot, and only then gives it out again. The programs zero the
//! counters for each new owner.
//!
//! Reading costs what is active: the programs note each slot once per epoch, and only noted slots are looked
//! at.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    mem::offset_of,
};

use aya::Ebpf;
use nicmon_common::{
    CpuState, INDEX_EMPTY, INDEX_PROBES, INDEX_REMOVED, IrqKey, IrqOwner, IrqStats, NapiKey, NapiOwner,
    NapiStats, RingEntry, SlotRings, index_entry, index_probe,
};

use super::{ProbeError, mapped, mapped::MappedArray};
use crate::host::monotonic_ns;

/// How long a slot rests after its owner was removed. A softirq run that still uses it ends within
/// milliseconds.
const REST_NS: u64 = 1_000_000_000;

/// A kind of slots: the names of its maps, and what the programs keep in them.
pub(super) trait Kind {
    type Key: Copy + Eq + Hash;
    type Owner: Copy;
    type Stats: Copy + Default;
    const STATS: &'static str;
    const OWNERS: &'static str;
    const RINGS: &'static str;
    const INDEX: &'static str;
    /// Where a CPU's counts of these slots are in its state.
    const COUNTS: usize;

    fn key(owner: &Self::Owner) -> Self::Key;
    fn hash(key: &Self::Key) -> u64;
}

/// Slots of NAPIs.
pub(super) struct Napis;

impl Kind for Napis {
    type Key = NapiKey;
    type Owner = NapiOwner;
    type Stats = NapiStats;
    const STATS: &'static str = "NAPI_STATS";
    const OWNERS: &'static str = "NAPI_OWNERS";
    const RINGS: &'static str = "NAPI_RINGS";
    const INDEX: &'static str = "NAPI_INDEX";
    const COUNTS: usize = offset_of!(CpuState, napis);

    fn key(owner: &NapiOwner) -> NapiKey {
        owner.key
    }

    fn hash(key: &NapiKey) -> u64 {
        key.hash()
    }
}

/// Slots of irq actions.
pub(super) struct Irqs;

impl Kind for Irqs {
    type Key = IrqKey;
    type Owner = IrqOwner;
    type Stats = IrqStats;
    const STATS: &'static str = "IRQ_STATS";
    const OWNERS: &'static str = "IRQ_OWNERS";
    const RINGS: &'static str = "IRQ_RINGS";
    const INDEX: &'static str = "IRQ_INDEX";
    const COUNTS: usize = offset_of!(CpuState, irqs);

    fn key(owner: &IrqOwner) -> IrqKey {
        owner.key
    }

    fn hash(key: &IrqKey) -> u64 {
        key.hash()
    }
}

/// A slot with an owner.
pub(super) struct Owned<K: Kind> {
    pub(super) owner: K::Owner,
    /// What it contained at the previous reading.
    pub(super) before: K::Stats,
    /// When something was last filed to it, on the monotonic clock.
    pub(super) active_ns: u64,
}

/// A slot that was taken back.
pub(super) struct Removed<K: Kind> {
    pub(super) cpu: usize,
    pub(super) owned: Owned<K>,
    /// What it contained at the end.
    pub(super) now: K::Stats,
}

/// The slots of one CPU.
struct CpuSlots<K: Kind> {
    /// By slot, as far as slots were ever used.
    owned: Vec<Option<Owned<K>>>,
    /// How far the rings were read and written; see [`SlotRings`].
    seen: SlotRings,
    /// Slots noted for the previous reading. They are read once more: something may have been filed to them
    /// just as the epoch was raised.
    recent: Vec<u32>,
    /// Slots noted since.
    active: Vec<u32>,
    /// Slots without an owner, and since when.
    resting: Vec<(u32, u64)>,
}

impl<K: Kind> CpuSlots<K> {
    fn new() -> Self {
        Self {
            owned: Vec::new(),
            seen: SlotRings::default(),
            recent: Vec::new(),
            active: Vec::new(),
            resting: Vec::new(),
        }
    }
}

/// All slots of one kind.
pub(super) struct Slots<K: Kind> {
    stats: MappedArray<K::Stats>,
    owners: MappedArray<K::Owner>,
    rings: MappedArray<RingEntry>,
    index: MappedArray<u64>,
    /// Slots per CPU.
    per_cpu: u32,
    cpus: Vec<CpuSlots<K>>,
    /// On how many CPUs each owner has a slot.
    cpus_of: HashMap<K::Key, u32>,
    /// How often an owner got its first slot or lost its last one.
    changes: u64,
}

impl<K: Kind> Slots<K> {
    /// Makes all slots available, before the programs are attached.
    pub(super) fn new(
        ebpf: &mut Ebpf,
        states: &MappedArray<CpuState>,
        cpus: usize,
        slots: u32,
    ) -> Result<Self, ProbeError> {
        let length = cpus * slots as usize;
        let mut all = Self {
            stats: mapped(ebpf, K::STATS, length)?,
            owners: mapped(ebpf, K::OWNERS, length)?,
            rings: mapped(ebpf, K::RINGS, length)?,
            index: mapped(ebpf, K::INDEX, length * 2)?,
            per_cpu: slots,
            cpus: (0..cpus).map(|_| CpuSlots::new()).collect(),
            cpus_of: HashMap::new(),
            changes: 0,
        };
        for cpu in 0..cpus {
            for slot in 0..slots {
                all.give(states, cpu, slot);
            }
            // The slots' own epochs are 0: without this, nothing would be noted until the first reading.
            all.next_epoch(states, cpu);
        }
        Ok(all)
    }

    /// How often owners have come or gone so far, on whatever CPU.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// All slots that have an owner: the CPU and the slot.
    pub(super) fn owned(&self) -> impl Iterator<Item = (usize, u32, &Owned<K>)> {
        self.cpus.iter().enumerate().flat_map(|(cpu, slots)| {
            (0..).zip(&slots.owned).filter_map(move |(slot, owned)| Some((cpu, slot, owned.as_ref()?)))
        })
    }

    /// The owner of a slot.
    pub(super) fn owner(&self, cpu: usize, slot: u32) -> Option<&K::Owner> {
        Some(&self.cpus.get(cpu)?.owned.get(slot as usize)?.as_ref()?.owner)
    }

    /// Begins a reading of a CPU: from now on each slot is noted again when something is filed to it.
    pub(super) fn begin_reading(&mut self, states: &MappedArray<CpuState>, cpu: usize) {
        self.next_epoch(states, cpu);
        if let Some(slots) = self.cpus.get_mut(cpu) {
            slots.recent = std::mem::take(&mut slots.active);
        }
    }

    fn next_epoch(&mut self, states: &MappedArray<CpuState>, cpu: usize) {
        let Some(slots) = self.cpus.get_mut(cpu) else { return };
        slots.seen.epoch = slots.seen.epoch.wrapping_add(1);
        states.store(cpu, K::COUNTS + offset_of!(SlotRings, epoch), slots.seen.epoch);
    }

    /// Between two readings: learns which slots something was filed to since the last look. The next reading
    /// still looks at them.
    pub(super) fn look_between(&mut self, states: &MappedArray<CpuState>, now_ns: u64) {
        for cpu in 0..self.cpus.len() {
            self.next_epoch(states, cpu);
            let known = std::mem::take(&mut self.cpus[cpu].active);
            self.learn_active(states, cpu);
            let CpuSlots { active, owned, .. } = &mut self.cpus[cpu];
            for slot in &*active {
                if let Some(Some(owned)) = owned.get_mut(*slot as usize) {
                    owned.active_ns = now_ns;
                }
            }
            *active = union(active, &known);
        }
    }

    /// Learns which slots were noted and which got an owner on a CPU. Returns the slots to look at, each
    /// once.
    pub(super) fn look(&mut self, states: &MappedArray<CpuState>, cpu: usize) -> Vec<u32> {
        self.learn_active(states, cpu);
        self.cpus.get(cpu).map_or_else(Vec::new, |slots| union(&slots.active, &slots.recent))
    }

    /// Adds the slots that were noted since the last look to the active ones.
    fn learn_active(&mut self, states: &MappedArray<CpuState>, cpu: usize) {
        // A slot gets its owner before it is noted, so its owner is looked for afterwards.
        let noted = states.load(cpu, K::COUNTS + offset_of!(SlotRings, noted));
        self.learn(states, cpu);
        let Some(slots) = self.cpus.get_mut(cpu) else { return };
        let new = noted.wrapping_sub(slots.seen.noted);
        for number in 0..new.min(self.per_cpu) {
            let entry = self.rings.get(at(cpu, self.per_cpu, slots.seen.noted.wrapping_add(number)));
            slots.active.extend(entry.map(|entry| entry.active));
        }
        // Entries that were overwritten before or while they were read.
        let noted_now = states.load(cpu, K::COUNTS + offset_of!(SlotRings, noted));
        if noted_now.wrapping_sub(slots.seen.noted) > self.per_cpu {
            slots.active = (0..).take(slots.owned.len()).collect();
        }
        slots.seen.noted = noted;
    }

    /// Learns which slots got an owner on a CPU.
    pub(super) fn learn(&mut self, states: &MappedArray<CpuState>, cpu: usize) {
        let Some(slots) = self.cpus.get_mut(cpu) else { return };
        let taken = states.load(cpu, K::COUNTS + offset_of!(SlotRings, taken));
        while slots.seen.taken != taken {
            let entry = self.rings.get(at(cpu, self.per_cpu, slots.seen.taken));
            slots.seen.taken = slots.seen.taken.wrapping_add(1);
            let Some(slot) = entry.map(|entry| entry.free & (self.per_cpu - 1)) else { continue };
            let Some(owner) = self.owners.get(at(cpu, self.per_cpu, slot)) else { continue };
            if slots.owned.len() <= slot as usize {
                slots.owned.resize_with(slot as usize + 1, || None);
            }
            slots.owned[slot as usize] =
                Some(Owned { owner, before: K::Stats::default(), active_ns: monotonic_ns() });
            let count = self.cpus_of.entry(K::key(&owner)).or_default();
            self.changes += u64::from(*count == 0);
            *count += 1;
        }
    }

    /// What a slot contains now.
    pub(super) fn stats(&self, cpu: usize, slot: u32) -> Option<K::Stats> {
        self.stats.get(at(cpu, self.per_cpu, slot))
    }

    /// Takes a field of a slot and leaves 0; see [`MappedArray::take`].
    pub(super) fn take(&self, cpu: usize, slot: u32, offset: usize) -> u64 {
        self.stats.take(at(cpu, self.per_cpu, slot), offset)
    }

    /// A slot that has an owner, to compare it with what it contained before.
    pub(super) fn owned_mut(&mut self, cpu: usize, slot: u32) -> Option<&mut Owned<K>> {
        self.cpus.get_mut(cpu)?.owned.get_mut(slot as usize)?.as_mut()
    }

    /// Takes slots back from their owners. The caller must then raise [`CpuState::generation`], and keep what
    /// was filed since the last reading.
    pub(super) fn remove(&mut self, which: impl Fn(&Owned<K>) -> bool, now_ns: u64) -> Vec<Removed<K>> {
        let found = self.owned().filter(|(_, _, owned)| which(owned));
        let found: Vec<(usize, u32)> = found.map(|(cpu, slot, _)| (cpu, slot)).collect();
        let mut removed = Vec::new();
        for (cpu, slot) in found {
            let Some(owned) = self.cpus[cpu].owned[slot as usize].take() else { continue };
            self.remove_from_index(cpu, slot, K::hash(&K::key(&owned.owner)));
            self.cpus[cpu].resting.push((slot, now_ns));
            if let Entry::Occupied(mut count) = self.cpus_of.entry(K::key(&owned.owner)) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                    self.changes += 1;
                }
            }
            let now = self.stats(cpu, slot).unwrap_or(owned.before);
            removed.push(Removed { cpu, owned, now });
        }
        removed
    }

    /// The programs add entries only where there is none, so this one stays until it is removed here.
    fn remove_from_index(&self, cpu: usize, slot: u32, hash: u64) {
        let entry = index_entry(hash, slot);
        for probe in 0..INDEX_PROBES {
            let at = at(cpu, self.per_cpu * 2, index_probe(hash, probe));
            match self.index.get(at) {
                Some(found) if found == entry => return self.index.store_word(at, INDEX_REMOVED),
                Some(INDEX_EMPTY) | None => return,
                Some(_) => {}
            }
        }
    }

    /// Whether slots were taken back that are not given out yet.
    pub(super) fn are_resting(&self) -> bool {
        self.cpus.iter().any(|slots| !slots.resting.is_empty())
    }

    /// Gives out slots that have rested, after `before` took from each what it still holds, by the CPU and
    /// the element of the counters. True if there are any: the caller must then raise
    /// [`CpuState::generation`], so that owners without a slot look again.
    pub(super) fn recycle(
        &mut self,
        states: &MappedArray<CpuState>,
        now_ns: u64,
        mut before: impl FnMut(&MappedArray<K::Stats>, usize, usize),
    ) -> bool {
        let mut any = false;
        for cpu in 0..self.cpus.len() {
            let rested = |(_, since): &mut (u32, u64)| now_ns.saturating_sub(*since) >= REST_NS;
            let rested: Vec<_> = self.cpus[cpu].resting.extract_if(.., rested).collect();
            for (slot, _) in rested {
                before(&self.stats, cpu, at(cpu, self.per_cpu, slot));
                self.give(states, cpu, slot);
                any = true;
            }
        }
        any
    }

    /// Makes a slot available. The ring has room for all slots, so nothing is overwritten.
    fn give(&mut self, states: &MappedArray<CpuState>, cpu: usize, slot: u32) {
        let seen = &mut self.cpus[cpu].seen;
        let entry = at(cpu, self.per_cpu, seen.given);
        self.rings.store(entry, offset_of!(RingEntry, free), slot);
        seen.given = seen.given.wrapping_add(1);
        states.store(cpu, K::COUNTS + offset_of!(SlotRings, given), seen.given);
    }
}

/// What the programs do, for tests in which they are not attached.
#[cfg(test)]
impl<K: Kind> Slots<K> {
    /// Gives an owner the next free slot.
    pub(super) fn put_owner(&mut self, states: &MappedArray<CpuState>, cpu: usize, owner: K::Owner) -> u32 {
        let counts = K::COUNTS + offset_of!(SlotRings, taken);
        let taken = states.load(cpu, counts);
        assert_ne!(taken, self.cpus[cpu].seen.given, "no slot left");
        let slot = self.rings.get(at(cpu, self.per_cpu, taken)).map_or(0, |entry| entry.free);
        self.owners.put(at(cpu, self.per_cpu, slot), owner);
        states.store(cpu, counts, taken.wrapping_add(1));
        slot
    }

    /// Files something to a slot.
    pub(super) fn put(
        &self,
        states: &MappedArray<CpuState>,
        cpu: usize,
        slot: u32,
        change: impl FnOnce(&mut K::Stats),
    ) {
        let counts = K::COUNTS + offset_of!(SlotRings, noted);
        let noted = states.load(cpu, counts);
        self.rings.store(at(cpu, self.per_cpu, noted), offset_of!(RingEntry, active), slot);
        states.store(cpu, counts, noted.wrapping_add(1));
        let at = at(cpu, self.per_cpu, slot);
        let mut counters = self.stats.get(at).unwrap_or_default();
        change(&mut counters);
        self.stats.put(at, counters);
    }
}

/// The slots of both, each once.
fn union(some: &[u32], others: &[u32]) -> Vec<u32> {
    let mut all = [some, others].concat();
    all.sort_unstable();
    all.dedup();
    all
}

/// An element of an array that has `each` elements per CPU, a power of two.
fn at(cpu: usize, each: u32, number: u32) -> usize {
    cpu * each as usize + (number & (each - 1)) as usize
}
