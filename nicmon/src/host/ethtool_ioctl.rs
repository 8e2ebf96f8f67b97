//! The ethtool ioctl, for what netlink does not answer on every kernel: the driver, RSS, and the driver's own
//! statistics.
//!
//! It is the only place that uses the ioctl, because the request decides how much memory the answer takes.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _};

use rustix::fd::{AsRawFd as _, OwnedFd};

use super::{
    netlink::{read_u32, text},
    netns::Netns,
};

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GRXFH: u32 = 0x29;
const ETHTOOL_GRXRINGS: u32 = 0x2d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GRSSH: u32 = 0x46;
const ETH_SS_STATS: u32 = 1;
/// Bytes of the name of a statistic.
const ETH_GSTRING_LEN: usize = 32;
/// `struct ethtool_sset_info` with one number, padded.
const SSET_INFO_BYTES: usize = 24;
/// `struct ethtool_gstrings` before the names.
const GSTRINGS_BYTES: usize = 12;
/// `struct ethtool_stats` before the numbers.
const STATS_BYTES: usize = 8;
/// Bytes of a name, with the zero byte at its end.
const IFNAMSIZ: usize = 16;
/// `struct ethtool_drvinfo` (`include/uapi/linux/ethtool.h`).
const DRVINFO_BYTES: usize = 196;
/// `struct ethtool_rxnfc`.
const RXNFC_BYTES: usize = 192;
/// `struct ethtool_rxfh` without the table and the key that follow it.
const RXFH_BYTES: usize = 24;
/// More than any driver has of anything. What the kernel says is longer is not read.
const MOST: u32 = 1 << 16;

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    /// `struct ethtool_drvinfo`.
    Driver,
    /// `struct ethtool_rxnfc`, whose `data` is the number of queues.
    RxQueues,
    /// `struct ethtool_rxnfc`, whose `data` are the fields that are hashed for this kind of flow.
    HashFields(u32),
    /// `struct ethtool_rxfh`, with a table of this many entries and a key of this many bytes. Both are 0, or
    /// both are what the kernel reported (`ethtool_get_rxfh` in `net/ethtool/ioctl.c`).
    Rss { table: u32, key: u32 },
    /// `struct ethtool_sset_info`, whose `data` is the number of the driver's statistics.
    CountStatistics,
    /// `struct ethtool_gstrings`: the names of so many statistics.
    StatisticNames(u32),
    /// `struct ethtool_stats`: the values of so many statistics.
    Statistics(u32),
}

impl Question {
    /// The request: as many bytes as the answer takes.
    fn request(self) -> io::Result<Vec<u8>> {
        let (command, length) = match self {
            Self::Driver => (ETHTOOL_GDRVINFO, DRVINFO_BYTES),
            Self::RxQueues => (ETHTOOL_GRXRINGS, RXNFC_BYTES),
            Self::HashFields(_) => (ETHTOOL_GRXFH, RXNFC_BYTES),
            Self::Rss { table, key } if table <= MOST && key <= MOST => {
                (ETHTOOL_GRSSH, RXFH_BYTES + 4 * table as usize + key as usize)
            }
            Self::Rss { .. } => return Err(io::ErrorKind::InvalidInput.into()),
            Self::CountStatistics => (ETHTOOL_GSSET_INFO, SSET_INFO_BYTES),
            // Older kernels write as many as the driver has then, whatever number was asked for: there is
            // room for the most.
            Self::StatisticNames(_) => (ETHTOOL_GSTRINGS, GSTRINGS_BYTES + MOST as usize * ETH_GSTRING_LEN),
            Self::Statistics(_) => (ETHTOOL_GSTATS, STATS_BYTES + MOST as usize * size_of::<u64>()),
        };
        let mut request = vec![0; length];
        let mut put = |at: usize, value: u32| request[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        put(0, command);
        match self {
            Self::HashFields(flow_type) => put(4, flow_type),
            Self::Rss { table, key } => {
                put(8, table);
                put(12, key);
            }
            Self::CountStatistics => put(8, 1 << ETH_SS_STATS),
            Self::StatisticNames(count) => {
                put(4, ETH_SS_STATS);
                put(8, count);
            }
            Self::Statistics(count) => put(4, count),
            Self::Driver | Self::RxQueues => {}
        }
        Ok(request)
    }
}

/// `struct ifreq` (`include/uapi/linux/if.h`): a name, and a union whose pointer is used here.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; IFNAMSIZ],
    data: *mut u8,
    /// The union is as large as `struct ifmap`: 24 bytes where a pointer has 8, else 16.
    rest: [usize; 2],
}

/// Asks about interfaces in a network namespace. Each request takes the kernel's RTNL
/// lock (`dev_ethtool` in `net/ethtool/ioctl.c`).
#[derive(Debug)]
pub(super) struct EthtoolIoctl(OwnedFd);

impl EthtoolIoctl {
    pub(super) fn open(netns: &Netns) -> io::Result<Self> {
        // Any kind of socket will do: none knows these ioctls itself (`sock_do_ioctl`, `net/socket.c`).
        netns.netlink(None).map(Self)
    }

    /// The answer, in the layout that the request names.
    #[expect(unsafe_code, reason = "no safe wrapper of this ioctl exists")]
    pub(super) fn ask(&self, name: &OsStr, question: Question) -> io::Result<Vec<u8>> {
        let mut answer = question.request()?;
        let mut request = InterfaceRequest { name: [0; IFNAMSIZ], data: answer.as_mut_ptr(), rest: [0; 2] };
        let name = name.as_bytes();
        if name.len() >= IFNAMSIZ {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        request.name[..name.len()].copy_from_slice(name);
        // SAFETY: `request` has the layout of the kernel's struct. It points to as many writable bytes as
        // the kernel copies for the command at their start: for a table and a key the kernel refuses any
        // size but its own, and for statistics there is room for more than any driver has. Both live until
        // the call returns, and the kernel keeps neither address.
        let status = unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if status < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
    }

    /// The driver's own statistics, by its own names for them (`ethtool -S`); `None` if it has none.
    pub(super) fn statistics(&self, name: &OsStr) -> Option<Vec<(String, u64)>> {
        let count = self.number(name, Question::CountStatistics, 16)?;
        if count == 0 || count > MOST / 2 {
            return None;
        }
        let names = self.ask(name, Question::StatisticNames(count)).ok()?;
        let values = self.ask(name, Question::Statistics(count)).ok()?;
        // Both say how many there were (newer kernels none if it changed); if it differs, they do not belong
        // together.
        let count = read_u32(names.get(8..)?)?;
        if read_u32(values.get(4..)?)? != count {
            return None;
        }
        let (names, _) = names.get(GSTRINGS_BYTES..)?.as_chunks::<ETH_GSTRING_LEN>();
        let (values, _) = values.get(STATS_BYTES..)?.as_chunks::<8>();
        let all = names.iter().zip(values).take(count as usize);
        let text = |name: &[u8]| String::from_utf8_lossy(text(name)).into_owned();
        Some(all.map(|(name, value)| (text(name), u64::from_ne_bytes(*value))).collect())
    }

    /// The number at this offset of the answer.
    pub(super) fn number(&self, name: &OsStr, question: Question, at: usize) -> Option<u32> {
        read_u32(self.ask(name, question).ok()?.get(at..)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        assert_eq!(size_of::<InterfaceRequest>(), size_of::<libc::ifreq>());
        assert_eq!(Question::Driver.request().unwrap().len(), 196);
        let rss = Question::Rss { table: 128, key: 40 }.request().unwrap();
        assert_eq!((rss.len(), rss[0], rss[8], rss[12]), (24 + 512 + 40, 0x46, 128, 40));
        assert!(Question::Rss { table: u32::MAX, key: 40 }.request().is_err());
        assert_eq!(Question::CountStatistics.request().unwrap()[8], 2);
        assert_eq!(Question::HashFields(5).request().unwrap()[..5], [0x29, 0, 0, 0, 5]);
    }

    #[test]
    fn refused() {
        let ioctl = EthtoolIoctl::open(&Netns::Own).unwrap();
        for name in ["", "nm_nothing", "longer than any name"] {
            assert!(ioctl.ask(OsStr::new(name), Question::Driver).is_err(), "{name}");
        }
    }
}
