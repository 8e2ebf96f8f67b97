//! What the programs that look at packets have in common: `nicmon path` and the flow window load them for
//! themselves, for one NIC.

use aya::{
    Ebpf, EbpfLoader, Pod,
    programs::{Program, RawTracePoint},
};
use nicmon_common::WhosePackets;

use super::{ProbeError, object::OBJECT, programs::patiently};
use crate::host::{btf::KernelBtf, limits};

/// Where drivers hand packets over (`include/trace/events/net.h`), the most usual first. Each kernel has most
/// of them.
pub(super) const ENTRIES: [&str; 4] = [
    "napi_gro_receive_entry",
    "netif_receive_skb_entry",
    "netif_receive_skb_list_entry",
    "napi_gro_frags_entry",
];

/// Loads the object with this value of a static.
pub(super) fn load<T: Pod>(global: &str, config: &T) -> Result<Ebpf, ProbeError> {
    limits::allow_locked_memory();
    EbpfLoader::new()
        // Raw tracepoints need no types of the kernel, and reading them takes most of the time.
        .btf(None)
        .override_global(global, config, true)
        .load(OBJECT)
        .map_err(ProbeError::object)
}

/// A loaded program.
pub(super) fn program<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut RawTracePoint, ProbeError> {
    match ebpf.program_mut(name) {
        Some(Program::RawTracePoint(program)) => {
            patiently(|| program.load()).map_err(|error| ProbeError::program("load", name, error))?;
            Ok(program)
        }
        _ => Err(ProbeError::Object { what: name }),
    }
}

/// Byte offset of a member that cannot be done without. `name` is the whole of it, for messages.
pub(super) fn need(
    kernel: &KernelBtf,
    structure: &str,
    path: &[&str],
    name: &'static str,
) -> Result<u32, ProbeError> {
    kernel.offset(structure, path).ok_or(ProbeError::Member(name))
}

/// The packets of an interface in a namespace.
pub(super) fn whose(ifindex: u32, netns: u32, kernel: &KernelBtf) -> Result<WhosePackets, ProbeError> {
    Ok(WhosePackets {
        ifindex,
        netns,
        skb_dev: need(kernel, "sk_buff", &["dev"], "sk_buff.dev")?,
        skb_protocol: need(kernel, "sk_buff", &["protocol"], "sk_buff.protocol")?,
        dev_ifindex: need(kernel, "net_device", &["ifindex"], "net_device.ifindex")?,
        dev_net: need(kernel, "net_device", &["nd_net", "net"], "net_device.nd_net")?,
        net_inum: need(kernel, "net", &["ns", "inum"], "net.ns.inum")?,
    })
}
