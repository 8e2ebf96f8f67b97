//! The NICs that QEMU can be given, and what the guest needs for each.

/// A NIC of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Device {
    /// rtl8139: driver 8139cp
    #[value(name = "8139")]
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

    /// The modules that do a part of its work for each packet.
    pub(super) fn companions(self) -> &'static [&'static str] {
        match self {
            Self::Virtio => &["virtio_ring"],
            _ => &[],
        }
    }

    /// Whether its poll returns packets received: then `work` must equal `rx_packets`. The others return
    /// the budget to be polled again, or count what was sent.
    pub(super) fn work_is_packets(self) -> bool {
        matches!(self, Self::Rtl8139 | Self::Virtio)
    }

    /// How many downloads follow one another: virtio's packets hold 64 KB each, and cost so little that its
    /// share needs as many to be known as well as the 8139's.
    pub(super) fn downloads(self) -> u64 {
        if self == Self::Virtio { 16 } else { 1 }
    }

    /// The functions that poll its queues of packets received.
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

    /// The function that the kernel calls for its interrupts, where only this driver uses it.
    pub(super) fn handler(self) -> Option<&'static str> {
        match self {
            Self::Rtl8139 => Some("cp_interrupt"),
            Self::E1000 => Some("e1000_intr"),
            // The others have one handler for each kind of line, or (virtio) one for all devices.
            Self::Virtio | Self::E1000e | Self::Igb | Self::Vmxnet3 => None,
        }
    }
}
