//! The driver of a network interface.

use std::{ffi::OsStr, io};

use super::{
    ethtool_ioctl::{EthtoolIoctl, Question},
    netlink::text,
    netns::Netns,
};

/// What `ethtool -i` shows; `None` for what the driver leaves empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriverFacts {
    /// Its name (the kind of a virtual interface).
    pub driver: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Firmware version of the device.
    pub firmware: Option<String>,
    /// Bus address of the device.
    pub bus: Option<String>,
}

/// Reads the drivers of interfaces in a network namespace.
///
/// Each call takes the kernel's RTNL lock (`dev_ethtool` in `net/ethtool/ioctl.c`), so ask once per
/// interface.
#[derive(Debug)]
pub struct Drivers(EthtoolIoctl);

impl Drivers {
    /// Takes a socket of the namespace.
    ///
    /// # Errors
    /// No socket can be created.
    pub fn open(netns: &Netns) -> io::Result<Self> {
        EthtoolIoctl::open(netns).map(Self)
    }

    /// The driver as `ethtool -i` names it; for a virtual interface, its kind. `None` for an interface
    /// without a driver, such as `lo`, or one that no longer exists.
    pub fn driver(&self, name: &OsStr) -> Option<String> {
        self.facts(name).driver
    }

    /// Everything that `ethtool -i` shows; all `None` for an interface that no longer exists.
    pub fn facts(&self, name: &OsStr) -> DriverFacts {
        self.0.ask(name, Question::Driver).map(|answer| parse(&answer)).unwrap_or_default()
    }
}

/// `struct ethtool_drvinfo` (`include/uapi/linux/ethtool.h`): the command, then texts of 32 bytes.
fn parse(answer: &[u8]) -> DriverFacts {
    let at = |number: usize| {
        let field = answer.get(4 + 32 * number..4 + 32 * (number + 1)).unwrap_or_default();
        // Several drivers without firmware say this (`strscpy(info->fw_version, "N/A", ...)`).
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
        let drivers = Drivers::open(&Netns::Own).unwrap();
        for name in ["lo", "", "nm_nothing", "longer than any name"] {
            assert_eq!(drivers.driver(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn of_virtual_links() {
        in_new_namespace(|| {
            if ip("link add nm_a type veth peer name nm_b") {
                assert_eq!(
                    Drivers::open(&Netns::Own).unwrap().driver(OsStr::new("nm_a")).as_deref(),
                    Some("veth")
                );
            }
        });
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let mut answer = vec![0; 196];
        answer[4..14].copy_from_slice(b"virtio_net");
        testkit::fuzz::inputs("drivers", &[&answer], |answer| drop(parse(answer)));
    }
}
