//! The types and constants that the kernel programs and the user side share: plain `#[repr(C)]` data.
//!
//! The arrays named `*_STATS` in the kernel programs are flat: element `cpu * slots + slot`. Every counter
//! only grows, and has one writer: the CPU whose element it is, in the context that the field's comment
//! names. So the user side can read the counters through a memory map, without a system call, and subtract
//! what it read before. The user side itself writes only [`CpuState::flags`] before the programs are
//! attached, [`CpuState::generation`], and the maxima, each of which it exchanges for 0 at the end of an
//! interval.
//!
//! Names that end in `_ns` are nanoseconds; moments are on `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`).

#![no_std]

/// Softirq vectors, in the kernel's order (`include/linux/interrupt.h`): HI, TIMER, `NET_TX`, `NET_RX`,
/// BLOCK, `IRQ_POLL`, TASKLET, SCHED, HRTIMER, RCU.
pub const SOFTIRQ_VECTORS: usize = 10;
/// Number of the `NET_RX` vector.
pub const NET_RX: u32 = 3;
/// Entries in each CPU's cache of NAPI slots, and in its cache of irq slots.
pub const SLOT_CACHE: usize = 8;
/// Length of an interface name, including its NUL (`IFNAMSIZ`).
pub const NAME_LEN: usize = 16;
/// How many functions of a device's `net_device_ops` are kept: some that nearly every driver implements
/// itself.
pub const DEVICE_OPS: usize = 4;
/// Bytes kept of an irq action's name, including its NUL.
pub const ACTION_LEN: usize = 64;
/// How many pairs of drop reason and location can be counted.
pub const MAX_DROPS: u32 = 1024;
/// Flag in [`CpuState::flags`]: softirqs are preemptible, so their events are paired by task.
pub const PREEMPT_RT: u32 = 1;
/// Flag in [`CpuState::flags`]: measure raise-to-run delays.
pub const LATENCY: u32 = 2;
/// Length of a task's name, including its NUL (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;
/// The most addresses kept of a call stack (`PERF_MAX_STACK_DEPTH`).
pub const STACK_DEPTH: usize = 127;
/// [`Sample::kind`]: the idle task, outside interrupts.
pub const SAMPLE_IDLE: u32 = 0;
/// [`Sample::kind`]: user mode.
pub const SAMPLE_USER: u32 = 1;
/// [`Sample::kind`]: a task in the kernel, or a kernel thread.
pub const SAMPLE_TASK: u32 = 2;
/// [`Sample::kind`]: a device interrupt handler. Only samples taken by NMI can be inside one.
pub const SAMPLE_HARDIRQ: u32 = 3;
/// [`Sample::kind`]: softirq vector 0; the other vectors follow.
pub const SAMPLE_SOFTIRQ: u32 = 16;
/// [`Sample::napi`]: no poll has claimed the sample.
pub const UNFILED: u32 = u32::MAX - 2;
/// [`Sample::napi`]: in a poll of a NAPI that has no slot.
pub const NO_SLOT: u32 = u32::MAX - 1;
/// [`Sample::napi`]: in a poll of the per-CPU backlog.
pub const BACKLOG_SLOT: u32 = u32::MAX;
/// The offset of a struct member that this kernel does not have.
pub const NO_MEMBER: u32 = u32::MAX;

/// Byte offsets of the struct members that the programs read, taken from the running kernel's BTF.
/// [`NO_MEMBER`] if the kernel has no such member.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Offsets {
    /// `napi_struct.dev`
    pub napi_dev: u32,
    /// `napi_struct.napi_id`
    pub napi_id: u32,
    /// `napi_struct.poll`
    pub napi_poll: u32,
    /// `napi_struct.thread`, since 5.12
    pub napi_thread: u32,
    /// `net_device.ifindex`
    pub dev_ifindex: u32,
    /// `net_device.name`
    pub dev_name: u32,
    /// `net_device.nd_net.net`
    pub dev_net: u32,
    /// `net_device.netdev_ops`
    pub dev_ops: u32,
    /// `net_device_ops.ndo_open`
    pub ops_open: u32,
    /// `net_device_ops.ndo_stop`
    pub ops_stop: u32,
    /// `net_device_ops.ndo_start_xmit`
    pub ops_start_xmit: u32,
    /// `net_device_ops.ndo_get_stats64`
    pub ops_get_stats64: u32,
    /// `net.ns.inum`
    pub net_inum: u32,
    /// `irqaction.name`
    pub action_name: u32,
    /// `irqaction.thread_fn`
    pub action_thread_fn: u32,
}

/// What is fixed when the programs are loaded. The verifier sees constants.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Where the struct members are.
    pub offsets: Offsets,
    /// Slots per CPU in `NAPI_STATS`.
    pub napi_slots: u32,
    /// Slots per CPU in `IRQ_STATS`.
    pub irq_slots: u32,
    /// Elements per CPU in `SAMPLES`: a power of two.
    pub sample_slots: u32,
    /// 1 to keep the call stack of each sample in `SAMPLE_STACKS`.
    pub stacks: u32,
    /// 1 to log rare events.
    pub log: u32,
}

/// How often something ran, for how long, and the longest run.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunStats {
    /// Runs that ended.
    pub count: u64,
    /// Their time in nanoseconds.
    pub ns: u64,
    /// The longest run since the user side last took this maximum, in nanoseconds.
    pub max_ns: u64,
}

/// Polls by one kind of caller.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PollStats {
    /// Number of polls.
    pub polls: u64,
    /// Sum of the work they returned: usually packets.
    pub work: u64,
    /// Polls that returned their whole budget.
    pub repolls: u64,
}

/// One NAPI on one CPU. Written by the `softirq_exit` and `napi_poll` programs only.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NapiStats {
    /// Polls in `NET_RX`.
    pub softirq: PollStats,
    /// The time of the polls in `NET_RX`, in nanoseconds.
    pub softirq_ns: u64,
    /// Polls in the NAPI's own thread.
    pub threaded: PollStats,
    /// Polls in another task: busy polling.
    pub busy: PollStats,
    /// The pid of the NAPI's thread; 0 until it has polled on this CPU.
    pub thread_pid: u64,
}

/// Which NAPI it is. The address alone is not enough: it may be reused for a NAPI with another id, and a
/// device keeps both when it moves to another namespace.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NapiKey {
    /// Address of the `napi_struct`.
    pub napi: u64,
    /// Its `napi_id`; 0 is normal for NAPIs that only transmit.
    pub napi_id: u32,
    /// Its device's index.
    pub ifindex: u32,
    /// Inode of its device's network namespace.
    pub netns: u32,
    /// Zero.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub pad: u32,
}

/// What the programs note when they first see a NAPI.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct NapiInfo {
    /// Address of the driver's poll function.
    pub poll_fn: u64,
    /// Addresses of some functions of its device's `net_device_ops`; 0 if the device has no such function.
    pub ops: [u64; DEVICE_OPS],
    /// Its element of `NAPI_STATS`.
    pub slot: u32,
    /// Zero.
    pub pad: u32,
    /// Its device's name at that time, ended by a NUL.
    pub name: [u8; NAME_LEN],
}

/// An action of an interrupt line. A shared line has several.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct IrqKey {
    /// Address of the `irqaction`.
    pub action: u64,
    /// The line.
    pub irq: u32,
    /// Zero.
    pub pad: u32,
}

/// What the programs note when they first see an irq action.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IrqInfo {
    /// Its element of `IRQ_STATS`.
    pub slot: u32,
    /// 1 if the handler hands its work to a thread (`irqaction.thread_fn`).
    pub threaded: u32,
    /// Its name, ended by a NUL.
    pub name: [u8; ACTION_LEN],
}

/// What a CPU was doing at one moment. Every sample has the same weight: events are sampled at a fixed
/// period.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Address of the instruction.
    pub address: u64,
    /// The current thread.
    pub pid: u32,
    /// One of the `SAMPLE_*`.
    pub kind: u32,
    /// The slot of the NAPI whose poll the sample fell into, written when that poll is filed; or [`UNFILED`],
    /// [`NO_SLOT`] or [`BACKLOG_SLOT`].
    pub napi: u32,
    /// Number of addresses in its element of `SAMPLE_STACKS`.
    pub stack_len: u32,
    /// The current thread's name.
    pub comm: [u8; COMM_LEN],
}

/// A call stack of the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SampleStack {
    /// Return addresses, the innermost first.
    pub addresses: [u64; STACK_DEPTH],
}

/// Why a packet was dropped, and where in the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct DropKey {
    /// Address of the code that dropped it.
    pub location: u64,
    /// A value of `enum skb_drop_reason` (include/net/dropreason-core.h).
    pub reason: u32,
    /// Zero.
    pub pad: u32,
}

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
    /// Its slot.
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
    /// Its slot.
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

/// The device interrupt that runs on a CPU. Written by the irq programs only (`irq_handler_entry`,
/// `irq_handler_exit`). The sampler reads `start` at any moment.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct IrqContext {
    /// When the running handler started; 0 while none runs.
    pub start: u64,
    /// Address of its action.
    pub action: u64,
    /// Handler calls timed.
    pub count: u64,
    /// Handler calls that could not be filed: there was no slot, or an entry or exit came without the other.
    pub lost: u64,
}

/// Everything a CPU keeps outside the NAPI and irq slots.
///
/// Each part and each field has one writer, named beside it: the softirq programs, the irq programs, the
/// sampler, `kfree_skb`, `softirq_raise` or the user side. They may interrupt one another, so no program
/// makes a reference to the whole (`nicmon-ebpf/src/context.rs` says who interrupts whom).
///
/// The fields are ordered by how often they are used. A packet that arrives alone touches the first two cache
/// lines only, and cache lines are a large part of what counting a packet costs.
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
    /// [`PREEMPT_RT`] and [`LATENCY`]. Written by the user side before the programs are attached. It is here
    /// rather than in [`Config`] because reading it there would touch one more cache line on the hot path.
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
    /// `NET_RX` time of runs without a poll, in nanoseconds.
    pub other_ns: u64,
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
    /// NAPIs first seen on this CPU. Written by `napi_poll`.
    pub new_napis: u64,
    /// Irq actions first seen on this CPU. Written by `irq_handler_exit`.
    pub new_irqs: u64,
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
}

const _: () = {
    assert!(core::mem::offset_of!(CpuState, flags) == 60);
    assert!(core::mem::offset_of!(CpuState, net_rx) == 64);
    assert!(core::mem::offset_of!(CpuState, mark_irq) == 192);
};

#[cfg(feature = "user")]
mod pod {
    #![expect(unsafe_code, reason = "aya reads and writes map keys and values as plain bytes")]

    macro_rules! pod {
        ($($type:ident),*) => {
            // SAFETY: #[repr(C)] structs of integers and arrays of integers: any bytes are a valid value.
            $(unsafe impl aya::Pod for crate::$type {})*
        };
    }
    pod!(Config, NapiKey, NapiInfo, IrqKey, IrqInfo, DropKey);
}
