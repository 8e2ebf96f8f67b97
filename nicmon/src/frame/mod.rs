//! The model: what a frame is, and the arithmetic of counters. No I/O.

mod delta;
mod model;

pub use self::{delta::*, model::*};
