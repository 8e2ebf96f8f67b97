//! Softirq time by vector, and `NET_RX` time by NAPI.
//!
//! `napi_poll` fires after a poll, and there is no event before one. The first poll of a `NET_RX` run begins with
//! the run, each next where the last ended, and what follows the last poll belongs to the NAPI polled last. While
//! runs hold a single poll, which is the usual case and the one where a timestamp weighs most, the poll is only
//! noted and the run's exit files it whole.

use core::hint::cold_path;

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task},
};
use nicmon_common::{
    LATENCY, NET_RX, NO_MEMBER, NapiStats, PREEMPT_RT, PollStats, RunStats, SOFTIRQ_VECTORS,
};

use crate::{
    context::{Moment, ThisCpu, clock, count_run, is_other_task},
    maps::config,
    memory::Memory,
    napi::{self, Slot},
    sampling::file_samples,
};

/// Single-poll runs in a row after which polls go without a timestamp again.
const STAMPED_RUNS: u16 = 64;

#[inline(always)]
pub fn softirq_entry(vector: u32) -> i32 {
    let ns = clock();
    let Some(this) = ThisCpu::get() else { return 0 };
    let now = Moment::at(ns, this.state);
    // SAFETY: this CPU's element; softirqs do not nest.
    unsafe {
        let context = &mut (*this.state).softirq;
        context.start = now.ns;
        context.start_irq = now.irq_ns;
        context.vector_plus_one = (vector + 1) as u8;
        context.polls = 0;
        let flags = (*this.state).flags;
        if flags == 0 {
            return 0;
        }
        cold_path();
        if flags & PREEMPT_RT != 0 {
            (*this.state).task = bpf_get_current_task();
        }
        // The mask is for the verifier, which does not see that what is compared and what is added are one.
        let vector = (vector & 0xf) as usize;
        if flags & LATENCY != 0 && vector < SOFTIRQ_VECTORS {
            let raised_at = (&raw mut (*this.state).raised_at).cast::<u64>().add(vector);
            let raised = raised_at.read_volatile();
            raised_at.write_volatile(0);
            if raised != 0 {
                let latency = (&raw mut (*this.state).latency).cast::<RunStats>();
                let delay_ns = now.ns.saturating_sub(raised);
                count_run(latency.add(vector), delay_ns, delay_ns);
            }
        }
    }
    0
}

/// Keeps the oldest raise: a softirq raised again before it runs has waited since the first.
#[inline(always)]
pub fn softirq_raise(vector: u32) -> i32 {
    if vector as usize >= SOFTIRQ_VECTORS {
        return 0;
    }
    let Some(this) = ThisCpu::get() else { return 0 };
    // SAFETY: this CPU's element; raises happen with interrupts off.
    unsafe {
        (*this.state).raises += 1;
        let raised_at = (&raw mut (*this.state).raised_at).cast::<u64>().add(vector as usize);
        if raised_at.read_volatile() == 0 {
            raised_at.write_volatile(clock());
        }
    }
    0
}

#[inline(always)]
pub fn softirq_exit(vector: u32) -> i32 {
    let ns = clock();
    if vector as usize >= SOFTIRQ_VECTORS {
        return 0;
    }
    let Some(this) = ThisCpu::get() else { return 0 };
    // SAFETY: this CPU's element; softirqs do not nest.
    let state = unsafe { &mut *this.state };
    let start = state.softirq.start;
    if start == 0 || u32::from(state.softirq.vector_plus_one) != vector + 1 || is_other_task(state) {
        // Its entry came before we were attached, or was missed.
        cold_path();
        state.softirq_lost += u64::from(start != 0);
        return 0;
    }
    let now = Moment::at(ns, this.state);
    state.softirq.start = 0;
    let run_ns = now.since(start, state.softirq.start_irq);
    let unfiled_ns = if vector == NET_RX { file_run(&this, now, run_ns) } else { run_ns };
    // SAFETY: the vector was checked.
    unsafe {
        let stats = if vector == NET_RX {
            &raw mut (*this.state).net_rx
        } else {
            (&raw mut (*this.state).vectors).cast::<RunStats>().add(vector as usize)
        };
        count_run(stats, run_ns, unfiled_ns);
    }
    0
}

/// Files what `napi_poll` left open when a `NET_RX` run ends. Returns its time.
#[inline(always)]
fn file_run(this: &ThisCpu, now: Moment, run_ns: u64) -> u64 {
    // SAFETY: this CPU's element.
    let state = unsafe { &mut *this.state };
    let context = &mut state.softirq;
    if context.polls == 0 {
        state.other_ns += run_ns;
        return run_ns;
    }
    file_samples(this, context.last_slot);
    let stats = Slot::from_raw(context.last_slot).stats(this);
    if context.polls == 1 && context.stamping == 0 {
        if !stats.is_null() {
            // SAFETY: an element of this CPU.
            unsafe { count_poll(&mut (*stats).softirq, context.first_work, context.first_repoll) };
        }
        add_time(this, stats, run_ns);
        return run_ns;
    }
    cold_path();
    if context.polls == 1 {
        context.stamping -= 1;
    }
    let tail_ns = now.since(state.mark, state.mark_irq);
    add_time(this, stats, tail_ns);
    tail_ns
}

/// `napi_poll`: counts the poll that just ended, and its time where it is known already.
#[inline(always)]
pub fn napi_poll<M: Memory, C: EbpfContext>(ctx: &C, napi: *const u8, work: i32, budget: i32) -> i32 {
    // netpoll polls with a budget of 0, to free sent packets (net/core/netpoll.c: poll_one_napi). It may do so
    // inside a softirq run, whose marks it must not move.
    if budget == 0 {
        return 0;
    }
    let Some(this) = ThisCpu::get() else { return 0 };
    let work_done = if work < 0 { 0 } else { work as u32 };
    let repoll = u8::from(work >= budget);
    let slot = napi::slot_of::<M, C>(ctx, &this, napi);
    // SAFETY: this CPU's element.
    let state = unsafe { &mut *this.state };
    let other_task = is_other_task(state);
    let context = &mut state.softirq;
    if context.start == 0 || u32::from(context.vector_plus_one) != NET_RX + 1 || other_task {
        cold_path();
        // Before the first softirq seen here, this may be inside a run that began before we were attached.
        if context.vector_plus_one != 0 {
            poll_in_task::<M>(&this, slot, napi, work_done, repoll);
        }
        return 0;
    }
    context.polls += 1;
    if context.stamping == 0 && context.polls == 1 {
        context.last_slot = slot.raw();
        context.first_work = work_done;
        context.first_repoll = repoll;
        return 0;
    }
    cold_path();
    file_samples(&this, slot.raw());
    let now = Moment::at(clock(), this.state);
    if context.polls == 1 {
        let ns = now.since(context.start, context.start_irq);
        file_poll(&this, slot, work_done, repoll, ns);
    } else if context.stamping == 0 {
        // The first run with a second poll: both have passed without a timestamp between them.
        let ns = now.since(context.start, context.start_irq);
        let first = Slot::from_raw(context.last_slot);
        let first_ns = share(ns, context.first_work, work_done);
        if first.raw() != slot.raw() {
            state.mixed_ns += ns;
        }
        file_poll(&this, first, context.first_work, context.first_repoll, first_ns);
        file_poll(&this, slot, work_done, repoll, ns - first_ns);
    } else {
        let ns = now.since(state.mark, state.mark_irq);
        file_poll(&this, slot, work_done, repoll, ns);
    }
    if context.polls > 1 {
        context.stamping = STAMPED_RUNS;
    }
    context.last_slot = slot.raw();
    state.mark = now.ns;
    state.mark_irq = now.irq_ns;
    0
}

/// The first poll's part of the time of two, by their work; half where neither did any.
#[inline(always)]
fn share(ns: u64, first: u32, second: u32) -> u64 {
    let both = u64::from(first) + u64::from(second);
    (ns * u64::from(first)).checked_div(both).unwrap_or(ns / 2)
}

/// Files a poll inside a run that goes on. The run's time grows with it, so that whoever reads in the middle of a long
/// run finds the same time in the sum of its NAPIs and in `NET_RX`.
#[inline(always)]
fn file_poll(this: &ThisCpu, slot: Slot, work: u32, repoll: u8, ns: u64) {
    let stats = slot.stats(this);
    // SAFETY: elements of this CPU.
    unsafe {
        if !stats.is_null() {
            count_poll(&mut (*stats).softirq, work, repoll);
        }
        (*this.state).net_rx.ns += ns;
    }
    add_time(this, stats, ns);
}

/// A poll without a slot still took its time: that goes where the time of no NAPI goes.
#[inline(always)]
fn add_time(this: &ThisCpu, stats: *mut NapiStats, ns: u64) {
    // SAFETY: both are elements of this CPU.
    unsafe {
        if stats.is_null() {
            (*this.state).other_ns += ns;
        } else {
            (*stats).softirq_ns += ns;
        }
    }
}

#[inline(always)]
fn count_poll(stats: &mut PollStats, work: u32, repoll: u8) {
    stats.polls += 1;
    stats.work += u64::from(work);
    stats.repolls += u64::from(repoll);
}

/// A poll outside `NET_RX`: by the NAPI's own thread, or by a task that busy-polls. It has no start, so no time.
#[inline(always)]
fn poll_in_task<M: Memory>(this: &ThisCpu, slot: Slot, napi: *const u8, work: u32, repoll: u8) {
    let stats = slot.stats(this);
    if stats.is_null() {
        return;
    }
    let offset = config!(offsets.napi_thread);
    // SAFETY: the offset is this kernel's; the helper has no preconditions.
    let threaded = offset != NO_MEMBER && unsafe { M::read::<u64>(napi, offset) == bpf_get_current_task() };
    // SAFETY: an element of this CPU; polls run with bottom halves disabled.
    unsafe {
        if threaded {
            count_poll(&mut (*stats).threaded, work, repoll);
            (*stats).thread_pid = bpf_get_current_pid_tgid() & 0xffff_ffff;
        } else {
            count_poll(&mut (*stats).busy, work, repoll);
        }
    }
}
