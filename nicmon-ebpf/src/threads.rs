//! What interrupts the threads of NAPIs. The user side knows how long such a thread ran, but most kernels
//! count the softirqs and interrupts that came meanwhile as part of it, and these may be another NIC's work.

use nicmon_common::{NapiStats, THREAD_CELLS, THREADS};

use crate::{context::ThisCpu, napi::Slot};

/// The cell of a thread. Threads of one NIC are made one after the other, so their numbers differ.
///
/// # Safety
/// `this` is this CPU.
#[inline(always)]
unsafe fn cell(this: &ThisCpu, pid: u32) -> *mut u64 {
    // SAFETY: the mask keeps it within the array.
    unsafe { (&raw mut (*this.state).threads).cast::<u64>().add(pid as usize & (THREAD_CELLS - 1)) }
}

/// The counters of the NAPI whose thread this is; null if it is no such thread, or not known yet.
///
/// # Safety
/// `this` is this CPU.
#[inline(always)]
unsafe fn stats_of(this: &ThisCpu, pid: u32) -> *mut NapiStats {
    // SAFETY: only `napi_poll` writes cells, whole, and the user side empties some: hence volatile.
    let entry = unsafe { cell(this, pid).read_volatile() };
    if pid == 0 || entry >> 32 != u64::from(pid) {
        return core::ptr::null_mut();
    }
    Slot::from_raw(entry as u32).quiet_stats(this)
}

/// Notes whose thread it is that just polled.
///
/// # Safety
/// `napi_poll` calls it; `stats` are the counters of `slot` on this CPU.
#[inline(always)]
pub unsafe fn note(this: &ThisCpu, pid: u32, slot: Slot, stats: *mut NapiStats) {
    let entry = u64::from(pid) << 32 | u64::from(slot.raw());
    // SAFETY: elements of this CPU. Only `napi_poll` writes a cell, and an irq program may read it in
    // between, hence volatile. The user side writes the flags before the programs are attached, and this
    // program writes them afterwards.
    unsafe {
        let cell_of_pid = cell(this, pid);
        let known = cell_of_pid.read_volatile();
        if known == entry {
            return;
        }
        core::hint::cold_path();
        // The NAPI may have had another thread, whose number a new task will get some day.
        let old = (*stats).thread_pid;
        let cell_of_old = cell(this, old);
        if cell_of_old.read_volatile() == (u64::from(old) << 32 | u64::from(slot.raw())) {
            cell_of_old.write_volatile(0);
        }
        cell_of_pid.write_volatile(entry);
        if known != 0 {
            // What interrupts the other thread is not known while this one has the cell, and the other way.
            let others = Slot::from_raw(known as u32).quiet_stats(this);
            if !others.is_null() {
                (*others).thread_gaps += 1;
            }
            (*stats).thread_gaps += 1;
        }
        let flags = &raw mut (*this.state).flags;
        flags.write_volatile(flags.read_volatile() | THREADS);
    }
}

/// A softirq ended that ran for `ns` while the thread was the current task.
///
/// # Safety
/// A softirq program calls it.
#[inline(always)]
pub unsafe fn interrupted_by_softirq(this: &ThisCpu, pid: u32, ns: u64) {
    // SAFETY: elements of this CPU; only softirq programs write this counter, and none interrupts the caller.
    unsafe {
        let stats = stats_of(this, pid);
        if !stats.is_null() {
            (*stats).thread_softirq_ns += ns;
        }
    }
}

/// A device interrupt ended that took `ns` while the thread was the current task.
///
/// # Safety
/// An irq program calls it.
#[inline(always)]
pub unsafe fn interrupted_by_irq(this: &ThisCpu, pid: u32, ns: u64) {
    // SAFETY: elements of this CPU; only irq programs write this counter, and none interrupts the caller.
    unsafe {
        let stats = stats_of(this, pid);
        if !stats.is_null() {
            (*stats).thread_irq_ns += ns;
        }
    }
}
