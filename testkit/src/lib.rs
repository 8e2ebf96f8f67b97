//! What nicmon's tests and `cargo xtask` share: networks to load and the load itself, child processes that
//! end with their parent, the rules by which samples are compared with perf's, and the way a test reports
//! that it did not run.

pub mod idle;
pub mod load;
pub mod not_run;
pub mod process;
pub mod share;
