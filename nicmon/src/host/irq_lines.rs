//! Interrupt lines: their handlers, and the CPUs that may handle them.

use std::{fs, path::Path};

use super::{Error, cpus::read_set, read_line};

/// A line and the names of its actions, as in the last column of `/proc/interrupts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IrqLine {
    /// Its number.
    pub irq: u32,
    /// One name per handler; drivers that share the line have one each.
    pub actions: Vec<String>,
}

/// All lines that have a handler, ascending.
///
/// Read from `/sys/kernel/irq` (`actions_show` in `kernel/irq/irqdesc.c`) instead of `/proc/interrupts`,
/// whose columns depend on the interrupt controller, and which is a megabyte of counters on a large machine.
///
/// # Errors
/// The directory cannot be read.
pub fn irq_lines(sys: &Path) -> Result<Vec<IrqLine>, Error> {
    let directory = sys.join("kernel/irq");
    let entries = fs::read_dir(&directory).map_err(Error::read(&directory))?.filter_map(Result::ok);
    let mut lines: Vec<IrqLine> = entries
        .filter_map(|entry| {
            let irq = entry.file_name().to_str()?.parse().ok()?;
            let actions = read_line(&entry.path().join("actions")).ok()?;
            let actions: Vec<String> =
                actions.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            (!actions.is_empty()).then_some(IrqLine { irq, actions })
        })
        .collect();
    lines.sort_by_key(|line| line.irq);
    Ok(lines)
}

/// CPUs that may handle a line (`smp_affinity_list`).
pub fn affinity(proc: &Path, irq: u32) -> Option<Vec<u32>> {
    read_set(&proc.join(format!("irq/{irq}/smp_affinity_list")))
}

/// CPUs that the interrupt controller delivers it to (`effective_affinity_list`); since Linux 4.13, if the
/// controller reports them.
pub fn effective_affinity(proc: &Path, irq: u32) -> Option<Vec<u32>> {
    read_set(&proc.join(format!("irq/{irq}/effective_affinity_list")))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::this_machine, *};

    #[test]
    fn of_this_machine() {
        let root = this_machine();
        let lines = irq_lines(&root.join("sys")).unwrap();
        let shown: Vec<_> = lines.iter().map(|line| (line.irq, line.actions.join("|"))).collect();
        let expected = [
            (32, "virtio0-reporting_vq"),
            (37, "virtio2-config"),
            (38, "virtio2-input.0"),
            (39, "virtio2-output.0"),
        ];
        assert_eq!(shown, expected.map(|(irq, actions)| (irq, actions.to_owned())));
        let proc = root.join("proc");
        assert_eq!((affinity(&proc, 38), effective_affinity(&proc, 38)), (Some(vec![0, 1]), Some(vec![1])));
        assert_eq!((affinity(&proc, 9999), effective_affinity(&proc, 9999)), (None, None));
        assert!(irq_lines(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn shared() {
        let sys = tempfile::tempdir().unwrap();
        for (irq, actions) in [("11", "uhci_hcd:usb1,eth0\n"), ("12", "\n"), ("x", "eth1\n")] {
            let line = sys.path().join("kernel/irq").join(irq);
            fs::create_dir_all(&line).unwrap();
            fs::write(line.join("actions"), actions).unwrap();
        }
        let expected = [IrqLine { irq: 11, actions: vec!["uhci_hcd:usb1".into(), "eth0".into()] }];
        assert_eq!(irq_lines(sys.path()).unwrap(), expected);
    }
}
