//! Compares a NIC in a topology with `ethtool`, sysfs and procfs: on this machine, and in captures of guests.

mod ethtool;
mod files;

use anyhow::{Result, ensure};
use nicmon::frame::topology::Nic;

/// The machine that the NIC is on: output of other tools, and files.
pub(crate) trait Machine {
    /// Output of `ethtool` with these arguments; `None` if it fails, as it does if the driver cannot say.
    fn ethtool(&self, arguments: &str) -> Result<Option<String>>;

    /// A file of sysfs or procfs, trimmed; `None` if it cannot be read.
    fn file(&self, path: &str) -> Option<String>;

    /// The names in a directory; `None` if it does not exist.
    fn names(&self, directory: &str) -> Option<Vec<String>>;
}

/// Compares everything that they show of a NIC. Returns the number of compared values.
pub(crate) fn compare(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    Ok(ethtool::compare(nic, machine)? + files::compare(nic, machine)?)
}

#[expect(clippy::needless_pass_by_value, reason = "callers compare what they have just made")]
fn same<T: PartialEq + std::fmt::Debug>(nic: &Nic, what: &str, ours: T, theirs: T) -> Result<usize> {
    ensure!(ours == theirs, "{}: {what} is {ours:?} in the topology, and should be {theirs:?}", nic.name);
    Ok(1)
}

/// Lines `key: value`.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim()))
}
