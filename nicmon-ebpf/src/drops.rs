//! Dropped packets by reason and location: off the hot path, as packets that are consumed do not come here.

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
    // SAFETY: elements of this CPU. A drop in an interrupt that falls into this program is not run but counted as
    // a recursion miss (kernel/trace/bpf_trace.c: __bpf_trace_run), so plain sums are exact.
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
