//! Counters of IP, UDP and TCP in a network namespace.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::netns::Netns;

/// Counters of IPv4 since the namespace was created; `None` for what this kernel does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpCounters {
    /// Packets handed to IP, after GRO merged them.
    pub in_receives: Option<u64>,
    /// The number of these packets before GRO merged them. A packet that arrived merged counts as one,
    /// because the kernel does not know how many it was (`gso_segs` is 0): `virtio_net` gets such packets
    /// from its host.
    pub in_segments: Option<u64>,
    /// Datagrams dropped because a socket's receive buffer was full.
    pub udp_rcvbuf_errors: Option<u64>,
    /// Connections dropped at listening sockets.
    pub listen_drops: Option<u64>,
}

/// Reads `net/snmp` and `net/netstat` of a network namespace. A file that does not exist, as in a kernel
/// without IP, leaves its counters unknown.
///
/// # Errors
/// A file exists and cannot be read.
pub fn ip_counters(netns: &Netns, proc: &Path) -> io::Result<IpCounters> {
    Ok(parse(&netns.read(proc, "snmp")?, &netns.read(proc, "netstat")?))
}

/// Pairs of lines, names and values (`net/ipv4/proc.c`). `ip_rcv_core` (`net/ipv4/ip_input.c`) adds 1 to
/// `InReceives`, and the number of merged packets to the one of four counters that has the packet's ECN bits.
fn parse(snmp: &str, netstat: &str) -> IpCounters {
    const BY_ECN: [&str; 4] = ["InNoECTPkts", "InECT1Pkts", "InECT0Pkts", "InCEPkts"];
    let ip_ext = Table::find(netstat, "IpExt:");
    IpCounters {
        in_receives: Table::find(snmp, "Ip:").value("InReceives"),
        in_segments: BY_ECN.iter().try_fold(0_u64, |sum, name| sum.checked_add(ip_ext.value(name)?)),
        udp_rcvbuf_errors: Table::find(snmp, "Udp:").value("RcvbufErrors"),
        listen_drops: Table::find(netstat, "TcpExt:").value("ListenDrops"),
    }
}

/// The two lines of a protocol.
struct Table<'a> {
    names: &'a str,
    values: &'a str,
}

impl<'a> Table<'a> {
    fn find(text: &'a str, protocol: &str) -> Self {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol));
        Self { names: lines.next().unwrap_or_default(), values: lines.next().unwrap_or_default() }
    }

    fn value(&self, wanted: &str) -> Option<u64> {
        let mut columns = self.names.split_ascii_whitespace().zip(self.values.split_ascii_whitespace());
        columns.find(|(name, _)| *name == wanted)?.1.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::testing::this_machine, *};

    #[test]
    fn of_this_machine() {
        let net = this_machine().join("proc/net");
        let read = |file: &str| fs::read_to_string(net.join(file)).unwrap();
        let counters = parse(&read("snmp"), &read("netstat"));
        assert_eq!(counters.udp_rcvbuf_errors, Some(0));
        assert_eq!(counters.listen_drops, Some(0));
        // Its virtio_net received packets that the host had merged: each counts once.
        assert_eq!((counters.in_receives, counters.in_segments), (Some(11_795), Some(11_795)));
        assert_eq!(parse("", ""), IpCounters::default());
        assert_eq!(parse("Udp: RcvbufErrors\nUdp: x\n", "").udp_rcvbuf_errors, None);
        assert_eq!(parse("Udp: InErrors RcvbufErrors\nUdp: 1 7\n", "").udp_rcvbuf_errors, Some(7));
    }

    #[test]
    fn here() {
        let counters = ip_counters(&Netns::Own, Path::new("/proc")).unwrap();
        assert!(counters.in_receives.is_some() && counters.in_segments.is_some());
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let net = this_machine().join("proc/net");
        let real = ["snmp", "netstat"].map(|file| fs::read(net.join(file)).unwrap());
        testkit::fuzz::inputs("snmp", &[&real[0], &real[1]], |text| {
            let text = String::from_utf8_lossy(text);
            std::hint::black_box(parse(&text, &text));
        });
    }
}
