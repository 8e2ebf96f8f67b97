//! How the CPU quota of a process's control group stops it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::netns::unescape;

/// Since a control group exists, with its parents: a quota may be on any of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttled {
    /// Periods in which a quota was used up.
    pub periods: u64,
    /// Time in ns that runnable tasks were stopped, added up over CPUs and groups.
    pub ns: u64,
}

/// A mounted hierarchy of control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// The group that is mounted; `/` except in some containers.
    root: PathBuf,
    place: PathBuf,
}

/// Where control groups are mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlGroups {
    v2: Option<Hierarchy>,
    /// That of the `cpu` controller, if it has one of version 1.
    v1: Option<Hierarchy>,
}

impl ControlGroups {
    /// Reads the mounts.
    pub fn find(proc: &Path) -> Self {
        let mounts = fs::read(proc.join("self/mountinfo")).unwrap_or_default();
        let mut found = Self::default();
        for line in mounts.split(|byte| *byte == b'\n') {
            match parse_mount(line) {
                Some((true, hierarchy)) => found.v2 = found.v2.or(Some(hierarchy)),
                Some((false, hierarchy)) => found.v1 = found.v1.or(Some(hierarchy)),
                None => {}
            }
        }
        found
    }

    /// How much the control group of a process and its parents were throttled so far; `None` if that cannot
    /// be read. The group is that of now: compare two readings only if it is the same.
    pub fn throttled(&self, proc: &Path, pid: &str) -> Option<(PathBuf, Throttled)> {
        let groups = fs::read(proc.join(pid).join("cgroup")).ok()?;
        let (folder, hierarchy) = self.folder(&String::from_utf8_lossy(&groups))?;
        let mut sum = None::<Throttled>;
        for group in folder.ancestors().take_while(|group| group.starts_with(&hierarchy.place)) {
            // The root may have no such file. Nothing stops it.
            let Ok(stat) = fs::read_to_string(group.join("cpu.stat")) else { continue };
            let more = parse(&stat);
            let sum = sum.get_or_insert_default();
            sum.periods = sum.periods.saturating_add(more.periods);
            sum.ns = sum.ns.saturating_add(more.ns);
        }
        Some((folder, sum?))
    }

    /// The folder of the group that the quota of a process is in, from its `/proc/PID/cgroup`
    /// (`proc_cgroup_show`, `kernel/cgroup/cgroup.c`): hierarchy number, controllers and path.
    fn folder(&self, groups: &str) -> Option<(PathBuf, &Hierarchy)> {
        let of = |line: &str, is_it: fn(&str) -> bool| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            is_it(controllers).then(|| PathBuf::from(path))
        };
        let has_cpu = |controllers: &str| controllers.split(',').any(|name| name == "cpu");
        let v1 = groups.lines().find_map(|line| of(line, has_cpu));
        let v2 = || groups.lines().find_map(|line| of(line, str::is_empty));
        let (hierarchy, path) =
            if let Some(path) = v1 { (self.v1.as_ref()?, path) } else { (self.v2.as_ref()?, v2()?) };
        let below = path.strip_prefix(&hierarchy.root).ok()?;
        // A group outside of this container, whose files are not visible.
        let is_outside = below.components().any(|part| part.as_os_str() == "..");
        (!is_outside).then(|| (hierarchy.place.join(below), hierarchy))
    }
}

/// A line of mountinfo that mounts control groups with a `cpu.stat`: whether they are of version 2, and
/// where (`show_mountinfo`, `fs/proc_namespace.c`).
fn parse_mount(line: &[u8]) -> Option<(bool, Hierarchy)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let (root, place) = (unescape(fields.nth(3)?), unescape(fields.next()?));
    fields.find(|&field| field == b"-")?;
    let (kind, options) = (fields.next()?, fields.nth(1)?);
    let is_v2 = kind == b"cgroup2";
    let has_cpu = kind == b"cgroup" && options.split(|&byte| byte == b',').any(|name| name == b"cpu");
    (is_v2 || has_cpu).then_some((is_v2, Hierarchy { root, place }))
}

/// `cpu.stat` (`cpu_extra_stat_show` and `cpu_cfs_stat_show` in `kernel/sched/core.c`): version 2 has µs,
/// version 1 ns. A group without the controller has no such lines, and no quota.
fn parse(stat: &str) -> Throttled {
    let value = |wanted: &str| -> Option<u64> {
        let lines = stat.lines().filter_map(|line| line.split_once(' '));
        lines.into_iter().find(|(name, _)| *name == wanted)?.1.trim().parse().ok()
    };
    let ns = value("throttled_usec").map(|us| us.saturating_mul(1000)).or_else(|| value("throttled_time"));
    Throttled { periods: value("nr_throttled").unwrap_or(0), ns: ns.unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2, in the format of Linux 6.12; the numbers are made up.
    const V2: &str = "usage_usec 1203400\nuser_usec 803400\nsystem_usec 400000\nnice_usec 0\n\
        core_sched.force_idle_usec 0\nnr_periods 61\nnr_throttled 59\nthrottled_usec 4700123\nnr_bursts 0\n\
        burst_usec 0\n";
    /// Version 1, in the format of Linux 6.18; the numbers are made up.
    const V1: &str = "nr_periods 40\nnr_throttled 7\nthrottled_time 560000000\nnr_bursts 0\nburst_time 0\n";

    #[test]
    fn both_versions() {
        assert_eq!(parse(V2), Throttled { periods: 59, ns: 4_700_123_000 });
        assert_eq!(parse(V1), Throttled { periods: 7, ns: 560_000_000 });
        assert_eq!(parse("usage_usec 5\nuser_usec 3\nsystem_usec 2\n"), Throttled::default());
    }

    /// A machine in a folder: `proc` and where control groups are mounted.
    struct Made {
        folder: tempfile::TempDir,
    }

    impl Made {
        fn new(mounts: &str, groups: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let made = Self { folder };
            let root = made.folder.path().to_str().unwrap();
            made.write("self/mountinfo", &mounts.replace("ROOT", root));
            made.write("70/cgroup", groups);
            made
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn throttled(&self) -> Option<(PathBuf, Throttled)> {
            let proc = self.folder.path();
            let (group, throttled) = ControlGroups::find(proc).throttled(proc, "70")?;
            Some((group.strip_prefix(proc).unwrap().to_owned(), throttled))
        }
    }

    const MOUNT_V2: &str = "24 23 0:22 / ROOT/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const MOUNT_V1: &str = "32 31 0:29 / ROOT/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
        34 31 0:31 / ROOT/cpuset rw,relatime - cgroup cgroup rw,cpuset\n";

    #[test]
    fn a_group_and_its_parents() {
        let made = Made::new(MOUNT_V2, "0::/pod/app\n");
        assert_eq!(made.throttled(), None, "no cpu.stat");
        made.write("unified/cpu.stat", "usage_usec 9\n");
        made.write("unified/pod/cpu.stat", "nr_throttled 3\nthrottled_usec 5\n");
        made.write("unified/pod/app/cpu.stat", "nr_throttled 1\nthrottled_usec 2\n");
        let expected = (PathBuf::from("unified/pod/app"), Throttled { periods: 4, ns: 7000 });
        assert_eq!(made.throttled(), Some(expected));
        made.write("70/cgroup", "0::/../other\n");
        assert_eq!(made.throttled(), None, "outside of this container");
    }

    #[test]
    fn of_version_1_beside_version_2() {
        let made = Made::new(&format!("{MOUNT_V2}{MOUNT_V1}"), "3:cpuset:/\n1:cpu,cpuacct:/app\n0::/x\n");
        made.write("cpu/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n");
        made.write("cpu/app/cpu.stat", V1);
        made.write("unified/x/cpu.stat", V2);
        assert_eq!(made.throttled(), Some((PathBuf::from("cpu/app"), parse(V1))));
    }

    #[test]
    fn a_container_sees_only_its_own_group() {
        let mount = MOUNT_V2.replace("0:22 / ", "0:22 /docker/abc ");
        let made = Made::new(&mount, "0::/docker/abc/app\n");
        made.write("unified/app/cpu.stat", V2);
        assert_eq!(made.throttled(), Some((PathBuf::from("unified/app"), parse(V2))));
        made.write("70/cgroup", "0::/docker/other\n");
        assert_eq!(made.throttled(), None);
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let seeds = [V1, V2, MOUNT_V1, MOUNT_V2].map(str::as_bytes);
        testkit::fuzz::inputs("cpu.stat", &seeds, |text| {
            text.split(|byte| *byte == b'\n').for_each(|line| drop(parse_mount(line)));
            std::hint::black_box(parse(&String::from_utf8_lossy(text)));
        });
    }
}
