//! `netns[]`, compared with the counters that the kernel shows inside the namespace.

use std::{net::UdpSocket, time::Duration};

use anyhow::{Result, ensure};
use nicmon::frame::Netns;
use testkit::load::{VethPair, tcp_throughput};

use crate::{
    child::{Arrived, Nicmon},
    loads::{inode, loopback_namespace, udp_counter},
    tell,
};

/// A namespace's rows in all frames but the first, in which it may be new.
fn rows(frames: &[Arrived], inum: u32) -> Vec<&Netns> {
    let row = |arrived: &'_ Arrived| arrived.frame.netns.iter().position(|row| row.inum == inum);
    frames.iter().filter_map(|arrived| arrived.frame.netns.get(row(arrived)?)).collect()
}

pub(crate) fn full_sockets() -> Result<()> {
    const DATAGRAMS: u64 = 3000;
    let namespace = loopback_namespace("nicmon-t-full")?;
    let inum = inode(&namespace)?;
    let mut nicmon = Nicmon::start(&["-d", "200ms"])?;
    nicmon.more(2)?;
    // Nobody reads, so all datagrams are dropped that do not fit the buffer.
    let errors = namespace.within(|| -> Result<u64> {
        let receiver = UdpSocket::bind("127.0.0.1:0")?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        for _ in 0..DATAGRAMS {
            sender.send_to(&[0; 512], receiver.local_addr()?)?;
        }
        udp_counter("RcvbufErrors")
    })??;
    nicmon.more(3)?;
    let frames = nicmon.stop()?;
    let rows = rows(&frames, inum);
    let counted: u64 = rows.iter().filter_map(|row| row.udp_rcvbuf_errors).sum();
    ensure!(errors > DATAGRAMS / 2, "the socket was not full: {errors}");
    ensure!(counted == errors, "{counted} in frames, {errors} by the kernel: {rows:?}");
    ensure!(rows.iter().all(|row| row.name.as_deref() == Some(namespace.name())), "{rows:?}");
    let ratios: Vec<f64> = rows.iter().filter_map(|row| row.gro_ratio).collect();
    ensure!(!ratios.is_empty() && ratios.iter().all(|ratio| (ratio - 1.0).abs() < 1e-9), "{ratios:?}");
    ensure!(rows.iter().all(|row| row.listen_drops.is_none_or(|drops| drops == 0)), "{rows:?}");
    tell("netns, full sockets", &format!("{counted} datagrams dropped, as the kernel says"));
    Ok(())
}

pub(crate) fn merged() -> Result<()> {
    let pair = VethPair::create("nicmon-t-merged")?;
    let inum = inode(&pair.rx)?;
    let mut nicmon = Nicmon::start(&["-d", "200ms"])?;
    nicmon.more(2)?;
    tcp_throughput(&pair, 0, Duration::from_secs(1))?;
    nicmon.more(2)?;
    let frames = nicmon.stop()?;
    let best = rows(&frames, inum).iter().filter_map(|row| row.gro_ratio).fold(0.0, f64::max);
    ensure!(best > 1.5, "GRO merged {best} packets into one");
    ensure!(best <= 65_536.0 / 1400.0, "more than 64 KiB hold: {best}");
    tell("netns, merged", &format!("GRO merged up to {best:.1} packets into one"));
    Ok(())
}
