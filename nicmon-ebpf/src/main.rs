//! nicmon's kernel programs. This file holds the entry points; each other file holds one concern.
//!
//! Every tracepoint has two programs: a BTF tracepoint, which may load through its typed arguments, and a raw
//! tracepoint (`*_raw`), which calls a helper for each value it reads. The user side loads one of the two
//! sets. The programs of `nicmon path` and of the flow window are raw tracepoints only. `ARCHITECTURE.md`
//! says what the programs count, `context` which of them may interrupt which.

#![no_std]
#![no_main]

mod context;
mod drops;
mod flows;
mod histograms;
mod irq;
mod maps;
mod memory;
mod napi;
mod packets;
mod parked;
mod path;
mod sampling;
mod slots;
mod threads;
mod timing;

use aya_ebpf::{
    macros::{btf_tracepoint, perf_event, raw_tracepoint},
    programs::{BtfTracePointContext, PerfEventContext, RawTracePointContext},
};

use crate::memory::{Direct, Probed};

/// `softirq_entry(unsigned int vec_nr)`
#[btf_tracepoint(function = "softirq_entry")]
fn softirq_entry(ctx: BtfTracePointContext) -> i32 {
    timing::softirq_entry(ctx.arg(0))
}

/// `softirq_exit(unsigned int vec_nr)`
#[btf_tracepoint(function = "softirq_exit")]
fn softirq_exit(ctx: BtfTracePointContext) -> i32 {
    timing::softirq_exit(ctx.arg(0))
}

/// `softirq_raise(unsigned int vec_nr)`
#[btf_tracepoint(function = "softirq_raise")]
fn softirq_raise(ctx: BtfTracePointContext) -> i32 {
    timing::softirq_raise(ctx.arg(0))
}

/// `napi_poll(struct napi_struct *napi, int work, int budget)`
#[btf_tracepoint(function = "napi_poll")]
fn napi_poll(ctx: BtfTracePointContext) -> i32 {
    timing::napi_poll::<Direct, _>(&ctx, ctx.arg(0), ctx.arg(1), ctx.arg(2))
}

/// `irq_handler_entry(int irq, struct irqaction *action)`
#[btf_tracepoint(function = "irq_handler_entry")]
fn irq_handler_entry(ctx: BtfTracePointContext) -> i32 {
    irq::entry(ctx.arg(1))
}

/// `irq_handler_exit(int irq, struct irqaction *action, int ret)`
#[btf_tracepoint(function = "irq_handler_exit")]
fn irq_handler_exit(ctx: BtfTracePointContext) -> i32 {
    irq::exit::<Direct, _>(&ctx, ctx.arg(0), ctx.arg(1))
}

/// `kfree_skb(struct sk_buff *skb, void *location, enum skb_drop_reason reason, ..)`; the reason since 5.17.
#[btf_tracepoint(function = "kfree_skb")]
fn kfree_skb(ctx: BtfTracePointContext) -> i32 {
    drops::count(&ctx, ctx.arg(1), ctx.arg(2))
}

/// A perf event on each CPU: notes what the CPU is doing.
#[perf_event]
fn sample(ctx: PerfEventContext) -> u32 {
    sampling::sample(&ctx)
}

/// Does nothing. A run of it costs what every run costs before its first instruction.
#[btf_tracepoint(function = "softirq_entry")]
fn empty(_ctx: BtfTracePointContext) -> i32 {
    0
}

#[raw_tracepoint(tracepoint = "softirq_entry")]
fn softirq_entry_raw(ctx: RawTracePointContext) -> i32 {
    timing::softirq_entry(ctx.arg(0))
}

#[raw_tracepoint(tracepoint = "softirq_exit")]
fn softirq_exit_raw(ctx: RawTracePointContext) -> i32 {
    timing::softirq_exit(ctx.arg(0))
}

#[raw_tracepoint(tracepoint = "softirq_raise")]
fn softirq_raise_raw(ctx: RawTracePointContext) -> i32 {
    timing::softirq_raise(ctx.arg(0))
}

#[raw_tracepoint(tracepoint = "napi_poll")]
fn napi_poll_raw(ctx: RawTracePointContext) -> i32 {
    timing::napi_poll::<Probed, _>(&ctx, ctx.arg(0), ctx.arg(1), ctx.arg(2))
}

#[raw_tracepoint(tracepoint = "irq_handler_entry")]
fn irq_handler_entry_raw(ctx: RawTracePointContext) -> i32 {
    irq::entry(ctx.arg(1))
}

#[raw_tracepoint(tracepoint = "irq_handler_exit")]
fn irq_handler_exit_raw(ctx: RawTracePointContext) -> i32 {
    irq::exit::<Probed, _>(&ctx, ctx.arg(0), ctx.arg(1))
}

#[raw_tracepoint(tracepoint = "kfree_skb")]
fn kfree_skb_raw(ctx: RawTracePointContext) -> i32 {
    drops::count(&ctx, ctx.arg(1), ctx.arg(2))
}

#[raw_tracepoint(tracepoint = "softirq_entry")]
fn empty_raw(_ctx: RawTracePointContext) -> i32 {
    0
}

/// `napi_gro_receive_entry(const struct sk_buff *skb)`, and the other tracepoints at which drivers hand
/// packets over: the user side attaches it to all of them.
#[raw_tracepoint(tracepoint = "netif_receive_skb_entry")]
fn path_enter(ctx: RawTracePointContext) -> i32 {
    path::enter(ctx.arg(0))
}

/// `netif_rx_entry(const struct sk_buff *skb)`, and `netif_rx_ni_entry` until 5.17.
#[raw_tracepoint(tracepoint = "netif_rx_entry")]
fn path_queue(ctx: RawTracePointContext) -> i32 {
    path::queue(ctx.arg(0))
}

/// `netif_receive_skb(struct sk_buff *skb)`
#[raw_tracepoint(tracepoint = "netif_receive_skb")]
fn path_receive(ctx: RawTracePointContext) -> i32 {
    path::receive(ctx.arg(0))
}

/// `kfree_skb`, with the reason.
#[raw_tracepoint(tracepoint = "kfree_skb")]
fn path_drop(ctx: RawTracePointContext) -> i32 {
    path::dropped(ctx.arg(0), ctx.arg(1), ctx.arg(2))
}

/// `kfree_skb` before 5.17, which has no reason.
#[raw_tracepoint(tracepoint = "kfree_skb")]
fn path_drop_unexplained(ctx: RawTracePointContext) -> i32 {
    path::dropped(ctx.arg(0), ctx.arg(1), 0)
}

/// Attached to the same tracepoints as `path_enter`, for a moment.
#[raw_tracepoint(tracepoint = "napi_gro_receive_entry")]
fn flow_look(ctx: RawTracePointContext) -> i32 {
    flows::look(ctx.arg(0))
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The helpers require a licence compatible with the GPL. The kernel side may also be used under GPL-2.0.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
