//! Time in device interrupt handlers, by irq and action. A shared line has several actions, each with its own
//! events. Timers and IPIs have no action, so they do not come here.
//!
//! A handler may call others: the handler of a multiplexed line (drivers/pci/controller/vmd.c, pin
//! controllers) calls those of the lines behind it. So the handlers that run are a stack. The time of each is
//! filed without that of the handlers it called, and the CPU's total grows when the outermost ends.

use core::hint::cold_path;

use aya_ebpf::{EbpfContext, helpers::bpf_get_current_pid_tgid};
use aya_log_ebpf::warn;
use nicmon_common::{
    ACTION_LEN, CachedIrq, IRQ_DEPTH, IrqContext, IrqFrame, IrqKey, IrqOwner, IrqStats, NO_MEMBER, NO_SLOT,
    RingEntry, RunStats, SLOT_CACHE, SlotRings, THREADS,
};

use crate::{
    context::{ThisCpu, clock, count_run},
    maps::{IRQ_INDEX, IRQ_OWNERS, IRQ_RINGS, IRQ_STATS, config},
    memory::{Memory, read_name},
    slots::{self, Table},
    threads,
};

/// No handler runs for this long: the kernel reports a CPU that is stuck for 20 s (kernel/watchdog.c).
const LONGEST_NS: u64 = 10_000_000_000;

#[inline(always)]
pub fn entry(action: *const u8) -> i32 {
    let Some(this) = ThisCpu::get() else { return 0 };
    // SAFETY: this CPU's element. Only irq programs write these fields, and with interrupts off none
    // interrupts this one. The sampler may be an NMI and reads the depth, so storing that is volatile.
    unsafe {
        let irq = &raw mut (*this.state).irq;
        let mut depth = (*irq).depth;
        let start = clock();
        if depth != 0 {
            cold_path();
            if start.saturating_sub((*frame(irq, 0)).start) > LONGEST_NS {
                // Their exits were missed.
                (*irq).lost += u64::from(depth);
                depth = 0;
            }
        }
        if depth < IRQ_DEPTH as u32 {
            frame(irq, depth).write(IrqFrame { start, action: action as u64, inner_ns: 0 });
        } else {
            cold_path();
            (*irq).lost += 1;
        }
        (&raw mut (*irq).depth).write_volatile(depth + 1);
    }
    0
}

#[inline(always)]
pub fn exit<M: Memory, C: EbpfContext>(ctx: &C, line: i32, action: *const u8) -> i32 {
    let Some(this) = ThisCpu::get() else { return 0 };
    let state = this.state;
    // SAFETY: elements of this CPU. Only irq programs write these fields, and with interrupts off none
    // interrupts this one. The sampler may be an NMI and reads the depth; a softirq program that was
    // interrupted reads the total and the end. So storing these is volatile.
    unsafe {
        let irq = &raw mut (*state).irq;
        let depth = (*irq).depth;
        if depth == 0 {
            // Its entry came before the programs were attached.
            return 0;
        }
        if depth > IRQ_DEPTH as u32 {
            // It was too deep, and counted as lost when it started.
            cold_path();
            (&raw mut (*irq).depth).write_volatile(depth - 1);
            return 0;
        }
        let Some(outer) = unwind(irq, depth, action as u64) else { return 0 };
        let own = frame(irq, outer);
        let end = clock();
        let elapsed_ns = end.saturating_sub((*own).start);
        let own_ns = elapsed_ns.saturating_sub((*own).inner_ns);
        // The same as `action`, but a number to the verifier. Volatile, lest the compiler use `action`.
        let address = (&raw const (*own).action).read_volatile();
        (&raw mut (*irq).depth).write_volatile(outer);
        if outer == 0 {
            (&raw mut (*state).irq_total_ns).write_volatile((*state).irq_total_ns + elapsed_ns);
            (&raw mut (*state).irq_end).write_volatile(end);
            if (&raw const (*state).flags).read_volatile() & THREADS != 0 {
                cold_path();
                threads::interrupted_by_irq(&this, bpf_get_current_pid_tgid() as u32, elapsed_ns);
            }
        } else {
            cold_path();
            (*frame(irq, outer - 1)).inner_ns += elapsed_ns;
        }
        (*irq).count += 1;
        let key = IrqKey { action: address, irq: line as u32, pad: 0 };
        file::<M, C>(ctx, &this, &key, action, own_ns);
    }
    0
}

/// A handler that runs.
///
/// # Safety
/// `irq` is in this CPU's element.
#[inline(always)]
unsafe fn frame(irq: *mut IrqContext, number: u32) -> *mut IrqFrame {
    // SAFETY: the mask keeps it within the array. The number goes through memory, lest the compiler leave the
    // mask out where it knows the range: verifiers before Linux 6.11 do not.
    unsafe {
        let scratch = &raw mut (*irq).scratch;
        scratch.write_volatile(number);
        let number = scratch.read_volatile() as usize & (IRQ_DEPTH - 1);
        (&raw mut (*irq).frames).cast::<IrqFrame>().add(number)
    }
}

/// How many handlers are around the one that ends. The innermost should be that one; if exits were missed, it
/// is further out. If it is nowhere, nothing that is known here can be right, and all of it is lost.
///
/// # Safety
/// An irq program calls it, with a depth from 1 to [`IRQ_DEPTH`].
#[inline(always)]
unsafe fn unwind(irq: *mut IrqContext, depth: u32, action: u64) -> Option<u32> {
    // SAFETY: only irq programs write these fields, and none interrupts the caller.
    unsafe {
        if (*frame(irq, depth - 1)).action == action {
            return Some(depth - 1);
        }
        cold_path();
        let mut number = depth - 1;
        for _ in 0..IRQ_DEPTH {
            (*irq).lost += 1;
            if number == 0 {
                break;
            }
            number -= 1;
            if (*frame(irq, number)).action == action {
                return Some(number);
            }
        }
        (&raw mut (*irq).depth).write_volatile(0);
        None
    }
}

/// # Safety
/// An irq program calls it, and `action` is the tracepoint's argument.
#[inline(always)]
unsafe fn file<M: Memory, C: EbpfContext>(ctx: &C, this: &ThisCpu, key: &IrqKey, action: *const u8, ns: u64) {
    // SAFETY: elements of this CPU that only irq programs write; none interrupts the caller.
    unsafe {
        let slot = slot_of::<M, C>(ctx, this, key, action);
        if slot != NO_SLOT
            && let Some(stats) = IRQ_STATS.get_ptr_mut(this.cpu * config!(irq_slots) + slot)
        {
            slots::note_active::<Irqs>(this, slot, &raw mut (*stats).epoch);
            count_run(&raw mut (*stats).runs, ns, ns);
            return;
        }
        cold_path();
        (*this.state).irq.lost += 1;
        (*this.state).irq.no_slot += 1;
    }
}

/// The table of irq actions.
struct Irqs;

impl Table for Irqs {
    type Key = IrqKey;
    type Owner = IrqOwner;

    #[inline(always)]
    fn slots() -> u32 {
        config!(irq_slots)
    }

    #[inline(always)]
    fn index(at: u32) -> Option<*mut u64> {
        IRQ_INDEX.get_ptr_mut(at)
    }

    #[inline(always)]
    fn ring(at: u32) -> Option<*mut RingEntry> {
        IRQ_RINGS.get_ptr_mut(at)
    }

    #[inline(always)]
    fn owner(at: u32) -> Option<*mut IrqOwner> {
        IRQ_OWNERS.get_ptr_mut(at)
    }

    #[inline(always)]
    fn rings(this: &ThisCpu) -> *mut SlotRings {
        // SAFETY: an address within this CPU's element; nothing is read.
        unsafe { &raw mut (*this.state).irqs }
    }

    #[inline(always)]
    unsafe fn is(owner: *const IrqOwner, key: &IrqKey) -> bool {
        // SAFETY: the caller guarantees that it is an element.
        unsafe { (*owner).key.action == key.action && (*owner).key.irq == key.irq }
    }
}

/// The slot of an action, or [`NO_SLOT`]. An action that runs here for the first time gets a free one.
///
/// # Safety
/// As for [`file`].
#[inline(always)]
unsafe fn slot_of<M: Memory, C: EbpfContext>(
    ctx: &C,
    this: &ThisCpu,
    key: &IrqKey,
    action: *const u8,
) -> u32 {
    // SAFETY: within this CPU's element. Only `irq_handler_exit` touches the cache, and with interrupts off
    // no other one interrupts it. The user side raises the generation at any moment, hence volatile.
    unsafe {
        let IrqKey { action: address, irq, .. } = *key;
        let entry = irq as usize % SLOT_CACHE;
        let cached = (&raw mut (*this.state).irq_cache).cast::<CachedIrq>().add(entry);
        let generation = (&raw const (*this.state).generation).read_volatile();
        if (*cached).action == address && (*cached).irq == irq && (*cached).generation == generation {
            return (*cached).slot;
        }
        let slot = match slots::find::<Irqs>(this, key, key.hash()) {
            Some(slot) => slot,
            None => register::<M, C>(ctx, this, key, action),
        };
        *cached = CachedIrq { action: address, irq, slot, generation, pad: 0 };
        slot
    }
}

/// Gives an action a slot.
///
/// # Safety
/// As for [`file`].
#[inline(always)]
unsafe fn register<M: Memory, C: EbpfContext>(
    ctx: &C,
    this: &ThisCpu,
    key: &IrqKey,
    action: *const u8,
) -> u32 {
    // SAFETY: the caller guarantees that `action` is valid; the offsets are this kernel's. The slot is free,
    // so nobody else looks at its owner and its counters.
    unsafe {
        if let Some(free) = slots::free::<Irqs>(this)
            && let Some(stats) = IRQ_STATS.get_ptr_mut(this.cpu * config!(irq_slots) + free.slot)
        {
            let thread_fn = config!(offsets.action_thread_fn);
            let threaded = thread_fn != NO_MEMBER && M::read::<u64>(action, thread_fn) != 0;
            (*free.owner).key = *key;
            (*free.owner).threaded = u32::from(threaded);
            (*free.owner).name = [0; ACTION_LEN];
            read_name(M::read(action, config!(offsets.action_name)), &mut (*free.owner).name);
            let epoch = (*stats).epoch;
            stats.write(IrqStats { runs: RunStats { count: 0, ns: 0, max_ns: 0 }, epoch, pad: 0 });
            if slots::publish::<Irqs>(this, free.slot, key.hash()) {
                return free.slot;
            }
        }
    }
    if config!(log) != 0 {
        warn!(ctx, "no slot left for irq {}", key.irq);
    }
    NO_SLOT
}
