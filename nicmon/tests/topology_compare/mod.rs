//! Whether a topology says of a NIC what `ethtool`, sysfs and procfs say: on this machine, and in captures of guests.

mod ethtool;
mod files;

use anyhow::{Result, ensure};
use nicmon::frame::topology::Nic;

/// Where the NIC is: what other tools and files tell of it.
pub(crate) trait Told {
    /// What `ethtool` prints for these arguments; `None` where it refuses, as it does where the driver cannot tell.
    fn ethtool(&self, arguments: &str) -> Result<Option<String>>;

    /// A file of sysfs or procfs, without white space at its ends; `None` where it cannot be read.
    fn file(&self, path: &str) -> Option<String>;

    /// The names in a directory; `None` where there is none.
    fn names(&self, directory: &str) -> Option<Vec<String>>;
}

/// Compares all that they tell of a NIC; the number of values compared.
pub(crate) fn compare(nic: &Nic, told: &dyn Told) -> Result<usize> {
    Ok(ethtool::compare(nic, told)? + files::compare(nic, told)?)
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
