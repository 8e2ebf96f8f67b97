//! The kernel modules that a NIC's driver is made of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{Error, nic_files::NicFiles};

/// Which modules use which.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ModuleUsers(BTreeMap<String, Vec<String>>);

impl ModuleUsers {
    /// Reads `/proc/modules`, whose fourth column lists the modules that use one (`m_show` in
    /// `kernel/module/procfs.c`).
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(proc: &Path) -> Result<Self, Error> {
        let path = proc.join("modules");
        let text = fs::read_to_string(&path).map_err(Error::read(&path))?;
        let used = |line: &str| {
            let mut columns = line.split_ascii_whitespace();
            let (module, users) = (columns.next()?.to_owned(), columns.nth(2)?);
            let users = users.split(',').filter(|user| !user.is_empty() && *user != "-");
            Some((module, users.map(str::to_owned).collect()))
        };
        Ok(Self(text.lines().filter_map(used).collect()))
    }

    /// A module and all modules that it uses, directly or through others.
    pub fn with_used(&self, module: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::from([module.to_owned()]);
        loop {
            let uses_it = |users: &Vec<String>| users.iter().any(|user| all.contains(user));
            let more = self.0.iter().filter(|(used, users)| uses_it(users) && !all.contains(*used));
            let more: Vec<String> = more.map(|(used, _)| used.clone()).collect();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }
}

/// The module of a NIC's driver; also known for most drivers that are compiled into the kernel
/// (`module_add_driver` in `drivers/base/module.c`).
pub fn of_nic(files: &NicFiles) -> Option<String> {
    let link = fs::read_link(files.path().join("device/driver/module")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_may_use_a_library_through_another() {
        let proc = tempfile::tempdir().unwrap();
        let text = "mt7921e 16384 0 - Live 0x0\n\
                    mt7921_common 90112 1 mt7921e, Live 0x0\n\
                    mt76 131072 3 mt7921e,mt7921_common, Live 0x0\n\
                    iwlwifi 589824 1 iwlmvm, Live 0x0\n\
                    cut 1\n";
        fs::write(proc.path().join("modules"), text).unwrap();
        let modules = ModuleUsers::read(proc.path()).unwrap();
        let names = |module| modules.with_used(module).into_iter().collect::<Vec<_>>();
        assert_eq!(names("mt7921e"), ["mt76", "mt7921_common", "mt7921e"]);
        assert_eq!(names("iwlmvm"), ["iwlmvm", "iwlwifi"]);
        assert_eq!(names("virtio_net"), ["virtio_net"]);
        assert!(ModuleUsers::read(&proc.path().join("none")).is_err());
    }
}
