//! Reads what the kernel counts all the time, to estimate what was not measured from it.

use super::Counted;
use crate::host::{
    self, Roots,
    counts::{SoftirqCounts, Softirqs},
    monotonic_ns,
    softnet::{Softnet, SoftnetRow},
    stat::{CpuTicks, Stat, ticks_per_second},
};

/// The readers. A file that cannot be opened or read leaves what it has unknown.
pub(crate) struct Counters {
    softirqs: SoftirqCounts,
    softnet: Option<Softnet>,
    stat: Option<Stat>,
}

/// What they read at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct AtMoment {
    mono_ns: u64,
    softirqs: Vec<Softirqs>,
    softnet: Vec<SoftnetRow>,
    stat: Vec<CpuTicks>,
}

impl Counters {
    /// Opens the files.
    ///
    /// # Errors
    /// Softirqs are not counted.
    pub(crate) fn open(roots: &Roots) -> Result<Self, host::Error> {
        Ok(Self {
            softirqs: SoftirqCounts::open(&roots.proc)?,
            softnet: Softnet::open(&roots.proc).ok(),
            stat: Stat::open(&roots.proc).ok(),
        })
    }

    /// Reads them.
    ///
    /// # Errors
    /// Softirqs cannot be read.
    pub(crate) fn read(&mut self) -> Result<AtMoment, host::Error> {
        let mut now = AtMoment { mono_ns: monotonic_ns(), ..AtMoment::default() };
        now.softirqs = self.softirqs.read()?;
        if self.softnet.as_mut().is_some_and(|softnet| softnet.read(&mut now.softnet).is_err()) {
            now.softnet.clear();
        }
        if self.stat.as_mut().is_some_and(|stat| stat.read(&mut now.stat).is_err()) {
            now.stat.clear();
        }
        Ok(now)
    }
}

impl AtMoment {
    /// What was counted since another moment, by CPU number; `None` where a CPU's softirqs are unknown at one
    /// of the two.
    pub(crate) fn since(&self, before: &Self) -> Vec<Option<Counted>> {
        let highest = self.softirqs.iter().map(|(cpu, _)| *cpu).max();
        (0..highest.map_or(0, |highest| highest + 1)).map(|cpu| self.of_cpu(before, cpu)).collect()
    }

    /// The time since another moment.
    pub(crate) fn ns_since(&self, before: &Self) -> u64 {
        self.mono_ns.saturating_sub(before.mono_ns)
    }

    fn of_cpu(&self, before: &Self, cpu: u32) -> Option<Counted> {
        let of = |rows: &[Softirqs]| rows.iter().find(|row| row.0 == cpu).map(|row| row.1);
        let (now, then) = (of(&self.softirqs)?, of(&before.softirqs)?);
        let mut runs = [0; _];
        for (at, runs) in runs.iter_mut().enumerate() {
            *runs = now[at].unwrap_or(0).wrapping_sub(then[at].unwrap_or(0)).into();
        }
        let processed =
            |rows: &[SoftnetRow]| rows.iter().find(|row| row.cpu == Some(cpu)).map(|row| row.processed);
        let packets = processed(&self.softnet).zip(processed(&before.softnet));
        let busy = busy_ticks(&self.stat, cpu).zip(busy_ticks(&before.stat, cpu));
        let tick_ns = 1_000_000_000 / ticks_per_second().max(1);
        Some(Counted {
            runs,
            packets: packets.map(|(now, before)| now.wrapping_sub(before).into()),
            busy_ns: busy.map(|(now, before)| now.saturating_sub(before) * tick_ns),
            ns: self.ns_since(before),
        })
    }
}

fn busy_ticks(stat: &[CpuTicks], cpu: u32) -> Option<u64> {
    let CpuTicks { user, nice, system, irq, softirq, .. } = stat.iter().find(|ticks| ticks.cpu == cpu)?;
    Some(user + nice + system + irq + softirq)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_counted_is_a_difference() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots { proc: root.path().into(), sys: root.path().into() };
        fs::create_dir(root.path().join("net")).unwrap();
        let write = |runs: u32, packets: u32, busy: u64| {
            let softnet = format!("{packets:08x} 0 0 0 0 0 0 0 0 0 0 0 00000001 0 0\n");
            fs::write(root.path().join("softirqs"), format!("  CPU0 CPU1\n NET_RX: 5 {runs}\n")).unwrap();
            fs::write(root.path().join("net/softnet_stat"), softnet).unwrap();
            let stat = format!("cpu 0 0 0 0 0 0 0 0\ncpu1 {busy} 1 1 70 7 1 1 9\n");
            fs::write(root.path().join("stat"), stat).unwrap();
        };
        write(u32::MAX, 0xffff_fff0, 10);
        let mut counters = Counters::open(&roots).unwrap();
        let before = counters.read().unwrap();
        write(9, 0x10, 13);
        let counted = counters.read().unwrap().since(&before);
        let one = counted[1].expect("it has rows");
        assert_eq!((one.runs[3], one.packets, one.busy_ns), (10, Some(0x20), Some(30_000_000)));
        let other = counted[0].expect("softirqs are counted");
        assert_eq!((other.runs[3], other.packets, other.busy_ns), (0, None, None));
    }
}
