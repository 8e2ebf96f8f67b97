//! Interrupts of NICs, from directories that look like sysfs.

use std::os::unix::fs::symlink;

use super::{super::testing::this_machine, *};

/// Creates the part of sysfs that belongs to a NIC.
fn nic(sys: &Path, name: &str, pci: &str, virtio: Option<&str>, msi: &[u32], line: u32) {
    let pci = sys.join("devices/pci0000:00").join(pci);
    fs::create_dir_all(pci.join("net")).unwrap();
    fs::create_dir_all(sys.join("class/net").join(name)).unwrap();
    fs::write(pci.join("irq"), format!("{line}\n")).unwrap();
    interface(sys, name);
    let device = virtio.map_or_else(|| pci.clone(), |virtio| pci.join(virtio));
    fs::create_dir_all(&device).unwrap();
    symlink(&device, sys.join("class/net").join(name).join("device")).unwrap();
    if !msi.is_empty() {
        fs::create_dir_all(pci.join("msi_irqs")).unwrap();
    }
    for irq in msi {
        fs::write(pci.join("msi_irqs").join(irq.to_string()), "msix\n").unwrap();
    }
}

/// Gives an interface the next index.
fn interface(sys: &Path, name: &str) {
    let class = sys.join("class/net");
    fs::create_dir_all(class.join(name)).unwrap();
    let index = fs::read_dir(&class).unwrap().count();
    fs::write(class.join(name).join("ifindex"), format!("{index}\n")).unwrap();
    fs::write(class.join(name).join("address"), "02:00:00:00:00:01\n").unwrap();
}

const ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Reads the interfaces that this sysfs shows, with an address.
fn read_as(sys: &Path, address: &[u8]) -> NicIrqs {
    let entries = fs::read_dir(sys.join("class/net")).unwrap().map(|entry| entry.unwrap());
    let entries = entries.filter(|entry| entry.path().join("ifindex").exists());
    let nics: Vec<(std::ffi::OsString, u32)> = entries
        .map(|entry| {
            let ifindex = fs::read_to_string(entry.path().join("ifindex")).unwrap();
            (entry.file_name(), ifindex.trim().parse().unwrap())
        })
        .collect();
    let id = |(name, ifindex): &'_ (std::ffi::OsString, u32)| (name.clone(), *ifindex);
    let nics: Vec<_> = nics.iter().map(id).collect();
    let nics = nics.iter().map(|(name, ifindex)| NicId { name, ifindex: *ifindex, address });
    NicIrqs::read(sys, nics).unwrap()
}

fn read(sys: &Path) -> NicIrqs {
    read_as(sys, &ADDRESS)
}

#[test]
fn sysfs_of_another_namespace_is_not_believed() {
    let sys = tempfile::tempdir().unwrap();
    nic(sys.path(), "eth0", "0000:01:00.0", None, &[50], 16);
    assert_eq!(read(sys.path()).nic_of(50, "eth0-TxRx-0"), Some("eth0"));
    // Both namespaces have an eth0, and both have index 1.
    let other = read_as(sys.path(), &[2, 0, 0, 0, 0, 2]);
    assert_eq!(other.nic_of(50, "eth0-TxRx-0"), None);
    assert!(!other.tells_all_of(1));
    let id = NicId { name: "eth0".as_ref(), ifindex: 7, address: &ADDRESS };
    assert_eq!(NicIrqs::read(sys.path(), [id]).unwrap().nic_of(50, "eth0-TxRx-0"), None);
}

#[test]
fn a_nic_named_like_a_usb_bus_takes_no_interrupt_of_it() {
    let sys = tempfile::tempdir().unwrap();
    let sys = sys.path();
    nic(sys, "usb1", "0000:05:00.0", None, &[], 0);
    fs::remove_file(sys.join("devices/pci0000:00/0000:05:00.0/irq")).unwrap();
    nic(sys, "usb2", "0000:06:00.0", None, &[], 20);
    line(sys, 20, "uhci_hcd:usb2,usb2\n");
    interface(sys, "hcd");
    interface(sys, "eth0");
    symlink(sys.join("devices"), sys.join("class/net/hcd/device")).unwrap();
    symlink(sys.join("devices"), sys.join("class/net/eth0/device")).unwrap();
    let irqs = read(sys);
    for (irq, action, expected) in [
        (16, "uhci_hcd:usb1", None),
        (17, "xhci-hcd:usb1", None),
        (20, "uhci_hcd:usb2", None),
        (20, "usb2", Some("usb2")),
        (18, "usb1", Some("usb1")),
        (18, "usb1-rx-0", Some("usb1")),
        // In `--source proc`, a line has the names of all its actions.
        (21, "uhci_hcd:usb1,eth0", Some("eth0")),
        (21, "eth0,uhci_hcd:usb1", Some("eth0")),
        (21, "usb1,eth0", None),
        (21, "eth0-rx-0,eth0-tx-0", Some("eth0")),
        (20, "uhci_hcd:usb2,usb2", Some("usb2")),
        (18, "hcd", Some("hcd")),
    ] {
        assert_eq!(irqs.nic_of(irq, action), expected, "{irq} {action}");
    }
    assert_eq!(queue_of("xhci-hcd:usb1", Some("usb1")), None);
    assert_eq!(queue_of("ehci_hcd-tx1:usb1,eth0-rx-3", Some("eth0")), Some(3));
    assert_eq!(direction_of("ehci_hcd-tx1:usb1,eth0-rx-3", Some("eth0")), Some(Direction::Rx));
    assert_eq!(direction_of("eth0-rx-0,eth0-tx-0", Some("eth0")), None);
}

#[test]
fn a_shared_line_whose_names_do_not_tell_is_unknown() {
    let sys = tempfile::tempdir().unwrap();
    let sys = sys.path();
    for (number, name) in ["eth0", "eth1", "eth2", "eth3"].into_iter().enumerate() {
        nic(sys, name, &format!("0000:0{number}:00.0"), None, &[], 10);
    }
    line(sys, 10, "eth0,eth1,eth1,8139cp\n");
    let irqs = read(sys);
    // eth1 may be the old name of eth3.
    let told: Vec<bool> = (1..=4).map(|ifindex| irqs.tells_all_of(ifindex)).collect();
    assert_eq!(told, [true, false, false, false]);
    assert_eq!(irqs.nic_of(10, "eth0"), Some("eth0"));
    assert_eq!((irqs.nic_of(10, "eth1"), irqs.nic_of(10, "8139cp")), (None, None));
}

fn line(sys: &Path, irq: u32, actions: &str) {
    fs::create_dir_all(sys.join("kernel/irq").join(irq.to_string())).unwrap();
    fs::write(sys.join("kernel/irq").join(irq.to_string()).join("actions"), actions).unwrap();
}

#[test]
fn of_a_machine() {
    let sys = tempfile::tempdir().unwrap();
    // On that machine eth0 is virtio2, with these vectors at its PCI device, whose line is 0.
    nic(sys.path(), "eth0", "0000:00:03.0", Some("virtio2"), &[37, 38, 39], 0);
    interface(sys.path(), "lo");
    fs::write(sys.path().join("class/net/bonding_masters"), "bond0\n").unwrap();
    let irqs = read(sys.path());
    assert_eq!(irqs.0.len(), 2);
    assert!(irqs.tells_all_of(1) && irqs.tells_all_of(2) && !irqs.tells_all_of(3));

    let interrupts = fs::read_to_string(this_machine().join("proc/interrupts")).unwrap();
    let named = interrupts.lines().skip(1).filter_map(|line| {
        let (irq, rest) = line.split_once(':')?;
        let (irq, action) = (irq.trim().parse().ok()?, rest.split_whitespace().last()?);
        let nic = irqs.nic_of(irq, action);
        nic.map(|nic| (irq, action, nic, queue_of(action, Some(nic))))
    });
    let expected = [
        (37, "virtio2-config", "eth0", None),
        (38, "virtio2-input.0", "eth0", Some(0)),
        (39, "virtio2-output.0", "eth0", Some(0)),
    ];
    assert_eq!(named.collect::<Vec<_>>(), expected);
    assert!(NicIrqs::read(&sys.path().join("nothing"), []).is_err());
}

#[test]
fn vectors_before_names() {
    let sys = tempfile::tempdir().unwrap();
    let sys = sys.path();
    nic(sys, "eth1", "0000:01:00.0", None, &[50, 51], 16);
    nic(sys, "eth10", "0000:02:00.0", None, &[60, 61], 17);
    nic(sys, "p0", "0000:03:00.0", None, &[70, 71], 18);
    // Two ports of one device.
    nic(sys, "m0", "0000:04:00.0", None, &[80, 81], 19);
    nic(sys, "m1", "0000:04:00.0", None, &[80, 81], 19);
    nic(sys, "usb0", "0000:05:00.0", None, &[], 0);
    // For a USB device sysfs shows none.
    fs::remove_file(sys.join("devices/pci0000:00/0000:05:00.0/irq")).unwrap();
    let irqs = read(sys);
    let told: Vec<bool> = (1..=6).map(|ifindex| irqs.tells_all_of(ifindex)).collect();
    assert_eq!(told, [true, true, true, false, false, false]);
    for (irq, action, expected) in [
        (50, "eth1-TxRx-0", Some("eth1")),
        (60, "eth10-TxRx-0", Some("eth10")),
        (70, "mlx5_comp0@pci:0000:03:00.0", Some("p0")),
        // After renaming, the action still has a name that now belongs to another NIC.
        (71, "eth1-TxRx-1", Some("p0")),
        (80, "m0-rx-0", Some("m0")),
        (81, "mlx4-2@0000:04:00.0", None),
        // An interface of that name is in another namespace.
        (99, "eth1-TxRx-0", None),
        (99, "nvme0q1", None),
    ] {
        assert_eq!(irqs.nic_of(irq, action), expected, "{irq} {action}");
    }
}

#[test]
fn lines_and_names() {
    let sys = tempfile::tempdir().unwrap();
    let sys = sys.path();
    nic(sys, "eth0", "0000:01:00.0", None, &[], 10);
    nic(sys, "eth2", "0000:02:00.0", None, &[], 11);
    nic(sys, "ens4", "0000:03:00.0", Some("virtio1"), &[], 0);
    nic(sys, "ens40", "0000:04:00.0", Some("virtio10"), &[], 0);
    line(sys, 10, "uhci_hcd:usb1,eth0\n");
    line(sys, 11, "8139cp\n");
    let irqs = read(sys);
    for (irq, action, expected) in [
        (10, "eth0", Some("eth0")),
        (10, "uhci_hcd:usb1", None),
        (11, "8139cp", Some("eth2")),
        (12, "eth0", None),
        (5, "virtio1", Some("ens4")),
        (5, "virtio10-input.0", Some("ens40")),
        (5, "virtio100-input.0", None),
        (5, "virtio2-req.0", None),
        (5, "i40e-ens4-TxRx-3", Some("ens4")),
        (5, "ens40:mac", Some("ens40")),
        (5, "ens4_g0_tx", Some("ens4")),
        (5, "xens4", None),
        (5, "", None),
    ] {
        assert_eq!(irqs.nic_of(irq, action), expected, "{irq} {action}");
    }
}

#[test]
fn directions() {
    for (action, nic, expected) in [
        ("virtio0-input.0", "eth0", Some(Direction::Rx)),
        ("virtio0-output.0", "eth0", Some(Direction::Tx)),
        ("eth0-TxRx-3", "eth0", None),
        ("eth0-Tx-Rx-5", "eth0", None),
        ("rx0-tx-1", "rx0", Some(Direction::Tx)),
        ("mlx5_comp3@pci:0000:08:00.0", "eth0", None),
        ("eth0", "eth0", None),
    ] {
        assert_eq!(direction_of(action, Some(nic)), expected, "{action}");
    }
}

#[test]
fn queues() {
    for (action, nic, expected) in [
        // virtio_net, e1000e, igb, ixgbe, i40e, ice, bnx2x
        ("virtio0-input.0", "eth0", Some(0)),
        ("virtio3-output.12", "ens4", Some(12)),
        ("virtio0-config", "eth0", None),
        ("virtio1", "ens4", None),
        ("eth0", "eth0", None),
        ("eth0-rx-0", "eth0", Some(0)),
        ("eth0-tx-1", "eth0", Some(1)),
        ("enp3s0f1-TxRx-3", "enp3s0f1", Some(3)),
        ("i40e-eth0-TxRx-3", "eth0", Some(3)),
        ("i40e-0000:5e:00.0:misc", "eth0", None),
        ("ice-ens1f0np0-TxRx-17", "ens1f0np0", Some(17)),
        ("eth0-fp-4", "eth0", Some(4)),
        // mlx5, mana, hns3, ena, gve
        ("mlx5_comp3@pci:0000:08:00.0", "eth0", Some(3)),
        ("mlx5_async0@pci:0000:08:00.0", "eth0", None),
        ("mana_q2@pci:7870:00:00.0", "eth0", Some(2)),
        ("hns3-0000:bd:00.0-TxRx-6", "eth0", Some(6)),
        ("eth0-Tx-Rx-5", "eth0", Some(5)),
        ("ena-mgmnt@pci:0000:00:05.0", "eth0", None),
        ("gve-ntfy-blk3@pci:0000:00:04.0", "eth0", None),
        // cxgb4, xen-netfront, sfc, stmmac, 8139cp
        ("eth0-Rx7", "eth0", Some(7)),
        ("eth0-q1-rx", "eth0", Some(1)),
        ("eth0-2", "eth0", Some(2)),
        ("eth0:rx-2", "eth0", Some(2)),
        ("eth0:mac", "eth0", None),
        ("8139cp", "eth2", None),
        ("tx0", "tx0", None),
        ("wan-q1", "wan-q1", None),
        ("eth0-TxRx-99999999999", "eth0", None),
        ("", "eth0", None),
    ] {
        assert_eq!(queue_of(action, Some(nic)), expected, "{action}");
    }
    assert_eq!(queue_of("eth0-TxRx-3", None), Some(3));
    assert_eq!(queue_of("eth0-3", None), None);
    assert_eq!(queue_of("tx0", None), None);
}
