//! What `ethtool` shows about an interface: channels, rings, RSS, coalescing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Channels. Each is an interrupt and the queues it serves. `null` for kinds that the driver does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Channels {
    /// Receive channels.
    #[schemars(title = "Receive channels")]
    pub rx: Option<u32>,
    /// Most receive channels possible.
    #[schemars(title = "Receive channels, at most")]
    pub rx_max: Option<u32>,
    /// Transmit channels.
    #[schemars(title = "Transmit channels")]
    pub tx: Option<u32>,
    /// Most transmit channels possible.
    #[schemars(title = "Transmit channels, at most")]
    pub tx_max: Option<u32>,
    /// Other channels.
    #[schemars(title = "Other channels")]
    pub other: Option<u32>,
    /// Most other channels possible.
    #[schemars(title = "Other channels, at most")]
    pub other_max: Option<u32>,
    /// Combined channels.
    #[schemars(title = "Combined channels")]
    pub combined: Option<u32>,
    /// Most combined channels possible.
    #[schemars(title = "Combined channels, at most")]
    pub combined_max: Option<u32>,
}

/// Descriptors per ring; `null` for kinds that the driver does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Rings {
    /// Descriptors in each receive ring.
    #[schemars(title = "Receive ring")]
    pub rx: Option<u32>,
    /// Most descriptors possible in a receive ring.
    #[schemars(title = "Receive ring, at most")]
    pub rx_max: Option<u32>,
    /// Descriptors in each ring for small packets.
    #[schemars(title = "Ring for small packets")]
    pub rx_mini: Option<u32>,
    /// Most descriptors possible in a ring for small packets.
    #[schemars(title = "Ring for small packets, at most")]
    pub rx_mini_max: Option<u32>,
    /// Descriptors in each ring for jumbo packets.
    #[schemars(title = "Ring for jumbo packets")]
    pub rx_jumbo: Option<u32>,
    /// Most descriptors possible in a ring for jumbo packets.
    #[schemars(title = "Ring for jumbo packets, at most")]
    pub rx_jumbo_max: Option<u32>,
    /// Descriptors in each transmit ring.
    #[schemars(title = "Transmit ring")]
    pub tx: Option<u32>,
    /// Most descriptors possible in a transmit ring.
    #[schemars(title = "Transmit ring, at most")]
    pub tx_max: Option<u32>,
    /// Size of a receive buffer.
    #[schemars(title = "Size of a receive buffer")]
    pub rx_buf_len_bytes: Option<u32>,
    /// Size of a completion queue event.
    #[schemars(title = "Size of a completion queue event")]
    pub cqe_size_bytes: Option<u32>,
    /// True if the headers and the data of TCP packets go into separate buffers.
    #[schemars(title = "TCP headers and data in separate buffers")]
    pub tcp_data_split: Option<bool>,
    /// True if descriptors are pushed to the device when sending.
    #[schemars(title = "Descriptors pushed to the device")]
    pub tx_push: Option<bool>,
}

/// How received packets are spread over queues, in the default context (0) of RSS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Rss {
    /// Number of receive queues that packets can be spread over.
    #[schemars(title = "Queues that packets can be spread over")]
    pub rx_queues: Option<u32>,
    /// Hash function: `toeplitz`, `xor` or `crc32`.
    #[schemars(title = "Hash function")]
    pub function: Option<String>,
    /// Key of the hash in hexadecimal digits.
    #[schemars(title = "Hash key")]
    pub key_hex: Option<String>,
    /// Indirection table: the queue for each hash bucket.
    #[schemars(title = "Indirection table")]
    pub table: Option<Vec<u32>>,
    /// What is hashed, by kind of packet.
    #[schemars(title = "What is hashed")]
    pub hash_fields: HashFields,
}

/// The fields that are hashed for each kind of packet, as `ethtool -n DEV rx-flow-hash` shows them. An empty
/// list means that this kind is not hashed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct HashFields {
    /// TCP over IPv4.
    #[schemars(title = "TCP over IPv4")]
    pub tcp4: Option<Vec<HashField>>,
    /// UDP over IPv4.
    #[schemars(title = "UDP over IPv4")]
    pub udp4: Option<Vec<HashField>>,
    /// TCP over IPv6.
    #[schemars(title = "TCP over IPv6")]
    pub tcp6: Option<Vec<HashField>>,
    /// UDP over IPv6.
    #[schemars(title = "UDP over IPv6")]
    pub udp6: Option<Vec<HashField>>,
}

/// A part of a packet that RSS hashes (`RXH_*`, `include/uapi/linux/ethtool.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the field; L4 means ports")]
pub enum HashField {
    L2Dst,
    Vlan,
    L3Proto,
    IpSrc,
    IpDst,
    L4Src,
    L4Dst,
    /// Packets of this kind are dropped.
    Discard,
}

/// How a device delays interrupts; `null` for what the driver does not support.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Coalesce {
    /// True if the device or driver adapts the receive delay by itself.
    #[schemars(title = "Adaptive delay for receiving")]
    pub adaptive_rx: Option<bool>,
    /// True if the device or driver adapts the transmit delay by itself.
    #[schemars(title = "Adaptive delay for sending")]
    pub adaptive_tx: Option<bool>,
    /// Microseconds after which receiving raises an interrupt.
    #[schemars(title = "Receive interrupt after microseconds")]
    pub rx_usecs: Option<u32>,
    /// Packets after which receiving raises an interrupt.
    #[schemars(title = "Receive interrupt after packets")]
    pub rx_frames: Option<u32>,
    /// Microseconds after which receiving raises an interrupt while one is being handled.
    #[schemars(title = "Receive, in microseconds, while one is being handled")]
    pub rx_usecs_irq: Option<u32>,
    /// Packets after which receiving raises an interrupt while one is being handled.
    #[schemars(title = "Receive, in packets, while one is being handled")]
    pub rx_frames_irq: Option<u32>,
    /// Microseconds after which sending raises an interrupt.
    #[schemars(title = "Transmit interrupt after microseconds")]
    pub tx_usecs: Option<u32>,
    /// Packets after which sending raises an interrupt.
    #[schemars(title = "Transmit interrupt after packets")]
    pub tx_frames: Option<u32>,
    /// Microseconds after which sending raises an interrupt while one is being handled.
    #[schemars(title = "Transmit, in microseconds, while one is being handled")]
    pub tx_usecs_irq: Option<u32>,
    /// Packets after which sending raises an interrupt while one is being handled.
    #[schemars(title = "Transmit, in packets, while one is being handled")]
    pub tx_frames_irq: Option<u32>,
    /// Microseconds between updates of the statistics in memory.
    #[schemars(title = "Microseconds between updates of the statistics")]
    pub stats_block_usecs: Option<u32>,
    /// Seconds between samples of the packet rate, for adaptive coalescing.
    #[schemars(title = "Seconds between samples of the packet rate")]
    pub sample_interval_secs: Option<u32>,
    /// Packet rate below which the values for low rates apply.
    #[schemars(title = "Packet rate below which the low values apply")]
    pub pkt_rate_low_per_s: Option<u32>,
    /// Packet rate above which the values for high rates apply.
    #[schemars(title = "Packet rate above which the high values apply")]
    pub pkt_rate_high_per_s: Option<u32>,
    /// Microseconds after which receiving raises an interrupt at a low packet rate.
    #[schemars(title = "Receive, in microseconds, at a low packet rate")]
    pub rx_usecs_low: Option<u32>,
    /// Packets after which receiving raises an interrupt at a low packet rate.
    #[schemars(title = "Receive, in packets, at a low packet rate")]
    pub rx_frames_low: Option<u32>,
    /// Microseconds after which sending raises an interrupt at a low packet rate.
    #[schemars(title = "Transmit, in microseconds, at a low packet rate")]
    pub tx_usecs_low: Option<u32>,
    /// Packets after which sending raises an interrupt at a low packet rate.
    #[schemars(title = "Transmit, in packets, at a low packet rate")]
    pub tx_frames_low: Option<u32>,
    /// Microseconds after which receiving raises an interrupt at a high packet rate.
    #[schemars(title = "Receive, in microseconds, at a high packet rate")]
    pub rx_usecs_high: Option<u32>,
    /// Packets after which receiving raises an interrupt at a high packet rate.
    #[schemars(title = "Receive, in packets, at a high packet rate")]
    pub rx_frames_high: Option<u32>,
    /// Microseconds after which sending raises an interrupt at a high packet rate.
    #[schemars(title = "Transmit, in microseconds, at a high packet rate")]
    pub tx_usecs_high: Option<u32>,
    /// Packets after which sending raises an interrupt at a high packet rate.
    #[schemars(title = "Transmit, in packets, at a high packet rate")]
    pub tx_frames_high: Option<u32>,
    /// True if the receive delay restarts at each completion.
    #[schemars(title = "Receive delay restarts at each completion")]
    pub cqe_mode_rx: Option<bool>,
    /// True if the transmit delay restarts at each completion.
    #[schemars(title = "Transmit delay restarts at each completion")]
    pub cqe_mode_tx: Option<bool>,
}
