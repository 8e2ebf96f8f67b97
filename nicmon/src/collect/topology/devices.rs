//! What the kernel and the drivers report about NICs, and what files add to it.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
};

use crate::{
    frame::topology::{Irq, Nic, Queue, QueueKind},
    host::{
        Roots,
        drivers::{DriverFacts, Drivers},
        ethtool::Ethtool,
        irq_lines::{IrqLine, affinity, effective_affinity, irq_lines},
        irqs::{NicIrqs, direction_of, queue_of},
        link_details::{LinkDetails, link_details},
        netns::Netns,
        nic_files::{NicFiles, NicId},
        queue_counters::{QueuesCounted, Statistics, told_to_kernel},
        queues::{QueueNapi, napi_irqs, queues},
        rss::RssReader,
    },
};

/// The NICs of one namespace, as netlink and ioctl report them.
pub(super) struct Devices {
    nics: Vec<(LinkDetails, Nic)>,
    queues: Vec<QueueNapi>,
    /// Interrupts by NAPI id.
    napi_irqs: HashMap<u32, u32>,
    /// By interface index; empty if they were not asked for.
    counted: BTreeMap<u32, QueuesCounted>,
}

impl Devices {
    /// Asks a namespace, whose inode number is given. Each request takes the kernel's RTNL lock. The drivers
    /// of devices that sleep are not asked, as far as `sys` shows the namespace. `counts` is whether to read
    /// what the queues have counted.
    pub(super) fn ask(netns: &Netns, inum: u32, sys: &Path, counts: bool) -> io::Result<Self> {
        let links = link_details(netns)?;
        let (drivers, rss) = (Drivers::open(netns)?, RssReader::open(netns)?);
        // If the kernel lacks the family, what it would report is unknown.
        let mut ethtool = Ethtool::open(netns).ok();
        let name = |link: &LinkDetails| link.name.to_string_lossy().into_owned();
        let names: HashMap<u32, String> = links.iter().map(|link| (link.ifindex, name(link))).collect();
        let nic = |link: &LinkDetails| {
            let files = NicFiles::find(sys, id(link));
            let sleeps = files.as_ref().is_some_and(NicFiles::sleeps);
            let is_awake = !sleeps;
            let driver = if is_awake {
                drivers.facts(&link.name)
            } else {
                let driver = files.as_ref().and_then(NicFiles::device_driver);
                DriverFacts { driver, ..DriverFacts::default() }
            };
            let mut nic = Nic {
                name: name(link),
                alt_names: link.alt_names.clone(),
                ifindex: link.ifindex,
                netns: inum,
                kind: link.kind.clone(),
                driver: driver.driver,
                driver_version: driver.version,
                firmware: driver.firmware,
                bus: driver.bus,
                master: link.master.and_then(|index| names.get(&index).cloned()),
                mtu_bytes: link.mtu_bytes,
                up: link.up,
                xdp: link.xdp.clone(),
                sleeps,
                rss: is_awake.then(|| rss.rss(&link.name)).flatten(),
                tx_queue_len: link.tx_queue_len,
                ..Nic::default()
            };
            if let Some(ethtool) = ethtool.as_mut().filter(|_| is_awake) {
                nic.speed_mbps = ethtool.speed_mbps(link.ifindex);
                nic.channels = ethtool.channels(link.ifindex);
                nic.rings = ethtool.rings(link.ifindex);
                nic.coalesce = ethtool.coalesce(link.ifindex);
                nic.offloads = ethtool.offloads(link.ifindex);
            }
            nic
        };
        let nics: Vec<Nic> = links.iter().map(nic).collect();
        let awake = links.iter().zip(&nics).filter(|(_, nic)| !nic.sleeps).map(|(link, _)| link);
        Ok(Self {
            counted: if counts { counted(netns, awake) } else { BTreeMap::new() },
            nics: links.into_iter().zip(nics).collect(),
            queues: queues(netns).ok().flatten().unwrap_or_default(),
            napi_irqs: napi_irqs(netns).ok().flatten().unwrap_or_default().into_iter().collect(),
        })
    }

    /// The NICs, with what files say about them now. `files` is `None` for a namespace that sysfs does
    /// not show.
    pub(super) fn nics(&self, files: Option<&Files>) -> Vec<Nic> {
        self.nics
            .iter()
            .map(|(link, nic)| {
                let mut nic = nic.clone();
                if let Some((files, found)) = files.and_then(|files| Some((files, files.of(link)?))) {
                    nic.numa_node = found.numa_node();
                    (nic.upper, nic.lower) = (found.upper(), found.lower());
                    nic.threaded_napi = found.threaded();
                    nic.gro_flush_timeout_ns = found.gro_flush_timeout_ns();
                    nic.napi_defer_hard_irqs = found.napi_defer_hard_irqs();
                    nic.queues = found.queues();
                    nic.irqs = files.irqs(&nic.name, found.has_device());
                }
                self.join_queues(&mut nic);
                nic
            })
            .collect()
    }

    /// Adds the NAPI and the interrupt of each queue, and queues that only netlink reports.
    fn join_queues(&self, nic: &mut Nic) {
        for told in self.queues.iter().filter(|told| told.ifindex == nic.ifindex) {
            let kind = QueueKind::from(told.direction);
            let known = nic.queues.iter().position(|queue| (queue.kind, queue.index) == (kind, told.queue));
            let at = known.unwrap_or_else(|| {
                nic.queues.push(Queue::new(kind, told.queue));
                nic.queues.len() - 1
            });
            nic.queues[at].napi_id = Some(told.napi_id);
        }
        nic.queues.sort_by_key(|queue| (queue.kind, queue.index));
        for ((direction, number), counts) in self.counted.get(&nic.ifindex).into_iter().flatten() {
            let is_it =
                |queue: &&mut Queue| (queue.kind, queue.index) == (QueueKind::from(*direction), *number);
            if let Some(queue) = nic.queues.iter_mut().find(is_it) {
                (queue.packets, queue.bytes) = (counts.packets, counts.bytes);
            }
        }
        for queue in &mut nic.queues {
            let named = |says: fn(Option<QueueKind>, QueueKind) -> bool| {
                let mut irqs = nic.irqs.iter().flatten();
                let kind = |irq: &Irq| direction_of(&irq.action, Some(&nic.name)).map(QueueKind::from);
                irqs.find(|irq| irq.queue == Some(queue.index) && says(kind(irq), queue.kind))
                    .map(|irq| irq.irq)
            };
            // A name with number and direction comes first: netlink reports one interrupt per NAPI, but
            // e1000e's NAPI, which serves both queues, has two (`eth0-rx-0`, `eth0-tx-0`).
            queue.irq = named(|told, kind| told == Some(kind))
                .or_else(|| self.napi_irqs.get(&queue.napi_id?).copied())
                .or_else(|| named(|told, _| told.is_none()));
        }
    }
}

/// What the queues have counted, by interface index: as the kernel says, or else by the driver's own
/// statistics.
fn counted<'a>(netns: &Netns, links: impl Iterator<Item = &'a LinkDetails>) -> BTreeMap<u32, QueuesCounted> {
    let mut told = told_to_kernel(netns).unwrap_or_default();
    let Ok(statistics) = Statistics::open(netns) else { return told };
    for link in links {
        told.entry(link.ifindex).or_insert_with(|| statistics.of(&link.name));
    }
    told
}

fn id(link: &LinkDetails) -> NicId<'_> {
    NicId { name: &link.name, ifindex: link.ifindex, address: &link.address }
}

/// Files about all NICs in the namespace that sysfs shows.
pub(super) struct Files<'a> {
    roots: &'a Roots,
    nic_irqs: NicIrqs,
    /// `None` if they cannot be read.
    lines: Option<Vec<IrqLine>>,
}

impl<'a> Files<'a> {
    /// Reads the files about these NICs. If they cannot be read, interrupts are unknown.
    pub(super) fn read(roots: &'a Roots, devices: &Devices) -> Self {
        let ids = devices.nics.iter().map(|(link, _)| id(link));
        let nic_irqs = NicIrqs::read(&roots.sys, ids).unwrap_or_default();
        Self { roots, nic_irqs, lines: irq_lines(&roots.sys).ok() }
    }

    fn of(&self, link: &LinkDetails) -> Option<NicFiles> {
        NicFiles::find(&self.roots.sys, id(link))
    }

    /// The interrupts of a NIC; unknown if its device seems to have none. A device without interrupts (it
    /// is down, or its driver polls) looks the same as one whose interrupts were not found.
    fn irqs(&self, nic: &str, has_device: bool) -> Option<Vec<Irq>> {
        let lines = self.lines.as_ref()?;
        let actions = lines.iter().flat_map(|line| line.actions.iter().map(|action| (line.irq, action)));
        let irqs: Vec<Irq> = actions
            .filter(|(irq, action)| self.nic_irqs.nic_of(*irq, action) == Some(nic))
            .map(|(irq, action)| Irq {
                irq,
                action: action.clone(),
                queue: queue_of(action, Some(nic)),
                affinity: affinity(&self.roots.proc, irq),
                affinity_effective: effective_affinity(&self.roots.proc, irq),
            })
            .collect();
        (!has_device || !irqs.is_empty()).then_some(irqs)
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, path::PathBuf};

    use super::*;
    use crate::host::{queue_counters::QueueCounts, queues::Direction};

    const COUNTED: QueueCounts = QueueCounts { packets: Some(5), bytes: None };

    fn devices() -> Devices {
        let link = LinkDetails {
            ifindex: 4,
            name: OsString::from("eth0"),
            address: vec![0x02, 0xfc, 0, 0, 0, 1],
            ..LinkDetails::default()
        };
        let nic = Nic { name: "eth0".into(), ifindex: 4, ..Nic::default() };
        let queue = |direction, napi_id| QueueNapi { ifindex: 4, queue: 0, direction, napi_id };
        Devices {
            nics: vec![(link, nic)],
            queues: vec![queue(Direction::Rx, 8193), QueueNapi { ifindex: 5, ..queue(Direction::Tx, 7) }],
            napi_irqs: HashMap::from([(7, 77)]),
            counted: BTreeMap::from([(4, [((Direction::Rx, 0), COUNTED)].into())]),
        }
    }

    /// Loopback of this namespace, as if it were a NIC whose device sleeps.
    #[test]
    fn the_driver_of_a_device_that_sleeps_is_not_asked() {
        let sys = tempfile::tempdir().unwrap();
        let lo = sys.path().join("class/net/lo");
        std::fs::create_dir_all(lo.join("device/power")).unwrap();
        std::fs::write(lo.join("ifindex"), "1\n").unwrap();
        std::fs::write(lo.join("address"), "00:00:00:00:00:00\n").unwrap();
        std::os::unix::fs::symlink("../bus/igb", lo.join("device/driver")).unwrap();
        let ask = |status: &str| {
            std::fs::write(lo.join("device/power/runtime_status"), status).unwrap();
            let nics = Devices::ask(&Netns::Own, 7, sys.path(), true).unwrap().nics;
            nics.into_iter().map(|(_, nic)| nic).find(|nic| nic.name == "lo").unwrap()
        };
        let awake = ask("active\n");
        assert!(!awake.sleeps && awake.offloads.is_some());
        let asleep = ask("suspended\n");
        assert_eq!((asleep.sleeps, asleep.driver.as_deref()), (true, Some("igb")));
        assert!(asleep.offloads.is_none() && asleep.rss.is_none() && asleep.mtu_bytes == awake.mtu_bytes);
        let elsewhere = tempfile::tempdir().unwrap();
        let unknown = Devices::ask(&Netns::Own, 7, elsewhere.path(), true).unwrap().nics;
        assert!(unknown.iter().all(|(_, nic)| !nic.sleeps));
    }

    #[test]
    fn without_files() {
        let nics = devices().nics(None);
        assert_eq!(nics[0].irqs, None);
        assert_eq!(
            nics[0].queues,
            [Queue { napi_id: Some(8193), packets: Some(5), ..Queue::new(QueueKind::Rx, 0) }]
        );
        let mut devices = devices();
        devices.napi_irqs = HashMap::from([(8193, 40)]);
        assert_eq!(devices.nics(None)[0].queues[0].irq, Some(40));
    }

    /// From e1000e on 7.3: one NAPI serves both queues, and netlink reports the interrupt of one.
    #[test]
    fn names_before_napis() {
        let irq = |irq, action: &str| Irq {
            irq,
            action: action.to_owned(),
            queue: queue_of(action, Some("eth0")),
            affinity: None,
            affinity_effective: None,
        };
        let mut devices = devices();
        devices.queues[1] = QueueNapi { direction: Direction::Tx, ..devices.queues[0] };
        devices.napi_irqs = HashMap::from([(8193, 35)]);
        let irqs_of = |actions: &[(u32, &str)]| {
            let mut nic = devices.nics[0].1.clone();
            nic.irqs = Some(actions.iter().map(|(line, action)| irq(*line, action)).collect());
            devices.join_queues(&mut nic);
            nic.queues.iter().map(|queue| (queue.kind, queue.irq)).collect::<Vec<_>>()
        };
        let expected = [(QueueKind::Rx, Some(35)), (QueueKind::Tx, Some(36))];
        assert_eq!(irqs_of(&[(35, "eth0-rx-0"), (36, "eth0-tx-0"), (37, "eth0")]), expected);
        // A name without a direction says less than netlink.
        assert_eq!(irqs_of(&[(36, "eth0-TxRx-0")]), [(QueueKind::Rx, Some(35)), (QueueKind::Tx, Some(35))]);
    }

    #[test]
    fn with_the_files_of_this_machine() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host/this-machine");
        let roots = Roots { proc: root.join("proc"), sys: root.join("sys") };
        // The fixtures have no links, so make those of that machine: the vectors of eth0 belong to its
        // PCI device.
        let sys = tempfile::tempdir().unwrap();
        let pci = sys.path().join("devices/pci0000:00/0000:00:03.0");
        for irq in [37, 38, 39] {
            std::fs::create_dir_all(pci.join("msi_irqs")).unwrap();
            std::fs::write(pci.join(format!("msi_irqs/{irq}")), "msix\n").unwrap();
        }
        std::fs::create_dir_all(pci.join("virtio2")).unwrap();
        std::fs::create_dir_all(sys.path().join("class/net/eth0")).unwrap();
        std::fs::write(sys.path().join("class/net/eth0/ifindex"), "4\n").unwrap();
        std::fs::write(sys.path().join("class/net/eth0/address"), "02:fc:00:00:00:01\n").unwrap();
        std::os::unix::fs::symlink(pci.join("virtio2"), sys.path().join("class/net/eth0/device")).unwrap();
        let devices = devices();
        let mut files = Files::read(&roots, &devices);
        files.nic_irqs = NicIrqs::read(sys.path(), [id(&devices.nics[0].0)]).unwrap();

        let nics = devices.nics(Some(&files));
        let irq = |irq, action: &str, queue, effective| Irq {
            irq,
            action: action.to_owned(),
            queue,
            affinity: Some(vec![0, 1]),
            affinity_effective: Some(vec![effective]),
        };
        let expected = vec![
            irq(37, "virtio2-config", None, 0),
            irq(38, "virtio2-input.0", Some(0), 1),
            irq(39, "virtio2-output.0", Some(0), 0),
        ];
        assert_eq!(nics[0].irqs, Some(expected));
        let queues: Vec<_> =
            nics[0].queues.iter().map(|queue| (queue.kind, queue.napi_id, queue.irq)).collect();
        assert_eq!(queues, [(QueueKind::Rx, Some(8193), Some(38)), (QueueKind::Tx, None, Some(39))]);
        assert_eq!(nics[0].threaded_napi, Some(false));
    }
}
