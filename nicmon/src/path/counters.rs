//! The kernel's counters on the way of a packet, read twice.

use std::{collections::BTreeMap, path::Path};

use crate::{
    counters::PathReading,
    frame::gained,
    host::{
        self,
        ip_statistics::ip_statistics,
        links::{self, Link, LinkStats},
        netns::Netns,
        queue_counters::{QueueCounts, QueuesCounted, Statistics, named, told_to_kernel},
        queues::Direction,
    },
};

/// The counters at one moment, or what they grew by between two.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Of each interface of the namespace, by index.
    pub links: BTreeMap<u32, LinkStats>,
    /// The driver's own statistics (`ethtool -S`).
    pub driver: BTreeMap<String, u64>,
    /// Counters of IP, by the names of `nstat`.
    pub ip: BTreeMap<String, u64>,
    /// The NIC's queues; empty if neither the kernel nor the driver counts them.
    pub queues: QueuesCounted,
    /// What the programs counted.
    pub programs: PathReading,
}

impl Counters {
    /// Reads them all. `programs` was read just before: the less lies between, the less is unexplained.
    ///
    /// # Errors
    /// The kernel refuses to list the interfaces, or files of `/proc` cannot be read.
    pub fn read(nic: &Link, proc: &Path, programs: PathReading) -> Result<Self, host::Error> {
        let interfaces = |source| host::Error::Interfaces { source };
        let files = |source| host::Error::Read { path: proc.join("thread-self/net"), source };
        let links = links::stats(&Netns::Own).map_err(interfaces)?;
        let ip = ip_statistics(proc).map_err(files)?;
        let driver = Statistics::open(&Netns::Own).map_err(interfaces)?.all(&nic.name);
        let told = told_to_kernel(&Netns::Own).unwrap_or_default().remove(&nic.ifindex);
        let queues = told.unwrap_or_else(|| named(driver.iter().cloned()));
        Ok(Self {
            links: links.into_iter().collect(),
            ip,
            driver: driver.into_iter().collect(),
            queues,
            programs,
        })
    }

    /// How much they grew. A counter that went back was reset, and is left out.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let grown = |now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let grew = |(name, now): (&String, &u64)| Some((name.clone(), gained(*now, *before.get(name)?)?));
            now.iter().filter_map(grew).collect()
        };
        let links = self.links.iter().filter_map(|(ifindex, now)| {
            let before = before.links.get(ifindex).copied().unwrap_or_default();
            Some((*ifindex, link_since(*now, before)?))
        });
        Self {
            links: links.collect(),
            driver: grown(&self.driver, &before.driver),
            ip: grown(&self.ip, &before.ip),
            queues: self.queues.iter().filter_map(|(queue, now)| queue_since(*queue, now, before)).collect(),
            programs: self.programs.since(&before.programs),
        }
    }

    /// A counter of IP, for both versions together: 0 if IPv6 is not there, `None` if IPv4 has no such
    /// counter.
    pub fn both_ips(&self, v4: &str, v6: &str) -> Option<u64> {
        Some(self.ip.get(v4)?.saturating_add(self.ip.get(v6).copied().unwrap_or(0)))
    }
}

fn link_since(now: LinkStats, before: LinkStats) -> Option<LinkStats> {
    Some(LinkStats {
        rx_packets: gained(now.rx_packets, before.rx_packets)?,
        rx_bytes: gained(now.rx_bytes, before.rx_bytes)?,
        tx_packets: gained(now.tx_packets, before.tx_packets)?,
        tx_bytes: gained(now.tx_bytes, before.tx_bytes)?,
        rx_dropped: gained(now.rx_dropped, before.rx_dropped)?,
        rx_missed: gained(now.rx_missed, before.rx_missed)?,
        rx_fifo: gained(now.rx_fifo, before.rx_fifo)?,
        rx_crc: gained(now.rx_crc, before.rx_crc)?,
        rx_nohandler: gained(now.rx_nohandler, before.rx_nohandler)?,
        tx_dropped: gained(now.tx_dropped, before.tx_dropped)?,
    })
}

/// Absent if nothing of it is known at both times.
fn queue_since(
    queue: (Direction, u32),
    now: &QueueCounts,
    before: &Counters,
) -> Option<((Direction, u32), QueueCounts)> {
    let before = before.queues.get(&queue)?;
    let since = |now: Option<u64>, before: Option<u64>| gained(now?, before?);
    let counts =
        QueueCounts { packets: since(now.packets, before.packets), bytes: since(now.bytes, before.bytes) };
    (counts != QueueCounts::default()).then_some((queue, counts))
}
