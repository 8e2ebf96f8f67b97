//! Whether a CPU quota stops nicmon itself.

use std::path::{Path, PathBuf};

use crate::{
    frame::gained,
    host::cpu_quota::{ControlGroups, Throttled},
};

/// The quotas of nicmon's own control group and its parents.
#[derive(Debug, Default)]
pub(super) struct OwnQuota {
    /// Found once: nobody moves the mounts of a running system.
    groups: Option<ControlGroups>,
    before: Option<(PathBuf, Throttled)>,
}

impl OwnQuota {
    /// How often a quota was used up since the last call; `None` if that is unknown, as it is at first.
    pub(super) fn used_up(&mut self, proc: &Path) -> Option<u64> {
        let groups = self.groups.get_or_insert_with(|| ControlGroups::find(proc));
        let now = groups.throttled(proc, "self");
        let before = std::mem::replace(&mut self.before, now);
        let ((group, now), (group_before, before)) = self.before.as_ref().zip(before.as_ref())?;
        (group == group_before).then(|| gained(now.periods, before.periods)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn two_readings_make_a_count() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path();
        let write = |file: &str, text: &str| {
            let path = proc.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let place = proc.to_str().unwrap();
        write("self/mountinfo", &format!("24 23 0:22 / {place}/groups rw - cgroup2 cgroup2 rw\n"));
        write("self/cgroup", "0::/nicmon\n");
        write("groups/nicmon/cpu.stat", "nr_throttled 5\nthrottled_usec 100\n");
        let mut quota = OwnQuota::default();
        assert_eq!(quota.used_up(proc), None);
        write("groups/nicmon/cpu.stat", "nr_throttled 12\nthrottled_usec 900\n");
        assert_eq!(quota.used_up(proc), Some(7));
        // In another group, the counts are others.
        write("self/cgroup", "0::/other\n");
        write("groups/other/cpu.stat", "nr_throttled 100\nthrottled_usec 900\n");
        assert_eq!(quota.used_up(proc), None);
        assert_eq!(quota.used_up(proc), Some(0));
    }
}
