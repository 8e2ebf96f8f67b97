//! The kernel's counters on the way of a packet, read twice.

use std::{collections::BTreeMap, ffi::OsStr, path::Path};

use crate::{
    counters::PathReading,
    host::{
        self,
        ip_statistics::ip_statistics,
        links::{self, LinkStats},
        queue_counters::Statistics,
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
    /// What the programs counted.
    pub programs: PathReading,
}

impl Counters {
    /// Reads them all. `programs` was read just before: the less lies between, the less is unexplained.
    ///
    /// # Errors
    /// The kernel refuses to list the interfaces, or files of `/proc` cannot be read.
    pub fn read(nic: &OsStr, proc: &Path, programs: PathReading) -> Result<Self, host::Error> {
        let interfaces = |source| host::Error::Interfaces { source };
        let files = |source| host::Error::Read { path: proc.join("thread-self/net"), source };
        Ok(Self {
            links: links::stats().map_err(interfaces)?.into_iter().collect(),
            ip: ip_statistics(proc).map_err(files)?,
            driver: Statistics::open().map_err(interfaces)?.all(nic).into_iter().collect(),
            programs,
        })
    }

    /// How much they grew. A counter that went back was reset, and is left out.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let grown = |now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let grew =
                |(name, now): (&String, &u64)| Some((name.clone(), now.checked_sub(*before.get(name)?)?));
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
        rx_packets: now.rx_packets.checked_sub(before.rx_packets)?,
        rx_bytes: now.rx_bytes.checked_sub(before.rx_bytes)?,
        tx_packets: now.tx_packets.checked_sub(before.tx_packets)?,
        tx_bytes: now.tx_bytes.checked_sub(before.tx_bytes)?,
        rx_dropped: now.rx_dropped.checked_sub(before.rx_dropped)?,
        rx_missed: now.rx_missed.checked_sub(before.rx_missed)?,
        rx_fifo: now.rx_fifo.checked_sub(before.rx_fifo)?,
        rx_crc: now.rx_crc.checked_sub(before.rx_crc)?,
        rx_nohandler: now.rx_nohandler.checked_sub(before.rx_nohandler)?,
        tx_dropped: now.tx_dropped.checked_sub(before.tx_dropped)?,
    })
}
