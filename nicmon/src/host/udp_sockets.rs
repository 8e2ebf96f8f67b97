//! UDP sockets of a network namespace, and how much they dropped.

use std::{collections::HashMap, io, path::Path};

use serde::{Deserialize, Serialize};

use super::netns::Netns;

/// The socket of a namespace that drops most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropper {
    /// Inode number of the socket, as in `/proc/PID/fd`.
    pub inode: u64,
    /// Datagrams that it dropped since the previous reading; `None` in the first one.
    pub dropped: Option<u64>,
}

/// What the sockets of a namespace had dropped at the last reading, by inode.
#[derive(Debug, Default)]
pub(super) struct UdpDrops(HashMap<u64, u64>);

impl UdpDrops {
    /// The socket of a namespace that dropped most since the previous reading; in the
    /// first one, since it exists. The kernel lists all sockets for it, so call it only when there are drops.
    ///
    /// # Errors
    /// A file exists and cannot be read.
    pub(super) fn most(&mut self, netns: &Netns, proc: &Path) -> io::Result<Option<Dropper>> {
        let mut now = HashMap::new();
        // Without IPv6 there is no udp6.
        for file in ["udp", "udp6"] {
            now.extend(netns.read(proc, file)?.lines().filter_map(parse));
        }
        Ok(self.follow(now))
    }

    fn follow(&mut self, now: HashMap<u64, u64>) -> Option<Dropper> {
        let before = std::mem::replace(&mut self.0, now);
        let is_first = before.is_empty();
        // A socket that is new since then had dropped nothing.
        let gained = |(inode, drops): (&u64, &u64)| {
            let gained = drops.saturating_sub(before.get(inode).copied().unwrap_or(0));
            (gained > 0).then_some((gained, *inode))
        };
        let (gained, inode) = self.0.iter().filter_map(gained).max()?;
        Some(Dropper { inode, dropped: (!is_first).then_some(gained) })
    }
}

/// Inode and drops in a line of `net/udp` or `net/udp6` (`udp4_format_sock` in `net/ipv4/udp.c`,
/// `__ip6_dgram_sock_seq_show` in `net/ipv6/datagram.c`). Drops (`sk_drops`) are mostly for lack of buffer,
/// but also for wrong checksums and by the socket's own filter. A socket that no file refers to any more has
/// inode 0.
fn parse(line: &str) -> Option<(u64, u64)> {
    let mut columns = line.split_ascii_whitespace();
    let inode = columns.nth(9)?.parse().ok().filter(|inode| *inode != 0)?;
    Some((inode, columns.nth(2)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Linux 6.18, 2026-11-28: two sockets whose buffers are full, and the one that sends to them.
    const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  \
                       timeout inode ref pointer drops
 6028: 0100007F:1E61 00000000:0000 07 00000000:00000F00 00:00000000 00000000     0        0 1665197 2 \
                       000000000f51ae21 37
 9241: 00000000:EAEE 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1665199 2 \
                       000000002b4447b2 0
";
    const UDP6: &str =
        "  sl  local_address                         remote_address                        st \
                        tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 6029: 00000000000000000000000000000000:1E62 00000000000000000000000000000000:0000 07 00000000:00000F00 \
                        00:00000000 00000000     0        0 1665198 2 00000000a10f7f77 57
";

    #[test]
    fn lines_of_both_families() {
        let all = |text: &str| text.lines().filter_map(parse).collect::<Vec<_>>();
        assert_eq!(all(UDP), [(1_665_197, 37), (1_665_199, 0)]);
        assert_eq!(all(UDP6), [(1_665_198, 57)]);
        assert_eq!(parse(&UDP6.replace("1665198", "0")), None, "no file");
    }

    #[test]
    fn the_one_that_drops_most() {
        let proc = tempfile::tempdir().unwrap();
        let net = proc.path().join("thread-self/net");
        fs::create_dir_all(&net).unwrap();
        let mut drops = UdpDrops::default();
        let dropper = |inode, dropped| Some(Dropper { inode, dropped });
        assert_eq!(drops.most(&Netns::Own, proc.path()).unwrap(), None, "no such file");
        fs::write(net.join("udp"), UDP).unwrap();
        fs::write(net.join("udp6"), UDP6).unwrap();
        assert_eq!(drops.most(&Netns::Own, proc.path()).unwrap(), dropper(1_665_198, None), "most so far");
        assert_eq!(drops.most(&Netns::Own, proc.path()).unwrap(), None, "none since");
        fs::write(net.join("udp"), UDP.replace("ae21 37", "ae21 40")).unwrap();
        assert_eq!(drops.most(&Netns::Own, proc.path()).unwrap(), dropper(1_665_197, Some(3)));
        fs::write(net.join("udp"), UDP.replace("1665199", "1665200").replace(" 0\n", " 5\n")).unwrap();
        assert_eq!(drops.most(&Netns::Own, proc.path()).unwrap(), dropper(1_665_200, Some(5)), "a new one");
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        testkit::fuzz::inputs("udp", &[UDP.as_bytes(), UDP6.as_bytes()], |text| {
            std::hint::black_box(String::from_utf8_lossy(text).lines().filter_map(parse).count());
        });
    }
}
