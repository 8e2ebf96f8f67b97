//! The async runtime: one thread, with timers and signals.

use std::{future::Future, time::Duration};

use super::Failure;

/// Runs a command until it ends.
pub(super) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .enable_io()
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(command);
    // Do not wait for a thread that is stuck writing to a full pipe.
    runtime.shutdown_timeout(Duration::ZERO);
    result
}
