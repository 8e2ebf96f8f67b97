//! How received packets are spread over queues (RSS).

use std::{ffi::OsStr, fmt::Write as _, io};

use super::{
    ethtool_ioctl::{EthtoolIoctl, Question},
    netlink::read_u32,
    netns::Netns,
};
use crate::frame::topology::{HashField, HashFields, Rss};

/// Flow types of `include/uapi/linux/ethtool.h`.
const TCP_V4_FLOW: u32 = 0x01;
const UDP_V4_FLOW: u32 = 0x02;
const TCP_V6_FLOW: u32 = 0x05;
const UDP_V6_FLOW: u32 = 0x06;
/// Offset of `data` in `struct ethtool_rxnfc`. Its lower half holds all values (`x86_64` and arm64 are little
/// endian).
const DATA: usize = if cfg!(target_endian = "little") { 8 } else { 12 };
/// `RXH_*`, as above.
const FIELDS: [(u32, HashField); 8] = [
    (1 << 1, HashField::L2Dst),
    (1 << 2, HashField::Vlan),
    (1 << 3, HashField::L3Proto),
    (1 << 4, HashField::IpSrc),
    (1 << 5, HashField::IpDst),
    (1 << 6, HashField::L4Src),
    (1 << 7, HashField::L4Dst),
    (1 << 31, HashField::Discard),
];

/// Reads the RSS settings of interfaces in a network namespace. It uses the ioctl,
/// because netlink has them only since Linux 6.3, and hash fields only since 6.17. It takes the kernel's RTNL
/// lock several times per interface.
#[derive(Debug)]
pub struct RssReader(EthtoolIoctl);

impl RssReader {
    /// Takes a socket of the namespace.
    ///
    /// # Errors
    /// No socket can be created.
    pub fn open(netns: &Netns) -> io::Result<Self> {
        EthtoolIoctl::open(netns).map(Self)
    }

    /// RSS of an interface; `None` if the driver does not report it.
    pub fn rss(&self, name: &OsStr) -> Option<Rss> {
        let sizes = self.0.ask(name, Question::Rss { table: 0, key: 0 }).ok();
        let answer = sizes.and_then(|sizes| {
            let (table, key) = (read_u32(sizes.get(8..)?)?, read_u32(sizes.get(12..)?)?);
            if (table, key) == (0, 0) {
                return Some(sizes);
            }
            self.0.ask(name, Question::Rss { table, key }).ok()
        });
        let mut rss = answer.as_deref().map(parse).unwrap_or_default();
        rss.rx_queues = self.0.number(name, Question::RxQueues, DATA);
        let fields = |flow| self.0.number(name, Question::HashFields(flow), DATA).map(fields);
        rss.hash_fields = HashFields {
            tcp4: fields(TCP_V4_FLOW),
            udp4: fields(UDP_V4_FLOW),
            tcp6: fields(TCP_V6_FLOW),
            udp6: fields(UDP_V6_FLOW),
        };
        (rss != Rss::default()).then_some(rss)
    }
}

/// `struct ethtool_rxfh`: sizes, function, and after its 24 bytes the table and the key.
fn parse(answer: &[u8]) -> Rss {
    let size = |at: usize| answer.get(at..).and_then(read_u32).unwrap_or(0) as usize;
    let (table_bytes, key_bytes) = (4 * size(8), size(12));
    let table = answer.get(24..24 + table_bytes).unwrap_or_default();
    let key = answer.get(24 + table_bytes..24 + table_bytes + key_bytes).unwrap_or_default();
    // `ETH_RSS_HASH_*` (`include/linux/ethtool.h`); 0 means that the driver does not say.
    let function = match answer.get(16) {
        Some(1) => Some("toeplitz"),
        Some(2) => Some("xor"),
        Some(4) => Some("crc32"),
        _ => None,
    };
    let table: Vec<u32> = table.chunks(4).filter_map(read_u32).collect();
    let key_hex = key.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Rss {
        function: function.map(str::to_owned),
        key_hex: (!key_hex.is_empty()).then_some(key_hex),
        table: (!table.is_empty()).then_some(table),
        ..Rss::default()
    }
}

fn fields(bits: u32) -> Vec<HashField> {
    FIELDS.iter().filter(|(bit, _)| bits & bit != 0).map(|&(_, field)| field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let mut answer = vec![0; 24];
        answer[8] = 4;
        answer[12] = 3;
        answer[16] = 1;
        for queue in [0_u32, 1, 0, 1] {
            answer.extend(queue.to_ne_bytes());
        }
        answer.extend([0x6d, 0x5a, 0x00]);
        let rss = Rss {
            function: Some("toeplitz".into()),
            key_hex: Some("6d5a00".into()),
            table: Some(vec![0, 1, 0, 1]),
            ..Rss::default()
        };
        assert_eq!(parse(&answer), rss);
        for end in 0..answer.len() {
            parse(&answer[..end]);
        }
        assert_eq!(fields(0xf0), [HashField::IpSrc, HashField::IpDst, HashField::L4Src, HashField::L4Dst]);
        assert_eq!(fields(0), []);
    }

    #[test]
    fn without_rss() {
        let reader = RssReader::open(&Netns::Own).unwrap();
        assert_eq!(reader.rss(OsStr::new("lo")), None);
        assert_eq!(reader.rss(OsStr::new("nm_nothing")), None);
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let mut answer = vec![0; 24 + 16 + 40];
        (answer[8], answer[12], answer[16]) = (4, 40, 1);
        testkit::fuzz::inputs("RSS", &[&answer], |answer| drop(parse(answer)));
    }
}
