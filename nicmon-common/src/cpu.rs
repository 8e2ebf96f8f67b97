//! What each CPU keeps outside its slots.

use crate::{
    HistogramRing, IRQ_DEPTH, NapiStats, PARKED_RUNS, RunStats, SLOT_CACHE, SOFTIRQ_VECTORS, SlotRings,
    THREAD_CELLS, Times, UNSLOTTED_CELLS,
};

/// The slot of a NAPI that was polled lately on a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct CachedNapi {
    /// Address of the `napi_struct`.
    pub napi: u64,
    /// Address of its device's `struct net`.
    pub net: u64,
    /// Its `napi_id`.
    pub napi_id: u32,
    /// Its device's index.
    pub ifindex: u32,
    /// Its slot, or [`NO_SLOT`](crate::NO_SLOT).
    pub slot: u32,
    /// The [`CpuState::generation`] in which it was looked up.
    pub generation: u32,
}

/// The slot of an irq action that ran lately on a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct CachedIrq {
    /// Address of the `irqaction`.
    pub action: u64,
    /// The line.
    pub irq: u32,
    /// Its slot, or [`NO_SLOT`](crate::NO_SLOT).
    pub slot: u32,
    /// The [`CpuState::generation`] in which it was looked up.
    pub generation: u32,
    /// Zero.
    pub pad: u32,
}

/// The softirq that runs on a CPU, and its polls whose time is not filed yet. Written by the softirq programs
/// only (`softirq_entry`, `softirq_exit`, `napi_poll`). The sampler reads `start` and `vector_plus_one` at
/// any moment.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct SoftirqContext {
    /// When it started; 0 while none runs.
    pub start: u64,
    /// The value of [`CpuState::irq_total_ns`] at that time.
    pub start_irq: u64,
    /// Address of this CPU's backlog NAPI; 0 until it has been polled. It is recognised without looking at
    /// its device.
    pub backlog_napi: u64,
    /// Polls in this `NET_RX` run so far.
    pub polls: u32,
    /// Slot of the last poll.
    pub last_slot: u32,
    /// The work that the first poll returned, until that poll is filed.
    pub first_work: u32,
    /// While this is not 0, every poll takes a timestamp, because runs hold more than one poll. It counts
    /// single-poll runs down.
    pub stamping: u16,
    /// Its vector plus one. It stays when the run ends, and is 0 until the first run is seen.
    pub vector_plus_one: u8,
    /// 1 if the first poll returned its whole budget.
    pub first_repoll: u8,
}

/// How far the sampler is. Written by the sampler only; the softirq programs read it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct SamplerContext {
    /// Samples taken so far. The last one is element `samples - 1` of this CPU's ring, modulo the ring's
    /// size.
    pub samples: u32,
}

/// A device interrupt handler that runs.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct IrqFrame {
    /// When it started.
    pub start: u64,
    /// Address of its action.
    pub action: u64,
    /// Time of the handlers that it has called, in nanoseconds.
    pub inner_ns: u64,
}

/// The device interrupts that run on a CPU. Written by the irq programs only (`irq_handler_entry`,
/// `irq_handler_exit`). The sampler reads `depth` at any moment.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct IrqContext {
    /// How many handlers run: one that another handler calls runs inside it.
    pub depth: u32,
    /// Through which a number of a frame goes, so that the verifier sees its mask.
    pub scratch: u32,
    /// The handlers that run, the outermost first. Those deeper than this are lost.
    pub frames: [IrqFrame; IRQ_DEPTH],
    /// Handler calls timed.
    pub count: u64,
    /// Handler calls that could not be filed: there was no slot, an entry or exit came without the other, or
    /// it was too deep.
    pub lost: u64,
    /// How many of them had no slot.
    pub no_slot: u64,
}

/// A softirq run that another task has interrupted with softirqs of its own (`PREEMPT_RT`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ParkedRun {
    /// Address of the task that runs it; 0 if the place is free.
    pub task: u64,
    /// What [`CpuState::softirq`] was.
    pub softirq: SoftirqContext,
    /// What [`CpuState::mark`] was.
    pub mark: u64,
    /// What [`CpuState::mark_irq`] was.
    pub mark_irq: u64,
}

/// Everything a CPU keeps outside the NAPI and irq slots.
///
/// Each part and each field has one writer, named beside it: the softirq programs, the irq programs, the
/// sampler, `kfree_skb`, `softirq_raise` or the user side. They may interrupt one another, so no program
/// makes a reference to the whole (`nicmon-ebpf/src/context.rs` says who interrupts whom).
///
/// The fields are ordered by how often they are used. A packet that arrives alone touches the first two
/// cache lines and one of `single_polls`, and cache lines are a large part of what counting a packet costs.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuState {
    /// The softirq that runs now.
    pub softirq: SoftirqContext,
    /// How many of [`SamplerContext::samples`] had been taken when a poll was last filed. Written by the
    /// softirq programs.
    pub samples_filed: u32,
    /// How far the sampler is.
    pub sampler: SamplerContext,
    /// Time in device interrupt handlers so far, in nanoseconds. Written by the irq programs.
    pub irq_total_ns: u64,
    /// Written by the user side, which raises it whenever slots may have changed owners: cache entries of an
    /// older generation are stale.
    pub generation: u32,
    /// [`PREEMPT_RT`](crate::PREEMPT_RT), [`LATENCY`](crate::LATENCY) and [`THREADS`](crate::THREADS).
    /// Written by the user side before the programs are attached, and by `napi_poll` afterwards. It is here
    /// rather than in [`Config`](crate::Config) because reading it there would touch one more cache line on
    /// the hot path.
    pub flags: u32,

    /// Runs of `NET_RX`. Written by the softirq programs.
    pub net_rx: RunStats,
    /// When the last device interrupt handler ended. Written by the irq programs.
    pub irq_end: u64,
    /// The per-CPU backlog, which has no device. Written by the softirq programs.
    pub backlog: NapiStats,
    /// When the last timestamped poll ended. Written by the softirq programs, as are the fields up to `napi`.
    pub mark: u64,

    /// The value of [`CpuState::irq_total_ns`] at [`CpuState::mark`].
    pub mark_irq: u64,
    /// The NAPI slots of this CPU.
    pub napis: SlotRings,
    /// `NET_RX` time of runs without a poll, in nanoseconds.
    pub other_ns: u64,
    /// The free histograms of this CPU's NAPIs.
    pub histograms: HistogramRing,
    /// Polls of the backlog that brought one packet and took the whole of a run: packets over loopback, to
    /// name the most frequent. Each cache line and each page that counting touches costs a packet some
    /// nanoseconds, so neither the poll's packet nor its run is counted anywhere else. Written by the
    /// softirq programs.
    pub single_polls: Times,
    /// `NET_RX` time that was split between two NAPIs by their work, in nanoseconds.
    pub mixed_ns: u64,
    /// Polls that could not be filed (their time is in `other_ns`), and softirq events without their pair.
    pub softirq_lost: u64,
    /// Address of the task that runs the softirq (`PREEMPT_RT` only). The sampler reads it at any moment.
    pub task: u64,
    /// Address of the NAPI polled last, also outside `NET_RX`.
    pub napi: u64,
    /// The device interrupt that runs now.
    pub irq: IrqContext,
    /// The other softirq vectors; the element of `NET_RX` stays empty. Written by the softirq programs.
    pub vectors: [RunStats; SOFTIRQ_VECTORS],
    /// The irq slots of this CPU.
    pub irqs: SlotRings,
    /// Dropped packets counted. Written by `kfree_skb`.
    pub drops: u64,
    /// Dropped packets that could not be counted. Written by `kfree_skb`.
    pub drops_lost: u64,
    /// Raises seen (`--latency`). Written by `softirq_raise`.
    pub raises: u64,
    /// When each vector was first raised since it last ran, or 0 (`--latency`). `softirq_raise` sets it,
    /// `softirq_entry` zeroes it.
    pub raised_at: [u64; SOFTIRQ_VECTORS],
    /// Raise-to-run delays (`--latency`). Written by `softirq_entry`.
    pub latency: [RunStats; SOFTIRQ_VECTORS],
    /// NAPIs polled lately. Written by `napi_poll`.
    pub napi_cache: [CachedNapi; SLOT_CACHE],
    /// Irq actions that ran lately. Written by `irq_handler_exit`.
    pub irq_cache: [CachedIrq; SLOT_CACHE],
    /// Interfaces with polls that found no slot: `netns << 32 | UNSLOTTED | ifindex` in their cells, or
    /// [`SEVERAL_NICS`](crate::SEVERAL_NICS). Written by `napi_poll`; the user side exchanges it for 0.
    pub unslotted: [u64; UNSLOTTED_CELLS],
    /// Threads of NAPIs that have polled here: `pid << 32 | slot` in the cell `pid % THREAD_CELLS`. Written
    /// by `napi_poll`; the user side empties the cells of slots that it takes back. The irq programs read it.
    pub threads: [u64; THREAD_CELLS],
    /// Softirq runs set aside (`PREEMPT_RT` only). Written by the softirq programs.
    pub parked: [ParkedRun; PARKED_RUNS],
    /// Runs for which there was no place, and whose exit is still to come. Written by the softirq programs.
    pub dropped_runs: u64,
}

/// The cell of an interface in [`CpuState::unslotted`].
#[inline]
pub const fn unslotted_cell(netns: u32, ifindex: u32) -> usize {
    (netns ^ ifindex) as usize % UNSLOTTED_CELLS
}

const _: () = {
    assert!(core::mem::offset_of!(CpuState, flags) == 60);
    assert!(core::mem::offset_of!(CpuState, net_rx) == 64);
    assert!(core::mem::offset_of!(CpuState, backlog) == 96);
    // The last timestamp and the rings of NAPI slots, which polls of devices need, are in one more line.
    assert!(core::mem::offset_of!(CpuState, mark) / 64 == core::mem::offset_of!(CpuState, other_ns) / 64);
};
