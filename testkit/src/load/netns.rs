//! A network namespace that is removed when its value is dropped.

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::output;

/// A named network namespace (`ip netns`); dropping it removes it and the devices in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace with IPv6 off, so that no packets but those of the load disturb the measurement.
    ///
    /// # Errors
    /// Without root, without iproute2, or when the name is taken.
    pub fn create(name: &str) -> Result<Self> {
        output(Command::new("ip").args(["netns", "add", name]))
            .context("cannot make a network namespace (this needs root)")?;
        let namespace = Self { name: name.to_owned() };
        namespace.within(|| {
            for which in ["all", "default"] {
                let path = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
                // The file does not exist if the kernel has no IPv6.
                if fs::exists(&path)? {
                    fs::write(&path, "1").with_context(|| format!("cannot write {path}"))?;
                }
            }
            Ok::<_, anyhow::Error>(())
        })??;
        Ok(namespace)
    }

    /// Removes namespaces `<prefix>-<pid>-...` if the process with that id, which created them, has ended.
    pub fn remove_leftovers(prefix: &str) {
        let Ok(entries) = fs::read_dir("/run/netns") else { return };
        for name in entries.flatten().filter_map(|e| e.file_name().into_string().ok()) {
            let Some((pid, _)) = name.strip_prefix(prefix).and_then(|r| r.strip_prefix('-')?.split_once('-'))
            else {
                continue;
            };
            if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
                eprintln!("removing {name}, left by a run that was killed");
                if let Err(error) = output(Command::new("ip").args(["netns", "del", &name])) {
                    eprintln!("testkit: {error:#}");
                }
            }
        }
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Moves the calling thread into the namespace for good. The namespace exists until that thread ends.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, or when the namespace is gone.
    pub fn enter(&self) -> Result<()> {
        enter(&self.path())
    }

    /// A closure that does what [`Self::enter`] does, for a thread that cannot borrow the namespace.
    pub fn entrance(&self) -> impl Fn() -> Result<()> + Send + 'static {
        let path = self.path();
        move || enter(&path)
    }

    /// Runs `work` inside, on a separate thread.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` panics.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || self.enter().map(|()| work());
        thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("a thread in namespace {} panicked", self.name))?
    }

    /// A command to run inside, with the namespace's own /sys.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

fn enter(path: &PathBuf) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("cannot enter the namespace {}", path.display()))
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = output(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("testkit: {error:#}\ntestkit: remove it by hand: ip netns del {}", self.name);
        }
    }
}
