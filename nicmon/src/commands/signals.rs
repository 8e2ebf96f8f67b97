//! Signals that end a command, and those that its screen must know of.

use std::{fs, future::Future, io, time::Duration};

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

use super::Failure;

/// SIGINT, SIGTERM and SIGHUP: from the beginning to listen on they no longer end the process by themselves.
pub(super) struct EndSignals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    /// `None` where it is ignored, as nohup wants it: we and the command that we start go on.
    hangup: Option<unix::Signal>,
}

impl EndSignals {
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = || -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: (!is_ignored(Signal::HUP)).then(|| signal(SignalKind::hangup())).transpose()?,
            })
        };
        listen().map_err(Failure::Runtime)
    }

    /// The next of them that comes.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            () = came(&mut self.hangup) => Signal::HUP,
        }
    }

    /// One that has come already.
    pub(super) async fn has_come(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            signal = self.next() => Some(signal),
            // Long enough for the runtime to look at what has come.
            () = tokio::time::sleep(Duration::from_millis(1)) => None,
        }
    }

    /// True if a signal came before the other thing was done.
    pub(super) async fn comes_before(&mut self, other: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            _ = self.next() => true,
            () = other => false,
        }
    }
}

/// Waits for a signal that may be ignored.
async fn came(signal: &mut Option<unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether this process was started to ignore a signal.
fn is_ignored(signal: Signal) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, signal))
}

/// As `/proc/PID/status` says it: a bit a signal, the lowest for signal 1 (`task_sig`, fs/proc/array.c).
fn ignores(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal.as_raw() - 1) & 1 == 1
}

/// What happens to a terminal and the jobs on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TerminalSignal {
    /// SIGTSTP: stop.
    Stop,
    /// SIGCONT: somebody let us go on.
    GoOn,
    /// SIGWINCH: another size.
    Resized,
}

/// SIGTSTP, SIGCONT and SIGWINCH.
pub(super) struct TerminalSignals {
    stop: unix::Signal,
    go_on: unix::Signal,
    resized: unix::Signal,
}

impl TerminalSignals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))?,
            go_on: signal(SignalKind::from_raw(libc::SIGCONT))?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) -> TerminalSignal {
        tokio::select! {
            _ = self.stop.recv() => TerminalSignal::Stop,
            _ = self.go_on.recv() => TerminalSignal::GoOn,
            _ = self.resized.recv() => TerminalSignal::Resized,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        assert!(ignores(status, Signal::HUP) && ignores(status, Signal::PIPE));
        assert!(!ignores(status, Signal::INT) && !ignores("", Signal::HUP));
        // As Rust starts every program.
        assert!(is_ignored(Signal::PIPE));
    }
}
