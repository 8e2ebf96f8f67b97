//! One network interface.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Channels, Coalesce, Rings, Rss};

/// One network interface and how it is set up.
///
/// Files of sysfs exist for the namespace of nicmon alone: of NICs in others `bus`-independent facts that stand there
/// (`numa_node`, `irqs`, what RPS and XPS do, `threaded_napi` and its neighbours) are `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Nic {
    /// Name, lossy UTF-8.
    #[schemars(title = "NIC")]
    pub name: String,
    /// Interface index.
    #[schemars(title = "Interface index")]
    pub ifindex: u32,
    /// Inode of its network namespace.
    #[schemars(title = "Network namespace")]
    pub netns: u32,
    /// Kind of a virtual interface (`veth`, `bridge` ...); `null` of hardware and loopback.
    #[schemars(title = "Kind of virtual interface")]
    pub kind: Option<String>,
    /// Driver as `ethtool -i` names it.
    #[schemars(title = "Driver")]
    pub driver: Option<String>,
    /// The version the driver has; that of the kernel, mostly.
    #[schemars(title = "Driver version")]
    pub driver_version: Option<String>,
    /// Version of the device's firmware.
    #[schemars(title = "Firmware version")]
    pub firmware: Option<String>,
    /// Bus address.
    #[schemars(title = "Bus address")]
    pub bus: Option<String>,
    /// NUMA node of the device; `null` as well of virtual ones.
    #[schemars(title = "NUMA node")]
    pub numa_node: Option<u32>,
    /// Interfaces stacked on it: bridge, bond, VLANs.
    #[schemars(title = "Interfaces stacked on it")]
    pub upper: Option<Vec<String>>,
    /// Interfaces it is stacked on.
    #[schemars(title = "Interfaces it is stacked on")]
    pub lower: Option<Vec<String>>,
    /// Name of the bridge, bond, team or VRF it belongs to; `null` where it belongs to none.
    #[schemars(title = "Bridge, bond, team or VRF it belongs to")]
    pub master: Option<String>,
    /// Largest packet in bytes, without the Ethernet header.
    #[schemars(title = "MTU")]
    pub mtu_bytes: Option<u32>,
    /// True where it is administratively up.
    #[schemars(title = "Administratively up")]
    pub up: bool,
    /// Speed of the link; `null` without one, too.
    #[schemars(title = "Link speed, Mbit/s")]
    pub speed_mbps: Option<u32>,
    /// XDP programs attached to it, one a mode.
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
    /// How interrupts are held back (`ethtool -c`).
    #[schemars(title = "Interrupt coalescing")]
    pub coalesce: Option<Coalesce>,
    /// Offloads (`ethtool -k`) by the kernel's own names of them (`netdev_features_strings`). One that is absent is off
    /// and cannot be switched on: the device does not have it.
    #[schemars(title = "Offloads")]
    pub offloads: Option<BTreeMap<String, Offload>>,
    /// Its queues, those that receive first.
    #[schemars(title = "Queues")]
    pub queues: Vec<Queue>,
    /// Its interrupts, ascending.
    #[schemars(title = "Interrupts")]
    pub irqs: Option<Vec<Irq>>,
    /// True where its NAPIs are polled by threads of their own.
    #[schemars(title = "NAPIs polled by their own threads")]
    pub threaded_napi: Option<bool>,
    /// How long GRO may hold packets back after a poll; 0 is not at all.
    #[schemars(title = "How long GRO may hold packets back")]
    pub gro_flush_timeout_ns: Option<u64>,
    /// After how many empty polls its interrupt is enabled again.
    #[schemars(title = "Empty polls before its interrupt is enabled again")]
    pub napi_defer_hard_irqs: Option<u32>,
    /// Packets that may wait in its transmit queue.
    #[schemars(title = "Packets that may wait to be sent")]
    pub tx_queue_len: Option<u32>,
}

/// An XDP program of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Xdp {
    /// Where it runs.
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
    /// In the stack, after the packet's memory was allocated: slow.
    Generic,
    /// In the driver.
    Native,
    /// On the device.
    Offload,
}

/// An offload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Offload {
    /// True where it is active.
    #[schemars(title = "On")]
    pub on: bool,
    /// True where it cannot be changed.
    #[schemars(title = "Cannot be changed")]
    pub fixed: bool,
}

/// What a queue carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the field's")]
pub enum QueueKind {
    Rx,
    Tx,
}

/// A queue, who polls it, and which CPUs work on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// What it carries.
    #[schemars(title = "Receive or transmit")]
    pub kind: QueueKind,
    /// Its number, each kind counting from 0.
    #[schemars(title = "Queue number")]
    pub index: u32,
    /// Id of the NAPI that serves it; the same as in `frame.nics[].napis[]`.
    #[schemars(title = "NAPI that serves it")]
    pub napi_id: Option<u32>,
    /// Number of its interrupt: the one whose name tells this queue and what it carries; else as the kernel tells it of
    /// the NAPI; else from the number in the name alone. `null` where none of them tells.
    #[schemars(title = "Its interrupt")]
    pub irq: Option<u32>,
    /// CPUs to which RPS hands its packets; empty where RPS is off. `null` of transmit queues.
    #[schemars(title = "CPUs that RPS passes its packets to")]
    pub rps_cpus: Option<Vec<u32>>,
    /// Entries of its RFS table; 0 where RFS is off. `null` of transmit queues.
    #[schemars(title = "Size of its RFS table; 0 is off")]
    pub rps_flow_cnt: Option<u32>,
    /// CPUs that send by it (XPS); empty where none was chosen. `null` of receive queues, and where the
    /// interface has one transmit queue only.
    #[schemars(title = "CPUs that send through it (XPS)")]
    pub xps_cpus: Option<Vec<u32>>,
}

/// An interrupt of a NIC.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Irq {
    /// Line number.
    #[schemars(title = "Interrupt line")]
    pub irq: u32,
    /// Name of the action, as in `/proc/interrupts`.
    #[schemars(title = "Action")]
    pub action: String,
    /// The queue it serves, from its name.
    #[schemars(title = "Queue it serves")]
    pub queue: Option<u32>,
    /// CPUs on which it may be handled.
    #[schemars(title = "CPUs that may handle it")]
    pub affinity: Option<Vec<u32>>,
    /// Those on which the interrupt controller really delivers it.
    #[schemars(title = "CPUs that it is delivered to")]
    pub affinity_effective: Option<Vec<u32>>,
}

impl Queue {
    /// A queue of which nothing else is known.
    pub fn new(kind: QueueKind, index: u32) -> Self {
        Self { kind, index, napi_id: None, irq: None, rps_cpus: None, rps_flow_cnt: None, xps_cpus: None }
    }
}
