//! The thread that reads topologies, so that no frame waits for the kernel's RTNL lock.

use std::{collections::BTreeSet, sync::mpsc, time::Duration};

use super::devices::{Devices, Files};
use crate::{
    collect::give_back_memory,
    frame::topology::{Nic, Topology},
    host::{
        self, Roots,
        cpu_topology::cpu_topology,
        netns::{Netns, own_inum, visit},
        packet_types::packet_types,
        sysctls::sysctls,
    },
    privileges::Privileges,
};

/// After this time, a topology that was handed over is no longer needed.
const SETTLED: Duration = Duration::from_secs(2);

/// How much to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// Files only: affinity, RPS, XPS, taps, sysctls.
    Files,
    /// Also everything that takes the RTNL lock.
    Devices,
    /// Also what the queues have counted.
    Counters,
}

/// It ends when this value is dropped.
pub(super) struct Thread {
    requests: mpsc::Sender<(Depth, BTreeSet<u32>)>,
    answers: mpsc::Receiver<Result<Topology, host::Error>>,
}

impl Thread {
    /// Starts the thread.
    pub(super) fn start(roots: Roots, privileges: Privileges) -> Result<Self, host::Error> {
        let own = own_inum(&roots.proc)?;
        let (requests, asked) = mpsc::channel::<(Depth, BTreeSet<u32>)>();
        let (sender, answers) = mpsc::channel();
        let mut reader = Reader { roots, privileges, own, devices: None, elsewhere: Vec::new() };
        let serve = move || {
            reader.privileges.give_up(&reader.roots.proc, false, || true);
            for (depth, namespaces) in asked {
                if sender.send(reader.read(depth, &namespaces)).is_err() {
                    return;
                }
                // By now the frame that carried it is written. For hundreds of NICs it takes megabytes
                // for a moment.
                std::thread::sleep(SETTLED);
                give_back_memory();
            }
        };
        match std::thread::Builder::new().name("nicmon-topology".to_owned()).spawn(serve) {
            Ok(_) => Ok(Self { requests, answers }),
            Err(source) => Err(host::Error::Thread { source }),
        }
    }

    /// Requests a topology that includes the NICs of these namespaces. If the thread has ended, no answer
    /// comes.
    pub(super) fn ask(&self, depth: Depth, namespaces: BTreeSet<u32>) {
        let _ = self.requests.send((depth, namespaces));
    }

    /// The answer, if it comes within this time.
    pub(super) fn answer(&self, within: Duration) -> Option<Result<Topology, host::Error>> {
        self.answers.recv_timeout(within).ok()
    }

    /// Waits for the answer.
    pub(super) fn wait(&self) -> Result<Topology, host::Error> {
        let ended = |_| host::Error::Thread { source: std::io::Error::other("it has ended") };
        self.answers.recv().map_err(ended)?
    }
}

/// What the thread remembers.
struct Reader {
    roots: Roots,
    privileges: Privileges,
    own: u32,
    /// Those of its own namespace; `None` until they are read.
    devices: Option<Devices>,
    /// NICs of other namespaces, which no files describe.
    elsewhere: Vec<Nic>,
}

impl Reader {
    fn read(&mut self, depth: Depth, namespaces: &BTreeSet<u32>) -> Result<Topology, host::Error> {
        if depth >= Depth::Devices || self.devices.is_none() {
            let counts = depth == Depth::Counters;
            let devices = Devices::ask(&Netns::Own, self.own, &self.roots.sys, counts);
            self.devices = Some(devices.map_err(|source| host::Error::Interfaces { source })?);
            let nics = |inum, netns: &Netns| {
                let devices = Devices::ask(netns, inum, &self.roots.sys, counts);
                devices.map(|devices| devices.nics(None)).unwrap_or_default()
            };
            let elsewhere = visit(&self.privileges, self.own, namespaces, nics);
            self.elsewhere = elsewhere.into_iter().flatten().collect();
        }
        self.topology()
    }

    fn topology(&self) -> Result<Topology, host::Error> {
        let own = self.devices.as_ref().map(|devices| devices.nics(Some(&Files::read(&self.roots, devices))));
        Ok(Topology {
            nics: own.into_iter().flatten().chain(self.elsewhere.iter().cloned()).collect(),
            cpus: cpu_topology(&self.roots.sys)?,
            sysctls: sysctls(&self.roots.proc),
            packet_types: packet_types(&self.roots.proc).ok(),
        })
    }
}
