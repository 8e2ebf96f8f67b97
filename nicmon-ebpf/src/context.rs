//! What this CPU is doing now: its state, and its clock less the time taken by device interrupts.

use core::hint::cold_path;

use aya_ebpf::helpers::{bpf_get_current_task, bpf_get_smp_processor_id, bpf_ktime_get_ns};
use nicmon_common::{CpuState, PREEMPT_RT, RunStats};

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

/// The monotonic clock.
#[inline(always)]
pub fn clock() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// A moment: the clock, and the interrupt time that belongs before it.
#[derive(Clone, Copy)]
pub struct Moment {
    pub ns: u64,
    pub irq_ns: u64,
}

impl Moment {
    /// The moment at which the clock stood at `ns`, just now.
    ///
    /// Whoever wants one reads the clock first of all: it waits for loads that are under way, so that a cache miss
    /// before it is paid in full, and one after it is not. An interrupt may land between any two instructions; one that
    /// ended since the clock was read may be in the interrupt time already, and then a moment after it is taken. Should
    /// another land in those few instructions, the time becomes too long by its length, and never negative.
    #[inline(always)]
    pub fn at(ns: u64, state: *const CpuState) -> Self {
        // SAFETY: `state` is an element of CPUS; volatile, since the irq programs write it under us. The end is read last:
        // an interrupt between the two reads is seen in it.
        let (irq_ns, irq_end) = unsafe {
            (
                (&raw const (*state).irq_total_ns).read_volatile(),
                (&raw const (*state).irq_end).read_volatile(),
            )
        };
        if irq_end < ns {
            return Self { ns, irq_ns };
        }
        cold_path();
        // SAFETY: as above.
        let irq_ns = unsafe { (&raw const (*state).irq_total_ns).read_volatile() };
        Self { ns: clock(), irq_ns }
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

/// On `PREEMPT_RT` a softirq is preemptible: what happens in another task is not part of it.
#[inline(always)]
pub fn is_other_task(state: *const CpuState) -> bool {
    // SAFETY: this CPU's element; the helper has no preconditions.
    unsafe { (*state).flags & PREEMPT_RT != 0 && (*state).task != bpf_get_current_task() }
}
