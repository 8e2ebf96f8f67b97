//! Readers for facts from `/proc`, `/sys` and netlink: what the kernel says now, without policy and without
//! differences.
//!
//! Readers of files take the root that they read under ([`Roots`]), so a test can give them a directory.
//! Netlink and ioctls answer for a network namespace ([`netns::Netns`]).

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
};

pub mod btf;
pub mod counts;
pub mod cpu_freq;
pub mod cpu_quota;
pub mod cpu_topology;
pub mod cpus;
pub mod driver_modules;
pub mod drivers;
pub mod ethtool;
mod ethtool_ioctl;
mod generic;
pub mod ip_counters;
pub mod ip_statistics;
pub mod irq_lines;
pub mod irqs;
pub mod limits;
pub mod link_details;
pub mod links;
pub mod machine;
mod netlink;
pub mod netns;
mod netns_inside;
mod netns_reader;
pub mod nic_files;
mod os_text;
pub mod own;
pub mod own_net;
pub mod packet_types;
mod privileged;
pub mod qdisc;
pub mod queue_counters;
pub mod queues;
pub mod refusals;
pub mod rss;
pub mod socket_owner;
pub mod softnet;
pub mod stat;
pub mod sysctls;
pub mod threads;
pub mod udp_sockets;

pub use self::privileged::perform;

/// Where `/proc` and `/sys` are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// Root of procfs.
    pub proc: PathBuf,
    /// Root of sysfs.
    pub sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into() }
    }
}

/// A fact about this machine that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of `/proc` or `/sys` could not be read.
    #[error(
        "cannot read {}: {source}; {}",
        path.display(),
        remedy(source, "nicmon needs /proc and /sys mounted and readable")
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file was read, and does not contain what this kernel interface should.
    #[error("cannot understand {}: {what}; please report it with your kernel version", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The kernel does not list its interfaces over netlink, or an ioctl about them fails.
    #[error(
        "cannot ask the kernel for its network interfaces: {source}; {}",
        remedy(source, "a sandbox may forbid netlink sockets")
    )]
    Interfaces {
        /// The system's error.
        source: io::Error,
    },
    /// Why a network namespace could not be read, with what to do.
    #[error("{0}")]
    Namespace(String),
    /// Too few files may be open.
    #[error("the limit of open files is {limit}, which is too low here; raise it: ulimit -n 65536")]
    OpenFiles {
        /// The limit.
        limit: u64,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {source}; check the limit with `ulimit -u`")]
    Thread {
        /// The system's error.
        source: io::Error,
    },
}

/// What to do about an error: about a lack of descriptors, or what is usual.
fn remedy(error: &io::Error, usual: &'static str) -> &'static str {
    error.raw_os_error().and_then(limits::remedy).unwrap_or(usual)
}

impl Error {
    fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }
}

/// `CLOCK_MONOTONIC` in ns.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Reads a file of one line, without the white space at its ends.
fn read_line(path: &Path) -> Result<String, Error> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// A file of the kernel that stays open, and is read from its start each time into the same memory.
///
/// Only for files that pin nothing: a file below `/proc/PID` would keep referring to a process that has
/// ended.
#[derive(Debug)]
struct Reread {
    path: PathBuf,
    file: File,
    text: Vec<u8>,
}

impl Reread {
    fn open(path: PathBuf) -> Result<Self, Error> {
        match File::open(&path) {
            Ok(file) => Ok(Self { path, file, text: Vec::new() }),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Reads the whole file. Seeking to 0 makes the kernel produce the text again (`seq_lseek` in
    /// `fs/seq_file.c`).
    fn read(&mut self) -> Result<&[u8], Error> {
        self.text.clear();
        self.file
            .rewind()
            .and_then(|()| self.file.read_to_end(&mut self.text))
            .map_err(Error::read(&self.path))?;
        Ok(&self.text)
    }
}

/// What tests of this module share: fixtures and network namespaces.
#[cfg(test)]
mod testing {
    use std::{
        path::PathBuf,
        process::{Command, Stdio},
        thread,
    };

    use testkit::not_run;

    /// Captures from a real machine.
    pub(super) fn this_machine() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host/this-machine")
    }

    /// Runs `test` on a thread that has a network namespace of its own; without root, says so and runs
    /// nothing.
    pub(super) fn in_new_namespace<R: Send + 'static>(test: fn() -> R) -> Option<R> {
        if !rustix::process::geteuid().is_root() {
            not_run::say_of_this_thread("needs root");
            return None;
        }
        let test = move || {
            super::own_net::unshare().expect("a namespace");
            test()
        };
        // The thread has the test's name, so the test can say that it did not run.
        let name = thread::current().name().unwrap_or("a test").to_owned();
        let thread = thread::Builder::new().name(name).spawn(test).expect("a thread starts");
        Some(thread.join().expect("the test's thread"))
    }

    /// Runs `ip` with these arguments in the namespace of the calling thread; false if that fails.
    pub(super) fn ip(arguments: &str) -> bool {
        let done = Command::new("ip").args(arguments.split_whitespace()).stderr(Stdio::null()).status();
        let done = done.is_ok_and(|status| status.success());
        if !done {
            not_run::say_of_this_thread(&format!("needs `ip {arguments}`"));
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_fits_the_error() {
        for (errno, file, interfaces) in [
            (libc::EMFILE, "ulimit -n 65536", "ulimit -n 65536"),
            (libc::ENFILE, "fs.file-max", "fs.file-max"),
            (libc::EACCES, "mounted and readable", "netlink sockets"),
        ] {
            let source = || io::Error::from_raw_os_error(errno);
            let read = Error::Read { path: "/proc/stat".into(), source: source() }.to_string();
            assert!(read.starts_with("cannot read /proc/stat: ") && read.ends_with(file), "{read}");
            let asked = Error::Interfaces { source: source() }.to_string();
            assert!(asked.starts_with("cannot ask the kernel") && asked.ends_with(interfaces), "{asked}");
        }
    }
}
