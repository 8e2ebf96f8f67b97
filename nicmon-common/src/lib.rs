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
/// Bytes kept of an irq action's name, with its NUL.
pub const ACTION_LEN: usize = 64;
/// Drop reasons times locations that are told apart.
pub const MAX_DROPS: u32 = 1024;
/// Flag of [`CpuState`]: softirqs are preemptible, and paired by task.
pub const PREEMPT_RT: u32 = 1;
/// Flag of [`CpuState`]: raise-to-run delays are measured.
pub const LATENCY: u32 = 2;
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
    pub pad: u32,
}

/// What is read once, when a NAPI is first seen.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct NapiInfo {
    /// Address of the driver's poll function.
    pub poll_fn: u64,
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
    /// Its vector plus one; stays when the run ends, and is 0 until the first run is seen.
    pub vector_plus_one: u32,
    /// Polls of this `NET_RX` run so far.
    pub polls: u32,
    /// While not 0, every poll takes a timestamp: runs hold more than one poll. Counts single-poll runs down.
    pub stamping: u32,
    /// Slot of the last poll.
    pub last_slot: u32,
    /// What the first poll returned, until it is filed.
    pub first_work: u32,
    /// 1 if that was its whole budget.
    pub first_repoll: u32,
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
