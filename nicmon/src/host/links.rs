//! The network interfaces of a namespace and their counters.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt as _,
};

use serde::{Deserialize, Serialize};

use super::{
    netlink::{Ask, Attributes, Socket, read_u32, text},
    netns::Netns,
};

pub(super) const RTM_GETLINK: u16 = 18;
const RTM_GETSTATS: u16 = 94;
pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK: u16 = 5;
const IFLA_STATS64: u16 = 23;
const IFLA_LINK_NETNSID: u16 = 37;
/// Since 5.5.
pub(super) const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFF_UP: u32 = 1;
/// Size of `struct ifinfomsg`: family, padding, type, index, flags, change.
pub(super) const IFINFOMSG_BYTES: usize = 16;
const IFLA_STATS_LINK_64: u16 = 1;
/// Size of `struct if_stats_msg`: family, padding, index, mask of the requested attributes.
const IF_STATS_MSG_BYTES: usize = 12;
/// How often a dump is tried if links change during it.
const TRIES: usize = 3;

/// One network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Interface index, unique in its namespace.
    pub ifindex: u32,
    /// Its name in the kernel: any bytes but `/`, `:` and white space (`dev_valid_name` in `net/core/dev.c`).
    #[serde(with = "super::os_text")]
    pub name: OsString,
    /// Alternative names (`ip link property`, since Linux 5.5).
    #[serde(default)]
    pub alt_names: Vec<String>,
    /// Hardware address; its length depends on the kind of link. Empty in observations of nicmon 0.1.0.
    #[serde(default)]
    pub address: Vec<u8>,
    /// Whether the interface is administratively up. Its NAPIs exist only then.
    pub up: bool,
    /// Kind of a virtual interface (`veth`, `bridge`, `tun` ...); `None` for hardware and loopback.
    pub kind: Option<String>,
    /// Index of the bridge, bond, team or VRF it belongs to.
    pub master: Option<u32>,
    /// The other end of a pair (`veth`, `netkit`); `None` for every other kind.
    #[serde(default)]
    pub peer: Option<Peer>,
    /// Counters since the interface was created; `None` if the kernel sent none.
    pub stats: Option<LinkStats>,
}

/// The other end of a pair of interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its index in its namespace.
    pub ifindex: u32,
    /// Whether it is in the same namespace.
    pub is_here: bool,
}

impl Link {
    /// Its name as text, then its alternative names.
    pub fn names(&self) -> Vec<String> {
        let name = self.name.to_string_lossy().into_owned();
        std::iter::once(name).chain(self.alt_names.iter().cloned()).collect()
    }
}

/// Counters of `struct rtnl_link_stats64` (`include/uapi/linux/if_link.h`, where each is explained).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of rtnl_link_stats64, without `_errors`")]
pub struct LinkStats {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    pub rx_dropped: u64,
    pub rx_missed: u64,
    pub rx_fifo: u64,
    pub rx_crc: u64,
    /// 0 before Linux 4.6, which does not count it.
    pub rx_nohandler: u64,
    pub tx_dropped: u64,
}

/// All interfaces of a network namespace, ascending by index, each once.
///
/// The format is that of `rtnl_fill_ifinfo` (`net/core/rtnetlink.c`). If links change during each of three
/// dumps, the last one is used: a link that was just created or removed may be missing.
///
/// # Errors
/// No netlink socket can be created, or the kernel refuses the dump.
pub fn links(netns: &Netns) -> io::Result<Vec<Link>> {
    let mut socket = Socket::open(netns, None)?;
    let mut links = Vec::new();
    for _ in 0..TRIES {
        links.clear();
        let read = |message: &[u8]| links.extend(parse(message));
        if socket.ask(Ask::All, RTM_GETLINK, &[0; IFINFOMSG_BYTES], read)? {
            break;
        }
    }
    // Kernels before 6.9 dump in the order of a hash of the index.
    links.sort_by_key(|link| link.ifindex);
    links.dedup_by_key(|link| link.ifindex);
    Ok(links)
}

/// Only the counters, ascending by interface index: for the kernel a tenth of the work of [`links()`].
///
/// The format is that of `rtnl_fill_statsinfo` (`net/core/rtnetlink.c`). If links change meanwhile, some may
/// be missing.
///
/// # Errors
/// No netlink socket can be created, or the kernel refuses the dump.
pub fn stats(netns: &Netns) -> io::Result<Vec<(u32, LinkStats)>> {
    let mut request = [0; IF_STATS_MSG_BYTES];
    request[8..].copy_from_slice(&(1_u32 << (IFLA_STATS_LINK_64 - 1)).to_ne_bytes());
    let mut all = Vec::new();
    Socket::open(netns, None)?
        .ask(Ask::All, RTM_GETSTATS, &request, |message| all.extend(parse_stats_message(message)))?;
    all.sort_by_key(|(ifindex, _)| *ifindex);
    all.dedup_by_key(|(ifindex, _)| *ifindex);
    Ok(all)
}

fn parse_stats_message(message: &[u8]) -> Option<(u32, LinkStats)> {
    let (header, attributes) = message.split_at_checked(IF_STATS_MSG_BYTES)?;
    let counters = Attributes(attributes).value(IFLA_STATS_LINK_64)?;
    Some((read_u32(&header[4..])?, parse_stats(counters)))
}

fn parse(message: &[u8]) -> Option<Link> {
    let (header, attributes) = message.split_at_checked(IFINFOMSG_BYTES)?;
    let mut link = Link {
        ifindex: read_u32(&header[4..])?,
        name: OsString::new(),
        alt_names: Vec::new(),
        address: Vec::new(),
        up: read_u32(&header[8..])? & IFF_UP != 0,
        kind: None,
        master: None,
        peer: None,
        stats: None,
    };
    let mut other_end = None;
    let mut is_here = true;
    for (attribute, value) in Attributes(attributes) {
        match attribute {
            IFLA_ADDRESS => value.clone_into(&mut link.address),
            IFLA_IFNAME => OsStr::from_bytes(text(value)).clone_into(&mut link.name),
            IFLA_LINK => other_end = read_u32(value),
            IFLA_LINK_NETNSID => is_here = false,
            IFLA_PROP_LIST => link.alt_names = parse_alt_names(value),
            IFLA_MASTER => link.master = read_u32(value),
            IFLA_STATS64 => link.stats = Some(parse_stats(value)),
            IFLA_LINKINFO => link.kind = parse_kind(value),
            _ => {}
        }
    }
    if matches!(link.kind.as_deref(), Some("veth" | "netkit")) {
        // Older kernels leave the index out if it is the same (`nla_put_iflink` in net/core/rtnetlink.c).
        link.peer = Some(Peer { ifindex: other_end.unwrap_or(link.ifindex), is_here });
    }
    Some(link)
}

/// The alternative names in `IFLA_PROP_LIST` (`rtnl_fill_prop_list`).
pub(super) fn parse_alt_names(value: &[u8]) -> Vec<String> {
    let names = Attributes(value).filter(|(property, _)| *property == IFLA_ALT_IFNAME);
    names.map(|(_, name)| String::from_utf8_lossy(text(name)).into_owned()).collect()
}

/// The kind of a virtual interface, in `IFLA_LINKINFO`.
pub(super) fn parse_kind(value: &[u8]) -> Option<String> {
    let kind = Attributes(value).value(IFLA_INFO_KIND);
    kind.map(|kind| String::from_utf8_lossy(text(kind)).into_owned())
}

fn parse_stats(value: &[u8]) -> LinkStats {
    let (counters, _) = value.as_chunks::<8>();
    let at = |index: usize| counters.get(index).map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    LinkStats {
        rx_packets: at(0),
        tx_packets: at(1),
        rx_bytes: at(2),
        tx_bytes: at(3),
        rx_dropped: at(6),
        tx_dropped: at(7),
        rx_crc: at(12),
        rx_fifo: at(14),
        rx_missed: at(15),
        rx_nohandler: at(23),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            netlink::push,
            testing::{in_new_namespace, ip},
        },
        *,
    };

    #[test]
    fn messages() {
        let counters: Vec<u8> = (100_u64..125).flat_map(u64::to_ne_bytes).collect();
        let message = |counters: &[u8]| {
            let mut message = vec![0; IFINFOMSG_BYTES];
            message[4] = 7;
            message[8] = 0x41;
            push(&mut message, IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
            push(&mut message, IFLA_IFNAME, b"na\xffme\0");
            let mut info = Vec::new();
            push(&mut info, IFLA_INFO_KIND, b"veth\0");
            push(&mut message, IFLA_LINKINFO | 0x8000, &info);
            let mut names = Vec::new();
            push(&mut names, IFLA_ALT_IFNAME, b"uplink\0");
            push(&mut names, IFLA_ALT_IFNAME, b"a name of more than 15 bytes\0");
            push(&mut message, IFLA_PROP_LIST | 0x8000, &names);
            push(&mut message, IFLA_MASTER, &3_u32.to_ne_bytes());
            push(&mut message, IFLA_LINK, &9_u32.to_ne_bytes());
            push(&mut message, IFLA_LINK_NETNSID, &0_u32.to_ne_bytes());
            push(&mut message, IFLA_STATS64, counters);
            message
        };
        let stats = LinkStats {
            rx_packets: 100,
            rx_bytes: 102,
            tx_packets: 101,
            tx_bytes: 103,
            rx_dropped: 106,
            rx_missed: 115,
            rx_fifo: 114,
            rx_crc: 112,
            rx_nohandler: 123,
            tx_dropped: 107,
        };
        let link = Link {
            ifindex: 7,
            name: OsStr::from_bytes(b"na\xffme").to_owned(),
            alt_names: vec!["uplink".to_owned(), "a name of more than 15 bytes".to_owned()],
            address: vec![2, 0, 0, 0, 0, 1],
            up: true,
            kind: Some("veth".to_owned()),
            master: Some(3),
            peer: Some(Peer { ifindex: 9, is_here: false }),
            stats: Some(stats),
        };
        assert_eq!(parse(&message(&counters)), Some(link.clone()));
        // Before Linux 4.6 the structure ended with tx_compressed.
        let old = Link { stats: Some(LinkStats { rx_nohandler: 0, ..stats }), ..link };
        assert_eq!(parse(&message(&counters[..23 * 8])), Some(old));
        assert_eq!(parse(&[0; IFINFOMSG_BYTES - 1]), None);
    }

    #[test]
    fn of_a_namespace() {
        in_new_namespace(|| {
            let before = links(&Netns::Own).unwrap();
            let lo = before.iter().find(|link| link.name == "lo").unwrap();
            assert_eq!((lo.ifindex, lo.up, lo.kind.as_deref(), lo.master), (1, false, None, None));
            if !ip("link add nm_a type veth peer name nm_b") || !ip("link add nm_br type bridge") {
                return;
            }
            assert!(ip("link set nm_a up") && ip("link set nm_b up master nm_br") && ip("link set lo up"));
            let all = links(&Netns::Own).unwrap();
            let find = |name: &str| all.iter().find(|link| link.name == name).unwrap();
            assert_eq!(all.len(), before.len() + 3);
            assert_eq!(find("nm_a").kind.as_deref(), Some("veth"));
            assert_eq!(find("nm_b").master, Some(find("nm_br").ifindex));
            assert!(find("nm_a").up && !find("nm_br").up);

            // Every packet that enters one end leaves the other.
            std::net::UdpSocket::bind("127.0.0.1:0")
                .and_then(|socket| {
                    let to = socket.local_addr()?;
                    (0..10).try_for_each(|_| socket.send_to(&[0; 100], to).map(|_| ()))
                })
                .unwrap();
            let lo = links(&Netns::Own).unwrap().remove(0).stats.unwrap();
            assert_eq!(stats(&Netns::Own).unwrap()[0], (1, lo));
            assert_eq!(stats(&Netns::Own).unwrap().len(), all.len());
            assert!(lo.tx_packets >= 10 && lo.tx_bytes >= 10 * 128 && lo.rx_packets == lo.tx_packets);
        });
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let mut message = vec![0; IFINFOMSG_BYTES];
        push(&mut message, IFLA_IFNAME, b"eth0\0");
        let mut info = Vec::new();
        push(&mut info, IFLA_INFO_KIND, b"veth\0");
        push(&mut message, IFLA_LINKINFO | 0x8000, &info);
        push(&mut message, IFLA_LINK, &9_u32.to_ne_bytes());
        push(&mut message, IFLA_STATS64, &[7; 25 * 8]);
        let mut stats = vec![0; IF_STATS_MSG_BYTES];
        push(&mut stats, IFLA_STATS_LINK_64, &[7; 25 * 8]);
        testkit::fuzz::inputs("links", &[&message, &stats], |message| {
            drop((parse(message), parse_stats_message(message)));
        });
    }
}
