//! CPU time of the kernel's network threads.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{Error, Reread, limits::check_open_files};

/// The ksoftirqd threads as (CPU, pid), ascending by CPU. They live as long as the kernel, so look once, and
/// again when a CPU comes online for the first time.
///
/// # Errors
/// `/proc` cannot be read.
fn ksoftirqd(proc: &Path) -> Result<Vec<(u32, u32)>, Error> {
    let mut found: Vec<_> = pids(proc)?
        .filter_map(|(pid, path)| {
            let comm = fs::read(path.join("comm")).ok()?;
            let cpu = str::from_utf8(comm.strip_prefix(b"ksoftirqd/")?).ok()?.trim_end().parse().ok()?;
            // A process may have the same name; a kernel thread has an empty command line.
            fs::read(path.join("cmdline")).is_ok_and(|line| line.is_empty()).then_some((cpu, pid))
        })
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// The CPU times of the ksoftirqd threads.
#[derive(Debug)]
pub struct KsoftirqdTimes(Vec<Ksoftirqd>);

/// The ksoftirqd of one CPU.
#[derive(Debug)]
struct Ksoftirqd {
    cpu: u32,
    path: PathBuf,
    /// Stays open, if enough files may be open: the thread lives as long as the kernel, so the file keeps
    /// nothing alive, and the pid never becomes another thread's.
    file: Option<Reread>,
}

impl KsoftirqdTimes {
    /// Finds the threads. Do it again when a CPU comes online for the first time.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn find(proc: &Path) -> Result<Self, Error> {
        let found = ksoftirqd(proc)?;
        // As many are left for sampling the CPUs.
        let has_room = check_open_files(proc, 2 * found.len()).is_ok();
        let thread = |(cpu, pid): (u32, u32)| {
            let path = proc.join(pid.to_string()).join("schedstat");
            Ksoftirqd { cpu, file: has_room.then(|| Reread::open(path.clone()).ok()).flatten(), path }
        };
        Ok(Self(found.into_iter().map(thread).collect()))
    }

    /// Their CPU times so far, in ns, by CPU. Threads whose time is unknown are absent.
    pub fn read(&mut self) -> BTreeMap<u32, u64> {
        let time = |Ksoftirqd { cpu, path, file }: &mut Ksoftirqd| {
            let ns = match file {
                Some(file) => run(str::from_utf8(file.read().ok()?).ok()?),
                None => run(&fs::read_to_string(path).ok()?),
            };
            Some((*cpu, ns?))
        };
        self.0.iter_mut().filter_map(time).collect()
    }
}

/// The first number of a schedstat file.
fn run(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

/// Pids of the threads whose names start with a prefix.
///
/// # Errors
/// `/proc` cannot be read.
pub fn named(proc: &Path, comm_prefix: &str) -> Result<Vec<u32>, Error> {
    let is_named =
        |path: &Path| fs::read(path.join("comm")).is_ok_and(|comm| comm.starts_with(comm_prefix.as_bytes()));
    Ok(pids(proc)?.filter(|(_, path)| is_named(path)).map(|(pid, _)| pid).collect())
}

/// Time in ns that a thread has run. `None` if it has ended, if its name does not start with `comm_prefix`
/// (another thread has its pid now), or if the kernel does not account for it (`CONFIG_SCHED_INFO`).
///
/// It is `sum_exec_runtime`, the first number of `/proc/PID/schedstat` (`proc_pid_schedstat` in
/// `fs/proc/base.c`). For a thread that is running, it may be late by up to a tick.
pub fn run_ns(proc: &Path, pid: u32, comm_prefix: &str) -> Option<u64> {
    let path = proc.join(pid.to_string());
    let run = run(&fs::read_to_string(path.join("schedstat")).ok()?)?;
    // Read after the time: if another thread had taken the pid before, this is that thread's name.
    let comm = fs::read(path.join("comm")).ok()?;
    comm.starts_with(comm_prefix.as_bytes()).then_some(run)
}

/// The processes: pid and directory.
pub(super) fn pids(proc: &Path) -> Result<impl Iterator<Item = (u32, PathBuf)> + use<>, Error> {
    let entries = fs::read_dir(proc).map_err(Error::read(proc))?;
    Ok(entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.path()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, pid: u32, comm: &str, cmdline: &str, schedstat: Option<&str>) {
        let path = proc.join(pid.to_string());
        fs::create_dir(&path).unwrap();
        fs::write(path.join("comm"), comm).unwrap();
        fs::write(path.join("cmdline"), cmdline).unwrap();
        if let Some(schedstat) = schedstat {
            fs::write(path.join("schedstat"), schedstat).unwrap();
        }
    }

    #[test]
    fn fixture() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        process(proc, 14, "ksoftirqd/0\n", "", Some("68912345 1234 56\n"));
        process(proc, 92, "ksoftirqd/10\n", "", None);
        process(proc, 23, "ksoftirqd/2\n", "", Some(""));
        process(proc, 900, "ksoftirqd/7\n", "/bin/liar\0", Some("1 1 1\n"));
        process(proc, 901, "napi/eth0-8193\n", "", Some("77 1 1\n"));
        fs::create_dir(proc.join("sys")).unwrap();
        fs::create_dir(proc.join("77")).unwrap();

        assert_eq!(ksoftirqd(proc).unwrap(), [(0, 14), (2, 23), (10, 92)]);
        assert_eq!(run_ns(proc, 14, "ksoftirqd/"), Some(68_912_345));
        assert_eq!(run_ns(proc, 901, "napi/eth0-"), Some(77));
        assert_eq!(run_ns(proc, 901, "napi/eth1-"), None);
        assert_eq!(run_ns(proc, 92, "ksoftirqd/"), None, "no schedstat");
        assert_eq!(run_ns(proc, 23, "ksoftirqd/"), None, "no number");
        assert_eq!(run_ns(proc, 55, ""), None, "no such thread");
        assert!(ksoftirqd(&proc.join("nothing")).is_err());
    }

    #[test]
    fn times_of_ksoftirqd() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        process(proc, 14, "ksoftirqd/0\n", "", Some("100 1 1\n"));
        process(proc, 23, "ksoftirqd/2\n", "", Some("7 1 1\n"));
        process(proc, 92, "ksoftirqd/10\n", "", None);
        // Without this directory, no file may stay open.
        for (keeps, fd) in [(false, "self"), (true, "self/fd")] {
            fs::create_dir(proc.join(fd)).unwrap();
            fs::write(proc.join("14/schedstat"), "100 1 1\n").unwrap();
            let mut times = KsoftirqdTimes::find(proc).unwrap();
            assert_eq!(
                times.0.iter().filter(|thread| thread.file.is_some()).count(),
                if keeps { 2 } else { 0 }
            );
            assert_eq!(times.read(), [(0, 100), (2, 7)].into());
            fs::write(proc.join("14/schedstat"), "2000 1 1\n").unwrap();
            assert_eq!(times.read(), [(0, 2000), (2, 7)].into());
        }
    }

    #[test]
    fn alive() {
        let pid = std::process::id();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        let first = run_ns(Path::new("/proc"), pid, comm.trim_end());
        assert!(
            first.is_none_or(|first| run_ns(Path::new("/proc"), pid, "").is_some_and(|then| then >= first))
        );
    }
}
