//! What the CPUs do, by samples: a perf event program writes each into its CPU's ring, and whoever files a poll's
//! time also notes at the samples in it whose poll that was.
//!
//! The perf event may be an NMI, in the midst of any other program here: it writes its own fields only, its entry before
//! the count that shows it.

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
};

/// Samples of one poll that are filed; a longer one leaves the rest unfiled.
const MOST_OF_A_POLL: u32 = 64;

#[inline(always)]
pub fn sample(ctx: &PerfEventContext) -> u32 {
    let Some(this) = ThisCpu::get() else { return 0 };
    // SAFETY: this CPU's element.
    let taken = unsafe { &raw mut (*this.state).softirq.samples };
    // SAFETY: this program alone writes it, and does not interrupt itself.
    let number = unsafe { taken.read_volatile() };
    let index = index(&this, number);
    let Some(entry) = SAMPLES.get_ptr_mut(index) else { return 0 };
    // SAFETY: the context is the kernel's for this event; the entry is shown to others only by the count below.
    unsafe {
        let data = &*ctx.ctx;
        let pid_tgid = bpf_get_current_pid_tgid();
        let pid = pid_tgid as u32;
        (*entry).address = data.regs.rip;
        (*entry).pid = pid;
        let kind = kind(this.state, data.regs.cs & 3 != 0, pid);
        (*entry).kind = kind;
        (*entry).stack_len = if config!(stacks) == 0 { 0 } else { keep_stack(ctx, index, kind) };
        (*entry).napi = UNFILED;
        // Cannot fail for a task, and leaves zeros if it does.
        let _ = bpf_get_current_comm((&raw mut (*entry).comm).cast(), COMM_LEN as u32);
        taken.write_volatile(number.wrapping_add(1));
    }
    0
}

/// Keeps the call stack of what ran in the kernel; returns its length.
#[inline(always)]
fn keep_stack(ctx: &PerfEventContext, index: u32, kind: u32) -> u32 {
    if kind == SAMPLE_IDLE || kind == SAMPLE_USER {
        return 0;
    }
    let Some(stack) = SAMPLE_STACKS.get_ptr_mut(index) else { return 0 };
    // SAFETY: the context is the kernel's for this event, the element as long as we say.
    let bytes = unsafe { bpf_get_stack(ctx.as_ptr(), stack.cast(), size_of::<SampleStack>() as u32, 0) };
    // Negative where the kernel cannot unwind.
    u32::try_from(bytes).map_or(0, |bytes| bytes / size_of::<u64>() as u32)
}

/// What the CPU was doing.
#[inline(always)]
unsafe fn kind(state: *const CpuState, user: bool, pid: u32) -> u32 {
    if user {
        return SAMPLE_USER;
    }
    // SAFETY: this CPU's element; a program that was interrupted here may be writing it.
    let (irq, softirq, vector_plus_one) = unsafe {
        (
            (&raw const (*state).irq.start).read_volatile(),
            (&raw const (*state).softirq.start).read_volatile(),
            (&raw const (*state).softirq.vector_plus_one).read_volatile(),
        )
    };
    if irq != 0 {
        SAMPLE_HARDIRQ
    } else if softirq != 0 && vector_plus_one != 0 && !is_other_task(state) {
        SAMPLE_SOFTIRQ + u32::from(vector_plus_one) - 1
    } else if pid == 0 {
        SAMPLE_IDLE
    } else {
        SAMPLE_TASK
    }
}

#[inline(always)]
fn index(this: &ThisCpu, number: u32) -> u32 {
    // The slots are a power of two, or with sampling off one.
    let slots = config!(sample_slots);
    this.cpu * slots + (number & (slots - 1))
}

/// Notes at the samples that fell into the poll that just ended whose poll it was: the newest ones of `NET_RX`, back to
/// where another poll or another context begins.
#[inline(always)]
pub fn file_samples(this: &ThisCpu, slot: u32) {
    // SAFETY: this CPU's element.
    let context = unsafe { &raw mut (*this.state).softirq };
    // SAFETY: as above; the sampler may raise it meanwhile, and its sample is then the next poll's.
    let taken = unsafe { (&raw const (*context).samples).read_volatile() };
    // SAFETY: only programs that file write it.
    let filed = unsafe { (*context).samples_filed };
    if taken == filed {
        return;
    }
    core::hint::cold_path();
    file(this, slot, taken, filed);
    // SAFETY: as above.
    unsafe { (*context).samples_filed = taken };
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
        // SAFETY: an element of this CPU that the sampler has finished.
        unsafe {
            if (*entry).kind == SAMPLE_SOFTIRQ + NET_RX {
                (*entry).napi = slot;
            } else if (*entry).kind != SAMPLE_HARDIRQ {
                return;
            }
        }
    }
}
