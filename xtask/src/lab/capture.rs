//! Stores what a guest's nicmon, ethtool and kernel report about its NICs, for tests that need no guest.
//!
//! The text is a txtar archive (the format of Go's `golang.org/x/tools/txtar`): a comment, then parts, each
//! after a line `-- NAME --`. A name is a path, `PATH -> TARGET` for a symbolic link, `$ COMMAND`, or
//! `$ COMMAND: failed`.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{Args, Done, device::Device, job, plan::Plan};

/// Commands that change the NICs' default settings: values that a parser could mix up must differ.
const SETTINGS: [(Device, &[&str]); 3] = [
    (
        Device::Virtio,
        &[
            "ip link set NIC mtu 1400",
            "echo 77 >/sys/class/net/NIC/tx_queue_len",
            "ethtool -K NIC gro off tso off",
            "echo 3 >/sys/class/net/NIC/queues/rx-1/rps_cpus",
            "echo 128 >/sys/class/net/NIC/queues/rx-1/rps_flow_cnt",
            "echo 4 >/sys/class/net/NIC/queues/tx-1/xps_cpus",
            "echo 20000 >/sys/class/net/NIC/gro_flush_timeout",
            "echo 2 >/sys/class/net/NIC/napi_defer_hard_irqs",
        ],
    ),
    (Device::E1000e, &["ethtool -C NIC rx-usecs 70", "ethtool -G NIC rx 512 tx 128"]),
    (
        Device::Igb,
        &[
            "ethtool -X NIC equal 2",
            "ethtool -G NIC rx 128 tx 512",
            "ethtool -C NIC rx-usecs 50",
            "ethtool -N NIC rx-flow-hash udp4 sdfn",
            "echo 2 >/proc/irq/$(ls /sys/class/net/NIC/device/msi_irqs | tail -n 1)/smp_affinity",
        ],
    ),
];

pub(super) fn plan(args: &Args) -> Plan {
    let mut plan = Plan::of(args, &SETTINGS.map(|(device, _)| device));
    plan.queues = args.queues.unwrap_or(4);
    plan.programs = vec!["ethtool".to_owned()];
    plan.script.push_str(include_str!("scripts/capture.sh"));
    plan.measurements = 1;
    for (index, device) in plan.numbered().collect::<Vec<_>>() {
        let (nic, set) = (job::nic(index), SETTINGS.iter().find(|(of, _)| *of == device));
        let _ = writeln!(plan.script, "mkdir /tmp/{0} && begin /tmp/{0} {nic}", job::folder(index));
        for command in set.iter().flat_map(|(_, commands)| commands.iter()) {
            let _ = writeln!(plan.script, "{}", command.replace("NIC", "$name"));
        }
    }
    // Links take a moment to come up again.
    plan.script.push_str("sleep 5\ncapture >/tmp/capture\ncp /tmp/capture /out/\n");
    plan
}

/// Stores the guest's output in `folder`, with a note of its origin.
pub(super) fn store(done: &Done<'_>, args: &Args) -> Result<()> {
    let folder = args.capture.as_deref().context("no folder to store the capture in")?;
    let captured = done.out.join("capture");
    let captured =
        fs::read_to_string(&captured).with_context(|| format!("cannot read {}", captured.display()))?;
    let log = fs::read_to_string(done.out.join("log")).unwrap_or_default();
    let text = format!(
        "Linux {} (Debian) with {}, as made and set up by\n`cargo xtask lab --capture`, in {}.\n{captured}",
        done.release,
        super::names(&done.plan.devices),
        done.tools.version()?
    );
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file: PathBuf = folder.join(format!("linux-{}.txtar", args.kernel.name()));
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    println!("wrote {}; the guest's log:\n{log}", file.display());
    Ok(())
}
