//! CPU time and memory of this process.

use std::{fs, io, path::Path, time::Duration};

use rustix::time::{ClockId, clock_gettime};

use super::{Error, read_line};

/// CPU time of all threads of this process since its start, in ns (`CLOCK_PROCESS_CPUTIME_ID`,
/// `kernel/time/posix-cpu-timers.c`).
pub fn cpu_ns() -> u64 {
    ns(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread since its start, in ns (`CLOCK_THREAD_CPUTIME_ID`).
pub fn thread_cpu_ns() -> u64 {
    ns(ClockId::ThreadCPUTime)
}

/// How long the calling thread has waited for a CPU so far: the second number in its schedstat
/// (`proc_pid_schedstat`, `fs/proc/base.c`).
///
/// # Errors
/// The kernel was built without `CONFIG_SCHED_INFO`.
pub fn waited_for_cpu() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns = text.split_ascii_whitespace().nth(1).and_then(|ns| ns.parse().ok());
    ns.map(Duration::from_nanos).ok_or_else(|| io::Error::other("unexpected /proc/thread-self/schedstat"))
}

fn ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Resident memory of this process in bytes: the second number of `/proc/self/statm`, in pages
/// (`proc_pid_statm`, `fs/proc/array.c`). The kernel's count may lag by some dozen pages per CPU.
///
/// # Errors
/// The file cannot be read, or does not hold such a number.
pub fn resident_bytes(proc: &Path) -> Result<u64, Error> {
    let [resident, _] = pages(&proc.join("self/statm"))?;
    Ok(resident * rustix::param::page_size() as u64)
}

/// Resident memory of another process that belongs to no file, and so to it alone, in bytes: the second less
/// the third number of its `statm`. Pages that it still shares with the process that it was forked from count
/// as well.
///
/// # Errors
/// As for [`resident_bytes`].
pub fn anonymous_bytes(proc: &Path, pid: u32) -> Result<u64, Error> {
    let [resident, shared] = pages(&proc.join(format!("{pid}/statm")))?;
    Ok(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
}

/// The second and the third number.
fn pages(statm: &Path) -> Result<[u64; 2], Error> {
    let line = read_line(statm)?;
    let mut numbers = line.split_ascii_whitespace().skip(1).map_while(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(resident), Some(shared)) => Ok([resident, shared]),
        _ => Err(Error::Content { path: statm.to_owned(), what: format!("unexpected line {line:?}") }),
    }
}

#[cfg(test)]
mod tests {
    use std::hint;

    use super::*;

    #[test]
    fn time() {
        let first = cpu_ns();
        hint::black_box((0..1_000_000_u64).fold(0, |sum, number| hint::black_box(sum ^ number)));
        assert!(cpu_ns() > first);
    }

    #[test]
    fn memory() {
        assert!(resident_bytes(Path::new("/proc")).unwrap() > 100_000);
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("self")).unwrap();
        fs::write(proc.path().join("self/statm"), "5000 3 2 1 0 900 0\n").unwrap();
        assert_eq!(resident_bytes(proc.path()).unwrap(), 3 * rustix::param::page_size() as u64);
        fs::create_dir(proc.path().join("70")).unwrap();
        fs::write(proc.path().join("70/statm"), "5000 9 2 1 0 900 0\n").unwrap();
        assert_eq!(anonymous_bytes(proc.path(), 70).unwrap(), 7 * rustix::param::page_size() as u64);
        fs::write(proc.path().join("self/statm"), "5000 3\n").unwrap();
        assert!(resident_bytes(proc.path()).is_err());
    }
}
