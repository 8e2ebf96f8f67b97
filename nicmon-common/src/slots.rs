//! Slots: who owns them, what is counted in them, and how they are handed out.

use crate::{ACTION_LEN, DEVICE_OPS, NAME_LEN, PollStats, RunStats};

/// One NAPI on one CPU. Written by the softirq programs only, except for `thread_irq_ns`, and for `histogram`
/// of slots without an owner.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NapiStats {
    /// Polls in `NET_RX`.
    pub softirq: PollStats,
    /// The time of the polls in `NET_RX`, in nanoseconds.
    pub softirq_ns: u64,
    /// The [`SlotRings::epoch`] in which the slot was last noted as active.
    pub epoch: u32,
    /// The number of its [`PollHistogram`](crate::PollHistogram) on this CPU, plus one; 0 if it has none.
    pub histogram: u32,
    /// The pid of the NAPI's thread; 0 until it has polled on this CPU.
    pub thread_pid: u32,
    /// How often the two times of the thread could not be kept, because another thread took the cell.
    pub thread_gaps: u32,
    /// Polls in the NAPI's own thread.
    pub threaded: PollStats,
    /// Polls in another task: busy polling.
    pub busy: PollStats,
    /// Softirqs that ran while the NAPI's thread was the current task, in nanoseconds.
    pub thread_softirq_ns: u64,
    /// Device interrupts that came while the NAPI's thread was the current task, in nanoseconds. Written by
    /// the irq programs.
    pub thread_irq_ns: u64,
}

/// One irq action on one CPU. Written by the irq programs only.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IrqStats {
    /// Its handler's runs, without the handlers that it called.
    pub runs: RunStats,
    /// The [`SlotRings::epoch`] in which the slot was last noted as active.
    pub epoch: u32,
    /// Zero.
    pub pad: u32,
}

/// How the programs and the user side hand slots of one kind to each other, on one CPU. Both sides only ever
/// count up; the positions in the rings are these counts modulo the number of slots.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotRings {
    /// Free slots that the user side has put into the ring. Written by the user side.
    pub given: u32,
    /// Free slots that the programs have taken out. The slots between two values of this are those that got
    /// an owner in the meantime.
    pub taken: u32,
    /// Slots noted as active. A slot is noted once in each epoch in which something is filed to it.
    pub noted: u32,
    /// Written by the user side, which raises it with every reading.
    pub epoch: u32,
}

/// An element of the rings of one kind of slots on one CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct RingEntry {
    /// A free slot. Written by the user side.
    pub free: u32,
    /// An active slot. Written by the programs.
    pub active: u32,
}

/// An entry of the index from owners to slots that was never used. A search ends here.
pub const INDEX_EMPTY: u64 = 0;
/// An entry of the index whose owner is gone. The programs may use it again, and a search goes on.
pub const INDEX_REMOVED: u64 = u64::MAX;
/// How many entries of the index an owner may be in.
pub const INDEX_PROBES: u32 = 16;

/// The entry of the index for an owner with this hash.
#[inline]
pub const fn index_entry(hash: u64, slot: u32) -> u64 {
    (hash & 0xffff_ffff_0000_0000) | (slot as u64 + 1)
}

/// The number of the entry, modulo their number, at which a search looks after `probe` others. The distance
/// grows, so that neighbours do not queue up behind one another.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low half chooses the first entry")]
pub const fn index_probe(hash: u64, probe: u32) -> u32 {
    (hash as u32).wrapping_add(probe * (probe + 1) / 2)
}

/// Spreads the bits of an owner's numbers: the low half of the result chooses the first entry of the index,
/// the high half is kept in the entry.
#[inline]
pub const fn hash(address: u64, numbers: u64, more: u64) -> u64 {
    // The constants of the splitmix64 generator.
    let mixed =
        (address ^ numbers.rotate_left(21) ^ more.rotate_left(42)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
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

impl NapiKey {
    /// For the index.
    #[inline]
    pub const fn hash(&self) -> u64 {
        hash(self.napi, ((self.napi_id as u64) << 32) | self.ifindex as u64, self.netns as u64)
    }
}

/// The owner of a NAPI's slot. The programs write it when they first see the NAPI on a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct NapiOwner {
    /// Which NAPI.
    pub key: NapiKey,
    /// Address of the driver's poll function.
    pub poll_fn: u64,
    /// Addresses of some functions of its device's `net_device_ops`; 0 if the device has no such function.
    pub ops: [u64; DEVICE_OPS],
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

impl IrqKey {
    /// For the index.
    #[inline]
    pub const fn hash(&self) -> u64 {
        hash(self.action, self.irq as u64, 0)
    }
}

/// The owner of an irq action's slot. The programs write it when the action first runs on a CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IrqOwner {
    /// Which action.
    pub key: IrqKey,
    /// 1 if the handler hands its work to a thread (`irqaction.thread_fn`).
    pub threaded: u32,
    /// Zero.
    pub pad: u32,
    /// Its name, ended by a NUL.
    pub name: [u8; ACTION_LEN],
}
