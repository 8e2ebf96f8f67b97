//! The parts of nicmon's developer commands that tests may use too: a network to load, the load itself,
//! and processes that end with their owner.

pub mod load;
pub mod process;
