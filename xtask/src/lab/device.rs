//! The NICs that QEMU can emulate here, and what the guest needs for each.

/// A NIC of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Device {
    /// rtl8139: driver 8139cp
    #[value(name = "8139")]
    #[serde(rename = "8139")]
    Rtl8139,
    /// virtio-net-pci: driver `virtio_net`; several queues with --queues
    Virtio,
    /// Intel 82540EM
    E1000,
    /// Intel 82574L
    E1000e,
    /// Intel 82576, several queues
    Igb,
    /// `VMware`'s
    Vmxnet3,
}

impl Device {
    /// The driver, as `ethtool -i` names it.
    pub(super) fn driver(self) -> &'static str {
        match self {
            Self::Rtl8139 => "8139cp",
            Self::Virtio => "virtio_net",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
            Self::Igb => "igb",
            Self::Vmxnet3 => "vmxnet3",
        }
    }

    /// QEMU's model.
    pub(super) fn model(self) -> &'static str {
        match self {
            Self::Rtl8139 => "rtl8139",
            Self::Virtio => "virtio-net-pci",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
            Self::Igb => "igb",
            Self::Vmxnet3 => "vmxnet3",
        }
    }

    /// The module, as the kernel names it in kallsyms.
    pub(super) fn module(self) -> &'static str {
        self.driver()
    }

    /// The modules that do a part of the driver's work for each packet.
    pub(super) fn companions(self) -> &'static [&'static str] {
        match self {
            Self::Virtio => &["virtio_ring"],
            _ => &[],
        }
    }

    /// Whether its poll returns the number of packets received. If so, `work` must equal `rx_packets`. Other
    /// drivers return the budget to be polled again, or count packets sent as well.
    pub(super) fn work_is_packets(self) -> bool {
        matches!(self, Self::Rtl8139 | Self::Virtio)
    }

    /// Number of downloads in a row. Virtio's packets hold 64 KB each and cost little, so it takes more
    /// downloads to know its share as precisely as the 8139's.
    pub(super) fn downloads(self) -> u64 {
        if self == Self::Virtio { 16 } else { 1 }
    }

    /// The functions that poll its receive queues.
    pub(super) fn polls(self) -> &'static [&'static str] {
        match self {
            Self::Rtl8139 => &["cp_rx_poll"],
            Self::Virtio => &["virtnet_poll"],
            Self::E1000 => &["e1000_clean"],
            Self::E1000e => &["e1000e_poll"],
            Self::Igb => &["igb_poll"],
            // With one queue and with several.
            Self::Vmxnet3 => &["vmxnet3_poll", "vmxnet3_poll_rx_only"],
        }
    }

    /// The function that the kernel calls for its interrupts, if only this driver uses it.
    pub(super) fn handler(self) -> Option<&'static str> {
        match self {
            Self::Rtl8139 => Some("cp_interrupt"),
            Self::E1000 => Some("e1000_intr"),
            // The others have a handler for each kind of line or, like virtio, one for all devices.
            Self::Virtio | Self::E1000e | Self::Igb | Self::Vmxnet3 => None,
        }
    }
}
