//! What the CPUs do, by samples. A perf event program writes each sample into its CPU's ring. Whoever files a
//! poll's time also notes, at the samples that fell into the poll, whose poll it was.
//!
//! The perf event may be an NMI in the midst of any other program here. So the sampler writes its own fields
//! only, and an entry before the count that shows it.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_current_comm, bpf_get_stack},
    },
    programs::PerfEventContext,
};
use nicmon_common::{
    COMM_LEN, CpuState, NET_RX, SAMPLE_HARDIRQ, SAMPLE_IDLE, SAMPLE_SOFTIRQ, SAMPLE_TASK, SAMPLE_USER,
    SampleStack, UNFILED,
};

use crate::{
    context::{ThisCpu, is_other_task},
    maps::{SAMPLE_STACKS, SAMPLES, config},
    parked,
};

/// The most samples of one poll that are filed. A longer poll leaves the rest unfiled.
const MOST_OF_A_POLL: u32 = 64;

#[inline(always)]
pub fn sample(ctx: &PerfEventContext) -> u32 {
    let Some(this) = ThisCpu::get() else { return 0 };
    // SAFETY: an address within this CPU's element; nothing is read.
    let samples = unsafe { &raw mut (*this.state).sampler.samples };
    // SAFETY: only this program writes it, and it does not interrupt itself.
    let number = unsafe { samples.read() };
    let index = index(&this, number);
    let Some(entry) = SAMPLES.get_ptr_mut(index) else { return 0 };
    // SAFETY: the kernel made the context for this event. The helpers have no preconditions, and write at
    // most COMM_LEN bytes. Nobody else writes the entry, except `napi` once the count below shows it.
    // Volatile stores and the helper calls keep their order, so the entry is whole when the count grows.
    unsafe {
        let pid = bpf_get_current_pid_tgid() as u32;
        let kind = kind(this.state, (*ctx.ctx).regs.cs & 3 != 0, pid);
        let stack_len = if config!(stacks) == 0 { 0 } else { keep_stack(ctx, index, kind) };
        (&raw mut (*entry).address).write_volatile((*ctx.ctx).regs.rip);
        (&raw mut (*entry).pid).write_volatile(pid);
        (&raw mut (*entry).kind).write_volatile(kind);
        (&raw mut (*entry).stack_len).write_volatile(stack_len);
        (&raw mut (*entry).napi).write_volatile(UNFILED);
        // This cannot fail for a task, and leaves zeros if it does.
        let _ = bpf_get_current_comm((&raw mut (*entry).comm).cast(), COMM_LEN as u32);
        samples.write_volatile(number.wrapping_add(1));
    }
    0
}

/// Keeps the call stack of what ran in the kernel; returns its number of addresses.
#[inline(always)]
fn keep_stack(ctx: &PerfEventContext, index: u32, kind: u32) -> u32 {
    if kind == SAMPLE_IDLE || kind == SAMPLE_USER {
        return 0;
    }
    let Some(stack) = SAMPLE_STACKS.get_ptr_mut(index) else { return 0 };
    // SAFETY: the kernel made the context for this event, and the element is as long as we say. Only the
    // sampler writes it.
    let bytes = unsafe { bpf_get_stack(ctx.as_ptr(), stack.cast(), size_of::<SampleStack>() as u32, 0) };
    // Negative if the kernel cannot unwind.
    u32::try_from(bytes).map_or(0, |bytes| bytes / size_of::<u64>() as u32)
}

/// What the CPU was doing.
///
/// # Safety
/// `state` is this CPU's element.
#[inline(always)]
unsafe fn kind(state: *const CpuState, user: bool, pid: u32) -> u32 {
    if user {
        return SAMPLE_USER;
    }
    // SAFETY: this CPU's element. An irq or softirq program that was interrupted may be about to write these,
    // hence volatile: each is read whole, as it was or as it will be.
    let (irq, softirq, vector_plus_one) = unsafe {
        (
            (&raw const (*state).irq.depth).read_volatile(),
            (&raw const (*state).softirq.start).read_volatile(),
            (&raw const (*state).softirq.vector_plus_one).read_volatile(),
        )
    };
    if irq != 0 {
        SAMPLE_HARDIRQ
    } else if !is_other_task(state) {
        if softirq != 0 && vector_plus_one != 0 {
            return SAMPLE_SOFTIRQ + u32::from(vector_plus_one) - 1;
        }
        outside(pid)
    } else {
        // SAFETY: this CPU's element.
        match unsafe { parked::vector_plus_one(state) } {
            0 => outside(pid),
            vector_plus_one => SAMPLE_SOFTIRQ + u32::from(vector_plus_one) - 1,
        }
    }
}

/// What a CPU does in the kernel outside interrupts and softirqs.
#[inline(always)]
fn outside(pid: u32) -> u32 {
    if pid == 0 { SAMPLE_IDLE } else { SAMPLE_TASK }
}

#[inline(always)]
fn index(this: &ThisCpu, number: u32) -> u32 {
    // The number of slots is a power of two; it is 1 if sampling is off.
    let slots = config!(sample_slots);
    this.cpu * slots + (number & (slots - 1))
}

/// Notes whose poll it was at the samples that fell into the poll that just ended: the newest ones of
/// `NET_RX`, back to where another poll or another context begins.
///
/// # Safety
/// A softirq program calls it.
#[inline(always)]
pub unsafe fn file_samples(this: &ThisCpu, slot: u32) {
    let state = this.state;
    // SAFETY: this CPU's element. Only the sampler writes the first, and may do so at any moment, hence
    // volatile: its sample then belongs to the next poll. Only softirq programs touch the second, and none
    // interrupts the caller.
    let (taken, filed) =
        unsafe { ((&raw const (*state).sampler.samples).read_volatile(), (*state).samples_filed) };
    if taken == filed {
        return;
    }
    core::hint::cold_path();
    file(this, slot, taken, filed);
    // SAFETY: as above.
    unsafe { (*state).samples_filed = taken };
}

#[inline(always)]
fn file(this: &ThisCpu, slot: u32, taken: u32, filed: u32) {
    let mut number = taken;
    for _ in 0..MOST_OF_A_POLL {
        if number == filed {
            return;
        }
        number = number.wrapping_sub(1);
        let Some(entry) = SAMPLES.get_ptr_mut(index(this, number)) else { return };
        // SAFETY: an element of this CPU that the sampler has finished. It starts on it again only a whole
        // ring later; a ring can be that short only if it has few slots, and volatile keeps each of the two
        // words whole even then.
        unsafe {
            let kind = (&raw const (*entry).kind).read_volatile();
            if kind == SAMPLE_SOFTIRQ + NET_RX {
                (&raw mut (*entry).napi).write_volatile(slot);
            } else if kind != SAMPLE_HARDIRQ {
                return;
            }
        }
    }
}
