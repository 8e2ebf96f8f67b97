//! The maps, and the constants set at load. The sizes here are minimal: the user side sets those that fit the
//! machine.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, PerCpuArray, PerCpuHashMap},
};
use nicmon_common::{
    Config, CpuState, DropKey, FlowConfig, FlowWindow, IrqOwner, IrqStats, MAX_DROPS, MAX_PATH_DROPS,
    NapiOwner, NapiStats, Offsets, Passed, PathConfig, PathCounts, PathDropKey, PollHistogram, RingEntry,
    Sample, SampleStack, SocketCalls, Times, WhosePackets,
};

/// Set by the user side before load and then frozen, so the verifier knows its values.
#[unsafe(no_mangle)]
pub static CONFIG: Config = Config {
    offsets: Offsets {
        napi_dev: 0,
        napi_id: 0,
        napi_poll: 0,
        napi_thread: 0,
        dev_ifindex: 0,
        dev_name: 0,
        dev_net: 0,
        dev_ops: 0,
        ops_open: 0,
        ops_stop: 0,
        ops_start_xmit: 0,
        ops_get_stats64: 0,
        net_inum: 0,
        action_name: 0,
        action_thread_fn: 0,
    },
    napi_slots: 0,
    irq_slots: 0,
    index_probes: 0,
    preempt_rt: 0,
    napi_histograms: 0,
    sample_slots: 0,
    stacks: 0,
    log: 0,
};

/// Likewise, for the programs of `nicmon path`.
#[unsafe(no_mangle)]
pub static PATH: PathConfig =
    PathConfig { whose: NOBODYS_PACKETS, skb_sk: 0, skb_iif: 0, skb_head: 0, skb_end: 0, info_gso_segs: 0 };

/// Likewise, for the flow window.
#[unsafe(no_mangle)]
pub static FLOWS: FlowConfig = FlowConfig {
    whose: NOBODYS_PACKETS,
    cpu: 0,
    seed: 0,
    skb_hash: 0,
    skb_l4_hash: 0,
    l4_hash_mask: 0,
    skb_data: 0,
    skb_len: 0,
    skb_data_len: 0,
};

const NOBODYS_PACKETS: WhosePackets = WhosePackets {
    ifindex: 0,
    netns: 0,
    skb_dev: 0,
    skb_protocol: 0,
    dev_ifindex: 0,
    dev_net: 0,
    net_inum: 0,
};

/// Reads a member of [`CONFIG`]. Volatile, lest the compiler use the initial value above.
macro_rules! config {
    ($($member:ident).+) => {
        $crate::maps::read_static(&raw const $crate::maps::CONFIG.$($member).+)
    };
}
pub(crate) use config;

#[inline(always)]
pub fn read_static(member: *const u32) -> u32 {
    // SAFETY: only `config!` calls this, with members of a static.
    unsafe { core::ptr::read_volatile(member) }
}

/// One element per possible CPU.
#[map]
pub static CPUS: Array<CpuState> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// `napi_slots` elements per possible CPU.
#[map]
pub static NAPI_STATS: Array<NapiStats> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// `napi_slots` elements per possible CPU.
#[map]
pub static NAPI_OWNERS: Array<NapiOwner> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// `napi_slots` elements per possible CPU.
#[map]
pub static NAPI_RINGS: Array<RingEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Twice `napi_slots` elements per possible CPU: a hash table with open addressing.
#[map]
pub static NAPI_INDEX: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// `irq_slots` elements per possible CPU.
#[map]
pub static IRQ_STATS: Array<IrqStats> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// `irq_slots` elements per possible CPU.
#[map]
pub static IRQ_OWNERS: Array<IrqOwner> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// `irq_slots` elements per possible CPU.
#[map]
pub static IRQ_RINGS: Array<RingEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Twice `irq_slots` elements per possible CPU.
#[map]
pub static IRQ_INDEX: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Runs of each vector: `SOFTIRQ_VECTORS` elements per possible CPU.
#[map]
pub static RUN_TIMES: Array<Times> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Raise-to-run delays of each vector, likewise; one element without `--latency`.
#[map]
pub static DELAY_TIMES: Array<Times> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// `napi_histograms` elements per possible CPU, and one more for its backlog.
#[map]
pub static POLL_HISTOGRAMS: Array<PollHistogram> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// `napi_histograms` elements per possible CPU: the numbers of free histograms. Written by the user side.
#[map]
pub static HISTOGRAM_RING: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// `sample_slots` elements per possible CPU: a ring.
#[map]
pub static SAMPLES: Array<Sample> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The call stack of each element of [`SAMPLES`], if stacks were asked for; otherwise one element per CPU,
/// for the stack of its last sample.
#[map]
pub static SAMPLE_STACKS: Array<SampleStack> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One element.
#[map]
pub static SOCKETS: Array<SocketCalls> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Dropped packets, by reason and location.
#[map]
pub static DROPS: PerCpuHashMap<DropKey, u64> = PerCpuHashMap::with_max_entries(MAX_DROPS, 0);

/// For `nicmon path`: one element on each CPU.
#[map]
pub static PATH_COUNTS: PerCpuArray<PathCounts> = PerCpuArray::with_max_entries(1, 0);

/// For `nicmon path`: packets dropped, by reason and place.
#[map]
pub static PATH_DROPS: PerCpuHashMap<PathDropKey, Passed> =
    PerCpuHashMap::with_max_entries(MAX_PATH_DROPS, 0);

/// For the flow window: one element.
#[map]
pub static FLOW_WINDOW: Array<FlowWindow> = Array::with_max_entries(1, BPF_F_MMAPABLE);
