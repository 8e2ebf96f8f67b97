//! Types and constants that both sides of the kernel boundary share: plain `#[repr(C)]` data, nothing else.
//!
//! Arrays named `*_STATS` in the kernel programs are flat: element `cpu * slots + slot`. Every counter only
//! grows, and has one writer: the CPU whose element it is, in the context that the field's comment names. So the
//! user side reads them through a memory map without a system call, and takes differences. It writes
//! [`CpuState::flags`] at the start, [`CpuState::generation`], and each maximum, which it exchanges for 0 when an interval
//! ends.

#![no_std]

/// Softirq vectors, in the kernel's order (`include/linux/interrupt.h`): HI, TIMER, `NET_TX`, `NET_RX`, BLOCK,
/// `IRQ_POLL`, TASKLET, SCHED, HRTIMER, RCU.
pub const SOFTIRQ_VECTORS: usize = 10;
/// Number of the `NET_RX` vector.
pub const NET_RX: u32 = 3;
/// Entries of a CPU's cache of NAPI and of irq slots.
pub const SLOT_CACHE: usize = 8;
/// Length of an interface name with its NUL (`IFNAMSIZ`).
pub const NAME_LEN: usize = 16;
/// Functions that are kept of a device's `net_device_ops`: some that nearly every driver has of its own.
pub const DEVICE_OPS: usize = 4;
/// Bytes kept of an irq action's name, with its NUL.
pub const ACTION_LEN: usize = 64;
/// Drop reasons times locations that are told apart.
pub const MAX_DROPS: u32 = 1024;
/// Flag of [`CpuState`]: softirqs are preemptible, and paired by task.
pub const PREEMPT_RT: u32 = 1;
/// Flag of [`CpuState`]: raise-to-run delays are measured.
pub const LATENCY: u32 = 2;
/// Bytes of a task's name, with its NUL (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;
/// Addresses kept of a call stack (`PERF_MAX_STACK_DEPTH`).
pub const STACK_DEPTH: usize = 127;
/// Kind of a [`Sample`]: the idle task, outside interrupts.
pub const SAMPLE_IDLE: u32 = 0;
/// Kind of a [`Sample`]: user mode.
pub const SAMPLE_USER: u32 = 1;
/// Kind of a [`Sample`]: a task in the kernel, or a kernel thread.
pub const SAMPLE_TASK: u32 = 2;
/// Kind of a [`Sample`]: a device interrupt handler; only where samples are NMIs.
pub const SAMPLE_HARDIRQ: u32 = 3;
/// Kind of a [`Sample`]: softirq vector 0; the others follow.
pub const SAMPLE_SOFTIRQ: u32 = 16;
/// [`Sample::napi`]: in no poll.
pub const UNFILED: u32 = u32::MAX - 2;
/// [`Sample::napi`]: in a poll that had no slot.
pub const NO_SLOT: u32 = u32::MAX - 1;
/// [`Sample::napi`]: in a poll of the per-CPU backlog.
pub const BACKLOG_SLOT: u32 = u32::MAX;
/// A struct member that this kernel does not have.
pub const NO_MEMBER: u32 = u32::MAX;

/// Byte offsets of the struct members that the programs read, from the running kernel's BTF; [`NO_MEMBER`] where
/// the kernel has none.
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

/// What is fixed when the programs are loaded; the verifier sees constants.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Where struct members are.
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

/// Runs of something, their time and the longest.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunStats {
    /// Runs that ended.
    pub count: u64,
    /// Their time in ns.
    pub ns: u64,
    /// The longest since the user side last took it.
    pub max_ns: u64,
}

/// Polls by one kind of caller.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PollStats {
    /// Polls.
    pub polls: u64,
    /// Sum of what they returned.
    pub work: u64,
    /// Polls that returned their whole budget.
    pub repolls: u64,
}

/// One NAPI on one CPU. Written with bottom halves disabled, so never by two contexts at once.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NapiStats {
    /// Polls in `NET_RX`.
    pub softirq: PollStats,
    /// Their time in ns.
    pub softirq_ns: u64,
    /// Polls in the NAPI's own thread.
    pub threaded: PollStats,
    /// Polls in another task: busy polling.
    pub busy: PollStats,
    /// The thread's pid, once it has polled here.
    pub thread_pid: u64,
}

/// A NAPI at one point of its life: a freed one's address comes back with another id, a device keeps both when
/// it moves between namespaces.
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

/// What is read once, when a NAPI is first seen.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct NapiInfo {
    /// Address of the driver's poll function.
    pub poll_fn: u64,
    /// Addresses of some of its device's `net_device_ops`; 0 where there is none.
    pub ops: [u64; DEVICE_OPS],
    /// Its element of `NAPI_STATS`.
    pub slot: u32,
    /// Zero.
    pub pad: u32,
    /// Its device's name at that time, up to a NUL.
    pub name: [u8; NAME_LEN],
}

/// An action of an interrupt line: shared lines have several.
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

/// What is read once, when an irq action is first seen.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IrqInfo {
    /// Its element of `IRQ_STATS`.
    pub slot: u32,
    /// 1 if most of its work runs in a thread.
    pub threaded: u32,
    /// Its name, up to a NUL.
    pub name: [u8; ACTION_LEN],
}

/// What a CPU was doing at one moment. All stand for the same: events are sampled at a fixed period.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Address of the instruction.
    pub address: u64,
    /// The current thread.
    pub pid: u32,
    /// One of the `SAMPLE_*`.
    pub kind: u32,
    /// Slot of the NAPI in whose poll it fell, written when the poll is filed; or [`UNFILED`], [`NO_SLOT`], [`BACKLOG_SLOT`].
    pub napi: u32,
    /// Addresses in its element of `SAMPLE_STACKS`.
    pub stack_len: u32,
    /// The current thread's name.
    pub comm: [u8; COMM_LEN],
}

/// A call stack of the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SampleStack {
    /// The innermost first.
    pub addresses: [u64; STACK_DEPTH],
}

/// A reason to drop a packet and the code that did.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct DropKey {
    /// Address in the kernel.
    pub location: u64,
    /// `enum skb_drop_reason`.
    pub reason: u32,
    /// Zero.
    pub pad: u32,
}

/// The slot of a NAPI or irq action that a CPU has met lately.
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
    /// The [`CpuState::generation`] it was looked up in.
    pub generation: u32,
}

/// The slot of an irq action that a CPU has met lately.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct CachedIrq {
    /// Address of the `irqaction`.
    pub action: u64,
    /// The line.
    pub irq: u32,
    /// Its slot.
    pub slot: u32,
    /// The [`CpuState::generation`] it was looked up in.
    pub generation: u32,
    /// Zero.
    pub pad: u32,
}

/// The softirq that runs on a CPU, and its polls whose time is not yet filed. Written by the softirq and NAPI
/// programs only.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct SoftirqContext {
    /// When it began; 0 when none runs.
    pub start: u64,
    /// [`CpuState::irq_total_ns`] then.
    pub start_irq: u64,
    /// Polls of this `NET_RX` run so far.
    pub polls: u32,
    /// Slot of the last poll.
    pub last_slot: u32,
    /// What the first poll returned, until it is filed.
    pub first_work: u32,
    /// While not 0, every poll takes a timestamp: runs hold more than one poll. Counts single-poll runs down.
    pub stamping: u16,
    /// Its vector plus one; stays when the run ends, and is 0 until the first run is seen.
    pub vector_plus_one: u8,
    /// 1 if what the first poll returned was its whole budget.
    pub first_repoll: u8,
    /// Samples taken so far; the last stands in element `samples - 1` of this CPU's ring. Written by the sampler only.
    pub samples: u32,
    /// [`Self::samples`] when a poll was filed last.
    pub samples_filed: u32,
    /// Address of this CPU's backlog NAPI, once it has been polled: known without looking at its device.
    pub backlog_napi: u64,
}

/// The device interrupt that runs on a CPU. Written by the irq programs only.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct IrqContext {
    /// When the running handler began; 0 when none runs.
    pub start: u64,
    /// Its action.
    pub action: u64,
    /// Handler calls timed.
    pub count: u64,
    /// Handler calls that could not be filed: no slot, or an entry or exit without the other.
    pub lost: u64,
}

/// All that one CPU keeps outside the NAPI and irq slots.
///
/// The fields stand in the order of their heat: a packet that comes alone touches the first two cache lines, which is
/// a good part of what counting it costs.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuState {
    /// What softirq runs now.
    pub softirq: SoftirqContext,
    /// Time in device interrupt handlers so far. Written by the irq programs only.
    pub irq_total_ns: u64,
    /// Written by the user side, which raises it whenever slots may have changed owners: what the caches hold of an
    /// older generation is stale.
    pub generation: u32,
    /// [`PREEMPT_RT`] and [`LATENCY`]. Written by the user side before the programs are attached, and here rather than
    /// in [`Config`] since the hot path would touch a cache line more to read it there.
    pub flags: u32,

    /// Runs of `NET_RX`.
    pub net_rx: RunStats,
    /// When the last device interrupt handler ended. Written by the irq programs only.
    pub irq_end: u64,
    /// The per-CPU backlog, which has no device.
    pub backlog: NapiStats,
    /// Where the last timestamped poll ended.
    pub mark: u64,

    /// [`CpuState::irq_total_ns`] at [`CpuState::mark`].
    pub mark_irq: u64,
    /// `NET_RX` time of runs without a poll.
    pub other_ns: u64,
    /// `NET_RX` time that was split by work.
    pub mixed_ns: u64,
    /// Polls that could not be filed (their time is in `other_ns`), and softirq events without their pair.
    pub softirq_lost: u64,
    /// The task that runs the softirq (`PREEMPT_RT` only).
    pub task: u64,
    /// Address of the NAPI polled last, also outside `NET_RX`.
    pub napi: u64,
    /// What device interrupt runs now.
    pub irq: IrqContext,
    /// The other softirq vectors; that of `NET_RX` stays empty.
    pub vectors: [RunStats; SOFTIRQ_VECTORS],
    /// NAPIs first seen here.
    pub new_napis: u64,
    /// Irq actions first seen here.
    pub new_irqs: u64,
    /// Drops counted.
    pub drops: u64,
    /// Drops that could not be counted.
    pub drops_lost: u64,
    /// Raises seen (`--latency`).
    pub raises: u64,
    /// The oldest raise of each vector that has not run yet (`--latency`); the raise program sets it, entry
    /// zeroes it.
    pub raised_at: [u64; SOFTIRQ_VECTORS],
    /// Raise-to-run delays (`--latency`).
    pub latency: [RunStats; SOFTIRQ_VECTORS],
    /// NAPIs met lately.
    pub napi_cache: [CachedNapi; SLOT_CACHE],
    /// Irq actions met lately.
    pub irq_cache: [CachedIrq; SLOT_CACHE],
}

const _: () = {
    assert!(core::mem::offset_of!(CpuState, net_rx) == 64);
    assert!(core::mem::offset_of!(CpuState, mark_irq) == 192);
};

#[cfg(feature = "user")]
mod pod {
    #![expect(unsafe_code, reason = "aya reads map keys and values as plain bytes")]

    macro_rules! pod {
        ($($type:ident),*) => {
            // SAFETY: #[repr(C)] integers and arrays of them; any bytes are a valid value.
            $(unsafe impl aya::Pod for crate::$type {})*
        };
    }
    pod!(Config, NapiKey, NapiInfo, IrqKey, IrqInfo, DropKey);
}
