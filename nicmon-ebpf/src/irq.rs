//! Time in device interrupt handlers, by irq and action. A shared line has several actions, each with its own
//! events. Timers and IPIs have no action, so they do not come here.

use aya_ebpf::{EbpfContext, bindings::BPF_NOEXIST};
use aya_log_ebpf::warn;
use nicmon_common::{ACTION_LEN, CachedIrq, IrqInfo, IrqKey, NO_MEMBER, SLOT_CACHE};

use crate::{
    context::{ThisCpu, clock, count_run},
    maps::{FREE_IRQ_SLOTS, IRQ_STATS, IRQS, config},
    memory::{Memory, read_name},
};

#[inline(always)]
pub fn entry(action: *const u8) -> i32 {
    let Some(this) = ThisCpu::get() else { return 0 };
    // SAFETY: this CPU's element. Only irq programs write these fields, and with interrupts off none
    // interrupts this one. The sampler may be an NMI and reads the start, so storing that is volatile.
    unsafe {
        let irq = &raw mut (*this.state).irq;
        (*irq).lost += u64::from((*irq).start != 0);
        (*irq).action = action as u64;
        (&raw mut (*irq).start).write_volatile(clock());
    }
    0
}

#[inline(always)]
pub fn exit<M: Memory, C: EbpfContext>(ctx: &C, line: i32, action: *const u8) -> i32 {
    let Some(this) = ThisCpu::get() else { return 0 };
    let state = this.state;
    // SAFETY: elements of this CPU. Only irq programs write these fields, and with interrupts off none
    // interrupts this one. The sampler may be an NMI and reads the start; a softirq program that was
    // interrupted reads the total and the end. So storing these is volatile.
    unsafe {
        let irq = &raw mut (*state).irq;
        let start = (*irq).start;
        (&raw mut (*irq).start).write_volatile(0);
        if start == 0 {
            // Its entry came before the programs were attached.
            return 0;
        }
        if (*irq).action != action as u64 {
            (*irq).lost += 1;
            return 0;
        }
        let end = clock();
        let ns = end.saturating_sub(start);
        (&raw mut (*state).irq_total_ns).write_volatile((*state).irq_total_ns + ns);
        (&raw mut (*state).irq_end).write_volatile(end);
        (*irq).count += 1;
        let Some(slot) = slot_of::<M, C>(ctx, &this, line as u32, action) else {
            (*irq).lost += 1;
            return 0;
        };
        if let Some(stats) = IRQ_STATS.get_ptr_mut(this.cpu * config!(irq_slots) + slot) {
            count_run(stats, ns, ns);
        }
    }
    0
}

/// The slot of an action. An action seen for the first time gets a free one.
///
/// # Safety
/// An irq program calls it, and `action` is the tracepoint's argument.
#[inline(always)]
unsafe fn slot_of<M: Memory, C: EbpfContext>(
    ctx: &C,
    this: &ThisCpu,
    irq: u32,
    action: *const u8,
) -> Option<u32> {
    // SAFETY: within this CPU's element. Only `irq_handler_exit` touches the cache, and with interrupts off
    // no other one interrupts it. The user side raises the generation at any moment, hence volatile.
    unsafe {
        let entry = irq as usize % SLOT_CACHE;
        let cached = (&raw mut (*this.state).irq_cache).cast::<CachedIrq>().add(entry);
        let generation = (&raw const (*this.state).generation).read_volatile();
        if (*cached).action == action as u64 && (*cached).irq == irq && (*cached).generation == generation {
            return Some((*cached).slot);
        }
        let key = IrqKey { action: action as u64, irq, pad: 0 };
        let slot = match known_slot(&key) {
            Some(slot) => slot,
            None => register::<M, C>(ctx, this, &key, action)?,
        };
        *cached = CachedIrq { action: action as u64, irq, slot, generation, pad: 0 };
        Some(slot)
    }
}

#[inline(always)]
fn known_slot(key: &IrqKey) -> Option<u32> {
    // SAFETY: the map's elements are preallocated, so the memory stays while this program runs. If the user
    // side removes the owner meanwhile, its slot rests for a second before another gets it.
    IRQS.get_ptr(key).map(|info| unsafe { (&raw const (*info).slot).read_volatile() })
}

/// Gives an action a slot.
///
/// # Safety
/// As for [`slot_of`].
#[inline(always)]
unsafe fn register<M: Memory, C: EbpfContext>(
    ctx: &C,
    this: &ThisCpu,
    key: &IrqKey,
    action: *const u8,
) -> Option<u32> {
    let Ok(Some(slot)) = FREE_IRQ_SLOTS.pop() else {
        if config!(log) != 0 {
            warn!(ctx, "no slot left for irq {}", key.irq);
        }
        return None;
    };
    // SAFETY: the caller guarantees that `action` is valid; the offsets are this kernel's. Only
    // `irq_handler_exit` writes the counter, and no other one interrupts it.
    unsafe {
        let thread_fn = config!(offsets.action_thread_fn);
        let threaded = thread_fn != NO_MEMBER && M::read::<u64>(action, thread_fn) != 0;
        let mut info = IrqInfo { slot, threaded: u32::from(threaded), name: [0; ACTION_LEN] };
        read_name(M::read(action, config!(offsets.action_name)), &mut info.name);
        if IRQS.insert(key, info, u64::from(BPF_NOEXIST)).is_ok() {
            (*this.state).new_irqs += 1;
            return Some(slot);
        }
        // Another CPU was faster, or the map is full.
        let _ = FREE_IRQ_SLOTS.push(slot, 0);
        known_slot(key)
    }
}
