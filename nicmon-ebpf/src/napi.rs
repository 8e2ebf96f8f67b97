//! Finds the slot of a NAPI: where its statistics are.

use aya_ebpf::EbpfContext;
use aya_log_ebpf::warn;
use nicmon_common::{
    BACKLOG_SLOT, CachedNapi, DEVICE_OPS, NAME_LEN, NO_MEMBER, NO_SLOT, NapiKey, NapiOwner, NapiStats,
    PollStats, RingEntry, SEVERAL_NICS, SLOT_CACHE, SlotRings, UNSLOTTED, unslotted_cell,
};

use crate::{
    context::ThisCpu,
    maps::{NAPI_INDEX, NAPI_OWNERS, NAPI_RINGS, NAPI_STATS, config},
    memory::{Memory, address_of, read_name},
    slots::{self, Table},
};

/// The number of an element in this CPU's part of `NAPI_STATS`, or the backlog, or none.
#[derive(Clone, Copy)]
pub struct Slot(u32);

impl Slot {
    const BACKLOG: Self = Self(BACKLOG_SLOT);
    const NONE: Self = Self(NO_SLOT);

    #[inline(always)]
    pub fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    #[inline(always)]
    pub fn raw(self) -> u32 {
        self.0
    }

    /// Its counters, to file something; null if it has none. Only softirq programs call this.
    #[inline(always)]
    pub fn stats(self, this: &ThisCpu) -> *mut NapiStats {
        let stats = self.quiet_stats(this);
        if !stats.is_null() && self.0 != Self::BACKLOG.0 {
            // SAFETY: this slot's element; only softirq programs note slots of NAPIs.
            unsafe { slots::note_active::<Napis>(this, self.0, &raw mut (*stats).epoch) };
        }
        stats
    }

    /// Its counters; null if it has none. What is filed there is read when the slot is noted next.
    #[inline(always)]
    pub fn quiet_stats(self, this: &ThisCpu) -> *mut NapiStats {
        if self.0 == Self::BACKLOG.0 {
            // SAFETY: an address within this CPU's element; nothing is read.
            return unsafe { &raw mut (*this.state).backlog };
        }
        if self.0 == Self::NONE.0 {
            return core::ptr::null_mut();
        }
        NAPI_STATS.get_ptr_mut(this.cpu * config!(napi_slots) + self.0).unwrap_or(core::ptr::null_mut())
    }
}

/// The slot of a NAPI. Two NAPIs are the same if their address, id, device index and namespace are: all four
/// are compared at every poll. Only `napi_poll` calls this.
#[inline(always)]
pub fn slot_of<M: Memory, C: EbpfContext>(ctx: &C, this: &ThisCpu, napi: *const u8) -> Slot {
    let state = this.state;
    // SAFETY: the offsets are this kernel's. The rest is in this CPU's element: only `napi_poll` touches it,
    // and no other `napi_poll` interrupts this one. The user side raises the generation at any moment, hence
    // volatile.
    unsafe {
        // The backlog never moves, and is polled for each packet that arrives alone over loopback or a plain
        // veth.
        if napi as u64 == (*state).softirq.backlog_napi {
            return Slot::BACKLOG;
        }
        core::hint::cold_path();
        let dev: *const u8 = M::read(napi, config!(offsets.napi_dev));
        if dev.is_null() {
            // Only softnet_data.backlog has no device (net/core/dev.c: net_dev_init); netif_napi_add takes
            // one.
            (*state).softirq.backlog_napi = napi as u64;
            return Slot::BACKLOG;
        }
        let napi_id: u32 = M::read(napi, config!(offsets.napi_id));
        let ifindex: u32 = M::read(dev, config!(offsets.dev_ifindex));
        let net: *const u8 = M::read(dev, config!(offsets.dev_net));

        // A device's NAPIs lie in one array or in a slab each: the middle bits of the address differ.
        let napi_address = address_of(napi, &raw mut (*state).napi);
        let entry = ((napi_address >> 6) ^ (napi_address >> 10)) as usize % SLOT_CACHE;
        let cached = (&raw mut (*state).napi_cache).cast::<CachedNapi>().add(entry);
        let generation = (&raw const (*state).generation).read_volatile();
        if (*cached).napi == napi_address
            && (*cached).napi_id == napi_id
            && (*cached).ifindex == ifindex
            && (*cached).net == net as u64
            && (*cached).generation == generation
        {
            return Slot((*cached).slot);
        }
        let netns: u32 = M::read(net, config!(offsets.net_inum));
        let key = NapiKey { napi: napi_address, napi_id, ifindex, netns, pad: 0 };
        let slot = match slots::find::<Napis>(this, &key, key.hash()) {
            Some(slot) => Slot(slot),
            None => register::<M, C>(ctx, this, &key, napi, dev),
        };
        // An entry without a slot is kept, too: the next poll need not search again.
        *cached =
            CachedNapi { napi: napi_address, net: net as u64, napi_id, ifindex, slot: slot.0, generation };
        slot
    }
}

/// Notes that a NAPI was polled that has no slot: whose polls are missing in the sums.
#[inline(always)]
pub fn note_unslotted<M: Memory>(this: &ThisCpu, napi: *const u8) {
    // SAFETY: the offsets are this kernel's. The cells are in this CPU's element; only `napi_poll` sets them,
    // and the user side may exchange one for 0 at any moment, hence volatile.
    unsafe {
        (*this.state).softirq_lost += 1;
        let dev: *const u8 = M::read(napi, config!(offsets.napi_dev));
        let ifindex: u32 = M::read(dev, config!(offsets.dev_ifindex));
        let net: *const u8 = M::read(dev, config!(offsets.dev_net));
        let netns: u32 = M::read(net, config!(offsets.net_inum));
        let nic = u64::from(netns) << 32 | UNSLOTTED | u64::from(ifindex);
        let cell = (&raw mut (*this.state).unslotted).cast::<u64>().add(unslotted_cell(netns, ifindex));
        let known = cell.read_volatile();
        if known != nic {
            cell.write_volatile(if known == 0 { nic } else { SEVERAL_NICS });
        }
    }
}

/// The table of NAPIs.
struct Napis;

impl Table for Napis {
    type Key = NapiKey;
    type Owner = NapiOwner;

    #[inline(always)]
    fn slots() -> u32 {
        config!(napi_slots)
    }

    #[inline(always)]
    fn index(at: u32) -> Option<*mut u64> {
        NAPI_INDEX.get_ptr_mut(at)
    }

    #[inline(always)]
    fn ring(at: u32) -> Option<*mut RingEntry> {
        NAPI_RINGS.get_ptr_mut(at)
    }

    #[inline(always)]
    fn owner(at: u32) -> Option<*mut NapiOwner> {
        NAPI_OWNERS.get_ptr_mut(at)
    }

    #[inline(always)]
    fn rings(this: &ThisCpu) -> *mut SlotRings {
        // SAFETY: an address within this CPU's element; nothing is read.
        unsafe { &raw mut (*this.state).napis }
    }

    #[inline(always)]
    unsafe fn is(owner: *const NapiOwner, key: &NapiKey) -> bool {
        // SAFETY: the caller guarantees that it is an element.
        unsafe {
            (*owner).key.napi == key.napi
                && (*owner).key.napi_id == key.napi_id
                && (*owner).key.ifindex == key.ifindex
                && (*owner).key.netns == key.netns
        }
    }
}

/// Gives a NAPI that is polled here for the first time a slot.
#[inline(always)]
fn register<M: Memory, C: EbpfContext>(
    ctx: &C,
    this: &ThisCpu,
    key: &NapiKey,
    napi: *const u8,
    dev: *const u8,
) -> Slot {
    // SAFETY: the offsets are this kernel's. The slot is free, so nobody else looks at its owner and its
    // counters; `napi_poll` calls this, which no other softirq program interrupts.
    unsafe {
        if let Some(free) = slots::free::<Napis>(this)
            && let Some(stats) = NAPI_STATS.get_ptr_mut(this.cpu * config!(napi_slots) + free.slot)
        {
            (*free.owner).key = *key;
            (*free.owner).poll_fn = M::read(napi, config!(offsets.napi_poll));
            (*free.owner).ops = functions_of::<M>(dev);
            (*free.owner).name = [0; NAME_LEN];
            read_name(dev.wrapping_add(config!(offsets.dev_name) as usize), &mut (*free.owner).name);
            let epoch = (*stats).epoch;
            stats.write(NapiStats { epoch, ..NOTHING });
            if slots::publish::<Napis>(this, free.slot, key.hash()) {
                if config!(log) != 0 {
                    warn!(ctx, "new napi {} of ifindex {} in netns {}", key.napi_id, key.ifindex, key.netns);
                }
                return Slot(free.slot);
            }
        }
    }
    if config!(log) != 0 {
        warn!(ctx, "no slot left for napi {}", key.napi_id);
    }
    Slot::NONE
}

/// The counters of a slot's new owner.
const NOTHING: NapiStats = {
    let none = PollStats { polls: 0, work: 0, repolls: 0 };
    NapiStats {
        softirq: none,
        softirq_ns: 0,
        epoch: 0,
        histogram: 0,
        thread_pid: 0,
        thread_gaps: 0,
        threaded: none,
        busy: none,
        thread_softirq_ns: 0,
        thread_irq_ns: 0,
    }
};

/// Addresses of functions of the device's driver. The poll function alone may be shared by drivers
/// (`gro_cell_poll`).
#[inline(always)]
fn functions_of<M: Memory>(dev: *const u8) -> [u64; DEVICE_OPS] {
    let offset = config!(offsets.dev_ops);
    if offset == NO_MEMBER {
        return [0; DEVICE_OPS];
    }
    // SAFETY: the offset is this kernel's.
    let ops = unsafe { M::read(dev, offset) };
    [
        function_at::<M>(ops, config!(offsets.ops_open)),
        function_at::<M>(ops, config!(offsets.ops_stop)),
        function_at::<M>(ops, config!(offsets.ops_start_xmit)),
        function_at::<M>(ops, config!(offsets.ops_get_stats64)),
    ]
}

#[inline(always)]
fn function_at<M: Memory>(ops: *const u8, offset: u32) -> u64 {
    // SAFETY: the offset is this kernel's.
    if offset == NO_MEMBER { 0 } else { unsafe { M::read(ops, offset) } }
}
