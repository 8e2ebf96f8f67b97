//! Code that nicmon's tests and `cargo xtask` share: test networks and load on them, child processes that end
//! with their parent, the rules for comparing samples with perf's, and the way a test reports that it did not
//! run.

pub mod filter;
pub mod fuzz;
pub mod idle;
pub mod load;
pub mod not_run;
pub mod process;
pub mod share;
