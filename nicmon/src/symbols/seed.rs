//! What is known about a driver, and the result of looking for its code.

use serde::{Deserialize, Serialize};

use crate::frame::Origin;

/// What is known about a driver before its text is found: functions that its devices call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// The driver's name in ethtool.
    pub driver: String,
    /// Its poll functions, `napi->poll`. Empty for devices without NAPI, or if no NAPI was seen.
    pub polls: Vec<u64>,
    /// Functions of its `net_device_ops`. Irq handlers are left out: drivers may share them
    /// (`vring_interrupt`).
    pub ops: Vec<u64>,
}

/// Why a driver's text is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Unknown {
    /// There was no seed for it.
    #[error("no device of this driver was seen")]
    NoSeed,
    /// Its functions are not in kallsyms.
    #[error("none of its functions are in /proc/kallsyms")]
    NoSymbol,
    /// Its poll function belongs to code that drivers share.
    #[error(
        "it shares its poll function (`{0}_`) with other drivers, and the kernel has no \
         modules.builtin.ranges"
    )]
    SharedPoll(String),
    /// Two drivers with one prefix are neighbours.
    #[error(
        "another driver's functions also start with `{0}_`, and the kernel has no modules.builtin.ranges"
    )]
    Twins(String),
    /// The text inferred for another driver overlaps with it.
    #[error("its code cannot be separated from that of {0}: the kernel has no modules.builtin.ranges")]
    Overlaps(String),
}

/// The text of one driver, or of several that share a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The module's name, or the driver's if the text was inferred.
    pub name: String,
    /// How it was found.
    pub origin: Origin,
}
