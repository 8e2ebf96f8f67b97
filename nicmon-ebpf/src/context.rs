//! What this CPU is doing now: its state, and its clock less the time taken by device interrupts.

use core::ptr;

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use nicmon_common::{CpuState, RunStats};

use crate::maps::CPUS;

/// This CPU, whose elements of the maps no other writes.
pub struct ThisCpu {
    /// Its number.
    pub cpu: u32,
    /// Its state.
    pub state: *mut CpuState,
}

impl ThisCpu {
    #[inline(always)]
    pub fn get() -> Option<Self> {
        // SAFETY: the helper has no preconditions.
        let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
        Some(Self { cpu, state: CPUS.get_ptr_mut(cpu)? })
    }
}

/// A moment: the clock, and the interrupt time that belongs before it.
#[derive(Clone, Copy)]
pub struct Moment {
    pub ns: u64,
    pub irq_ns: u64,
}

impl Moment {
    /// Reads the clock such that no interrupt is counted on one side of it and timed on the other.
    ///
    /// An interrupt may land between any two instructions. If the interrupt time differs after reading the clock,
    /// both are read again; the reading before the clock is used, so that a second interrupt in the same few
    /// nanoseconds makes the time too long by its length, and never negative.
    #[inline(always)]
    pub fn now(state: *const CpuState) -> Self {
        // SAFETY: `state` is an element of CPUS.
        let total = unsafe { &raw const (*state).irq_total_ns };
        // SAFETY: as above; volatile, since the irq programs write it under us.
        let irq_ns = unsafe { ptr::read_volatile(total) };
        // SAFETY: the helper has no preconditions.
        let ns = unsafe { bpf_ktime_get_ns() };
        // SAFETY: as above.
        let after = unsafe { ptr::read_volatile(total) };
        if after == irq_ns {
            return Self { ns, irq_ns };
        }
        core::hint::cold_path();
        // SAFETY: the helper has no preconditions.
        Self { ns: unsafe { bpf_ktime_get_ns() }, irq_ns: after }
    }

    /// Time since an earlier moment, less the interrupts in between.
    #[inline(always)]
    pub fn since(self, ns: u64, irq_ns: u64) -> u64 {
        let elapsed = self.ns.wrapping_sub(ns).wrapping_sub(self.irq_ns.wrapping_sub(irq_ns));
        // The clock is monotonic on a CPU; should it not be, nothing is better than centuries.
        if (elapsed as i64) < 0 { 0 } else { elapsed }
    }
}

/// Counts a run that took `run_ns`, of which `unfiled_ns` are not in the sum yet.
///
/// # Safety
/// `stats` is an element of a map that only this context of this CPU writes; the user side alone lowers its maximum.
#[inline(always)]
pub unsafe fn count_run(stats: *mut RunStats, run_ns: u64, unfiled_ns: u64) {
    // SAFETY: the caller's.
    unsafe {
        (*stats).count += 1;
        (*stats).ns += unfiled_ns;
        if (*stats).max_ns < run_ns {
            (*stats).max_ns = run_ns;
        }
    }
}
