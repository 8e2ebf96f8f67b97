//! Counts without times, from the kernel's own files. Used if the eBPF programs are not allowed to run.

use std::collections::{BTreeSet, HashMap};

use super::{CpuActivity, IrqActivity, Reading, Runs, Unfiled};
use crate::{
    frame::gained,
    host::{
        self, Roots,
        counts::{InterruptCounts, Line, SoftirqCounts, Softirqs},
    },
};

/// The readers, and what they read last.
pub(crate) struct Counts {
    softirqs: SoftirqCounts,
    interrupts: InterruptCounts,
    softirqs_before: Vec<Softirqs>,
    interrupts_before: InterruptsBefore,
}

/// The interrupts of the previous reading.
#[derive(Default)]
struct InterruptsBefore {
    /// By line and CPU.
    counts: HashMap<(u32, u32), u32>,
    lines: BTreeSet<u32>,
    /// CPUs that had a column.
    columns: BTreeSet<u32>,
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
            interrupts_before: InterruptsBefore::default(),
        })
    }

    /// What was counted since the previous reading.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn read(&mut self, roots: &Roots) -> Result<Reading, host::Error> {
        let mono_ns = host::monotonic_ns();
        let (cpus, unknown_cpus) = self.cpus()?;
        let irqs = self.irqs(roots)?;
        Ok(Reading {
            mono_ns,
            cpus,
            unknown_cpus,
            napis: None,
            irqs,
            drops: None,
            histograms: None,
            samples: None,
            bpf_runs: None,
            bpf_est_ns: None,
            programs: None,
            drops_paused: None,
            lost: None,
            unfiled: Unfiled::default(),
            windows_refused: None,
            windows: None,
        })
    }

    /// The softirqs of all CPUs up to the highest, and which of these CPUs are unknown.
    fn cpus(&mut self) -> Result<(Vec<CpuActivity>, Vec<u32>), host::Error> {
        let now = self.softirqs.read()?;
        let before = std::mem::replace(&mut self.softirqs_before, now);
        let counted = |cpu: u32| -> Option<CpuActivity> {
            let of = |rows: &[Softirqs]| rows.iter().find(|row| row.0 == cpu).map(|row| row.1);
            let (now, before) = (of(&self.softirqs_before)?, of(&before)?);
            let mut activity = CpuActivity::default();
            for (at, runs) in activity.vectors.iter_mut().enumerate() {
                runs.count = match (now[at], before[at]) {
                    (Some(now), Some(before)) => since(now, before)?,
                    // This kernel has no such vector.
                    (None, None) => 0,
                    _ => return None,
                };
            }
            Some(activity)
        };
        let highest = self.softirqs_before.iter().map(|row| row.0).max();
        let (mut cpus, mut unknown) = (Vec::new(), Vec::new());
        for cpu in 0..highest.map_or(0, |highest| highest + 1) {
            let activity = counted(cpu);
            unknown.extend(activity.is_none().then_some(cpu));
            cpus.push(activity.unwrap_or_default());
        }
        Ok((cpus, unknown))
    }

    fn irqs(&mut self, roots: &Roots) -> Result<Vec<IrqActivity>, host::Error> {
        let lines = self.interrupts.read(&roots.sys)?;
        let now = InterruptsBefore::of(&lines);
        let before = std::mem::replace(&mut self.interrupts_before, now);
        if before.columns.is_empty() {
            return Ok(Vec::new());
        }
        let mut irqs = Vec::new();
        for line in lines {
            let runs = |(cpu, now): &(u32, u32)| {
                let runs = before.count_of(line.irq, *cpu).and_then(|before| since(*now, before));
                // 0 interrupts since ever are none in this interval.
                let runs = runs.or((*now == 0).then_some(0));
                (*cpu, runs.map(|count| Runs { count, ns: None, max_ns: None }))
            };
            let fired = |(_, runs): &(u32, Option<Runs>)| runs.is_none_or(|runs| runs.count > 0);
            let cpus: Vec<_> = line.counts.iter().map(runs).filter(fired).collect();
            if !cpus.is_empty() {
                irqs.push(IrqActivity { irq: line.irq, action: line.actions, threaded: None, cpus });
            }
        }
        Ok(irqs)
    }
}

impl InterruptsBefore {
    fn of(lines: &[Line]) -> Self {
        let counts = || lines.iter().flat_map(|line| line.counts.iter().map(|count| (line.irq, *count)));
        Self {
            counts: counts().map(|(irq, (cpu, count))| ((irq, cpu), count)).collect(),
            lines: lines.iter().map(|line| line.irq).collect(),
            columns: counts().map(|(_, (cpu, _))| cpu).collect(),
        }
    }

    /// A new line counts from 0 (`alloc_desc` in `kernel/irq/irqdesc.c` allocates its counters). A column is
    /// that of a CPU that came online, and holds what the CPU counted since boot: what it had before is
    /// unknown.
    fn count_of(&self, irq: u32, cpu: u32) -> Option<u32> {
        let is_new_line = !self.lines.contains(&irq) && self.columns.contains(&cpu);
        self.counts.get(&(irq, cpu)).copied().or(is_new_line.then_some(0))
    }
}

/// What a counter of 32 bits gained, if it did not start again. A line that is freed and set up again does.
fn since(now: u32, before: u32) -> Option<u64> {
    gained(u64::from(now), u64::from(before))
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
        assert_eq!(reading.irqs[0].cpus, [(1, Some(Runs { count: 10, ns: None, max_ns: None }))]);
        assert!(reading.napis.is_none() && reading.lost.is_none());
    }

    /// Reads what `files` say, one pair of softirqs and interrupts after the other; returns the last reading.
    fn after(files: &[(&str, &str)]) -> Reading {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots { proc: root.path().into(), sys: root.path().into() };
        let (mut counts, mut reading) = (None, None);
        for (softirqs, interrupts) in files {
            fs::write(root.path().join("softirqs"), softirqs).unwrap();
            fs::write(root.path().join("interrupts"), interrupts).unwrap();
            let counts = counts.get_or_insert_with(|| Counts::open(&roots).unwrap());
            reading = Some(counts.read(&roots).unwrap());
        }
        reading.unwrap()
    }

    /// A line, and the count of each CPU.
    type LineCounts = (u32, Vec<(u32, Option<u64>)>);

    fn interrupts_after(files: &[&str]) -> Vec<LineCounts> {
        let files: Vec<_> = files.iter().map(|text| (" CPU0\n", *text)).collect();
        let irqs = after(&files).irqs;
        let counts = |irq: &IrqActivity| {
            irq.cpus.iter().map(|(cpu, runs)| (*cpu, runs.map(|runs| runs.count))).collect()
        };
        irqs.iter().map(|irq| (irq.irq, counts(irq))).collect()
    }

    #[test]
    fn a_line_that_is_new_counts_from_0_and_one_that_goes_back_is_unknown() {
        let text = |lines: &[(u32, u32)]| -> String {
            let rows = lines.iter().map(|(irq, count)| format!(" {irq}: {count} PCI-MSIX 1-edge eth0\n"));
            format!(" CPU0\n{}", rows.collect::<String>())
        };
        let read = |before: &[(u32, u32)], now: &[(u32, u32)]| {
            let irqs = interrupts_after(&[&text(before), &text(now)]);
            irqs.into_iter().map(|(irq, cpus)| (irq, cpus[0].1)).collect::<Vec<_>>()
        };
        assert_eq!(interrupts_after(&[&text(&[(36, 100_000)])]), [], "there is nothing before the first");
        assert_eq!(read(&[(36, 100_000)], &[(36, 5), (37, 9)]), [(36, None), (37, Some(9))]);
        assert_eq!(read(&[(36, u32::MAX - 2)], &[(36, 7)]), [(36, Some(10))], "it wrapped");
        assert_eq!(read(&[(36, 7)], &[(36, 7), (37, 0)]), []);
    }

    #[test]
    fn a_new_column_is_unknown_and_so_is_one_that_returns() {
        let one = " CPU0\n 36: 5 PCI-MSIX 1-edge eth0\n 37: 5 PCI-MSIX 1-edge eth1\n";
        let two = " CPU0 CPU1\n 36: 6 1000000 PCI-MSIX 1-edge eth0\n 37: 5 0 PCI-MSIX 1-edge eth1\n \
                   38: 1 2 PCI-MSIX 1-edge eth2\n";
        let later = " CPU0 CPU1\n 36: 7 1000003 PCI-MSIX 1-edge eth0\n 37: 5 1 PCI-MSIX 1-edge eth1\n";
        let came = [(36, vec![(0, Some(1)), (1, None)]), (38, vec![(0, Some(1)), (1, None)])];
        assert_eq!(interrupts_after(&[one, two]), came);
        let known = [(36, vec![(0, Some(1)), (1, Some(3))]), (37, vec![(1, Some(1))])];
        assert_eq!(interrupts_after(&[one, two, later]), known);
        assert_eq!(interrupts_after(&[two, one, two]), came, "nobody looked while it was away");
    }

    #[test]
    fn softirqs_without_a_before_are_unknown() {
        let net_rx = |files: &[&str]| {
            let files: Vec<_> = files.iter().map(|text| (*text, " CPU0\n")).collect();
            let reading = after(&files);
            let count = |cpu: &CpuActivity| cpu.vectors[3].count;
            (reading.cpus.iter().map(count).collect::<Vec<_>>(), reading.unknown_cpus)
        };
        let one = " CPU1\n NET_RX: 5\n";
        let two = " CPU1 CPU3\n NET_RX: 7 1000000\n";
        assert_eq!(net_rx(&[one]), (vec![0, 0], vec![0, 1]));
        assert_eq!(net_rx(&[one, two]), (vec![0, 2, 0, 0], vec![0, 2, 3]));
        assert_eq!(net_rx(&[one, two, " CPU1 CPU3\n NET_RX: 7 1000001\n"]).0, [0, 0, 0, 1]);
        assert_eq!(net_rx(&[one, " CPU1\n NET_RX: 4\n"]).1, [0, 1], "it goes back");
        let grew = " CPU1\n NET_RX: 6\n RCU: 1000000\n";
        assert_eq!(net_rx(&[one, grew]).1, [0, 1], "a row appears");
    }

    #[test]
    fn memory_is_bounded_whatever_the_file_says() {
        for cpu in ["8192", "4000000000", "4294967295"] {
            let softirqs = format!(" CPU1 CPU{cpu}\n NET_RX: 5 6\n");
            assert_eq!(after(&[(&softirqs, " CPU0\n")]).cpus.len(), 2, "CPU{cpu}");
        }
    }
}
