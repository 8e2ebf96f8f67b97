//! Dropped packets by reason and location. This is off the hot path: packets that are consumed do not come
//! here.

use aya_ebpf::{EbpfContext, bindings::BPF_NOEXIST};
use aya_log_ebpf::warn;
use nicmon_common::DropKey;

use crate::{
    context::ThisCpu,
    maps::{DROPS, config},
};

#[inline(always)]
pub fn count<C: EbpfContext>(ctx: &C, location: u64, reason: u32) -> i32 {
    let Some(this) = ThisCpu::get() else { return 0 };
    let key = DropKey { location, reason, pad: 0 };
    // SAFETY: elements of this CPU that only this program writes. If a packet is dropped in an interrupt in
    // the midst of it, the kernel does not run it again but counts a recursion miss
    // (kernel/trace/bpf_trace.c: __bpf_trace_run), so plain sums are exact. Kernels before 6.1 do run it:
    // then one of the two drops may go uncounted.
    unsafe {
        if DROPS.get_ptr(key).is_none() {
            let _ = DROPS.insert(key, 0, u64::from(BPF_NOEXIST));
        }
        if let Some(count) = DROPS.get_ptr_mut(key) {
            *count += 1;
            (*this.state).drops += 1;
        } else {
            (*this.state).drops_lost += 1;
            if config!(log) != 0 {
                warn!(ctx, "no room to count a drop for reason {}", reason);
            }
        }
    }
    0
}
