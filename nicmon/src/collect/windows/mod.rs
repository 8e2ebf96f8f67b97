//! Measures in windows while measuring all the time costs too much: the programs are attached for a part of
//! each interval, and the kernel's own counts say what the rest was like.

mod counting;
mod entry;
mod in_windows;
mod kernel_counts;
mod schedule;

use std::time::Instant;

use self::{counting::Counting, entry::Entry, in_windows::InWindows, schedule::WARM_UP};
use super::{CollectError, Options};
use crate::{
    counters::{
        Reading,
        bpf::{CpuShare, Probe},
    },
    host::Roots,
};

/// Measures all the time, in windows or not at all, whichever the limit asks for.
pub(super) struct Windowing {
    entry: Option<Entry>,
    /// Whether there may be windows.
    is_allowed: bool,
    /// Why it goes on measuring all the time, although that costs too much.
    refused: Option<String>,
    /// Why the next interval but one is not to be measured all the time.
    because: Option<String>,
    now: Now,
}

/// How this interval is measured.
enum Now {
    AllTheTime,
    InWindows(Box<InWindows>),
    Counting(Box<Counting>),
}

impl Windowing {
    /// By default, windows leave machines with quiet CPUs alone.
    pub(super) fn new(options: &Options, has_quiet_cpus: bool) -> Self {
        Self {
            entry: options.max_overhead_pct.map(Entry::new),
            is_allowed: options.windows_everywhere || !has_quiet_cpus,
            refused: None,
            because: None,
            now: Now::AllTheTime,
        }
    }

    /// When [`Windowing::step`] is due.
    pub(super) fn due(&self) -> Option<Instant> {
        if let Now::InWindows(windows) = &self.now { windows.due() } else { None }
    }

    /// Begins or ends a window.
    pub(super) fn step(&mut self, probe: &mut Probe) {
        if let Now::InWindows(windows) = &mut self.now {
            windows.step(probe);
        }
    }

    /// Reads the counters, which ends the interval. If the next one is not to be measured all the time, it
    /// begins here.
    pub(super) fn read(&mut self, probe: &mut Probe, roots: &Roots) -> Result<Reading, CollectError> {
        match &mut self.now {
            Now::AllTheTime => self.read_all(probe, roots),
            Now::InWindows(windows) => {
                let reading = windows.read(probe, roots)?;
                if windows.has_left() {
                    self.now = Now::AllTheTime;
                }
                Ok(reading)
            }
            Now::Counting(counting) => {
                let measures_again = counting.is_affordable() && attach(probe);
                let reading = counting.read(probe, roots)?;
                if measures_again {
                    self.now = Now::AllTheTime;
                }
                Ok(reading)
            }
        }
    }

    fn read_all(&mut self, probe: &mut Probe, roots: &Roots) -> Result<Reading, CollectError> {
        let reading = probe.read()?;
        if let Some((because, costliest)) = self.because.take().zip(probe.costliest_cpu()) {
            self.begin(probe, roots, (costliest, &because), &reading);
        }
        Ok(Reading { windows_refused: self.refused.clone(), ..reading })
    }

    fn begin(
        &mut self,
        probe: &mut Probe,
        roots: &Roots,
        (costliest, because): (CpuShare, &str),
        last: &Reading,
    ) {
        let Some(entry) = &mut self.entry else { return };
        let begun = if self.is_allowed {
            InWindows::begin(probe, roots, (entry.max_pct, costliest), because, last)
                .map(|begun| Now::InWindows(Box::new(begun)))
        } else {
            Counting::begin(probe, roots, (entry.max_pct, costliest), because, last)
                .map(|begun| Now::Counting(Box::new(begun)))
        };
        match begun {
            Ok(now) => self.now = now,
            Err(error) => {
                self.refused =
                    Some(format!("{because}, but what the kernel counts cannot be read instead: {error}"));
            }
        }
        entry.forget();
    }

    /// What happens between two intervals: decides what the next but one is like, by the cost of the last.
    pub(super) fn tidy(&mut self, probe: &mut Probe, now_ns: u64) {
        match &mut self.now {
            Now::AllTheTime => {
                probe.keep_budget(None);
                self.judge(probe, now_ns);
            }
            Now::InWindows(windows) => {
                probe.keep_budget(Some(windows.attached_pct()));
                windows.leave_if_affordable(probe);
            }
            Now::Counting(_) => probe.keep_budget(None),
        }
    }

    /// Decides whether measuring all the time costs too much.
    fn judge(&mut self, probe: &mut Probe, now_ns: u64) {
        // What a run costs on an idle machine may be several times what it costs under load.
        probe.calibrate_again();
        let Some((entry, costliest)) = self.entry.as_mut().zip(probe.costliest_cpu()) else { return };
        self.refused = None;
        if entry.is_due(now_ns, probe.interval_ns(), costliest) {
            let text =
                format!("nicmon's programs took more than {} % of CPU {}", entry.max_pct, costliest.cpu);
            self.because = Some(text);
        }
    }
}

/// Attaches everything again, and returns once the programs have seen the start of what runs. Returns whether
/// that worked.
fn attach(probe: &mut Probe) -> bool {
    if probe.open_window().is_err() {
        probe.close_window();
        return false;
    }
    std::thread::sleep(WARM_UP);
    true
}
