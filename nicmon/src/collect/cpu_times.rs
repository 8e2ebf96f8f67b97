//! Whether the kernel's accounting of CPU time can be believed, as frames see it.

use std::{path::Path, thread, time::Duration, time::Instant};

use super::{CollectError, assemble::Between, facts::read_cpus, observation::Moment};
use crate::host::{
    self, Roots,
    softnet::Softnet,
    stat::{Stat, ticks_per_second},
};

/// The time that must pass between two readings: in a shorter one, user and idle time that each fill it would
/// be taken for ticks that came late.
const LEAST: Duration = Duration::from_secs(1);

/// The accounting at one moment.
pub struct CpuTimes {
    stat: Stat,
    softnet: Option<Softnet>,
    before: Moment,
    read: Instant,
}

impl CpuTimes {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(roots: &Roots) -> Result<Self, CollectError> {
        let mut stat = Stat::open(&roots.proc)?;
        let mut softnet = Softnet::open(&roots.proc).ok();
        let before = read_cpus(&roots.sys, &mut stat, softnet.as_mut())?;
        Ok(Self { stat, softnet, before, read: Instant::now() })
    }

    /// Reads it again, a second after the first time if that has not passed, and returns why it is unknown in
    /// frames; `None` if it is known.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn problem(self, roots: &Roots) -> Result<Option<String>, CollectError> {
        thread::sleep(LEAST.saturating_sub(self.read.elapsed()));
        let passed = self.read.elapsed();
        Ok(self.problem_after(&roots.sys, passed)?)
    }

    fn problem_after(mut self, sys: &Path, passed: Duration) -> Result<Option<String>, host::Error> {
        let now = read_cpus(sys, &mut self.stat, self.softnet.as_mut())?;
        let interval_ns = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        Ok(Between::new(&now, &self.before, interval_ns, ticks_per_second()).stat_problem())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is wrong if CPU 0 gains so many ticks of user and of idle time in a second, these CPUs are online
    /// according to sysfs, and so many have a row of `softnet_stat`.
    fn problem(user: u64, idle: u64, online: &str, rows: u32) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots { proc: root.path().into(), sys: root.path().into() };
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let stat = |user: u64, idle: u64| format!("cpu  1 1\ncpu0 {user} 0 0 {idle} 0 0 0 0 0 0\nintr 1\n");
        write("devices/system/cpu/online", online);
        let row = |cpu: u32| format!("{}{cpu:08x}\n", "00000001 ".repeat(12));
        write("net/softnet_stat", &(0..rows).map(row).collect::<String>());
        write("stat", &stat(500, 500));
        let times = CpuTimes::read(&roots).unwrap();
        write("stat", &stat(500 + user, 500 + idle));
        let second = Duration::from_nanos(100_000_000_000 / ticks_per_second());
        times.problem_after(&roots.sys, second).unwrap()
    }

    #[test]
    fn doctor_believes_what_frames_believe() {
        assert_eq!(problem(20, 80, "0", 1), None);
        for (what, problem) in [
            ("stat lists fewer CPUs", problem(20, 80, "0-1", 1)),
            ("sysfs does, too", problem(20, 80, "0", 2)),
            ("user and idle time each fill the interval", problem(100, 100, "0", 1)),
            ("it stands still", problem(0, 0, "0", 1)),
        ] {
            assert!(problem.is_some_and(|why| why.contains("/proc/stat")), "{what}");
        }
    }
}
