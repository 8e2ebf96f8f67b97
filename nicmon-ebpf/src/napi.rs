//! Finds the slot of a NAPI: where its statistics are.

use aya_ebpf::{EbpfContext, bindings::BPF_NOEXIST};
use aya_log_ebpf::warn;
use nicmon_common::{
    BACKLOG_SLOT, CachedNapi, DEVICE_OPS, NAME_LEN, NO_MEMBER, NO_SLOT, NapiInfo, NapiKey, NapiStats,
    SLOT_CACHE,
};

use crate::{
    context::ThisCpu,
    maps::{FREE_NAPI_SLOTS, NAPI_STATS, NAPIS, config},
    memory::{Memory, address_of, read_name},
};

/// The number of an element in each CPU's part of `NAPI_STATS`, or the backlog, or none.
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

    /// Its counters on this CPU; null if it has none.
    #[inline(always)]
    pub fn stats(self, this: &ThisCpu) -> *mut NapiStats {
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
        let Some(slot) = look_up::<M, C>(ctx, this, &key, napi, dev) else {
            (*state).softirq_lost += 1;
            return Slot::NONE;
        };
        *cached = CachedNapi { napi: napi_address, net: net as u64, napi_id, ifindex, slot, generation };
        Slot(slot)
    }
}

/// The slot that the map has for a NAPI. A NAPI seen for the first time gets a free one.
#[inline(always)]
fn look_up<M: Memory, C: EbpfContext>(
    ctx: &C,
    this: &ThisCpu,
    key: &NapiKey,
    napi: *const u8,
    dev: *const u8,
) -> Option<u32> {
    if let Some(slot) = known_slot(key) {
        return Some(slot);
    }
    let Ok(Some(slot)) = FREE_NAPI_SLOTS.pop() else {
        if config!(log) != 0 {
            warn!(ctx, "no slot left for napi {}", key.napi_id);
        }
        return None;
    };
    // SAFETY: the offset is this kernel's.
    let poll_fn = unsafe { M::read(napi, config!(offsets.napi_poll)) };
    let mut info = NapiInfo { poll_fn, ops: functions_of::<M>(dev), slot, pad: 0, name: [0; NAME_LEN] };
    read_name(dev.wrapping_add(config!(offsets.dev_name) as usize), &mut info.name);
    if NAPIS.insert(key, info, u64::from(BPF_NOEXIST)).is_ok() {
        // SAFETY: this CPU's element; only `napi_poll` writes this, and no other one interrupts the caller.
        unsafe { (*this.state).new_napis += 1 };
        if config!(log) != 0 {
            warn!(ctx, "new napi {} of ifindex {} in netns {}", key.napi_id, key.ifindex, key.netns);
        }
        return Some(slot);
    }
    // Another CPU was faster, or the map is full.
    let _ = FREE_NAPI_SLOTS.push(slot, 0);
    known_slot(key)
}

#[inline(always)]
fn known_slot(key: &NapiKey) -> Option<u32> {
    // SAFETY: the map's elements are preallocated, so the memory stays while this program runs. If the user
    // side removes the owner meanwhile, its slot rests for a second before another gets it.
    NAPIS.get_ptr(key).map(|info| unsafe { (&raw const (*info).slot).read_volatile() })
}

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
