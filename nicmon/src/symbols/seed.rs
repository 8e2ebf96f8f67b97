//! What is known of a driver, and what came of looking for its code.

use serde::{Deserialize, Serialize};

use crate::frame::Origin;

/// What is known of a driver before its text is: functions that its devices call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// The driver, as ethtool calls it.
    pub driver: String,
    /// Its poll functions: `napi->poll`. None for devices without NAPI, or if no NAPI was seen.
    pub polls: Vec<u64>,
    /// Functions of its `net_device_ops`; not its irq handlers, which may be shared (`vring_interrupt`).
    pub ops: Vec<u64>,
}

/// Why a driver's text is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Unknown {
    /// Nobody asked for it.
    #[error("no device of this driver was seen")]
    NoSeed,
    /// Its functions are not in kallsyms.
    #[error("none of its functions is in /proc/kallsyms")]
    NoSymbol,
    /// Its poll function belongs to code that drivers share.
    #[error("its poll function is not its own (`{0}_`), and the kernel has no modules.builtin.ranges")]
    SharedPoll(String),
    /// Two drivers of one prefix are neighbours.
    #[error(
        "another driver's functions begin with `{0}_`, too, and the kernel has no modules.builtin.ranges"
    )]
    Twins(String),
    /// Another driver's text was inferred to be there, too.
    #[error("its text cannot be told from that of {0}: the kernel has no modules.builtin.ranges")]
    Overlaps(String),
}

/// The text of one or, where they share a module, several drivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The module's name, or the driver's where it was inferred.
    pub name: String,
    /// How it was found.
    pub origin: Origin,
}
