//! `nicmon topology`, compared with `ethtool`, sysfs and procfs; and when frames carry a topology.

use std::{
    num::NonZeroU32,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::topology::{Nic, PacketType, QueueKind, Topology};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};
use testkit::{load::Namespace, process::output};

use crate::{
    child::Nicmon,
    loads::{inode, ip},
    tell,
    topology_compare::{Machine, compare},
};

/// A namespace as it is now, with its sysfs, seen by commands that run in it.
struct Live<'a>(&'a dyn Fn(&str) -> Command);

impl Machine for Live<'_> {
    fn ethtool(&self, arguments: &str) -> Result<Option<String>> {
        Ok(output((self.0)("ethtool").args(arguments.split(' '))).ok())
    }

    fn file(&self, path: &str) -> Option<String> {
        output((self.0)("cat").arg(path)).ok().map(|text| text.trim().to_owned())
    }

    fn names(&self, directory: &str) -> Option<Vec<String>> {
        let names = output((self.0)("ls").arg(directory)).ok()?;
        Some(names.split_whitespace().map(str::to_owned).collect())
    }
}

/// What `nicmon topology --json` prints, started by this command.
fn topology(mut nicmon: Command) -> Result<Topology> {
    let text = output(nicmon.args(["topology", "--json"]))?;
    serde_json::from_str(&text).with_context(|| format!("not a topology: {text}"))
}

fn nicmon() -> Command {
    Command::new(env!("CARGO_BIN_EXE_nicmon"))
}

pub(crate) fn here() -> Result<()> {
    let topology = topology(nicmon())?;
    let own = rustix::fs::stat("/proc/self/ns/net")?.st_ino;
    let mut compared = 0;
    let nics: Vec<&Nic> = topology.nics.iter().filter(|nic| u64::from(nic.netns) == own).collect();
    for nic in &nics {
        compared += compare(nic, &Live(&|program| Command::new(program)))?;
    }
    ensure!(nics.len() == std::fs::read_dir("/sys/class/net")?.count(), "not the NICs of /sys/class/net");
    ensure!(topology.cpus.len() == testkit::load::online_cpus()?.len(), "not the online CPUs");
    let counted = counts_of_virtio(&nics)?;
    tell("topology, here", &format!("{} NICs, {compared} values agree; {counted}", nics.len()));
    Ok(())
}

/// Compares what the queues of virtio NICs have counted with the interfaces' counters, which this driver
/// makes from the same (`virtnet_stats`, `drivers/net/virtio_net.c`). Returns what was compared.
fn counts_of_virtio(nics: &[&Nic]) -> Result<String> {
    let mut told = Vec::new();
    for nic in nics.iter().filter(|nic| nic.driver.as_deref() == Some("virtio_net")) {
        let own = |kind| nic.queues.iter().filter(move |queue| queue.kind == kind);
        for (kind, file) in [(QueueKind::Rx, "rx_packets"), (QueueKind::Tx, "tx_packets")] {
            let Some(sum) = own(kind).map(|queue| queue.packets).sum::<Option<u64>>() else { continue };
            let path = format!("/sys/class/net/{}/statistics/{file}", nic.name);
            let now: u64 = std::fs::read_to_string(&path)?.trim().parse()?;
            // Packets go on, but not that many in the time between both readings.
            ensure!(sum <= now && now - sum < 1000, "{}: {sum} by queues, {file} is {now}", nic.name);
            told.push(format!("{} {file}: {sum} by queues, {now}", nic.name));
        }
    }
    Ok(if told.is_empty() { "no queue of a virtio NIC is counted".to_owned() } else { told.join(", ") })
}

/// A veth with several queues in a namespace, with no setting left at its default.
fn changed_veth() -> Result<Namespace> {
    let namespace = Namespace::create(&format!("nicmon-t-topo-{}", std::process::id()))?;
    let name = namespace.name();
    let queues = "numtxqueues 4 numrxqueues 4";
    ip(&format!("-n {name} link add tp0 mtu 1400 txqueuelen 77 {queues} type veth peer name tp1 {queues}"))?;
    ip(&format!("-n {name} link add br0 type bridge"))?;
    ip(&format!("-n {name} link set tp0 master br0"))?;
    output(namespace.command("ethtool").args(["-L", "tp0", "rx", "3", "tx", "2"]))?;
    output(namespace.command("ethtool").args(["-K", "tp0", "gro", "on", "tso", "off"]))?;
    ip(&format!("-n {name} link set tp1 up"))?;
    ip(&format!("-n {name} link set tp0 up"))?;
    for (file, value) in [
        ("queues/rx-1/rps_cpus", "3"),
        ("queues/rx-1/rps_flow_cnt", "128"),
        ("queues/tx-1/xps_cpus", "2"),
        ("gro_flush_timeout", "20000"),
        ("napi_defer_hard_irqs", "2"),
        ("threaded", "1"),
    ] {
        let script = format!("echo {value} > /sys/class/net/tp0/{file}");
        output(namespace.command("sh").args(["-c", &script]))?;
    }
    Ok(namespace)
}

pub(crate) fn veth() -> Result<()> {
    let namespace = changed_veth()?;
    // A packet tap, as a sniffer that was left running has.
    let every_protocol = NonZeroU32::new(u32::from(3_u16.to_be())).map(Protocol::from_raw);
    let tap = namespace.within(|| {
        socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, every_protocol)
    })??;
    let topology = topology(namespace.command(env!("CARGO_BIN_EXE_nicmon")))?;
    drop(tap);

    let own = inode(&namespace)?;
    let nics: Vec<&Nic> = topology.nics.iter().filter(|nic| nic.netns == own).collect();
    let mut compared = 0;
    for nic in &nics {
        compared += compare(nic, &Live(&|program| namespace.command(program)))?;
    }
    let nic = nics.iter().find(|nic| nic.name == "tp0").context("no tp0")?;
    let queue = |kind, index| nic.queues.iter().find(|queue| (queue.kind, queue.index) == (kind, index));
    let rx = queue(QueueKind::Rx, 1).context("no rx-1")?;
    ensure!(rx.rps_cpus == Some(vec![0, 1]) && rx.rps_flow_cnt == Some(128), "{rx:?}");
    ensure!(queue(QueueKind::Tx, 1).and_then(|tx| tx.xps_cpus.clone()) == Some(vec![1]), "{:?}", nic.queues);
    ensure!(nic.queues.len() == 5, "{:?}", nic.queues);
    ensure!(nic.threaded_napi == Some(true) && nic.mtu_bytes == Some(1400), "{nic:?}");
    ensure!(nic.master.as_deref() == Some("br0") && nic.upper == Some(vec!["br0".into()]), "{nic:?}");
    let bridge = nics.iter().find(|nic| nic.name == "br0").context("no br0")?;
    ensure!(bridge.lower == Some(vec!["tp0".into()]), "{bridge:?}");
    let offloads = nic.offloads.as_ref().context("no offloads")?;
    ensure!(offloads["rx-gro"].on && !offloads["tx-tcp-segmentation"].on, "{offloads:?}");
    let is_tap = |of: &PacketType| of.tap && of.protocol == "ALL" && of.device.is_none();
    ensure!(topology.packet_types.iter().flatten().any(is_tap), "{:?}", topology.packet_types);
    tell("topology, veth", &format!("{} NICs, {compared} values agree", nics.len()));
    other_namespace(&namespace, nic)
}

/// Seen from another namespace, a NIC has the facts that netlink reports, and none that only files contain.
fn other_namespace(namespace: &Namespace, from_inside: &Nic) -> Result<()> {
    let own = inode(namespace)?;
    let topology = topology(nicmon())?;
    let nic = topology.nics.into_iter().find(|nic| nic.netns == own && nic.name == "tp0");
    let mut nic = nic.context("tp0 is not seen from outside")?;
    ensure!(nic.irqs.is_none() && nic.threaded_napi.is_none() && nic.upper.is_none(), "{nic:?}");
    ensure!(nic.queues.iter().all(|queue| queue.rps_cpus.is_none() && queue.xps_cpus.is_none()), "{nic:?}");
    let Nic { queues, irqs, upper, lower, threaded_napi, gro_flush_timeout_ns, napi_defer_hard_irqs, .. } =
        from_inside.clone();
    nic =
        Nic { queues, irqs, upper, lower, threaded_napi, gro_flush_timeout_ns, napi_defer_hard_irqs, ..nic };
    ensure!(nic == *from_inside, "from outside {nic:?}, from inside {from_inside:?}");
    Ok(())
}

pub(crate) fn in_frames() -> Result<()> {
    let namespace = changed_veth()?;
    let mut nicmon =
        Nicmon::start_as(namespace.command(env!("CARGO_BIN_EXE_nicmon")), &["-d", "200ms", "-i", "tp*"])?;
    let first = nicmon.more(1)?.frame.topology.clone().context("the first frame has no topology")?;
    let names: Vec<&str> = first.nics.iter().map(|nic| nic.name.as_str()).collect();
    ensure!(names == ["tp1", "tp0"], "-i chooses NICs: {names:?}");
    nicmon.more(5)?;
    let again = nicmon.frames.iter().skip(1).filter(|arrived| arrived.frame.topology.is_some()).count();
    ensure!(again == 0, "an unchanged topology was sent {again} times");

    ip(&format!("-n {} link set tp0 down", namespace.name()))?;
    let changed = Instant::now();
    let next = loop {
        if let Some(next) = &nicmon.more(1)?.frame.topology {
            break next.clone();
        }
        // Links are read every 5 s, topologies every 10 s.
        ensure!(changed.elapsed() < Duration::from_secs(17), "the change was not sent");
    };
    let after = changed.elapsed();
    ensure!(next.nics.iter().any(|nic| nic.name == "tp0" && !nic.up), "tp0 is not down: {next:?}");
    nicmon.stop()?;
    tell("topology, in frames", &format!("the change came after {after:.1?}"));
    Ok(())
}
