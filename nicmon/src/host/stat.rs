//! The kernel's own accounting of CPU time, `/proc/stat`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, Reread, cpus::is_possible};
use crate::frame::cpu_list;

/// Time of one CPU since boot by use, in ticks of [`ticks_per_second`].
///
/// `idle` and `iowait` may go back a little (`get_idle_time`, `fs/proc/stat.c`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of proc_stat(5)")]
pub struct CpuTicks {
    pub cpu: u32,
    /// Includes guests (`account_guest_time`, `kernel/sched/cputime.c`).
    pub user: u64,
    /// Includes niced guests.
    pub nice: u64,
    pub system: u64,
    pub idle: u64,
    pub iowait: u64,
    pub irq: u64,
    pub softirq: u64,
    pub steal: u64,
}

/// Why the CPUs of `/proc/stat` cannot be this machine's; `None` if they are those that are online.
///
/// A container may have a `/proc/stat` of its own (lxcfs), which lists the container's CPUs, numbered from 0.
pub fn contradiction(stat: impl Iterator<Item = u32>, online: &[u32]) -> Option<String> {
    let listed: Vec<u32> = stat.collect();
    (listed != online).then(|| {
        format!(
            "/proc/stat lists CPUs {} while {} are online, as in a container with lxcfs: CPU times in \
             cpus[].stat are unknown; run nicmon outside the container",
            cpu_list(&listed),
            cpu_list(online)
        )
    })
}

/// Ticks per second: `USER_HZ`, 100 on every architecture but alpha.
pub fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// A reader that keeps `/proc/stat` open.
#[derive(Debug)]
pub struct Stat(Reread);

impl Stat {
    /// Opens the file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(proc: &Path) -> Result<Self, Error> {
        Reread::open(proc.join("stat")).map(Self)
    }

    /// Replaces the contents of `cpus` with the online CPUs, ascending. The format is `show_stat`'s
    /// (`fs/proc/stat.c`).
    ///
    /// # Errors
    /// The file cannot be read, or holds no CPU.
    pub fn read(&mut self, cpus: &mut Vec<CpuTicks>) -> Result<(), Error> {
        cpus.clear();
        // The sum, `cpu  `, comes first; the lines of the CPUs follow directly.
        let lines = self.0.read()?.split(|&byte| byte == b'\n').skip(1);
        cpus.extend(lines.map_while(parse_line));
        if cpus.is_empty() {
            return Err(Error::Content {
                path: self.0.path.clone(),
                what: "it has no line for a CPU".to_owned(),
            });
        }
        Ok(())
    }
}

fn parse_line(line: &[u8]) -> Option<CpuTicks> {
    let mut words = str::from_utf8(line.strip_prefix(b"cpu")?).ok()?.split_ascii_whitespace();
    let cpu = words.next()?.parse().ok().filter(|cpu| is_possible(*cpu))?;
    let mut next = || words.next()?.parse::<u64>().ok();
    Some(CpuTicks {
        cpu,
        user: next()?,
        nice: next()?,
        system: next()?,
        idle: next()?,
        iowait: next()?,
        irq: next()?,
        softirq: next()?,
        steal: next()?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::testing::this_machine, *};

    #[test]
    fn of_a_machine() {
        let mut stat = Stat::open(&this_machine().join("proc")).unwrap();
        let mut cpus = vec![CpuTicks::default(); 9];
        for _ in 0..2 {
            stat.read(&mut cpus).unwrap();
            assert_eq!(cpus.iter().map(|ticks| ticks.cpu).collect::<Vec<_>>(), [0, 1]);
            assert_eq!((cpus[0].user, cpus[0].idle, cpus[0].softirq), (13_554, 132_940, 8));
        }
    }

    #[test]
    fn offline_cpu_and_no_cpu() {
        let proc = tempfile::tempdir().unwrap();
        let path = proc.path().join("stat");
        let text =
            "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu12 9 8 7 6 5 4 3 2 0 0\nintr 5 4\n";
        fs::write(&path, text).unwrap();
        let mut cpus = Vec::new();
        Stat::open(proc.path()).unwrap().read(&mut cpus).unwrap();
        let expected = |cpu, [user, nice, system, idle, iowait, irq, softirq, steal]: [u64; 8]| CpuTicks {
            cpu,
            user,
            nice,
            system,
            idle,
            iowait,
            irq,
            softirq,
            steal,
        };
        assert_eq!(cpus, [expected(0, [1, 2, 3, 4, 5, 6, 7, 8]), expected(12, [9, 8, 7, 6, 5, 4, 3, 2])]);

        fs::write(&path, "intr 5 4\n").unwrap();
        assert!(Stat::open(proc.path()).unwrap().read(&mut cpus).is_err());
    }

    #[test]
    fn a_stat_of_other_cpus_is_a_contradiction() {
        let text = |stat: &[u32], online: &[u32]| contradiction(stat.iter().copied(), online);
        assert_eq!(text(&[0, 1], &[0, 1]), None);
        for (stat, online, start) in [
            (&[0][..], &[0, 1][..], "/proc/stat lists CPUs 0 while 0-1 are online"),
            (&[0, 1, 2, 3], &[0, 1], "/proc/stat lists CPUs 0-3 while 0-1 are online"),
            (&[0, 1], &[4, 6], "/proc/stat lists CPUs 0-1 while 4,6 are online"),
        ] {
            assert!(text(stat, online).unwrap().starts_with(start), "{:?}", text(stat, online));
        }
    }

    #[test]
    fn alive() {
        assert!(ticks_per_second() >= 100);
        let mut stat = Stat::open(Path::new("/proc")).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        stat.read(&mut first).unwrap();
        stat.read(&mut second).unwrap();
        assert!(first.len() == second.len() && second[0].user >= first[0].user);
    }

    #[test]
    fn a_cpu_that_no_machine_has_is_no_line() {
        let line = |cpu: &str| parse_line(format!("cpu{cpu} 1 2 3 4 5 6 7 8 0 0").as_bytes());
        assert!(line("8191").is_some());
        assert!(line("8192").is_none() && line("4294967295").is_none());
    }

    /// Through the file, because its lines decide together.
    #[test]
    fn anything_is_read_without_a_panic() {
        let real = std::fs::read(this_machine().join("proc/stat")).unwrap();
        let proc = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = proc.path().join("stat");
        fs::write(&path, &real).unwrap();
        let (mut stat, mut cpus) = (Stat::open(proc.path()).unwrap(), Vec::new());
        testkit::fuzz::inputs("stat", &[&real], |text| {
            fs::write(&path, text).unwrap();
            if stat.read(&mut cpus).is_ok() {
                assert!(cpus.iter().all(|ticks| is_possible(ticks.cpu)));
            }
        });
    }
}
