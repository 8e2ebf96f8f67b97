//! nicmon: what network drivers cost a Linux machine, by NIC, CPU and queue.
//!
//! Data flows one way: `probe` (kernel programs) and [`host`] (facts) and [`symbols`] (names) are joined by
//! [`collect`] to [`frame`]s, which everything else is made from.

pub mod analyze;
pub mod cli;
pub mod collect;
pub mod commands;
pub mod counters;
pub mod frame;
pub mod host;
mod present;
pub mod stream;
pub mod symbols;
pub mod tui;
