//! One network interface.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Channels, Coalesce, Rings, Rss};

/// One network interface and how it is configured.
///
/// sysfs shows only the NICs in nicmon's own namespace. For NICs in other namespaces, the facts that come
/// from there (`numa_node`, `irqs`, RPS and XPS, `threaded_napi` and the fields after it) are `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Nic {
    /// Name of the interface (lossy UTF-8).
    #[schemars(title = "NIC")]
    pub name: String,
    /// Alternative names (`ip link property add`); absent if it has none.
    #[schemars(title = "Alternative names")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alt_names: Vec<String>,
    /// Interface index.
    #[schemars(title = "Interface index")]
    pub ifindex: u32,
    /// Inode of its network namespace.
    #[schemars(title = "Network namespace")]
    pub netns: u32,
    /// Kind of a virtual interface (`veth`, `bridge` ...); `null` for hardware and loopback.
    #[schemars(title = "Kind of virtual interface")]
    pub kind: Option<String>,
    /// Name of the driver, as `ethtool -i` shows it.
    #[schemars(title = "Driver")]
    pub driver: Option<String>,
    /// True if its device sleeps (runtime power management). nicmon does not wake it, so what only its driver
    /// knows is `null`: version, firmware, speed, channels, rings, RSS, coalescing and offloads. Absent if it
    /// is awake, or if sysfs does not show the NIC.
    #[schemars(title = "Its device sleeps, and is not woken")]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sleeps: bool,
    /// Version of the driver; usually that of the kernel.
    #[schemars(title = "Driver version")]
    pub driver_version: Option<String>,
    /// Version of the device's firmware.
    #[schemars(title = "Firmware version")]
    pub firmware: Option<String>,
    /// Bus address.
    #[schemars(title = "Bus address")]
    pub bus: Option<String>,
    /// NUMA node of the device; `null` if it is unknown, and for virtual interfaces.
    #[schemars(title = "NUMA node")]
    pub numa_node: Option<u32>,
    /// Interfaces stacked on it: bridges, bonds, VLANs.
    #[schemars(title = "Interfaces stacked on it")]
    pub upper: Option<Vec<String>>,
    /// Interfaces it is stacked on.
    #[schemars(title = "Interfaces it is stacked on")]
    pub lower: Option<Vec<String>>,
    /// Name of the bridge, bond, team or VRF it belongs to; `null` if it belongs to none.
    #[schemars(title = "Bridge, bond, team or VRF it belongs to")]
    pub master: Option<String>,
    /// Size of the largest packet, without the Ethernet header.
    #[schemars(title = "MTU")]
    pub mtu_bytes: Option<u32>,
    /// True if the interface is administratively up.
    #[schemars(title = "Administratively up")]
    pub up: bool,
    /// Speed of the link in Mbit/s; `null` if it is unknown, and without a link.
    #[schemars(title = "Link speed, Mbit/s")]
    pub speed_mbps: Option<u32>,
    /// XDP programs attached to it, at most one per mode.
    #[schemars(title = "XDP programs")]
    pub xdp: Option<Vec<Xdp>>,
    /// Channels (`ethtool -l`).
    #[schemars(title = "Channels")]
    pub channels: Option<Channels>,
    /// Rings (`ethtool -g`).
    #[schemars(title = "Ring sizes")]
    pub rings: Option<Rings>,
    /// How received packets are spread over queues (`ethtool -x`).
    #[schemars(title = "RSS: how packets are spread over queues")]
    pub rss: Option<Rss>,
    /// How interrupts are delayed (`ethtool -c`).
    #[schemars(title = "Interrupt coalescing")]
    pub coalesce: Option<Coalesce>,
    /// Offloads (`ethtool -k`) by the kernel's names for them (`netdev_features_strings`). One that is absent
    /// is off and cannot be switched on, because the device does not have it.
    #[schemars(title = "Offloads")]
    pub offloads: Option<BTreeMap<String, Offload>>,
    /// Its queues, receive queues first.
    #[schemars(title = "Queues")]
    pub queues: Vec<Queue>,
    /// Its interrupts in ascending order.
    #[schemars(title = "Interrupts")]
    pub irqs: Option<Vec<Irq>>,
    /// True if its NAPIs are polled by threads of their own.
    #[schemars(title = "NAPIs polled by their own threads")]
    pub threaded_napi: Option<bool>,
    /// How long GRO may hold packets back after a poll; 0 if not at all.
    #[schemars(title = "How long GRO may hold packets back")]
    pub gro_flush_timeout_ns: Option<u64>,
    /// Number of empty polls after which its interrupt is enabled again.
    #[schemars(title = "Empty polls before its interrupt is enabled again")]
    pub napi_defer_hard_irqs: Option<u32>,
    /// Packets that may wait in its transmit queue.
    #[schemars(title = "Packets that may wait to be sent")]
    pub tx_queue_len: Option<u32>,
}

/// An XDP program of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Xdp {
    /// Where the program runs.
    #[schemars(title = "Where it runs")]
    pub mode: XdpMode,
    /// The kernel's id of the program.
    #[schemars(title = "Program id")]
    pub prog_id: Option<u32>,
}

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum XdpMode {
    /// In the stack, after memory for the packet was allocated: slow.
    Generic,
    /// In the driver.
    Native,
    /// On the device.
    Offload,
}

/// An offload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Offload {
    /// True if it is on.
    #[schemars(title = "On")]
    pub on: bool,
    /// True if it cannot be changed.
    #[schemars(title = "Cannot be changed")]
    pub fixed: bool,
}

/// What a queue carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the field")]
pub enum QueueKind {
    Rx,
    Tx,
}

impl QueueKind {
    /// The word for people, the same in every output.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        }
    }
}

/// A queue, its NAPI and interrupt, and the CPUs that work on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// What the queue carries.
    #[schemars(title = "Receive or transmit")]
    pub kind: QueueKind,
    /// Its number; receive and transmit queues each count from 0.
    #[schemars(title = "Queue number")]
    pub index: u32,
    /// Id of the NAPI that serves it, as in `frame.nics[].napis[]`.
    #[schemars(title = "NAPI that serves it")]
    pub napi_id: Option<u32>,
    /// Number of its interrupt: the one whose name gives this queue and its direction; else the one that the
    /// kernel reports for the NAPI; else the one whose name has just this number. `null` if none of these is
    /// found.
    #[schemars(title = "Its interrupt")]
    pub irq: Option<u32>,
    /// CPUs to which RPS passes its packets; empty if RPS is off. `null` for transmit queues.
    #[schemars(title = "CPUs that RPS passes its packets to")]
    pub rps_cpus: Option<Vec<u32>>,
    /// Entries in its RFS table; 0 if RFS is off. `null` for transmit queues.
    #[schemars(title = "Size of its RFS table; 0 is off")]
    pub rps_flow_cnt: Option<u32>,
    /// CPUs that send through it (XPS); empty if none was chosen. `null` for receive queues, and if the
    /// interface has only one transmit queue.
    #[schemars(title = "CPUs that send through it (XPS)")]
    pub xps_cpus: Option<Vec<u32>>,
    /// Packets that went through it since its driver began to count. Only `nicmon topology` reads it; absent
    /// in frames, and if neither the kernel nor `ethtool -S` counts them.
    #[schemars(title = "Packets since its driver began to count")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// The same in bytes. Drivers do not agree on whether Ethernet headers count.
    #[schemars(title = "Bytes since its driver began to count")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// An interrupt of a NIC.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Irq {
    /// Number of the interrupt line.
    #[schemars(title = "Interrupt line")]
    pub irq: u32,
    /// Name of the action, as in `/proc/interrupts`.
    #[schemars(title = "Action")]
    pub action: String,
    /// The queue it serves, taken from its name.
    #[schemars(title = "Queue it serves")]
    pub queue: Option<u32>,
    /// CPUs on which it may be handled.
    #[schemars(title = "CPUs that may handle it")]
    pub affinity: Option<Vec<u32>>,
    /// CPUs to which the interrupt controller delivers it.
    #[schemars(title = "CPUs that it is delivered to")]
    pub affinity_effective: Option<Vec<u32>>,
}

impl Queue {
    /// A queue about which nothing else is known.
    pub fn new(kind: QueueKind, index: u32) -> Self {
        Self {
            kind,
            index,
            napi_id: None,
            irq: None,
            rps_cpus: None,
            rps_flow_cnt: None,
            xps_cpus: None,
            packets: None,
            bytes: None,
        }
    }
}
