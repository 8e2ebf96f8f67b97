//! The slots of this CPU: who owns which, and which are active. NAPIs have one table, irq actions another.
//!
//! Everything here belongs to this CPU and to one kind of programs, which do not interrupt one another (see
//! [`crate::context`]). So there is no lock, and no map that CPUs share. The user side gives out free slots
//! and takes slots back.

use core::hint::cold_path;

use nicmon_common::{INDEX_EMPTY, INDEX_REMOVED, RingEntry, SlotRings, index_entry, index_probe};

use crate::{context::ThisCpu, maps::config};

/// A table of slots.
pub trait Table {
    /// What tells owners apart.
    type Key;
    /// What is kept of an owner.
    type Owner;

    /// Slots per CPU: a power of two.
    fn slots() -> u32;
    /// An element of the index, which has twice as many as there are slots.
    fn index(at: u32) -> Option<*mut u64>;
    /// An element of the rings.
    fn ring(at: u32) -> Option<*mut RingEntry>;
    /// The owner of a slot.
    fn owner(at: u32) -> Option<*mut Self::Owner>;
    /// This CPU's counts.
    fn rings(this: &ThisCpu) -> *mut SlotRings;
    /// Whether an owner has this key.
    ///
    /// # Safety
    /// `owner` points to an element of the owners.
    unsafe fn is(owner: *const Self::Owner, key: &Self::Key) -> bool;
}

/// The slot of a key.
///
/// # Safety
/// A program of the kind that writes this table calls it.
#[inline(always)]
pub unsafe fn find<T: Table>(this: &ThisCpu, key: &T::Key, hash: u64) -> Option<u32> {
    let slots = T::slots();
    for probe in 0..config!(index_probes) {
        let at = index_probe(hash, probe);
        let element = T::index(this.cpu * slots * 2 + (at & (slots * 2 - 1)))?;
        // SAFETY: an element of this CPU. The user side may mark it as removed at any moment, hence volatile.
        let entry = unsafe { element.read_volatile() };
        if entry == INDEX_EMPTY {
            return None;
        }
        if entry != INDEX_REMOVED && entry >> 32 == hash >> 32 {
            let slot = (entry as u32).wrapping_sub(1);
            let owner = T::owner(this.cpu * slots + slot)?;
            // SAFETY: an element of this CPU, written when the slot got this owner.
            if unsafe { T::is(owner, key) } {
                return Some(slot);
            }
        }
    }
    None
}

/// A slot that has no owner yet, and where its owner is kept.
pub struct Free<O> {
    pub slot: u32,
    pub owner: *mut O,
}

/// A free slot. It stays free until [`publish`] is called.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub unsafe fn free<T: Table>(this: &ThisCpu) -> Option<Free<T::Owner>> {
    let slots = T::slots();
    let rings = T::rings(this);
    // SAFETY: this CPU's element. Only the caller's kind of program writes `taken`; the user side raises
    // `given` at any moment, after it has written the entry.
    unsafe {
        let taken = (*rings).taken;
        if (&raw const (*rings).given).read_volatile() == taken {
            return None;
        }
        let entry = T::ring(this.cpu * slots + (taken & (slots - 1)))?;
        // The mask keeps the slot within this CPU's part, whatever the ring contains.
        let slot = (&raw const (*entry).free).read_volatile() & (slots - 1);
        Some(Free { slot, owner: T::owner(this.cpu * slots + slot)? })
    }
}

/// Gives a free slot to the owner that was written to it. False if the index has no room near its place.
///
/// # Safety
/// As for [`find`]; `slot` is from [`free`], and its owner is written.
#[inline(always)]
pub unsafe fn publish<T: Table>(this: &ThisCpu, slot: u32, hash: u64) -> bool {
    let slots = T::slots();
    for probe in 0..config!(index_probes) {
        let at = index_probe(hash, probe);
        let Some(element) = T::index(this.cpu * slots * 2 + (at & (slots * 2 - 1))) else { return false };
        // SAFETY: an element of this CPU. The user side changes only entries of slots that have an owner, and
        // the caller's kind of program only those that have none. The user side looks at an owner once
        // `taken` shows it, so that is stored last.
        unsafe {
            let entry = element.read_volatile();
            if entry == INDEX_EMPTY || entry == INDEX_REMOVED {
                element.write_volatile(index_entry(hash, slot));
                let taken = &raw mut (*T::rings(this)).taken;
                taken.write_volatile(taken.read().wrapping_add(1));
                return true;
            }
        }
    }
    false
}

/// Notes that something is filed to a slot, unless that was noted since the user side last read. The user
/// side reads a slot once more after the reading for which it was noted, so nothing is missed if it raises
/// the epoch between this look and the filing.
///
/// # Safety
/// As for [`find`]; `noted` is the slot's own epoch.
#[inline(always)]
pub unsafe fn note_active<T: Table>(this: &ThisCpu, slot: u32, noted: *mut u32) {
    let rings = T::rings(this);
    // SAFETY: elements of this CPU that only the caller's kind of program writes, except for the epoch, which
    // the user side raises at any moment. The entry is written before the count that shows it.
    unsafe {
        let epoch = (&raw const (*rings).epoch).read_volatile();
        if *noted == epoch {
            return;
        }
        cold_path();
        *noted = epoch;
        let slots = T::slots();
        let count = &raw mut (*rings).noted;
        let number = count.read();
        let Some(entry) = T::ring(this.cpu * slots + (number & (slots - 1))) else { return };
        (&raw mut (*entry).active).write_volatile(slot);
        count.write_volatile(number.wrapping_add(1));
    }
}
