//! `nicmon overhead`: what nicmon's programs take of a CPU, measured by their absence.
//!
//! One thread sends itself UDP packets over loopback, in short adjacent blocks: with nothing attached, with
//! empty programs on the hooks that each packet passes, and with nicmon's programs, in random order.
//! Neighbours see the same state of the machine, so that their differences vary far less than those of
//! whole runs. One packet per poll is the worst case: three hooks for each packet.

#[cfg(feature = "bpf")]
mod blocks;
#[cfg(feature = "bpf")]
mod error;
#[cfg_attr(not(feature = "bpf"), expect(dead_code, reason = "without programs there is nothing to measure"))]
mod estimate;
#[cfg(feature = "bpf")]
mod loopback;
mod model;
#[cfg(feature = "bpf")]
mod rounds;

pub use self::model::{Attached, Measure, OverheadReport, SCHEMA, schema};
#[cfg(feature = "bpf")]
pub use self::{
    blocks::{BLOCK, measure},
    error::OverheadError,
};
