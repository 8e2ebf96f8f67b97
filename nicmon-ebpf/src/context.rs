//! What this CPU is doing now: its state, and its clock less the time that device interrupts took.
//!
//! # Which programs run at the same time
//!
//! A program stays on its CPU while it runs, and it writes only that CPU's elements of the maps. So only
//! programs on the same CPU matter, where one may interrupt another.
//!
//! * **The softirq programs** (`softirq_entry`, `softirq_exit`, `napi_poll`) run with bottom halves disabled
//!   (kernel/softirq.c: `handle_softirqs`; net/core/dev.c: `napi_threaded_poll_loop`, `__napi_busy_loop`).
//!   None of them interrupts another. All other programs may interrupt them.
//! * **The irq programs** (`irq_handler_entry`, `irq_handler_exit`) run with interrupts off
//!   (kernel/irq/handle.c: `__handle_irq_event_percpu`). None of them interrupts another. The sampler
//!   interrupts them if it is an NMI.
//! * **`softirq_raise`** runs with interrupts off (kernel/softirq.c: `__raise_softirq_irqoff`). The sampler
//!   interrupts it if it is an NMI.
//! * **`kfree_skb`** runs anywhere but in an NMI. Since Linux 6.1 it is not run inside itself
//!   (kernel/trace/bpf_trace.c: `__bpf_trace_run`). All other programs may interrupt it.
//! * **The sampler** is a perf event: an NMI (cycles) or a timer interrupt (cpu-clock). It does not interrupt
//!   itself, and nothing else interrupts it.
//!
//! The user side reads every field through its own mapping, at any moment. It writes `flags` before the
//! programs are attached, `generation`, its half of the rings of slots (`given`, `epoch`, free slots) and of
//! histograms, removes entries of the index, exchanges `unslotted` and the maxima for 0, and empties
//! `threads` and the `histogram` of slots without an owner.
//!
//! # What makes each access sound
//!
//! * No program makes a reference to an element of a map. A `&mut` would promise that nobody else looks at
//!   that memory, which an interrupt would break. All accesses go through raw pointers.
//! * Each field has one writer among these five, named beside it in `nicmon_common`. The exceptions are
//!   `raised_at`, which `softirq_raise` sets and `softirq_entry` clears, and what the user side lowers or
//!   empties: the maxima, `unslotted`, `threads` and entries of the index.
//! * A field that one of them or the user side writes while another uses it is accessed with `read_volatile`
//!   and `write_volatile`: each is one load or store of an aligned word, in the order written. On one CPU an
//!   interrupt sees all stores before the instruction that it interrupts, and none after it.
//! * All other fields belong to one of the five alone, so plain loads and stores suffice.
//!
//! `PREEMPT_RT` kernels since 6.18 may let softirqs of two tasks take turns on a CPU (kernel/softirq.c:
//! `CONFIG_PREEMPT_RT_NEEDS_BH_LOCK`), and some may preempt a program. A run may then be lost or its time be
//! filed wrongly, and a slot be noted as active late. Memory stays safe: there is no reference to break, and
//! the verifier checks each address.

use core::hint::cold_path;

use aya_ebpf::helpers::{bpf_get_current_task, bpf_get_smp_processor_id, bpf_ktime_get_ns};
use nicmon_common::{CpuState, PREEMPT_RT, RunStats};

use crate::maps::{CPUS, config};

/// This CPU. No other CPU writes its elements of the maps.
pub struct ThisCpu {
    /// Its number.
    pub cpu: u32,
    /// Its element of [`CPUS`]; never null.
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

/// The monotonic clock, in nanoseconds.
#[inline(always)]
pub fn clock() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// A moment: the clock, and the time of the device interrupts that ended before it, both in nanoseconds.
#[derive(Clone, Copy)]
pub struct Moment {
    pub ns: u64,
    pub irq_ns: u64,
}

impl Moment {
    /// The moment at which the clock read `ns`, just now.
    ///
    /// Callers read the clock before anything else. Reading it waits for all loads under way, so a cache miss
    /// before it costs its full latency and one after it does not. An interrupt may arrive between any two
    /// instructions. If one ended after the clock was read, the interrupt time may include it already, so
    /// this takes a later moment. If one more arrives in those few instructions, the time becomes too long by
    /// its length, never negative.
    #[inline(always)]
    pub fn at(ns: u64, state: *const CpuState) -> Self {
        // SAFETY: this CPU's element. The irq programs may write both fields at any moment, hence the
        // volatile loads. `irq_end` is read last, so an interrupt between the two loads shows in it.
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

    /// Nanoseconds since an earlier moment, less the interrupts in between.
    #[inline(always)]
    pub fn since(self, ns: u64, irq_ns: u64) -> u64 {
        let elapsed = self.ns.wrapping_sub(ns).wrapping_sub(self.irq_ns.wrapping_sub(irq_ns));
        // The clock is monotonic on a CPU. If it ever is not, 0 is a better answer than centuries.
        if (elapsed as i64) < 0 { 0 } else { elapsed }
    }
}

/// Counts a run that took `run_ns`, of which `unfiled_ns` are not in the sum yet.
///
/// # Safety
/// `stats` points to an element of a map, and no program that writes it can interrupt the caller. The user
/// side may exchange the maximum for 0 at any moment.
#[inline(always)]
pub unsafe fn count_run(stats: *mut RunStats, run_ns: u64, unfiled_ns: u64) {
    // SAFETY: the caller guarantees that nobody else writes the sums. The maximum is volatile: if the user
    // side takes it between the load and the store, this run counts for the next interval.
    unsafe {
        (*stats).count += 1;
        (*stats).ns += unfiled_ns;
        let max_ns = &raw mut (*stats).max_ns;
        if max_ns.read_volatile() < run_ns {
            max_ns.write_volatile(run_ns);
        }
    }
}

/// Whether the kernel is `PREEMPT_RT`, by [`CpuState::flags`].
#[inline(always)]
pub fn is_rt(flags: u32) -> bool {
    flags & PREEMPT_RT != 0 && config!(preempt_rt) != 0
}

/// On `PREEMPT_RT` a softirq can be preempted; what another task does meanwhile is not part of it.
#[inline(always)]
pub fn is_other_task(state: *const CpuState) -> bool {
    // SAFETY: this CPU's element. Volatile, since the user side writes the flags, and since the sampler calls
    // this in the midst of `softirq_entry`, which writes the task. The helper has no preconditions.
    unsafe {
        is_rt((&raw const (*state).flags).read_volatile())
            && (&raw const (*state).task).read_volatile() != bpf_get_current_task()
    }
}
