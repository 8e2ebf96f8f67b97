//! The driver of a network interface.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _};

use rustix::{
    fd::{AsRawFd as _, OwnedFd},
    net::{AddressFamily, SocketFlags, SocketType},
};

use super::netlink::text;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 3;
/// With the zero byte that ends it.
const IFNAMSIZ: usize = 16;

/// `struct ethtool_drvinfo` (`include/uapi/linux/ethtool.h`).
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ifreq` (`include/uapi/linux/if.h`): a name, and a union whose pointer is used here.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; IFNAMSIZ],
    data: *mut DriverInfo,
    /// The union is as large as `struct ifmap`: 24 bytes where a pointer has 8, else 16.
    rest: [usize; 2],
}

/// Asks for the drivers of interfaces of the network namespace it was opened in.
///
/// Each question takes the kernel's RTNL lock (`dev_ethtool`, `net/ethtool/ioctl.c`): ask once for each
/// interface.
#[derive(Debug)]
pub struct Drivers(OwnedFd);

impl Drivers {
    /// Opens a socket in the namespace of the calling thread.
    ///
    /// # Errors
    /// No socket can be had.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        Ok(Self(rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?))
    }

    /// The driver as `ethtool -i` names it (the kind of a virtual interface); `None` of an interface without
    /// one, as `lo`, or one that is gone.
    #[expect(unsafe_code, reason = "no safe wrapper of this ioctl exists")]
    pub fn driver(&self, name: &OsStr) -> Option<String> {
        let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
        let mut request = InterfaceRequest { name: [0; IFNAMSIZ], data: &raw mut info, rest: [0; 2] };
        let name = name.as_bytes();
        if name.len() >= IFNAMSIZ {
            return None;
        }
        request.name[..name.len()].copy_from_slice(name);
        // SAFETY: `request` and `info` have the layout the kernel gives them, are writable and live until the
        // call has returned; it keeps neither address.
        let status = unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        let driver = text(&info.driver);
        (status == 0 && !driver.is_empty()).then(|| String::from_utf8_lossy(driver).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{in_new_namespace, ip},
        *,
    };

    #[test]
    fn layout() {
        assert_eq!(size_of::<DriverInfo>(), 196);
        assert_eq!(size_of::<InterfaceRequest>(), size_of::<libc::ifreq>());
    }

    #[test]
    fn without_a_driver() {
        let drivers = Drivers::open().unwrap();
        for name in ["lo", "", "nm_nothing", "longer than any name"] {
            assert_eq!(drivers.driver(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn of_virtual_links() {
        in_new_namespace(|| {
            if ip("link add nm_a type veth peer name nm_b") {
                assert_eq!(Drivers::open().unwrap().driver(OsStr::new("nm_a")).as_deref(), Some("veth"));
            }
        });
    }
}
