//! The driver of a network interface.

use std::{ffi::OsStr, io};

use super::{
    ethtool_ioctl::{EthtoolIoctl, Question},
    netlink::text,
};

/// What `ethtool -i` tells; `None` of what the driver leaves empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriverFacts {
    /// Its name (the kind of a virtual interface).
    pub driver: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Version of the device's firmware.
    pub firmware: Option<String>,
    /// Bus address of the device.
    pub bus: Option<String>,
}

/// Asks for the drivers of interfaces of the network namespace it was opened in.
///
/// Each question takes the kernel's RTNL lock (`dev_ethtool`, `net/ethtool/ioctl.c`): ask once for each
/// interface.
#[derive(Debug)]
pub struct Drivers(EthtoolIoctl);

impl Drivers {
    /// Opens a socket in the namespace of the calling thread.
    ///
    /// # Errors
    /// No socket can be had.
    pub fn open() -> io::Result<Self> {
        EthtoolIoctl::open().map(Self)
    }

    /// The driver as `ethtool -i` names it (the kind of a virtual interface); `None` of an interface without
    /// one, as `lo`, or one that is gone.
    pub fn driver(&self, name: &OsStr) -> Option<String> {
        self.facts(name).driver
    }

    /// All that `ethtool -i` tells; nothing of an interface that is gone.
    pub fn facts(&self, name: &OsStr) -> DriverFacts {
        self.0.ask(name, Question::Driver).map(|answer| parse(&answer)).unwrap_or_default()
    }
}

/// `struct ethtool_drvinfo` (`include/uapi/linux/ethtool.h`): the command, then texts of 32 bytes.
fn parse(answer: &[u8]) -> DriverFacts {
    let at = |number: usize| {
        let field = answer.get(4 + 32 * number..4 + 32 * (number + 1)).unwrap_or_default();
        // What a driver without firmware says (`strscpy(info->fw_version, "N/A", ...)` in several).
        let said = |field: &&[u8]| !matches!(*field, b"" | b"N/A" | b"n/a");
        Some(text(field)).filter(said).map(|field| String::from_utf8_lossy(field).into_owned())
    };
    DriverFacts { driver: at(0), version: at(1), firmware: at(2), bus: at(3) }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{in_new_namespace, ip},
        *,
    };

    #[test]
    fn answers() {
        let mut answer = vec![0; 196];
        answer[4..14].copy_from_slice(b"virtio_net");
        answer[36..41].copy_from_slice(b"1.0.0");
        answer[68..71].copy_from_slice(b"N/A");
        answer[100..112].copy_from_slice(b"0000:00:03.0");
        let facts = DriverFacts {
            driver: Some("virtio_net".into()),
            version: Some("1.0.0".into()),
            firmware: None,
            bus: Some("0000:00:03.0".into()),
        };
        assert_eq!(parse(&answer), facts);
        assert_eq!(parse(&[]), DriverFacts::default());
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
