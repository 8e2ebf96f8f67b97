//! The thread that reads topologies, so that no frame waits for the kernel's RTNL lock.

use std::{collections::BTreeSet, sync::mpsc, time::Duration};

use super::devices::{Devices, Files};
use crate::{
    collect::give_back_memory,
    frame::topology::{Nic, Topology},
    host::{
        self, Roots,
        cpu_topology::cpu_topology,
        netns::{self, Stopped},
        packet_types::packet_types,
        sysctls::sysctls,
    },
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

/// A separate thread, because it enters other namespaces. It ends when this value is dropped.
pub(super) struct Thread {
    requests: mpsc::Sender<(Depth, BTreeSet<u32>)>,
    answers: mpsc::Receiver<Result<Topology, host::Error>>,
}

impl Thread {
    /// Starts the thread.
    pub(super) fn start(roots: Roots) -> Result<Self, host::Error> {
        let own = netns::own_inum(&roots.proc)?;
        let (requests, asked) = mpsc::channel::<(Depth, BTreeSet<u32>)>();
        let (sender, answers) = mpsc::channel();
        let mut reader = Reader { roots, own, devices: None, elsewhere: Vec::new() };
        let serve = move || {
            for (depth, namespaces) in asked {
                let Ok(topology) = reader.read(depth, &namespaces) else { return };
                if sender.send(topology).is_err() {
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
        let ended = |_| host::Error::Thread { source: std::io::Error::other(Stopped) };
        self.answers.recv().map_err(ended)?
    }
}

/// What the thread remembers.
struct Reader {
    roots: Roots,
    own: u32,
    /// Those of its own namespace; `None` until they are read.
    devices: Option<Devices>,
    /// NICs of other namespaces, which no files describe.
    elsewhere: Vec<Nic>,
}

impl Reader {
    /// The outer error ends the thread.
    fn read(
        &mut self,
        depth: Depth,
        namespaces: &BTreeSet<u32>,
    ) -> Result<Result<Topology, host::Error>, Stopped> {
        if depth >= Depth::Devices || self.devices.is_none() {
            let counts = depth == Depth::Counters;
            match Devices::ask(self.own, &self.roots.sys, counts) {
                Ok(devices) => self.devices = Some(devices),
                Err(source) => return Ok(Err(host::Error::Interfaces { source })),
            }
            let nics = |inum| {
                let devices = Devices::ask(inum, &self.roots.sys, counts);
                devices.map(|devices| devices.nics(None)).unwrap_or_default()
            };
            let elsewhere = netns::visit(&self.roots.proc, self.own, namespaces, nics)?;
            self.elsewhere = elsewhere.into_iter().flatten().collect();
        }
        Ok(self.topology())
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
