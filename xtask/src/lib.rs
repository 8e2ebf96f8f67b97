//! The parts of nicmon's developer commands that tests may use too: a network to load, the load itself,
//! processes that end with their owner, the rules by which samples are judged, and the word that a test did not run.

pub mod idle;
pub mod load;
pub mod not_run;
pub mod process;
pub mod share;
