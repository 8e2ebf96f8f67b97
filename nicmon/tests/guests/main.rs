//! Captures that the lab made in guests with real drivers (`fixtures/guests`). They compare the output of
//! `nicmon topology` with ethtool, sysfs and procfs of the same moment, and run today's readers on the
//! captured files.

mod capture;
#[path = "../topology_compare/mod.rs"]
mod topology_compare;

use std::ffi::OsStr;

use anyhow::{Context as _, Result, ensure};
use nicmon::{
    frame::topology::{Irq, Nic, Queue, Topology},
    host::{
        cpu_topology::cpu_topology,
        irq_lines::{affinity, effective_affinity, irq_lines},
        irqs::{NicIrqs, queue_of},
        nic_files::{NicFiles, NicId},
        packet_types::packet_types,
        sysctls::sysctls,
    },
};
use serde_json::Value;

use self::capture::Capture;
use crate::topology_compare::{Machine as _, compare};

/// The drivers in each capture, and how many queues a NIC of each has at least.
const DRIVERS: [(&str, usize); 3] = [("virtio_net", 8), ("e1000e", 2), ("igb", 8)];

fn topology(capture: &Capture) -> Result<Topology> {
    let text = capture.printed("nicmon topology --json")?.context("nicmon failed in the guest")?;
    serde_json::from_str(&text).context("cannot parse the guest's topology")
}

fn with_each(test: impl Fn(&str, &Capture, &Topology) -> Result<()>) {
    let names = capture::names();
    assert!(names.len() >= 2, "captures of two kernels at least, not {names:?}");
    for name in names {
        let done = Capture::unpack(&name).and_then(|capture| test(&name, &capture, &topology(&capture)?));
        done.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}

#[test]
fn topology_is_as_ethtool_and_files_say() {
    with_each(|name, capture, topology| {
        for (driver, queues) in DRIVERS {
            let has = |nic: &Nic| nic.driver.as_deref() == Some(driver) && nic.queues.len() >= queues;
            ensure!(topology.nics.iter().any(has), "no {driver} with {queues} queues");
        }
        for nic in &topology.nics {
            let compared = compare(nic, capture)?;
            println!(
                "{name}: {} ({}): {compared} values agree",
                nic.name,
                nic.driver.as_deref().unwrap_or("-")
            );
        }
        Ok(())
    });
}

/// Fields that no tool and no file in the capture shows. The comparison cannot notice wrong values of these.
const NOT_COMPARED: [&str; 6] = ["netns", "up", "xdp", "upper", "lower", "name"];

/// Shows that the comparison can fail: each value of a NIC is made wrong in turn.
#[test]
fn a_wrong_value_is_noticed() -> Result<()> {
    let capture = Capture::unpack("linux-6.1.txtar")?;
    let nics = topology(&capture)?.nics;
    let igb = nics.iter().find(|nic| nic.driver.as_deref() == Some("igb")).context("no igb")?;
    let right = serde_json::to_value(igb)?;
    let mut leaves = Vec::new();
    list_leaves(&right, String::new(), &mut leaves);
    let mut noticed = 0;
    for leaf in
        leaves.iter().filter(|leaf| !NOT_COMPARED.contains(&leaf.split('/').nth(1).unwrap_or_default()))
    {
        let mut wrong = right.clone();
        make_wrong(wrong.pointer_mut(leaf).context("no such value")?);
        // Such a value is not a valid topology, so it cannot be compared.
        let Ok(wrong) = serde_json::from_value(wrong) else { continue };
        ensure!(compare(&wrong, &capture).is_err(), "a wrong {leaf} was not noticed");
        noticed += 1;
    }
    ensure!(noticed >= 300, "only {noticed} values");
    println!("{noticed} wrong values of igb were noticed, one at a time");
    Ok(())
}

fn list_leaves(value: &Value, at: String, leaves: &mut Vec<String>) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                list_leaves(item, format!("{at}/{index}"), leaves);
            }
        }
        Value::Object(items) if !items.is_empty() => {
            for (key, item) in items {
                list_leaves(item, format!("{at}/{key}"), leaves);
            }
        }
        // There is no wrong value for `null` without knowing its type.
        Value::Null => {}
        _ => leaves.push(at),
    }
}

fn make_wrong(value: &mut Value) {
    *value = match value {
        Value::Bool(on) => Value::Bool(!*on),
        Value::Number(number) => (number.as_u64().unwrap_or(0) + 1).into(),
        Value::String(text) => format!("{text}x").into(),
        _ => vec![7].into(),
    };
}

/// Each queue has its own NAPI, which the queue of the other direction may share, if the drivers report it.
/// In 6.12 the kernel could, but these drivers do not yet.
#[test]
fn queues_have_napis() {
    with_each(|name, _, topology| {
        let mut reported = 0;
        for nic in &topology.nics {
            let mut ids: Vec<_> =
                nic.queues.iter().filter_map(|queue| Some((queue.kind, queue.napi_id?))).collect();
            reported += ids.len();
            ids.sort_unstable();
            ensure!(ids.windows(2).all(|two| two[0] != two[1]), "{}: {:?}", nic.name, nic.queues);
        }
        ensure!(reported > 0 || name != "linux-7.3.txtar", "netlink reported no NAPI of a queue");
        println!("{name}: netlink reported the NAPIs of {reported} queues");
        Ok(())
    });
}

#[test]
fn todays_readers_read_the_captured_files() {
    with_each(|name, capture, topology| {
        let (sys, proc) = (capture.root().join("sys"), capture.root().join("proc"));
        ensure!(cpu_topology(&sys)? == topology.cpus, "the CPUs differ from {:?}", topology.cpus);
        ensure!(sysctls(&proc) == topology.sysctls, "the sysctls differ from {:?}", topology.sysctls);
        ensure!(packet_types(&proc).ok() == topology.packet_types, "the packet handlers differ");
        let lines = irq_lines(&sys)?;
        let addresses = topology.nics.iter().map(|nic| address(nic, capture)).collect::<Result<Vec<_>>>()?;
        let ids = topology.nics.iter().zip(&addresses).map(|(nic, address)| id(nic, address));
        let nic_irqs = NicIrqs::read(&sys, ids)?;
        for nic in &topology.nics {
            let from_files = read(nic, capture)?;
            ensure!(from_files == without_netlink(nic), "from files {from_files:?}, in the guest {nic:?}");
            let mut irqs = Vec::new();
            for line in &lines {
                for action in
                    line.actions.iter().filter(|action| nic_irqs.nic_of(line.irq, action) == Some(&nic.name))
                {
                    irqs.push(Irq {
                        irq: line.irq,
                        action: action.clone(),
                        queue: queue_of(action, Some(&nic.name)),
                        affinity: affinity(&proc, line.irq),
                        affinity_effective: effective_affinity(&proc, line.irq),
                    });
                }
            }
            ensure!(
                nic.irqs.as_ref() == Some(&irqs),
                "{name}: {}: from files {irqs:?}, in the guest {:?}",
                nic.name,
                nic.irqs
            );
        }
        Ok(())
    });
}

fn address(nic: &Nic, capture: &Capture) -> Result<Vec<u8>> {
    let text = capture.file(&format!("/sys/class/net/{}/address", nic.name)).context("no address")?;
    text.split(':').map(|byte| u8::from_str_radix(byte, 16).context("no byte")).collect()
}

fn id<'a>(nic: &'a Nic, address: &'a [u8]) -> NicId<'a> {
    NicId { name: OsStr::new(&nic.name), ifindex: nic.ifindex, address }
}

/// Reads what sysfs shows of a NIC, and keeps everything else.
fn read(nic: &Nic, capture: &Capture) -> Result<Nic> {
    let address = address(nic, capture)?;
    let files = NicFiles::find(&capture.root().join("sys"), id(nic, &address));
    let files = files.context("its directory is not found")?;
    Ok(Nic {
        numa_node: files.numa_node(),
        upper: files.upper(),
        lower: files.lower(),
        threaded_napi: files.threaded(),
        gro_flush_timeout_ns: files.gro_flush_timeout_ns(),
        napi_defer_hard_irqs: files.napi_defer_hard_irqs(),
        queues: files.queues(),
        ..nic.clone()
    })
}

fn without_netlink(nic: &Nic) -> Nic {
    let queues = nic.queues.iter().map(|queue| Queue { napi_id: None, irq: None, ..queue.clone() });
    Nic { queues: queues.collect(), ..nic.clone() }
}
