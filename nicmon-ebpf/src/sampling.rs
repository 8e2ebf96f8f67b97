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
    SOCKET_CALLS, SOCKET_NONE, SOCKET_UNKNOWN, SOCKETS_ONE_IN, SampleStack, SocketCalls, UNFILED,
};

use crate::{
    context::{ThisCpu, is_other_task},
    maps::{SAMPLE_STACKS, SAMPLES, SOCKETS, config},
    parked,
};

/// The most samples of one poll that are filed. A longer poll leaves the rest unfiled.
const MOST_OF_A_POLL: u32 = 64;
/// How many functions of a stack are looked at, from the innermost on. Sending through a bridge or a tunnel
/// makes some fifty.
const LOOKED_AT: usize = 64;

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
        let (stack_len, socket) = look_at_stack(ctx, this.cpu, number, index, kind);
        (&raw mut (*entry).address).write_volatile((*ctx.ctx).regs.rip);
        (&raw mut (*entry).pid).write_volatile(pid);
        (&raw mut (*entry).kind).write_volatile(kind);
        (&raw mut (*entry).stack_len).write_volatile(stack_len);
        (&raw mut (*entry).napi).write_volatile(UNFILED);
        (&raw mut (*entry).socket).write_volatile(socket);
        // This cannot fail for a task, and leaves zeros if it does.
        let _ = bpf_get_current_comm((&raw mut (*entry).comm).cast(), COMM_LEN as u32);
        samples.write_volatile(number.wrapping_add(1));
    }
    0
}

/// Keeps the call stack of what ran in the kernel, if stacks were asked for, and looks in that of a task for
/// a call of a socket, every so often. Returns the number of addresses kept, and one of the `SOCKET_*`.
#[inline(always)]
fn look_at_stack(ctx: &PerfEventContext, cpu: u32, number: u32, index: u32, kind: u32) -> (u32, u32) {
    const NOTHING: (u32, u32) = (0, SOCKET_NONE);
    if kind == SAMPLE_IDLE || kind == SAMPLE_USER {
        return NOTHING;
    }
    let keeps = config!(stacks) != 0;
    let Some(calls) = SOCKETS.get_ptr(0) else { return NOTHING };
    // SAFETY: an element of the map. The user side may write it now, so it is read whole.
    let count = unsafe { (&raw const (*calls).count).read_volatile() };
    let looks = kind == SAMPLE_TASK && count > 0 && number & (SOCKETS_ONE_IN - 1) == 0;
    if !keeps && !looks {
        return NOTHING;
    }
    let Some(stack) = SAMPLE_STACKS.get_ptr_mut(if keeps { index } else { cpu }) else { return NOTHING };
    // SAFETY: the kernel made the context for this event, and the element is as long as we say. Only this
    // CPU's sampler writes it.
    let bytes = unsafe { bpf_get_stack(ctx.as_ptr(), stack.cast(), size_of::<SampleStack>() as u32, 0) };
    // Negative if the kernel cannot unwind.
    let Ok(bytes) = u32::try_from(bytes) else {
        return (0, if looks { SOCKET_UNKNOWN } else { SOCKET_NONE });
    };
    let length = bytes / size_of::<u64>() as u32;
    // SAFETY: elements of the maps.
    let socket = if looks { unsafe { socket_call(stack, length, calls) } } else { SOCKET_NONE };
    (if keeps { length } else { 0 }, socket)
}

/// The innermost of the functions in `calls` that is on a stack. A softirq that runs on top of a call comes
/// first.
///
/// # Safety
/// Both are elements of their maps.
#[inline(always)]
unsafe fn socket_call(stack: *const SampleStack, length: u32, calls: *const SocketCalls) -> u32 {
    for at in 0..LOOKED_AT {
        if at >= length as usize {
            break;
        }
        // SAFETY: an address of the stack. It is a return address, so the call lies before it; that the
        // innermost is none does not matter here.
        let address = unsafe { (&raw const (*stack).addresses[at]).read_volatile() }.wrapping_sub(1);
        for number in 0..SOCKET_CALLS {
            // All are compared, since each way out of this loop would double the verifier's work. Those that
            // are not set have no length.
            // SAFETY: an element of the array.
            unsafe {
                let call = &raw const (*calls).calls[number];
                let (start, end) =
                    ((&raw const (*call).start).read_volatile(), (&raw const (*call).end).read_volatile());
                if address.wrapping_sub(start) < end.wrapping_sub(start) {
                    return (&raw const (*call).direction).read_volatile();
                }
            }
        }
    }
    SOCKET_NONE
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
