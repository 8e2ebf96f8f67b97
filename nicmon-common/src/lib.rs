//! The types and constants that the kernel programs and the user side share: plain `#[repr(C)]` data.
//!
//! Each CPU has slots of its own for the NAPIs that it polls and the irq actions that it runs. The arrays
//! of the kernel programs are flat: slot `slot` of a CPU is element `cpu * slots + slot`. Every counter
//! only grows while its slot has an owner, and has one writer: the CPU whose element it is, in the context
//! that the field's comment names. So the user side can read the counters through a memory map, without a
//! system call, and subtract what it read before. The user side itself writes only [`CpuState::flags`]
//! before the programs are attached, [`CpuState::generation`], its half of [`SlotRings`], of
//! [`HistogramRing`] and of the index, and what it empties: the maxima and [`CpuState::unslotted`] at the
//! end of an interval, cells of [`CpuState::threads`], and [`NapiStats::histogram`] of slots without an
//! owner.
//!
//! Names that end in `_ns` are nanoseconds; moments are on `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`).

#![no_std]

mod cpu;
mod flows;
mod histogram;
mod packets;
mod path;
mod slots;

pub use crate::{
    cpu::{
        CachedIrq, CachedNapi, CpuState, IrqContext, IrqFrame, ParkedRun, SamplerContext, SoftirqContext,
        unslotted_cell,
    },
    flows::{
        FLOW_DISSECTED, FLOW_HASHED, FLOW_SAMPLES, FLOWS_FIRST, FLOWS_FIRST_ONE_IN, FLOWS_ONE_IN, FlowConfig,
        FlowSample, FlowWindow,
    },
    histogram::{
        HistogramRing, PACKET_BUCKETS, PollHistogram, TIME_BUCKETS, Times, least_of_bucket, packet_bucket,
        time_bucket, time_bucket_by_branches,
    },
    packets::WhosePackets,
    path::{
        MAX_PATH_DROPS, PATH_ENTERING, PATH_OUTGOING, PATH_RECEIVED, Passed, PathConfig, PathCounts,
        PathDropKey,
    },
    slots::{
        INDEX_EMPTY, INDEX_PROBES, INDEX_REMOVED, IrqKey, IrqOwner, IrqStats, NapiKey, NapiOwner, NapiStats,
        RingEntry, SlotRings, hash, index_entry, index_probe,
    },
};

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
/// Flag in [`CpuState::flags`]: a NAPI's thread has polled on this CPU. `napi_poll` sets it.
pub const THREADS: u32 = 4;
/// How many threads of NAPIs a CPU can tell apart: cells of [`CpuState::threads`].
pub const THREAD_CELLS: usize = 32;
/// How many softirq runs a CPU can keep aside while another task runs softirqs (`PREEMPT_RT`).
pub const PARKED_RUNS: usize = 4;
/// How deep device interrupt handlers may call one another. Handlers of multiplexed lines (VMD, pin
/// controllers) call others.
pub const IRQ_DEPTH: usize = 4;
/// Cells of [`CpuState::unslotted`].
pub const UNSLOTTED_CELLS: usize = 16;
/// In [`CpuState::unslotted`]: added to the index of an interface, so that a cell in use is never 0.
pub const UNSLOTTED: u64 = 1 << 31;
/// In [`CpuState::unslotted`]: polls of several interfaces.
pub const SEVERAL_NICS: u64 = u64::MAX;
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
/// The most functions in [`SocketCalls`].
pub const SOCKET_CALLS: usize = 26;
/// One in this many samples of tasks is looked at for a call of a socket, because unwinding a stack takes
/// six times as long as all else: a power of two.
pub const SOCKETS_ONE_IN: u32 = 2;
/// [`Sample::socket`]: not in a call of a socket, or not looked for.
pub const SOCKET_NONE: u32 = 0;
/// [`Sample::socket`]: in a call that receives from an IP or packet socket.
pub const SOCKET_RX: u32 = 1;
/// [`Sample::socket`]: in a call that sends through such a socket.
pub const SOCKET_TX: u32 = 2;
/// [`Sample::socket`]: the kernel could not unwind the stack.
pub const SOCKET_UNKNOWN: u32 = 3;
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
    /// Slots per CPU for NAPIs: a power of two.
    pub napi_slots: u32,
    /// Slots per CPU for irq actions: a power of two.
    pub irq_slots: u32,
    /// [`INDEX_PROBES`]. The compiler would unroll the loops that search the index if it knew the number, and
    /// the verifier then takes twice as long over `napi_poll`.
    pub index_probes: u32,
    /// 1 on `PREEMPT_RT`. [`CpuState::flags`] has it, too, where reading it costs less. This one the
    /// verifier knows, and leaves out what only `PREEMPT_RT` needs.
    pub preempt_rt: u32,
    /// Histograms of NAPIs per CPU: a power of two.
    pub napi_histograms: u32,
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
    /// One of the `SOCKET_*`; only tasks are in calls of sockets.
    pub socket: u32,
    /// Zero.
    pub pad: u32,
}

/// A function through which tasks receive from a socket, or send; or one that shows that something else runs
/// meanwhile.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SocketCall {
    /// Its first byte.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
    /// [`SOCKET_RX`] or [`SOCKET_TX`]; [`SOCKET_NONE`] if what it calls belongs to no call of a socket.
    pub direction: u32,
    /// Zero.
    pub pad: u32,
}

/// The functions that tell whether a task is in a call of a socket. The user side writes them once it has
/// read the kernel's symbols.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SocketCalls {
    /// The functions. Those that are not set are zero.
    pub calls: [SocketCall; SOCKET_CALLS],
    /// How many there are; with none, no call is looked for.
    pub count: u32,
    /// Zero.
    pub pad: u32,
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

#[cfg(feature = "user")]
mod pod {
    #![expect(unsafe_code, reason = "aya reads and writes map keys and values as plain bytes")]

    macro_rules! pod {
        ($($type:ident),*) => {
            // SAFETY: #[repr(C)] structs of integers and arrays of integers: any bytes are a valid value.
            $(unsafe impl aya::Pod for crate::$type {})*
        };
    }
    pod!(Config, DropKey, FlowConfig, Passed, PathConfig, PathCounts, PathDropKey);
}
