//! The ethtool ioctl, for what netlink does not answer on every kernel: the driver, and RSS.
//!
//! It is the only place that uses the ioctl, because the request decides how much memory the answer takes.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _};

use rustix::{
    fd::{AsRawFd as _, OwnedFd},
    net::{AddressFamily, SocketFlags, SocketType},
};

use super::netlink::read_u32;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GRXFH: u32 = 0x29;
const ETHTOOL_GRXRINGS: u32 = 0x2d;
const ETHTOOL_GRSSH: u32 = 0x46;
/// Bytes of a name, with the zero byte at its end.
const IFNAMSIZ: usize = 16;
/// `struct ethtool_drvinfo` (`include/uapi/linux/ethtool.h`).
const DRVINFO_BYTES: usize = 196;
/// `struct ethtool_rxnfc`.
const RXNFC_BYTES: usize = 192;
/// `struct ethtool_rxfh` without the table and the key that follow it.
const RXFH_BYTES: usize = 24;
/// More than any driver has. If the kernel claims that a table or key is longer, it is not read.
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

/// Asks about interfaces in the network namespace that it was opened in. Each request takes the kernel's RTNL
/// lock (`dev_ethtool` in `net/ethtool/ioctl.c`).
#[derive(Debug)]
pub(super) struct EthtoolIoctl(OwnedFd);

impl EthtoolIoctl {
    /// Opens a socket in the namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        Ok(Self(rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?))
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
        // SAFETY: `request` has the layout of the kernel's struct. It points to as many writable bytes as the
        // kernel copies for the command at their start; for a table and a key the kernel refuses any size but
        // its own. Both live until the call returns, and the kernel keeps neither address.
        let status = unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if status < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
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
        assert_eq!(Question::HashFields(5).request().unwrap()[..5], [0x29, 0, 0, 0, 5]);
    }

    #[test]
    fn refused() {
        let ioctl = EthtoolIoctl::open().unwrap();
        for name in ["", "nm_nothing", "longer than any name"] {
            assert!(ioctl.ask(OsStr::new(name), Question::Driver).is_err(), "{name}");
        }
    }
}
