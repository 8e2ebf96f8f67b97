//! The built-in eBPF object, and how to load it on this machine.

use aya::{Ebpf, EbpfLoader};
use nicmon_common::{Config, INDEX_PROBES, NO_MEMBER, Offsets, SOFTIRQ_VECTORS};

use super::{ProbeError, packets::need};
use crate::host::btf::KernelBtf;

/// Built by `cargo xtask build-ebpf`. Each architecture needs its own object, because the programs read
/// arguments from registers.
#[cfg(target_arch = "x86_64")]
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/x86_64/nicmon.bpf.o");
#[cfg(not(target_arch = "x86_64"))]
compile_error!("nicmon has no eBPF object for this architecture yet: only nicmon/bpf/x86_64 exists");

/// Slots for NAPIs on all CPUs together, if that leaves each CPU enough. A slot takes 216 bytes.
const NAPI_SLOTS: u32 = 1 << 17;
/// Slots for irq actions on all CPUs together, likewise. A slot takes 144 bytes.
const IRQ_SLOTS: u32 = 1 << 15;
/// Histograms for NAPIs on all CPUs together, likewise. One takes 1,288 bytes.
const NAPI_HISTOGRAMS: u32 = 1 << 10;

/// What the machine and the command line require of the programs.
pub(super) struct Setup {
    /// Number of possible CPUs.
    pub(super) cpus: u32,
    /// Whether the kernel is `PREEMPT_RT`.
    pub(super) preempt_rt: bool,
    /// Histograms of raise-to-run delays; at least one, since the map cannot be empty.
    pub(super) delay_histograms: u32,
    /// Elements of each CPU's ring of samples.
    pub(super) sample_slots: u32,
    /// Whether to keep the call stack of each sample.
    pub(super) stacks: bool,
    pub(super) log: bool,
}

/// Loads the object: creates its maps and relocates its programs, but does not load them.
pub(super) fn load(setup: &Setup, kernel: &KernelBtf) -> Result<(Ebpf, Config), ProbeError> {
    let (napi_slots, irq_slots) = slots_for(setup.cpus);
    let napi_histograms = napi_histograms_for(setup.cpus);
    let config = Config {
        offsets: offsets(kernel)?,
        napi_slots,
        irq_slots,
        index_probes: INDEX_PROBES,
        preempt_rt: u32::from(setup.preempt_rt),
        napi_histograms,
        sample_slots: setup.sample_slots,
        stacks: u32::from(setup.stacks),
        log: u32::from(setup.log),
    };
    let ebpf = EbpfLoader::new()
        .override_global("CONFIG", &config, true)
        .map_max_entries("CPUS", setup.cpus)
        .map_max_entries("NAPI_STATS", setup.cpus * napi_slots)
        .map_max_entries("NAPI_OWNERS", setup.cpus * napi_slots)
        .map_max_entries("NAPI_RINGS", setup.cpus * napi_slots)
        .map_max_entries("NAPI_INDEX", setup.cpus * napi_slots * 2)
        .map_max_entries("IRQ_STATS", setup.cpus * irq_slots)
        .map_max_entries("IRQ_OWNERS", setup.cpus * irq_slots)
        .map_max_entries("IRQ_RINGS", setup.cpus * irq_slots)
        .map_max_entries("IRQ_INDEX", setup.cpus * irq_slots * 2)
        .map_max_entries("RUN_TIMES", vectors_of(setup.cpus))
        .map_max_entries("DELAY_TIMES", setup.delay_histograms)
        .map_max_entries("POLL_HISTOGRAMS", setup.cpus * (napi_histograms + 1))
        .map_max_entries("HISTOGRAM_RING", setup.cpus * napi_histograms)
        .map_max_entries("SAMPLES", setup.cpus * setup.sample_slots)
        .map_max_entries("PATH_DROPS", 1)
        .map_max_entries("SAMPLE_STACKS", setup.cpus * if setup.stacks { setup.sample_slots } else { 1 })
        .load(OBJECT)
        .map_err(ProbeError::object)?;
    Ok((ebpf, config))
}

/// Slots per CPU for NAPIs and for irq actions. A CPU of a large machine polls some of its queues only, and
/// has at most some 200 interrupt vectors (`arch/x86/include/asm/irq_vectors.h`).
pub(super) fn slots_for(cpus: u32) -> (u32, u32) {
    (slots(cpus, NAPI_SLOTS, 256, 8192), slots(cpus, IRQ_SLOTS, 128, 1024))
}

/// Softirq vectors of all CPUs together.
#[expect(clippy::cast_possible_truncation, reason = "ten")]
pub(super) fn vectors_of(cpus: u32) -> u32 {
    cpus * SOFTIRQ_VECTORS as u32
}

/// Histograms per CPU for NAPIs.
pub(super) fn napi_histograms_for(cpus: u32) -> u32 {
    slots(cpus, NAPI_HISTOGRAMS, 4, 256)
}

/// Slots per CPU: a power of two.
fn slots(cpus: u32, all: u32, least: u32, most: u32) -> u32 {
    let fit = (all / cpus.max(1)).max(1);
    // The largest power of two that fits.
    (1 << fit.ilog2()).clamp(least, most)
}

fn offsets(kernel: &KernelBtf) -> Result<Offsets, ProbeError> {
    let need = |structure, path: &[&str], name| need(kernel, structure, path, name);
    let may = |structure, path: &[&str]| kernel.offset(structure, path).unwrap_or(NO_MEMBER);
    Ok(Offsets {
        napi_dev: need("napi_struct", &["dev"], "napi_struct.dev")?,
        napi_id: need("napi_struct", &["napi_id"], "napi_struct.napi_id")?,
        napi_poll: need("napi_struct", &["poll"], "napi_struct.poll")?,
        napi_thread: may("napi_struct", &["thread"]),
        dev_ifindex: need("net_device", &["ifindex"], "net_device.ifindex")?,
        dev_name: need("net_device", &["name"], "net_device.name")?,
        dev_net: need("net_device", &["nd_net", "net"], "net_device.nd_net")?,
        dev_ops: may("net_device", &["netdev_ops"]),
        ops_open: may("net_device_ops", &["ndo_open"]),
        ops_stop: may("net_device_ops", &["ndo_stop"]),
        ops_start_xmit: may("net_device_ops", &["ndo_start_xmit"]),
        ops_get_stats64: may("net_device_ops", &["ndo_get_stats64"]),
        net_inum: need("net", &["ns", "inum"], "net.ns.inum")?,
        action_name: need("irqaction", &["name"], "irqaction.name")?,
        action_thread_fn: may("irqaction", &["thread_fn"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fit_small_and_large_machines() {
        assert_eq!(slots_for(2), (8192, 1024));
        assert_eq!(slots_for(96), (1024, 256));
        assert_eq!(slots_for(256), (512, 128));
        assert_eq!(slots_for(1024), (256, 128));
    }
}
