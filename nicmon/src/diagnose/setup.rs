//! How the machine is set up: the last topology, indexed once.

use std::collections::{BTreeSet, HashMap};

use crate::frame::{
    Nic,
    topology::{self, Topology},
};

/// What identifies a NIC: inode of its namespace, and interface index.
pub(super) type NicKey = (u32, u32);

/// Kinds of virtual NICs whose packets are received where they are sent.
const LOCAL_KINDS: [&str; 3] = ["veth", "netkit", "tun"];

/// The last topology that a frame carried, with what the rules look up in it.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) topology: Topology,
    nics: HashMap<NicKey, usize>,
    cpus: HashMap<u32, usize>,
    /// By CPU, the NICs whose packets RPS passes there.
    steered: HashMap<u32, Vec<NicKey>>,
}

impl Setup {
    pub(super) fn of(topology: &Topology) -> Self {
        let mut steered: HashMap<u32, Vec<NicKey>> = HashMap::new();
        for nic in &topology.nics {
            for cpu in rps_targets(nic) {
                steered.entry(cpu).or_default().push(key(nic));
            }
        }
        Self {
            nics: topology.nics.iter().enumerate().map(|(at, nic)| (key(nic), at)).collect(),
            cpus: topology.cpus.iter().enumerate().map(|(at, cpu)| (cpu.cpu, at)).collect(),
            steered,
            topology: topology.clone(),
        }
    }

    /// A NIC, and its place in the topology.
    pub(super) fn nic(&self, nic: &Nic) -> Option<(usize, &topology::Nic)> {
        let at = *self.nics.get(&(nic.netns?, nic.ifindex))?;
        Some((at, &self.topology.nics[at]))
    }

    pub(super) fn cpu(&self, cpu: u32) -> Option<&topology::Cpu> {
        self.cpus.get(&cpu).map(|at| &self.topology.cpus[*at])
    }

    /// The NICs whose packets RPS passes to this CPU.
    pub(super) fn steered_to(&self, cpu: u32) -> &[NicKey] {
        self.steered.get(&cpu).map_or(&[], Vec::as_slice)
    }
}

fn key(nic: &topology::Nic) -> NicKey {
    (nic.netns, nic.ifindex)
}

/// The CPUs that RPS passes this NIC's packets to.
pub(super) fn rps_targets(nic: &topology::Nic) -> BTreeSet<u32> {
    nic.queues.iter().filter_map(|queue| queue.rps_cpus.as_ref()).flatten().copied().collect()
}

/// Where the packets of a NIC come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Hardware,
    /// They are received where they are sent.
    Local,
    /// They are those of another NIC below: VLAN, bond, VXLAN.
    Stacked,
}

/// Where the packets of a NIC come from, as far as its setup or its driver says.
pub(super) fn origin(nic: &Nic, setup: Option<&topology::Nic>) -> Origin {
    let kind = setup.and_then(|setup| setup.kind.as_deref());
    let is_local = |kind: &str| LOCAL_KINDS.contains(&kind);
    if nic.name == "lo" || kind.map_or_else(|| nic.driver.as_deref().is_some_and(is_local), is_local) {
        Origin::Local
    } else if kind.is_some() {
        Origin::Stacked
    } else {
        Origin::Hardware
    }
}
