//! Properties of an interface besides its counters: read for the topology, not for every frame.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt as _,
};

use super::{
    links::{
        IFF_UP, IFINFOMSG_BYTES, IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINKINFO, IFLA_MASTER, IFLA_PROP_LIST,
        RTM_GETLINK, parse_alt_names, parse_kind,
    },
    netlink::{Ask, Attributes, Socket, push, read_u32, text},
    netns::Netns,
};
use crate::frame::topology::{Xdp, XdpMode};

const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_XDP: u16 = 43;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkDetails {
    /// Interface index, unique in its namespace.
    pub ifindex: u32,
    /// Its name in the kernel.
    pub name: OsString,
    /// Alternative names.
    pub alt_names: Vec<String>,
    /// Hardware address; its length depends on the kind of link.
    pub address: Vec<u8>,
    /// Whether the interface is administratively up.
    pub up: bool,
    /// Kind of a virtual interface; `None` for hardware and loopback.
    pub kind: Option<String>,
    /// Largest packet (MTU), in bytes.
    pub mtu_bytes: Option<u32>,
    /// Length of its transmit queue, in packets.
    pub tx_queue_len: Option<u32>,
    /// Index of the bridge, bond, team or VRF it belongs to.
    pub master: Option<u32>,
    /// XDP programs; `None` if the kernel reports nothing about XDP.
    pub xdp: Option<Vec<Xdp>>,
}

/// All interfaces of a network namespace, ascending by index, each once, in the
/// format of `rtnl_fill_ifinfo` (`net/core/rtnetlink.c`).
///
/// # Errors
/// No netlink socket can be created, or the kernel refuses the dump.
pub fn link_details(netns: &Netns) -> io::Result<Vec<LinkDetails>> {
    let mut request = vec![0; IFINFOMSG_BYTES];
    push(&mut request, IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    let mut links = Vec::new();
    // A dump that was interrupted by a change is good enough: another reading follows each change.
    Socket::open(netns, None)?
        .ask(Ask::All, RTM_GETLINK, &request, |message| links.extend(parse(message)))?;
    links.sort_by_key(|link| link.ifindex);
    links.dedup_by_key(|link| link.ifindex);
    Ok(links)
}

fn parse(message: &[u8]) -> Option<LinkDetails> {
    let (header, attributes) = message.split_at_checked(IFINFOMSG_BYTES)?;
    let mut link = LinkDetails {
        ifindex: read_u32(&header[4..])?,
        up: read_u32(&header[8..])? & IFF_UP != 0,
        ..LinkDetails::default()
    };
    for (attribute, value) in Attributes(attributes) {
        match attribute {
            IFLA_ADDRESS => value.clone_into(&mut link.address),
            IFLA_IFNAME => OsStr::from_bytes(text(value)).clone_into(&mut link.name),
            IFLA_PROP_LIST => link.alt_names = parse_alt_names(value),
            IFLA_MTU => link.mtu_bytes = read_u32(value),
            IFLA_MASTER => link.master = read_u32(value),
            IFLA_TXQLEN => link.tx_queue_len = read_u32(value),
            IFLA_XDP => link.xdp = Some(parse_xdp(value)),
            IFLA_LINKINFO => link.kind = parse_kind(value),
            _ => {}
        }
    }
    Some(link)
}

/// How an XDP program is attached and, since Linux 4.13, its id. Each of several programs has an attribute of
/// its own (`rtnl_xdp_fill` in `net/core/rtnetlink.c`).
fn parse_xdp(value: &[u8]) -> Vec<Xdp> {
    let find = |wanted| Attributes(value).value(wanted);
    let id = |attribute| find(attribute).and_then(read_u32);
    let program = |mode, prog_id| Xdp { mode, prog_id };
    // IFLA_XDP_ATTACHED, and of its values XDP_ATTACHED_*; IFLA_XDP_PROG_ID.
    match find(2).and_then(|attached| attached.first()) {
        Some(1) => vec![program(XdpMode::Native, id(4))],
        Some(2) => vec![program(XdpMode::Generic, id(4))],
        Some(3) => vec![program(XdpMode::Offload, id(4))],
        // IFLA_XDP_DRV_PROG_ID, _SKB_, _HW_.
        Some(4) => [(5, XdpMode::Native), (6, XdpMode::Generic), (7, XdpMode::Offload)]
            .into_iter()
            .filter_map(|(attribute, mode)| Some(program(mode, Some(id(attribute)?))))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{in_new_namespace, ip},
        *,
    };

    #[test]
    fn programs() {
        let xdp = |attached: u8, ids: &[(u16, u32)]| {
            let mut value = Vec::new();
            push(&mut value, 2, &[attached]);
            for (attribute, id) in ids {
                push(&mut value, *attribute, &id.to_ne_bytes());
            }
            parse_xdp(&value)
        };
        assert_eq!(xdp(0, &[]), []);
        assert_eq!(xdp(1, &[(4, 77), (5, 77)]), [Xdp { mode: XdpMode::Native, prog_id: Some(77) }]);
        assert_eq!(xdp(2, &[]), [Xdp { mode: XdpMode::Generic, prog_id: None }]);
        let both = [
            Xdp { mode: XdpMode::Native, prog_id: Some(7) },
            Xdp { mode: XdpMode::Generic, prog_id: Some(8) },
        ];
        assert_eq!(xdp(4, &[(5, 7), (6, 8)]), both);
        assert_eq!(parse_xdp(&[]), []);
        assert_eq!(parse(&[0; 5]), None);
    }

    #[test]
    fn in_a_namespace() {
        in_new_namespace(|| {
            let made = ip("link add nm_a mtu 1400 txqueuelen 77 type veth peer name nm_b")
                && ip("link add nm_br type bridge")
                && ip("link set nm_a master nm_br up");
            if !made {
                return;
            }
            let links = link_details(&Netns::Own).unwrap();
            let find = |name: &str| links.iter().find(|link| link.name == name).unwrap();
            let link = find("nm_a");
            assert_eq!((link.mtu_bytes, link.tx_queue_len), (Some(1400), Some(77)));
            assert_eq!((link.kind.as_deref(), link.up), (Some("veth"), true));
            assert_eq!(link.master, Some(find("nm_br").ifindex));
            assert_eq!(link.address.len(), 6);
            assert_eq!(link.xdp, Some(Vec::new()));
        });
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let (mut program, mut message) = (Vec::new(), vec![0; IFINFOMSG_BYTES]);
        (1..6).for_each(|attribute| push(&mut program, attribute, &1_u32.to_ne_bytes()));
        for attribute in [IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_TXQLEN, IFLA_LINKINFO] {
            push(&mut message, attribute, b"eth0\0abc");
        }
        push(&mut message, IFLA_XDP | 0x8000, &program);
        testkit::fuzz::inputs("link details", &[&message], |message| drop(parse(message)));
    }
}
