//! Signals that end a command, and signals that concern its screen.

use std::{fs, future::Future, io, time::Duration};

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

use super::Failure;

/// SIGINT, SIGTERM and SIGHUP. Once nicmon listens, they no longer end the process by themselves.
pub(super) struct EndSignals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    /// `None` if it is ignored, as under nohup: nicmon and the command that it started go on.
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

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            () = came(&mut self.hangup) => Signal::HUP,
        }
    }

    /// A signal that was received already.
    pub(super) async fn received(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            signal = self.next() => Some(signal),
            // Long enough for the runtime to notice a signal.
            () = tokio::time::sleep(Duration::from_millis(1)) => None,
        }
    }

    /// True if a signal comes before the other future is done.
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

/// Whether `/proc/PID/status` lists the signal as ignored. The mask has one bit per signal, the lowest for
/// signal 1 (`task_sig` in `fs/proc/array.c`).
fn ignores(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal.as_raw() - 1) & 1 == 1
}

/// A signal about the terminal or the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TerminalSignal {
    /// SIGTSTP: the job is to stop.
    Stop,
    /// SIGCONT: the job goes on.
    Continue,
    /// SIGWINCH: the terminal has another size.
    Resized,
}

/// SIGTSTP, SIGCONT and SIGWINCH.
pub(super) struct TerminalSignals {
    stop: unix::Signal,
    resume: unix::Signal,
    resized: unix::Signal,
}

impl TerminalSignals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))?,
            resume: signal(SignalKind::from_raw(libc::SIGCONT))?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) -> TerminalSignal {
        tokio::select! {
            _ = self.stop.recv() => TerminalSignal::Stop,
            _ = self.resume.recv() => TerminalSignal::Continue,
            _ = self.resized.recv() => TerminalSignal::Resized,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_recognised() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        assert!(ignores(status, Signal::HUP) && ignores(status, Signal::PIPE));
        assert!(!ignores(status, Signal::INT) && !ignores("", Signal::HUP));
        // The Rust runtime ignores it in every program.
        assert!(is_ignored(Signal::PIPE));
    }
}
