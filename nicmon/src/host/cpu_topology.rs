//! Package, core and NUMA node of each CPU, and whether it is isolated.

use std::{fs, path::Path};

use super::{
    Error,
    cpus::{online, read_set},
    read_line,
};
use crate::frame::topology::Cpu;

/// Reads the topology of the online CPUs (`drivers/base/topology.c`, `drivers/base/cpu.c`,
/// `drivers/base/node.c`).
///
/// # Errors
/// The list of online CPUs cannot be read.
pub fn cpu_topology(sys: &Path) -> Result<Vec<Cpu>, Error> {
    let cpus = sys.join("devices/system/cpu");
    let isolated = read_set(&cpus.join("isolated"));
    let nohz_full = read_set(&cpus.join("nohz_full"));
    let nodes = nodes(&sys.join("devices/system/node"));
    let read = |cpu: u32| {
        let topology = cpus.join(format!("cpu{cpu}/topology"));
        // -1 if the architecture does not know it.
        let number = |file: &str| read_line(&topology.join(file)).ok()?.parse().ok();
        Cpu {
            cpu,
            package: number("physical_package_id"),
            core: number("core_id"),
            siblings: read_set(&topology.join("thread_siblings_list")),
            numa_node: nodes.iter().find(|(_, cpus)| cpus.contains(&cpu)).map(|(node, _)| *node),
            isolated: isolated.as_ref().map(|cpus| cpus.contains(&cpu)),
            nohz_full: nohz_full.as_ref().map(|cpus| cpus.contains(&cpu)),
        }
    };
    Ok(online(sys)?.into_iter().map(read).collect())
}

/// NUMA nodes and their CPUs.
fn nodes(directory: &Path) -> Vec<(u32, Vec<u32>)> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let node = entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
            Some((node, read_set(&entry.path().join("cpulist"))?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::this_machine, *};

    #[test]
    fn of_this_machine() {
        let cpu = |cpu| Cpu {
            cpu,
            package: Some(0),
            core: Some(cpu),
            siblings: Some(vec![cpu]),
            numa_node: Some(0),
            isolated: Some(false),
            // That kernel cannot run without a tick.
            nohz_full: None,
        };
        assert_eq!(cpu_topology(&this_machine().join("sys")).unwrap(), [cpu(0), cpu(1)]);
        assert!(cpu_topology(Path::new("/nonexistent")).is_err());
    }
}
