//! The programs of `nicmon path`: they count the packets of one NIC at two places of their way, and those
//! dropped. They run for each packet of the machine, so nothing else attaches them.

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, PerCpuHashMap},
};
use nicmon_common::{PATH_ENTERING, PATH_OUTGOING, Passed, PathConfig, PathCounts, PathDropKey};

use super::{
    ProbeError,
    packets::{ENTRIES, load, need, program, whose},
    reading::drop_reason,
    take,
};
use crate::{
    counters::{PathDropAt, PathPlace, PathReading},
    host::btf::KernelBtf,
};

/// Where drivers hand over packets that are to wait in the backlog; the second until 5.17.
const QUEUE_ENTRIES: [&str; 2] = ["netif_rx_entry", "netif_rx_ni_entry"];

/// The attached programs. They are detached when this is dropped.
pub struct PathProbe {
    _ebpf: Ebpf,
    counts: PerCpuArray<MapData, PathCounts>,
    drops: PerCpuHashMap<MapData, PathDropKey, Passed>,
    reasons: Option<HashMap<u32, String>>,
}

impl PathProbe {
    /// Loads and attaches the programs for one interface of one namespace.
    ///
    /// # Errors
    /// The kernel has no BTF or lacks a struct member, permission is missing, or the kernel refuses them.
    pub fn attach(ifindex: u32, netns: u32, kernel: &KernelBtf) -> Result<Self, ProbeError> {
        let mut ebpf = load("PATH", &config(ifindex, netns, kernel)?)?;
        let counts = PerCpuArray::try_from(take(&mut ebpf, "PATH_COUNTS")?)
            .map_err(|error| ProbeError::map("PATH_COUNTS", error))?;
        let drops = PerCpuHashMap::try_from(take(&mut ebpf, "PATH_DROPS")?)
            .map_err(|error| ProbeError::map("PATH_DROPS", error))?;
        let reasons = kernel.enum_values("skb_drop_reason");
        let drop = if reasons.is_some() { "path_drop" } else { "path_drop_unexplained" };
        // What is counted later on the way is attached first, so that no packet comes out that never went in.
        attach(&mut ebpf, drop, &["kfree_skb"])?;
        attach(&mut ebpf, "path_receive", &["netif_receive_skb"])?;
        attach(&mut ebpf, "path_enter", &ENTRIES)?;
        attach(&mut ebpf, "path_queue", &QUEUE_ENTRIES)?;
        Ok(Self { _ebpf: ebpf, counts, drops, reasons })
    }

    /// What was counted since the programs were attached.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn read(&self) -> Result<PathReading, ProbeError> {
        let counts = self.counts.get(&0, 0).map_err(|error| ProbeError::map("PATH_COUNTS", error))?;
        let mut reading = PathReading::default();
        for of in counts.iter() {
            add(&mut reading.entered, of.entered);
            add(&mut reading.queued, of.queued);
            add(&mut reading.received, of.received);
            reading.ipv4 += of.ipv4;
            reading.ipv6 += of.ipv6;
            reading.drops_lost += of.drops_lost;
        }
        for entry in &self.drops {
            let (key, passed) = entry.map_err(|error| ProbeError::map("PATH_DROPS", error))?;
            let at = PathDropAt {
                reason: self.reasons.as_ref().map(|names| drop_reason(names, key.reason)),
                location: key.location,
                place: match key.place {
                    PATH_ENTERING => PathPlace::Entering,
                    PATH_OUTGOING => PathPlace::Outgoing,
                    _ => PathPlace::Received,
                },
            };
            let sum = reading.drops.entry(at).or_default();
            passed.iter().for_each(|one| add(sum, *one));
        }
        Ok(reading)
    }
}

fn add(sum: &mut Passed, more: Passed) {
    sum.packets += more.packets;
    sum.segments += more.segments;
}

/// Attaches a program to those of these tracepoints that the kernel has; there must be one.
fn attach(ebpf: &mut Ebpf, name: &'static str, tracepoints: &[&'static str]) -> Result<(), ProbeError> {
    let program = program(ebpf, name)?;
    let mut refused = None;
    let mut attached = 0;
    for tracepoint in tracepoints {
        match program.attach(tracepoint) {
            Ok(_) => attached += 1,
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if attached == 0 => Err(ProbeError::program("attach", name, error)),
        _ => Ok(()),
    }
}

fn config(ifindex: u32, netns: u32, kernel: &KernelBtf) -> Result<PathConfig, ProbeError> {
    Ok(PathConfig {
        whose: whose(ifindex, netns, kernel)?,
        skb_sk: need(kernel, "sk_buff", &["sk"], "sk_buff.sk")?,
        skb_iif: need(kernel, "sk_buff", &["skb_iif"], "sk_buff.skb_iif")?,
        skb_head: need(kernel, "sk_buff", &["head"], "sk_buff.head")?,
        skb_end: need(kernel, "sk_buff", &["end"], "sk_buff.end")?,
        info_gso_segs: need(kernel, "skb_shared_info", &["gso_segs"], "skb_shared_info.gso_segs")?,
    })
}
