//! How long softirqs, polls and raise-to-run delays take, and how many packets polls bring, by buckets.
//!
//! The histograms of vectors have fixed places. Those of NAPIs come from a pool of this CPU, which the user
//! side fills: a NAPI gets one when it is first polled here.

use core::hint::cold_path;

use aya_ebpf::maps::Array;
use nicmon_common::{
    NapiStats, PollHistogram, SOFTIRQ_VECTORS, Times, packet_bucket, time_bucket, time_bucket_by_branches,
};

use crate::{
    context::ThisCpu,
    maps::{DELAY_TIMES, HISTOGRAM_RING, POLL_HISTOGRAMS, RUN_TIMES, config},
};

/// Counts a run of a vector.
///
/// # Safety
/// A softirq program calls it, with a vector that exists.
#[inline(always)]
pub unsafe fn count_run(this: &ThisCpu, vector: u32, ns: u64) {
    // SAFETY: as the caller guarantees.
    unsafe { count(&RUN_TIMES, this, vector, ns) };
}

/// Counts a raise-to-run delay of a vector.
///
/// # Safety
/// As for [`count_run`].
#[inline(always)]
pub unsafe fn count_delay(this: &ThisCpu, vector: u32, ns: u64) {
    // SAFETY: as the caller guarantees.
    unsafe { count(&DELAY_TIMES, this, vector, ns) };
}

/// # Safety
/// As for [`count_run`].
#[inline(always)]
unsafe fn count(map: &Array<Times>, this: &ThisCpu, vector: u32, ns: u64) {
    if let Some(times) = map.get_ptr_mut(this.cpu * SOFTIRQ_VECTORS as u32 + vector) {
        // SAFETY: an element of this CPU that only softirq programs write; none interrupts another.
        unsafe { add_one(times.cast(), time_bucket(ns)) };
    }
}

/// Counts the only poll of a `NET_RX` run. Returns whether that counts the run as well.
///
/// # Safety
/// A softirq program calls it; `stats` points to an element of this CPU.
#[inline(always)]
pub unsafe fn count_only_poll(this: &ThisCpu, stats: *mut NapiStats, ns: u64, work: u32) -> bool {
    // SAFETY: elements of this CPU that only softirq programs write; none interrupts another.
    unsafe {
        let is_single = work == 1 && stats == &raw mut (*this.state).backlog;
        if is_single {
            add_one((&raw mut (*this.state).single_polls).cast(), time_bucket_by_branches(ns));
        } else {
            count_poll(this, stats, ns, work);
        }
        is_single
    }
}

/// Counts a poll in `NET_RX`.
///
/// # Safety
/// As for [`count_only_poll`].
#[inline(always)]
pub unsafe fn count_poll(this: &ThisCpu, stats: *mut NapiStats, ns: u64, work: u32) {
    // SAFETY: elements of this CPU that only softirq programs write; none interrupts another.
    unsafe {
        let Some(histogram) = of_napi(this, stats) else { return };
        add_one((&raw mut (*histogram).times).cast(), time_bucket(ns));
        add_one((&raw mut (*histogram).packets).cast(), packet_bucket(u64::from(work)));
    }
}

/// The histogram of a NAPI on this CPU.
///
/// # Safety
/// As for [`count_only_poll`].
#[inline(always)]
unsafe fn of_napi(this: &ThisCpu, stats: *mut NapiStats) -> Option<*mut PollHistogram> {
    // SAFETY: elements of this CPU that only softirq programs write; none interrupts another.
    unsafe {
        let mut number = (*stats).histogram;
        if number == 0 {
            cold_path();
            number = take(this);
            if number == 0 {
                return None;
            }
            (*stats).histogram = number;
        }
        POLL_HISTOGRAMS.get_ptr_mut(this.cpu * (config!(napi_histograms) + 1) + number - 1)
    }
}

/// The number of a free histogram plus one; 0 if there is none.
///
/// # Safety
/// A softirq program calls it.
#[inline(always)]
unsafe fn take(this: &ThisCpu) -> u32 {
    let all = config!(napi_histograms);
    // SAFETY: this CPU's element. Only softirq programs write `taken`; the user side raises `given` at any
    // moment, after it has written the entry.
    unsafe {
        let ring = &raw mut (*this.state).histograms;
        let taken = (*ring).taken;
        if (&raw const (*ring).given).read_volatile() == taken {
            return 0;
        }
        let Some(entry) = HISTOGRAM_RING.get_ptr_mut(this.cpu * all + (taken & (all - 1))) else { return 0 };
        // The mask keeps it within this CPU's part, whatever the ring contains.
        let number = entry.read_volatile() as u32 & (all - 1);
        (&raw mut (*ring).taken).write_volatile(taken.wrapping_add(1));
        number + 1
    }
}

/// # Safety
/// The bucket is one of the counters, and nobody else writes it.
#[inline(always)]
unsafe fn add_one(counters: *mut u32, bucket: usize) {
    // SAFETY: as the caller guarantees.
    unsafe {
        let counter = counters.add(bucket);
        counter.write(counter.read().wrapping_add(1));
    }
}
