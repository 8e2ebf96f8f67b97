//! How a NIC is set up, in a few lines.

use crate::{
    frame::{
        Nic, cpu_list,
        topology::{self, QueueKind},
    },
    present::text::plain,
};

/// Its name, and what it is.
pub(super) fn title(nic: &Nic, setup: Option<&topology::Nic>) -> String {
    let mut parts = vec![nic.name.clone(), nic.driver.clone().unwrap_or_else(|| "no driver".to_owned())];
    if let Some(setup) = setup {
        parts.extend(setup.bus.clone());
        parts.push(if setup.up { "up".to_owned() } else { "down".to_owned() });
        parts.extend(setup.speed_mbps.map(|speed| format!("{speed} Mbit/s")));
        parts.extend(setup.mtu_bytes.map(|mtu| format!("MTU {mtu}")));
        parts.extend(setup.numa_node.map(|node| format!("NUMA node {node}")));
        parts.extend(setup.master.as_ref().map(|master| format!("part of {master}")));
    }
    parts.join(", ")
}

/// The rest; empty if nothing is known.
pub(super) fn lines(setup: Option<&topology::Nic>) -> Vec<String> {
    let Some(setup) = setup else { return vec!["its setup is not known yet".to_owned()] };
    let mut parts = Vec::new();
    if let Some(channels) = &setup.channels {
        let of = |now: Option<u32>, most: Option<u32>| now.map(|now| format!("{now} of {}", plain(most)));
        let kinds = [
            ("combined", of(channels.combined, channels.combined_max)),
            ("receive", of(channels.rx, channels.rx_max)),
            ("send", of(channels.tx, channels.tx_max)),
        ];
        let known: Vec<String> =
            kinds.into_iter().filter_map(|(kind, of)| Some(format!("{kind} {}", of?))).collect();
        parts.push(format!("queues: {}", known.join(", ")));
    }
    if let Some(rings) = &setup.rings {
        parts.push(format!("receive ring {} of {}", plain(rings.rx), plain(rings.rx_max)));
    }
    if let Some(rss) = &setup.rss {
        let function = rss.function.as_deref().unwrap_or("?");
        parts.push(format!("RSS over {} queues by {function}", plain(rss.rx_queues)));
    }
    parts.push(steering(setup));
    if let Some(coalesce) = &setup.coalesce {
        parts.push(format!(
            "interrupts after {} us or {} packets{}",
            plain(coalesce.rx_usecs),
            plain(coalesce.rx_frames),
            if coalesce.adaptive_rx == Some(true) { ", adaptive" } else { "" }
        ));
    }
    if setup.threaded_napi == Some(true) {
        parts.push("NAPI threads".to_owned());
    }
    if let Some(xdp) = setup.xdp.as_ref().filter(|xdp| !xdp.is_empty()) {
        parts.push(format!("{} XDP", xdp.len()));
    }
    vec![parts.join("; ")]
}

/// Where RPS and XPS point.
fn steering(setup: &topology::Nic) -> String {
    let of = |kind: QueueKind, cpus: fn(&topology::Queue) -> Option<&Vec<u32>>| {
        let queues = setup.queues.iter().filter(|queue| queue.kind == kind);
        let mut all: Vec<u32> = queues.filter_map(cpus).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() { "off".to_owned() } else { format!("to CPUs {}", cpu_list(&all)) }
    };
    format!(
        "RPS {}, XPS {}",
        of(QueueKind::Rx, |queue| queue.rps_cpus.as_ref()),
        of(QueueKind::Tx, |queue| queue.xps_cpus.as_ref())
    )
}
