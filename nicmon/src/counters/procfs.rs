//! Counts without times, from the kernel's own files. Used if the eBPF programs are not allowed to run.

use std::collections::HashMap;

use super::{CpuActivity, IrqActivity, Reading, Runs, Unfiled};
use crate::host::{
    self, Roots,
    counts::{InterruptCounts, SoftirqCounts, Softirqs},
};

/// The readers, and what they read last.
pub(crate) struct Counts {
    softirqs: SoftirqCounts,
    interrupts: InterruptCounts,
    softirqs_before: Vec<Softirqs>,
    /// By line and CPU.
    interrupts_before: HashMap<(u32, u32), u32>,
}

impl Counts {
    /// Opens the files.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub(crate) fn open(roots: &Roots) -> Result<Self, host::Error> {
        Ok(Self {
            softirqs: SoftirqCounts::open(&roots.proc)?,
            interrupts: InterruptCounts::open(&roots.proc)?,
            softirqs_before: Vec::new(),
            interrupts_before: HashMap::new(),
        })
    }

    /// What was counted since the previous reading.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn read(&mut self, roots: &Roots) -> Result<Reading, host::Error> {
        let mono_ns = host::monotonic_ns();
        let cpus = self.cpus()?;
        let irqs = self.irqs(roots)?;
        Ok(Reading {
            mono_ns,
            cpus,
            napis: None,
            irqs,
            drops: None,
            samples: None,
            bpf_runs: None,
            bpf_est_ns: None,
            lost: None,
            unfiled: Unfiled::default(),
        })
    }

    fn cpus(&mut self) -> Result<Vec<CpuActivity>, host::Error> {
        let now = self.softirqs.read()?;
        let before = std::mem::replace(&mut self.softirqs_before, now);
        let mut cpus = Vec::new();
        for (cpu, counts) in &self.softirqs_before {
            let Some((_, before)) = before.iter().find(|(number, _)| number == cpu) else { continue };
            let at = *cpu as usize;
            if cpus.len() <= at {
                cpus.resize_with(at + 1, CpuActivity::default);
            }
            cpus[at].vectors = std::array::from_fn(|vector| counted(counts[vector], before[vector]));
        }
        Ok(cpus)
    }

    fn irqs(&mut self, roots: &Roots) -> Result<Vec<IrqActivity>, host::Error> {
        let lines = self.interrupts.read(&roots.sys)?;
        let is_first = self.interrupts_before.is_empty();
        let mut irqs = Vec::new();
        for line in lines {
            let mut cpus = Vec::new();
            for (cpu, now) in line.counts {
                let before = self.interrupts_before.insert((line.irq, cpu), now);
                // A new line counts from 0.
                let before = before.unwrap_or(if is_first { now } else { 0 });
                let runs = if is_reset(now, before) { counted(now, 0) } else { counted(now, before) };
                if runs.count > 0 {
                    cpus.push((cpu, runs));
                }
            }
            if !cpus.is_empty() {
                irqs.push(IrqActivity { irq: line.irq, action: line.actions, threaded: None, cpus });
            }
        }
        Ok(irqs)
    }
}

/// Whether a line was freed and set up again, so that it counts from 0. A counter wraps only near its
/// maximum.
fn is_reset(now: u32, before: u32) -> bool {
    before.checked_sub(now).is_some_and(|less| less > 0 && less <= u32::MAX / 2)
}

fn counted(now: u32, before: u32) -> Runs {
    Runs { count: u64::from(now.wrapping_sub(before)), ns: None, max_ns: None }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn counts_are_differences_and_times_unknown() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots { proc: root.path().into(), sys: root.path().into() };
        let write = |net_rx: u32, irq: u32| {
            fs::write(root.path().join("softirqs"), format!("  CPU0 CPU1\n NET_RX: 5 {net_rx}\n")).unwrap();
            let text = format!(" CPU0 CPU1\n 36: 0 {irq} PCI-MSIX 1-edge eth0-rx-0\nLOC: 1 2 timer\n");
            fs::write(root.path().join("interrupts"), text).unwrap();
        };
        write(u32::MAX, 7);
        let mut counts = Counts::open(&roots).unwrap();
        assert!(counts.read(&roots).unwrap().irqs.is_empty(), "there is nothing before the first reading");
        write(9, 17);
        let reading = counts.read(&roots).unwrap();
        assert_eq!(reading.cpus[1].vectors[3], Runs { count: 10, ns: None, max_ns: None });
        assert_eq!(reading.cpus[0].vectors[3].count, 0);
        assert_eq!(reading.irqs[0].action, "eth0-rx-0");
        assert_eq!(reading.irqs[0].cpus, [(1, Runs { count: 10, ns: None, max_ns: None })]);
        assert!(reading.napis.is_none() && reading.lost.is_none());
    }

    #[test]
    fn a_line_that_is_set_up_again_counts_from_0() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots { proc: root.path().into(), sys: root.path().into() };
        let mut counts = None;
        let mut read = |lines: &[(u32, u32)]| -> Vec<(u32, u64)> {
            let rows = lines.iter().map(|(irq, count)| format!(" {irq}: {count} PCI-MSIX 1-edge eth0\n"));
            fs::write(root.path().join("softirqs"), " CPU0\n").unwrap();
            fs::write(root.path().join("interrupts"), format!(" CPU0\n{}", rows.collect::<String>()))
                .unwrap();
            let counts = counts.get_or_insert_with(|| Counts::open(&roots).unwrap());
            let irqs = counts.read(&roots).unwrap().irqs;
            irqs.iter().map(|irq| (irq.irq, irq.cpus[0].1.count)).collect()
        };
        assert_eq!(read(&[(36, 100_000)]), []);
        assert_eq!(read(&[(36, 5), (37, 9)]), [(36, 5), (37, 9)], "one was set up again, one is new");
        assert_eq!(read(&[(36, 5), (37, u32::MAX - 2)]), [(37, u64::from(u32::MAX - 11))]);
        assert_eq!(read(&[(36, 6), (37, 7)]), [(36, 1), (37, 10)], "it wrapped");
    }
}
