//! Limits of this process: how many files it may have open, and how much memory it may lock.

use std::{fs, io, path::Path, sync::OnceLock};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Error;

/// Descriptors that must stay free: each frame opens some for a moment, for netlink, namespaces, and files of
/// `/proc` and `/sys`.
const RESERVE: u64 = 80;

static AT_START: OnceLock<Limits> = OnceLock::new();

/// The limits that nicmon changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    open_files: Rlimit,
    locked_memory: Rlimit,
}

impl Limits {
    fn now() -> Self {
        Self { open_files: getrlimit(Resource::Nofile), locked_memory: getrlimit(Resource::Memlock) }
    }

    /// The limits that this process was started with, if [`raise`] was called.
    pub fn at_start() -> Option<Self> {
        AT_START.get().cloned()
    }

    /// Sets these limits. It makes only system calls, so a child may call it between fork and exec.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set(&self) -> io::Result<()> {
        setrlimit(Resource::Nofile, self.open_files)?;
        Ok(setrlimit(Resource::Memlock, self.locked_memory)?)
    }
}

/// Raises the limit of open files as far as this process may, because each sampled CPU takes one, and
/// remembers the limits as they were. Call it before anything else changes them.
pub fn raise() {
    let before = AT_START.get_or_init(Limits::now);
    let maximum = before.open_files.maximum;
    // If it fails, the limit stays as it is; `check_open_files` says whether that is enough.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Before 5.11 maps count against `RLIMIT_MEMLOCK`, and its default is too small for any map. Errors are
/// ignored: if the limit matters, loading the programs reports it.
pub fn allow_locked_memory() {
    AT_START.get_or_init(Limits::now);
    let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
}

/// What to do if the kernel gave this error number because too many files are open; `None` for any other.
pub(super) fn remedy(errno: i32) -> Option<&'static str> {
    match errno {
        libc::EMFILE => Some("allow nicmon more open files: ulimit -n 65536"),
        libc::ENFILE => Some("allow the system more open files: sysctl fs.file-max"),
        _ => None,
    }
}

/// Whether this process may open `wanted` more files and keep some in reserve.
///
/// # Errors
/// It may not.
pub fn check_open_files(proc: &Path, wanted: usize) -> Result<(), Error> {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(()) };
    // Without a single free descriptor the directory cannot be opened.
    let open = fs::read_dir(proc.join("self/fd")).map_or(limit, |files| files.count() as u64);
    if open.saturating_add(wanted as u64).saturating_add(RESERVE) > limit {
        return Err(Error::OpenFiles { limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_counted_against_the_limit() {
        let limit = getrlimit(Resource::Nofile).current.expect("a limit");
        let proc = tempfile::tempdir().unwrap();
        let fd = proc.path().join("self/fd");
        assert!(check_open_files(proc.path(), 0).is_err(), "the directory cannot be opened");
        fs::create_dir_all(&fd).unwrap();
        for file in 0..5 {
            fs::write(fd.join(file.to_string()), "").unwrap();
        }
        let room = usize::try_from(limit - 5 - RESERVE).unwrap();
        assert!(check_open_files(proc.path(), room).is_ok());
        let error = check_open_files(proc.path(), room + 1).unwrap_err().to_string();
        assert!(error.contains(&limit.to_string()) && error.contains("ulimit -n"), "{error}");
    }
}
