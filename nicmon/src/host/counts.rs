//! The kernel's own counts of softirqs and interrupts, `/proc/softirqs` and `/proc/interrupts`, for machines
//! on which the eBPF programs may not run. Each reading makes the kernel walk all CPUs and lines.

use std::path::Path;

use super::{Error, Reread, cpus::is_possible};

/// The softirq vectors in the kernel's order (`softirq_to_name`, `kernel/softirq.c`).
const VECTORS: [&str; 10] =
    ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];

/// Softirqs of one CPU by vector; `None` for a vector that has no row. They have 32 bits in the kernel and
/// wrap.
pub type Softirqs = (u32, [Option<u32>; VECTORS.len()]);

/// A reader of `/proc/softirqs`.
#[derive(Debug)]
pub struct SoftirqCounts(Reread);

impl SoftirqCounts {
    /// Opens the file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(proc: &Path) -> Result<Self, Error> {
        Reread::open(proc.join("softirqs")).map(Self)
    }

    /// Reads one row per possible CPU, in the format of `show_softirqs` (`fs/proc/softirqs.c`).
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self) -> Result<Vec<Softirqs>, Error> {
        let text = String::from_utf8_lossy(self.0.read()?);
        let (cpus, rows) = table(&text);
        let row = |cpu: &Option<u32>| cpu.map(|cpu| (cpu, [None; VECTORS.len()]));
        let mut softirqs: Vec<Option<Softirqs>> = cpus.iter().map(row).collect();
        for (name, rest) in rows {
            // A newer kernel may have more vectors: they are skipped.
            let Some(vector) = VECTORS.iter().position(|vector| *vector == name) else { continue };
            for (row, count) in softirqs.iter_mut().zip(rest.split_ascii_whitespace()) {
                if let Some((_, counts)) = row {
                    counts[vector] = count.parse().ok();
                }
            }
        }
        Ok(softirqs.into_iter().flatten().collect())
    }
}

/// One interrupt line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub irq: u32,
    /// Names of its actions as in sysfs, joined by commas. If sysfs has none, the last word of the line.
    pub actions: String,
    /// Interrupts by online CPU. They have 32 bits and wrap.
    pub counts: Vec<(u32, u32)>,
}

/// A reader of `/proc/interrupts`.
#[derive(Debug)]
pub struct InterruptCounts {
    file: Reread,
    actions: std::collections::HashMap<u32, String>,
}

impl InterruptCounts {
    /// Opens the file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(proc: &Path) -> Result<Self, Error> {
        Ok(Self { file: Reread::open(proc.join("interrupts"))?, actions: std::collections::HashMap::new() })
    }

    /// Reads the numbered lines, which belong to devices, in the format of `show_interrupts`
    /// (`kernel/irq/proc.c`).
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, sys: &Path) -> Result<Vec<Line>, Error> {
        let text = String::from_utf8_lossy(self.file.read()?);
        let (cpus, rows) = table(&text);
        let mut lines = Vec::new();
        for (name, rest) in rows {
            let Ok(irq) = name.parse::<u32>() else { continue };
            let mut words = rest.split_ascii_whitespace();
            let counts = cpus
                .iter()
                .zip(words.by_ref())
                .filter_map(|(cpu, count)| Some(((*cpu)?, count.parse().ok()?)))
                .collect();
            let Some(last) = words.last() else {
                self.actions.remove(&irq);
                continue;
            };
            let actions = self.actions.entry(irq).or_default();
            // If another driver takes over the line, the text changes and its actions are read again.
            if actions.is_empty() || !actions.ends_with(last) {
                let file = sys.join("kernel/irq").join(name).join("actions");
                *actions =
                    super::read_line(&file).ok().filter(|text| !text.is_empty()).unwrap_or(last.to_owned());
            }
            lines.push(Line { irq, actions: actions.clone(), counts });
        }
        Ok(lines)
    }
}

/// The CPUs of the header, `None` if no machine has this one, and the rows by the word before their colon.
fn table(text: &str) -> (Vec<Option<u32>>, impl Iterator<Item = (&str, &str)>) {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let number = |word: &str| word.strip_prefix("CPU")?.parse().ok().filter(|cpu| is_possible(*cpu));
    let cpus = head.split_ascii_whitespace().map(number).collect();
    (cpus, lines.filter_map(|line| line.split_once(':').map(|(name, rest)| (name.trim(), rest))))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::this_machine, *};

    #[test]
    fn interrupts_of_a_machine() {
        let root = this_machine();
        let lines = InterruptCounts::open(&root.join("proc")).unwrap().read(&root.join("sys")).unwrap();
        let expected = Line { irq: 36, actions: "virtio1-req.0".into(), counts: vec![(0, 0), (1, 82655)] };
        assert!(lines.contains(&expected), "{lines:?}");
        assert!(lines.iter().all(|line| line.counts.len() == 2));
    }

    #[test]
    fn softirqs_by_cpu() {
        let proc = tempfile::tempdir().unwrap();
        let text = "                    CPU0       CPU3\n          HI:          0          1\n      \
                    NET_RX:       4000 4294967295\n     FUTURE: 1 2\n         RCU:          5          6\n";
        std::fs::write(proc.path().join("softirqs"), text).unwrap();
        let of = |[hi, net_rx, rcu]: [u32; 3]| {
            let mut counts = [None; VECTORS.len()];
            (counts[0], counts[3], counts[9]) = (Some(hi), Some(net_rx), Some(rcu));
            counts
        };
        let rows = SoftirqCounts::open(proc.path()).unwrap().read().unwrap();
        assert_eq!(rows, [(0, of([0, 4000, 5])), (3, of([1, u32::MAX, 6]))]);
    }

    #[test]
    fn a_file_cut_anywhere_gives_no_panic() {
        let text = std::fs::read(this_machine().join("proc/interrupts")).unwrap();
        let proc = tempfile::tempdir().unwrap();
        for end in 0..text.len().min(600) {
            std::fs::write(proc.path().join("interrupts"), &text[..end]).unwrap();
            InterruptCounts::open(proc.path()).unwrap().read(proc.path()).unwrap();
        }
    }

    #[test]
    fn a_cpu_that_no_machine_has_is_left_out() {
        let proc = tempfile::tempdir().unwrap();
        let head = "CPU0 CPU4000000000 CPU4294967295 CPU3";
        std::fs::write(proc.path().join("softirqs"), format!("{head}\n NET_RX: 1 2 3 4\n")).unwrap();
        let rows = SoftirqCounts::open(proc.path()).unwrap().read().unwrap();
        assert_eq!(
            rows.iter().map(|(cpu, of)| (*cpu, of[3])).collect::<Vec<_>>(),
            [(0, Some(1)), (3, Some(4))]
        );
        std::fs::write(proc.path().join("interrupts"), format!("{head}\n 9: 1 2 3 4 eth0\n")).unwrap();
        let lines = InterruptCounts::open(proc.path()).unwrap().read(proc.path()).unwrap();
        assert_eq!(lines[0].counts, [(0, 1), (3, 4)]);
    }

    #[test]
    fn any_softirqs_are_read_without_a_panic() {
        let real = "       CPU0       CPU1\n  HI:          0          1\n  TIMER:     160022     172514\n\
                    NET_RX:       4000 4294967295\n RCU:      59210      61017\n";
        let proc = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = proc.path().join("softirqs");
        std::fs::write(&path, real).unwrap();
        let mut reader = SoftirqCounts::open(proc.path()).unwrap();
        testkit::fuzz::inputs("softirqs", &[real.as_bytes()], |text| {
            std::fs::write(&path, text).unwrap();
            if let Ok(rows) = reader.read() {
                assert!(rows.iter().all(|(cpu, _)| is_possible(*cpu)));
            }
        });
    }

    /// Through the file, because its text and the actions of the lines before decide together.
    #[test]
    fn anything_is_read_without_a_panic() {
        let real = std::fs::read(this_machine().join("proc/interrupts")).unwrap();
        let proc = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = proc.path().join("interrupts");
        std::fs::write(&path, &real).unwrap();
        let mut reader = InterruptCounts::open(proc.path()).unwrap();
        testkit::fuzz::inputs("interrupts", &[&real[..2000.min(real.len())]], |text| {
            std::fs::write(&path, text).unwrap();
            let _ = reader.read(proc.path());
        });
    }
}
