//! Softirq time by vector, and `NET_RX` time by NAPI.
//!
//! `napi_poll` fires after a poll, and no event fires before one. So the first poll of a `NET_RX` run is
//! taken to start with the run, each next poll where the last one ended, and what follows the last poll
//! belongs to the NAPI polled last. Usually a run holds a single poll, and then a timestamp would weigh most:
//! the poll is only noted, and the run's exit files all of its time.

use core::hint::cold_path;

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task},
};
use nicmon_common::{
    LATENCY, NET_RX, NO_MEMBER, NO_SLOT, NapiStats, PREEMPT_RT, PollStats, RunStats, SOFTIRQ_VECTORS, THREADS,
};

use crate::{
    context::{Moment, ThisCpu, clock, count_run, is_other_task, is_rt},
    histograms,
    maps::config,
    memory::Memory,
    napi::{self, Slot},
    parked,
    sampling::file_samples,
    threads,
};

/// After so many single-poll runs in a row, polls go without a timestamp again.
const STAMPED_RUNS: u16 = 64;

#[inline(always)]
pub fn softirq_entry(vector: u32) -> i32 {
    let ns = clock();
    let Some(this) = ThisCpu::get() else { return 0 };
    let state = this.state;
    let now = Moment::at(ns, state);
    // SAFETY: this CPU's element. Only softirq programs write these fields, and none of them interrupts this
    // one. The sampler may read the vector and the start in between, so they are volatile: the vector first,
    // since a sample looks at it only once there is a start. It may read the task at any moment.
    let flags = unsafe {
        let flags = (&raw const (*state).flags).read_volatile();
        if is_rt(flags) {
            cold_path();
            parked::begin(state);
        }
        let softirq = &raw mut (*state).softirq;
        (*softirq).start_irq = now.irq_ns;
        (*softirq).polls = 0;
        (&raw mut (*softirq).vector_plus_one).write_volatile((vector + 1) as u8);
        (&raw mut (*softirq).start).write_volatile(now.ns);
        flags
    };
    if flags & LATENCY != 0 {
        cold_path();
        count_latency(&this, vector, now.ns);
    }
    0
}

/// Counts how long the vector has waited since it was first raised.
#[inline(always)]
fn count_latency(this: &ThisCpu, vector: u32, now_ns: u64) {
    let state = this.state;
    // The mask is for the verifier, which does not see that the number compared is the number added.
    let vector = (vector & 0xf) as usize;
    if vector >= SOFTIRQ_VECTORS {
        return;
    }
    // SAFETY: within this CPU's element. `softirq_raise` may run in an interrupt between the load and the
    // store of `raised_at`, hence volatile: the delay of that raise is then not measured. Only this program
    // writes `latency`.
    unsafe {
        let raised_at = (&raw mut (*state).raised_at).cast::<u64>().add(vector);
        let raised = raised_at.read_volatile();
        raised_at.write_volatile(0);
        if raised != 0 {
            let latency = (&raw mut (*state).latency).cast::<RunStats>();
            let delay_ns = now_ns.saturating_sub(raised);
            count_run(latency.add(vector), delay_ns, delay_ns);
            histograms::count_delay(this, vector as u32, delay_ns);
        }
    }
}

/// Keeps the time of the oldest raise: a softirq that is raised again before it runs has waited since the
/// first.
#[inline(always)]
pub fn softirq_raise(vector: u32) -> i32 {
    if vector as usize >= SOFTIRQ_VECTORS {
        return 0;
    }
    let Some(this) = ThisCpu::get() else { return 0 };
    // SAFETY: within this CPU's element. Interrupts are off, so neither `softirq_entry`, which clears
    // `raised_at`, nor this program itself runs in between. `raises` has no other writer.
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
    let state = this.state;
    // SAFETY: this CPU's element. Only softirq programs write these fields, and none of them interrupts this
    // one; the sampler may read the start in between, so storing it is volatile. The vector was checked.
    unsafe {
        let softirq = &raw mut (*state).softirq;
        if is_other_task(state) && !parked::resume(state) {
            cold_path();
            (*state).softirq_lost += u64::from(parked::end_of_dropped(state));
            return 0;
        }
        let start = (*softirq).start;
        if start == 0 || u32::from((*softirq).vector_plus_one) != vector + 1 {
            // Its entry came before the programs were attached, or was missed.
            cold_path();
            (*state).softirq_lost += u64::from(start != 0);
            return 0;
        }
        let now = Moment::at(ns, state);
        (&raw mut (*softirq).start).write_volatile(0);
        let run_ns = now.since(start, (*softirq).start_irq);
        let Filed { unfiled_ns, in_histogram } = if vector == NET_RX {
            file_run(&this, now, run_ns)
        } else {
            Filed { unfiled_ns: run_ns, in_histogram: false }
        };
        let stats = if vector == NET_RX {
            &raw mut (*state).net_rx
        } else {
            (&raw mut (*state).vectors).cast::<RunStats>().add(vector as usize)
        };
        count_run(stats, run_ns, unfiled_ns);
        if !in_histogram {
            histograms::count_run(&this, vector, run_ns);
        }
        let flags = (&raw const (*state).flags).read_volatile();
        if flags & (THREADS | PREEMPT_RT) != 0 {
            cold_path();
            if flags & THREADS != 0 {
                threads::interrupted_by_softirq(&this, bpf_get_current_pid_tgid() as u32, run_ns);
            }
            if is_rt(flags) {
                parked::take_off(state, run_ns);
            }
        }
    }
    0
}

/// How a run was filed.
struct Filed {
    /// The time that is not in the sum of its vector yet.
    unfiled_ns: u64,
    /// Whether the histogram of its poll is that of the run, too.
    in_histogram: bool,
}

/// Files what `napi_poll` left open when a `NET_RX` run ends.
///
/// # Safety
/// A softirq program calls it.
#[inline(always)]
unsafe fn file_run(this: &ThisCpu, now: Moment, run_ns: u64) -> Filed {
    let state = this.state;
    // SAFETY: this CPU's element. Only softirq programs touch these fields, and none of them interrupts the
    // caller.
    unsafe {
        let softirq = &raw mut (*state).softirq;
        let polls = (*softirq).polls;
        if polls == 0 {
            (*state).other_ns += run_ns;
            return Filed { unfiled_ns: run_ns, in_histogram: false };
        }
        let last_slot = (*softirq).last_slot;
        file_samples(this, last_slot);
        let stats = Slot::from_raw(last_slot).stats(this);
        if polls == 1 && (*softirq).stamping == 0 {
            let mut in_histogram = false;
            if !stats.is_null() {
                let work = (*softirq).first_work;
                count_poll(&raw mut (*stats).softirq, work, (*softirq).first_repoll);
                in_histogram = histograms::count_only_poll(this, stats, run_ns, work);
            }
            add_time(this, stats, run_ns);
            return Filed { unfiled_ns: run_ns, in_histogram };
        }
        cold_path();
        if polls == 1 {
            (*softirq).stamping -= 1;
        }
        let tail_ns = now.since((*state).mark, (*state).mark_irq);
        add_time(this, stats, tail_ns);
        Filed { unfiled_ns: tail_ns, in_histogram: false }
    }
}

/// A poll that just ended.
#[derive(Clone, Copy)]
struct Poll {
    slot: Slot,
    work: u32,
    /// 1 if it returned its whole budget.
    repoll: u8,
}

/// `napi_poll`: counts the poll that just ended, and its time if that is known already.
#[inline(always)]
pub fn napi_poll<M: Memory, C: EbpfContext>(ctx: &C, napi: *const u8, work: i32, budget: i32) -> i32 {
    // netpoll polls with a budget of 0, to free sent packets (net/core/netpoll.c: poll_one_napi). It may do
    // so inside a softirq run, whose marks it must not move, or in an interrupt in the midst of another
    // softirq program.
    if budget == 0 {
        return 0;
    }
    let Some(this) = ThisCpu::get() else { return 0 };
    let state = this.state;
    let slot = napi::slot_of::<M, C>(ctx, &this, napi);
    if slot.raw() == NO_SLOT {
        cold_path();
        napi::note_unslotted::<M>(&this, napi);
    }
    let poll = Poll { slot, work: if work < 0 { 0 } else { work as u32 }, repoll: u8::from(work >= budget) };
    // SAFETY: this CPU's element. Only softirq programs write these fields, and none of them interrupts this
    // one.
    unsafe {
        let softirq = &raw mut (*state).softirq;
        let other_task = is_other_task(state) && !parked::resume(state);
        let vector_plus_one = u32::from((*softirq).vector_plus_one);
        if (*softirq).start == 0 || vector_plus_one != NET_RX + 1 || other_task {
            cold_path();
            // Before the first softirq seen here, the poll may be in a run that started before the programs
            // were attached.
            if vector_plus_one != 0 {
                poll_in_task::<M>(&this, poll, napi);
            }
            return 0;
        }
        (*softirq).polls += 1;
        if (*softirq).stamping == 0 && (*softirq).polls == 1 {
            (*softirq).last_slot = poll.slot.raw();
            (*softirq).first_work = poll.work;
            (*softirq).first_repoll = poll.repoll;
            return 0;
        }
        cold_path();
        stamp_poll(&this, poll);
    }
    0
}

/// Files a poll with a timestamp, in a run that has several polls, or that may have.
///
/// # Safety
/// A softirq program calls it, inside a `NET_RX` run.
#[inline(always)]
unsafe fn stamp_poll(this: &ThisCpu, poll: Poll) {
    let state = this.state;
    // SAFETY: this CPU's element. Only softirq programs touch these fields, and none of them interrupts the
    // caller.
    unsafe {
        let softirq = &raw mut (*state).softirq;
        let first_slot = (*softirq).last_slot;
        // Back from memory, so that the verifier forgets how the slot was found: otherwise it would follow
        // each of the ways to it through all that comes now.
        let last_slot = &raw mut (*softirq).last_slot;
        last_slot.write_volatile(poll.slot.raw());
        let poll = Poll { slot: Slot::from_raw(last_slot.read_volatile()), ..poll };
        file_samples(this, poll.slot.raw());
        let now = Moment::at(clock(), state);
        let since_start = now.since((*softirq).start, (*softirq).start_irq);
        let ns = if (*softirq).polls == 1 {
            since_start
        } else if (*softirq).stamping == 0 {
            // The first run with a second poll: both passed without a timestamp between them.
            let first = Poll {
                slot: Slot::from_raw(first_slot),
                work: (*softirq).first_work,
                repoll: (*softirq).first_repoll,
            };
            let first_ns = share(since_start, first.work, poll.work);
            if first.slot.raw() != poll.slot.raw() {
                (*state).mixed_ns += since_start;
            }
            file_poll(this, first, first_ns);
            since_start - first_ns
        } else {
            now.since((*state).mark, (*state).mark_irq)
        };
        file_poll(this, poll, ns);
        if (*softirq).polls > 1 {
            (*softirq).stamping = STAMPED_RUNS;
        }
        (*state).mark = now.ns;
        (*state).mark_irq = now.irq_ns;
    }
}

/// The first poll's part of the time of two, in proportion to their work; half if neither did any.
#[inline(always)]
fn share(ns: u64, first: u32, second: u32) -> u64 {
    let both = u64::from(first) + u64::from(second);
    (ns * u64::from(first)).checked_div(both).unwrap_or(ns / 2)
}

/// Files a poll inside a run that goes on. The time of `NET_RX` grows with it: a reader in the middle of a
/// long run finds the same time in the sum of the NAPIs and in `NET_RX`.
///
/// # Safety
/// A softirq program calls it.
#[inline(always)]
unsafe fn file_poll(this: &ThisCpu, poll: Poll, ns: u64) {
    let stats = poll.slot.stats(this);
    // SAFETY: elements of this CPU that only softirq programs write; none of them interrupts the caller.
    unsafe {
        if !stats.is_null() {
            count_poll(&raw mut (*stats).softirq, poll.work, poll.repoll);
            histograms::count_poll(this, stats, ns, poll.work);
        }
        (*this.state).net_rx.ns += ns;
        add_time(this, stats, ns);
    }
}

/// Adds a poll's time. A poll without a slot took its time, too: that goes to the time that belongs to no
/// NAPI.
///
/// # Safety
/// A softirq program calls it; `stats` is null or points to an element of this CPU.
#[inline(always)]
unsafe fn add_time(this: &ThisCpu, stats: *mut NapiStats, ns: u64) {
    // SAFETY: elements of this CPU that only softirq programs write; none of them interrupts the caller.
    unsafe {
        if stats.is_null() {
            (*this.state).other_ns += ns;
        } else {
            (*stats).softirq_ns += ns;
        }
    }
}

/// # Safety
/// A softirq program calls it; `stats` points into an element of this CPU.
#[inline(always)]
unsafe fn count_poll(stats: *mut PollStats, work: u32, repoll: u8) {
    // SAFETY: only softirq programs write this, and none of them interrupts the caller.
    unsafe {
        (*stats).polls += 1;
        (*stats).work += u64::from(work);
        (*stats).repolls += u64::from(repoll);
    }
}

/// Counts a poll outside `NET_RX`: by the NAPI's own thread, or by a task that busy-polls. No event marks its
/// start, so it has no time.
#[inline(always)]
fn poll_in_task<M: Memory>(this: &ThisCpu, poll: Poll, napi: *const u8) {
    let stats = poll.slot.stats(this);
    if stats.is_null() {
        return;
    }
    let offset = config!(offsets.napi_thread);
    // SAFETY: the offset is this kernel's; the helper has no preconditions.
    let threaded = offset != NO_MEMBER && unsafe { M::read::<u64>(napi, offset) == bpf_get_current_task() };
    // SAFETY: an element of this CPU. Tasks poll with bottom halves disabled, so no softirq program
    // interrupts this.
    unsafe {
        if threaded {
            let pid = bpf_get_current_pid_tgid() as u32;
            count_poll(&raw mut (*stats).threaded, poll.work, poll.repoll);
            threads::note(this, pid, poll.slot, stats);
            (*stats).thread_pid = pid;
        } else if (*this.state).dropped_runs != 0 {
            // Perhaps a poll of a softirq run that is not kept any more, rather than a task's.
            cold_path();
            (*this.state).softirq_lost += 1;
        } else {
            count_poll(&raw mut (*stats).busy, poll.work, poll.repoll);
        }
    }
}
