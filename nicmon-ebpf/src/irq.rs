//! Time in device interrupt handlers, by irq and action. Lines are shared: each action fires on its own. Timers and
//! IPIs have no action and do not come here.

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
    // SAFETY: this CPU's element; handlers run with interrupts off.
    unsafe {
        let context = &mut (*this.state).irq;
        context.lost += u64::from(context.start != 0);
        context.action = action as u64;
        context.start = clock();
    }
    0
}

#[inline(always)]
pub fn exit<M: Memory, C: EbpfContext>(ctx: &C, irq: i32, action: *const u8) -> i32 {
    let Some(this) = ThisCpu::get() else { return 0 };
    // SAFETY: this CPU's element; handlers run with interrupts off.
    unsafe {
        let context = &mut (*this.state).irq;
        let start = context.start;
        context.start = 0;
        if start == 0 {
            // Its entry came before we were attached.
            return 0;
        }
        if context.action != action as u64 {
            context.lost += 1;
            return 0;
        }
        let end = clock();
        let ns = end.saturating_sub(start);
        (*this.state).irq_total_ns += ns;
        (*this.state).irq_end = end;
        context.count += 1;
        let Some(slot) = slot_of::<M, C>(ctx, &this, irq as u32, action) else {
            (*this.state).irq.lost += 1;
            return 0;
        };
        if let Some(stats) = IRQ_STATS.get_ptr_mut(this.cpu * config!(irq_slots) + slot) {
            count_run(stats, ns, ns);
        }
    }
    0
}

/// The slot of an action; at first sight, a free one.
///
/// # Safety
/// `action` is the tracepoint's argument.
#[inline(always)]
unsafe fn slot_of<M: Memory, C: EbpfContext>(
    ctx: &C,
    this: &ThisCpu,
    irq: u32,
    action: *const u8,
) -> Option<u32> {
    // SAFETY: this CPU's element, written by the irq programs only; the offsets are this kernel's.
    unsafe {
        let entry = irq as usize % SLOT_CACHE;
        let cached = &mut *(&raw mut (*this.state).irq_cache).cast::<CachedIrq>().add(entry);
        let generation = (&raw const (*this.state).generation).read_volatile();
        if cached.action == action as u64 && cached.irq == irq && cached.generation == generation {
            return Some(cached.slot);
        }
        let key = IrqKey { action: action as u64, irq, pad: 0 };
        let slot = match IRQS.get(key) {
            Some(info) => info.slot,
            None => register::<M, C>(ctx, this, &key, action)?,
        };
        *cached = CachedIrq { action: action as u64, irq, slot, generation, pad: 0 };
        Some(slot)
    }
}

/// # Safety
/// As [`slot_of`].
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
    // SAFETY: the caller's.
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
        IRQS.get(key).map(|info| info.slot)
    }
}
