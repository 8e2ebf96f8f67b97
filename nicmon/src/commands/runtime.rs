//! The async runtime: one thread, with timers and signals.

use std::{future::Future, io, os::unix::net::UnixStream, time::Duration};

use super::Failure;

/// Pairs of sockets; together more descriptors than the runtime opens for itself.
const PAIRS: usize = 4;

/// Runs a command until it ends.
pub(super) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // Without descriptors for its signals, tokio panics.
    let opened = (0..PAIRS).map(|_| UnixStream::pair()).collect::<io::Result<Vec<_>>>();
    drop(opened.map_err(Failure::Runtime)?);
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
