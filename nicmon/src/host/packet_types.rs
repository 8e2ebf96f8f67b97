//! Receivers of packets: protocols and packet taps.

use std::{fs, path::Path};

use super::Error;
use crate::frame::topology::PacketType;

/// The functions that receive for packet sockets (`net/packet/af_packet.c`).
const TAPS: [&str; 4] = ["packet_rcv", "packet_rcv_spkt", "packet_rcv_fanout", "tpacket_rcv"];

/// Reads `/proc/net/ptype` of the namespace of this process.
///
/// # Errors
/// The file cannot be read.
pub fn packet_types(proc: &Path) -> Result<Vec<PacketType>, Error> {
    let path = proc.join("net/ptype");
    let bytes = fs::read(&path).map_err(Error::read(&path))?;
    // The first line names the columns.
    Ok(String::from_utf8_lossy(&bytes).lines().skip(1).filter_map(parse).collect())
}

/// A line of `ptype_seq_show` (`net/core/net-procfs.c`): four characters of protocol, a blank, the device
/// padded to eight (blank if it is any device), and the function, perhaps with its module.
fn parse(line: &str) -> Option<PacketType> {
    let (protocol, rest) = line.split_at_checked(4)?;
    let rest = rest.strip_prefix(' ')?;
    let any_device = rest.starts_with(' ');
    let mut words = rest.split_ascii_whitespace();
    let device = if any_device { None } else { words.next() };
    let function = words.next()?;
    Some(PacketType {
        protocol: protocol.trim().to_owned(),
        device: device.map(str::to_owned),
        function: function.to_owned(),
        tap: TAPS.contains(&function),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::testing::this_machine, *};

    #[test]
    fn of_this_machine() {
        let found = packet_types(&this_machine().join("proc")).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|row| (row.protocol.as_str(), row.device.as_deref(), row.function.as_str(), row.tap))
            .collect();
        let expected = [
            ("ALL", Some("eth0"), "packet_rcv", true),
            ("ALL", None, "packet_rcv", true),
            ("0800", None, "ip_rcv", false),
            ("0004", None, "llc_rcv", false),
            ("0806", None, "arp_rcv", false),
            ("86dd", None, "ipv6_rcv", false),
        ];
        for row in expected {
            assert!(shown.contains(&row), "{row:?} in {shown:?}");
        }
        assert!(packet_types(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn lines() {
        let parsed = parse("ALL  fifteen-bytes-x tpacket_rcv [af_packet]").unwrap();
        assert_eq!((parsed.device.as_deref(), parsed.tap), (Some("fifteen-bytes-x"), true));
        for nonsense in ["", "ALL", "ALL eth0", "   "] {
            assert_eq!(parse(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let real = fs::read(this_machine().join("proc/net/ptype")).unwrap();
        testkit::fuzz::inputs("ptype", &[&real], |text| {
            String::from_utf8_lossy(text).lines().for_each(|line| drop(parse(line)));
        });
    }
}
