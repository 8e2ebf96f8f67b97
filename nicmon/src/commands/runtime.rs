//! The runtime: one thread, with deadlines and signals.

use std::{future::Future, time::Duration};

use super::Failure;

/// Runs a command to its end.
pub(super) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .enable_io()
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(command);
    // A writer that is stuck in a full pipe must not hold up the end.
    runtime.shutdown_timeout(Duration::ZERO);
    result
}
