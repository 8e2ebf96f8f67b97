//! Namespaces: NICs with the same name in two of them, deleted namespaces, odd names.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::Frame;
use testkit::{
    load::{Namespace, UdpLoad, UdpPlan, VethPair},
    process::output,
};

use crate::{
    check::{nic, polled, within},
    child::Nicmon,
    loads::{inode, plan},
    tell,
};

pub(crate) fn twins() -> Result<()> {
    let name = VethPair::RX_NAME;
    let pairs = [VethPair::create("nicmon-t-twin-a")?, VethPair::create("nicmon-t-twin-b")?];
    let netns = [inode(&pairs[0].rx)?, inode(&pairs[1].rx)?];
    let plans = [UdpPlan { pps: 20_000, ..plan(0) }, UdpPlan { pps: 40_000, ..plan(1) }];
    let loads = [UdpLoad::start(&pairs[0], plans[0])?, UdpLoad::start(&pairs[1], plans[1])?];
    let frames = Nicmon::start(&["-n", "3"])?.finish()?;
    for load in loads {
        load.stop()?;
    }
    let mut sums = Vec::new();
    for inode in netns {
        let mut packets = 0;
        let mut ifindex = None;
        for arrived in &frames {
            let nic =
                nic(&arrived.frame, Some(inode), name).with_context(|| format!("no {name} in {inode}"))?;
            packets += nic.counters.rx_packets.context("rx_packets is null")?;
            ensure!(ifindex.is_none_or(|before| before == nic.ifindex), "the ifindex changed");
            ifindex = Some(nic.ifindex);
        }
        let polled = polled(&frames, Some(inode), name, |_| true, None);
        sums.push((ifindex, packets, polled.work));
    }
    for arrived in &frames {
        let is_twin =
            |nic: &&nicmon::frame::Nic| nic.name == name && nic.netns.is_some_and(|own| netns.contains(&own));
        let shown = arrived.frame.nics.iter().filter(is_twin).count();
        ensure!(shown == 2, "{shown} NICs called {name}");
    }
    tell("namespaces, twins", &format!("(ifindex, rx_packets, work) of each: {sums:?}"));
    ensure!(sums[0].0 == sums[1].0, "this test needs the same ifindex in both namespaces: {sums:?}");
    for (_, packets, work) in &sums {
        ensure!(*packets > 1000, "the load did not run: {sums:?}");
        ensure!(within(*work, *packets, 0.5), "work and rx_packets differ: {sums:?}");
    }
    let ratio = sums[1].1 as f64 / sums[0].1 as f64;
    ensure!((1.5..2.7).contains(&ratio), "the second should have twice the packets of the first: {sums:?}");
    Ok(())
}

pub(crate) fn deleted() -> Result<()> {
    let pair = VethPair::create("nicmon-t-deleted")?;
    let netns = inode(&pair.rx)?;
    let mut nicmon = Nicmon::start(&["-d", "500ms"])?;
    nicmon.more(1)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    nicmon.more(3)?;
    load.stop()?;
    let polled = polled(&nicmon.frames, Some(netns), VethPair::RX_NAME, |_| true, None);
    ensure!(polled.work > 1000, "the load was not seen: {polled:?}");
    nicmon.catch_up()?;

    let VethPair { tx, rx } = pair;
    let start = Instant::now();
    drop(rx);
    // Once nobody holds the namespace, the kernel removes the device, and its peer with it.
    let peer_is_there = || {
        output(Command::new("ip").args(["-n", tx.name(), "-o", "link", "show"]))
            .map(|links| links.contains("demo-tx"))
    };
    while peer_is_there()? {
        ensure!(
            start.elapsed() < Duration::from_secs(2),
            "the namespace still exists 2 s after its deletion"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let gone_after = start.elapsed();
    let is_shown = |frame: &Frame| frame.nics.iter().any(|nic| nic.netns == Some(netns));
    while is_shown(&nicmon.more(1)?.frame) {
        ensure!(
            start.elapsed() < Duration::from_secs(3),
            "frames show the deleted namespace's NIC after 3 s"
        );
    }
    let last = nicmon.frames.iter().rfind(|arrived| is_shown(&arrived.frame)).map(|arrived| arrived.at);
    let shown_for = last.map_or(Duration::ZERO, |at| at.saturating_duration_since(start));
    let held = namespaces_held(nicmon.pid())?;
    tell(
        "namespaces, deleted",
        &format!(
            "the kernel's after {gone_after:.2?}, last shown after {shown_for:.2?}; nicmon holds {held:?}"
        ),
    );
    ensure!(shown_for < Duration::from_secs(2), "shown {shown_for:?} after its deletion");
    let own = fs::read_link("/proc/self/ns/net")?;
    let others: Vec<_> = held.iter().filter(|link| own.as_os_str() != link.as_str()).collect();
    ensure!(others.is_empty(), "nicmon holds namespaces: {others:?}");
    nicmon.stop().map(drop)
}

/// The network namespaces that a process has open, or that one of its threads is in.
fn namespaces_held(pid: u32) -> Result<Vec<String>> {
    let mut held = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        held.extend(fs::read_link(entry.path()));
    }
    for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        held.extend(fs::read_link(task.path().join("ns/net")));
    }
    let mut held: Vec<_> = held.iter().map(|link| link.to_string_lossy().into_owned()).collect();
    held.retain(|link| link.starts_with("net:"));
    held.sort();
    held.dedup();
    Ok(held)
}

pub(crate) fn odd_names() -> Result<()> {
    let namespace = Namespace::create(&format!("nicmon-t-names-{}", std::process::id()))?;
    // dev_valid_name (net/core/dev.c) refuses only '/', ':' and white space.
    let names = ["fifteen-bytes-x", "a\u{7}\u{1b}[31m\"\\", "\u{1}\u{7f}", "größe-ü", "{x}$(y)`'&;"];
    for (number, name) in names.iter().enumerate() {
        ensure!(name.len() < 16, "{name:?} is too long");
        let peer = format!("peer{number}");
        let add = ["-n", namespace.name(), "link", "add", name, "type", "veth", "peer", "name", &peer];
        output(Command::new("ip").args(add))?;
    }
    let frames =
        Nicmon::start_as(namespace.command(env!("CARGO_BIN_EXE_nicmon")), &["-d", "200ms", "-n", "2"])?
            .finish()?;
    let own = inode(&namespace)?;
    for arrived in &frames {
        for name in names {
            let nic = nic(&arrived.frame, Some(own), name).with_context(|| format!("no {name:?}"))?;
            ensure!(nic.driver.as_deref() == Some("veth"), "{name:?} has driver {:?}", nic.driver);
        }
    }
    let table = output(namespace.command(env!("CARGO_BIN_EXE_nicmon")).args(["-d", "200ms", "-n", "1"]))?;
    let raw: Vec<_> = table.chars().filter(|c| c.is_control() && *c != '\n').collect();
    ensure!(raw.is_empty(), "control characters reach the terminal: {raw:?}");
    ensure!(table.contains("fifteen-bytes-x"), "the table lacks a name of 15 bytes: {table}");
    tell("namespaces, odd names", &format!("{} names of up to 15 bytes", names.len()));
    Ok(())
}
