//! Compares a topology with sysfs and procfs.

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::topology::{Irq, Nic, Queue, QueueKind};

use super::{Machine, pairs, same};

pub(super) fn compare(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    Ok(files(nic, machine)? + queues(nic, machine)? + irqs(nic, machine)?)
}

/// A file of the NIC in sysfs; `None` if it cannot be read.
fn file(nic: &Nic, machine: &dyn Machine, name: &str) -> Option<String> {
    machine.file(&format!("/sys/class/net/{}/{name}", nic.name))
}

fn files(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let number = |name: &str| file(nic, machine, name).and_then(|text| text.parse::<u64>().ok());
    let numbers = [
        ("ifindex", Some(u64::from(nic.ifindex))),
        ("mtu", nic.mtu_bytes.map(u64::from)),
        ("tx_queue_len", nic.tx_queue_len.map(u64::from)),
        // Sysfs does not show the speed of an interface that is down (`speed_show`), but ethtool does.
        ("speed", nic.speed_mbps.filter(|_| nic.up).map(u64::from)),
        ("gro_flush_timeout", nic.gro_flush_timeout_ns),
        ("napi_defer_hard_irqs", nic.napi_defer_hard_irqs.map(u64::from)),
        ("threaded", nic.threaded_napi.map(u64::from)),
        ("device/numa_node", nic.numa_node.map(u64::from)),
    ];
    for (name, ours) in numbers {
        same(nic, name, ours, number(name))?;
    }
    Ok(numbers.len())
}

fn queues(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let theirs = machine.names(&format!("/sys/class/net/{}/queues", nic.name));
    let mut theirs = theirs.with_context(|| format!("{} has no queues in sysfs", nic.name))?;
    theirs.sort();
    let name =
        |queue: &Queue| format!("{}-{}", if queue.kind == QueueKind::Rx { "rx" } else { "tx" }, queue.index);
    let mut ours: Vec<String> = nic.queues.iter().map(name).collect();
    ours.sort();
    same(nic, "queues", ours, theirs)?;
    for queue in &nic.queues {
        let name = name(queue);
        let read = |of: &str| file(nic, machine, &format!("queues/{name}/{of}"));
        let cpus = |of: &str| read(of).map(|mask| bits(&mask));
        same(nic, &format!("{name} rps_cpus"), queue.rps_cpus.clone(), cpus("rps_cpus"))?;
        same(nic, &format!("{name} xps_cpus"), queue.xps_cpus.clone(), cpus("xps_cpus"))?;
        let flows = read("rps_flow_cnt").and_then(|count| count.parse().ok());
        same(nic, &format!("{name} rps_flow_cnt"), queue.rps_flow_cnt, flows)?;
    }
    Ok(3 * nic.queues.len() + 1)
}

/// The CPUs of a mask such as `00000001,00000003`.
fn bits(mask: &str) -> Vec<u32> {
    let digits: Vec<u32> = mask.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let bits = digits.iter().rev().zip((0..).step_by(4));
    bits.flat_map(|(digit, at)| (0..4).filter(move |bit| digit >> bit & 1 == 1).map(move |bit| at + bit))
        .collect()
}

/// Compares with `/proc/interrupts`, and with `msi_irqs` of the device or its parent.
fn irqs(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let interrupts = machine.file("/proc/interrupts").context("cannot read /proc/interrupts")?;
    let irqs = nic.irqs.as_deref().unwrap_or_default();
    for Irq { irq, action, queue, affinity, affinity_effective } in irqs {
        let line = pairs(&interrupts).find(|(number, _)| *number == irq.to_string());
        let (_, line) = line.with_context(|| format!("/proc/interrupts has no {irq}"))?;
        ensure!(actions(line).any(|name| name == action), "{irq}: {line}");
        // These drivers have the queue's number at the end (`virtio1-input.2`, `eth0-tx-2`), or none.
        let number = action.rsplit(['.', '-']).next().and_then(|end| end.parse().ok());
        same(nic, &format!("queue of {irq}"), *queue, number)?;
        for (file, ours) in [("smp_affinity_list", affinity), ("effective_affinity_list", affinity_effective)]
        {
            let list = machine.file(&format!("/proc/irq/{irq}/{file}"));
            let list = list.map(|list| nicmon::host::cpus::parse_list(&list)).transpose()?;
            same(nic, &format!("{file} of {irq}"), ours.clone(), list)?;
        }
    }
    let device = format!("/sys/class/net/{}/device", nic.name);
    let vectors = ["msi_irqs", "../msi_irqs"].iter().find_map(|at| machine.names(&format!("{device}/{at}")));
    let Some(vectors) = vectors else { return Ok(4 * irqs.len()) };
    let mut vectors: Vec<u32> = vectors.iter().filter_map(|name| name.parse().ok()).collect();
    vectors.sort_unstable();
    // A vector without a handler has no action.
    vectors.retain(|irq| pairs(&interrupts).any(|(number, _)| number == irq.to_string()));
    same(nic, "irqs", irqs.iter().map(|irq| irq.irq).collect(), vectors.clone())?;
    for queue in &nic.queues {
        let mut lines = pairs(&interrupts).filter_map(|(number, line)| Some((number.parse().ok()?, line)));
        let named = lines.find(|(irq, line)| {
            vectors.contains(irq) && actions(line).any(|action| is_named_after(action, queue))
        });
        match (named, queue.irq) {
            // The action has the name of the device (`eth1`), and the interrupt of the NAPI is known from
            // netlink.
            (None, Some(irq)) => {
                ensure!(queue.napi_id.is_some() && vectors.contains(&irq), "{}: {queue:?}", nic.name);
            }
            (named, ours) => {
                same(nic, &format!("irq of {queue:?}"), ours, named.map(|(irq, _)| irq))?;
            }
        }
    }
    Ok(4 * irqs.len() + nic.queues.len())
}

/// The actions at the end of a line of `/proc/interrupts`. Most columns are separated by more than one space.
fn actions(line: &str) -> impl Iterator<Item = &str> {
    line.split("  ").flat_map(|column| column.split(", "))
}

/// Whether an action names this queue, as `virtio1-input.2`, `eth0-rx-2` and `eth0-TxRx-2` name receive queue
/// 2.
fn is_named_after(action: &str, queue: &Queue) -> bool {
    let words = match queue.kind {
        QueueKind::Rx => ["input.", "rx-", "TxRx-"],
        QueueKind::Tx => ["output.", "tx-", "TxRx-"],
    };
    words.iter().any(|word| action.ends_with(&format!("{word}{}", queue.index)))
}
