//! Two processes: the broker keeps the privileges that nicmon needs after its start, and all the rest of
//! nicmon gives them up.
//!
//! [`Privileges::split`] forks the broker before anything else happens. Whatever takes a privilege from then
//! on is a [`Request`], and [`Privileges::ask`] passes it on. The broker answers with values and with
//! descriptors, which work without the privilege that it took to open them. Once the eBPF programs are
//! attached, [`Privileges::give_up`] takes the rest away from the calling thread.
//!
//! Tests and commands that run for a moment do without a broker ([`Privileges::own`]): the same requests are
//! then done in this process, with whatever it may do.

mod broker;
mod calls;
mod confine;
mod message;

use std::{collections::BTreeSet, ffi::OsString, fmt, io, os::fd::OwnedFd, path::Path, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::broker::Broker;
pub use self::confine::{Confinement, confinement};
use crate::frame::WhoseFlows;

/// Something that takes a privilege.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Inode numbers of all network namespaces that have a path.
    ExistingNamespaces,
    /// Paths into these network namespaces, by inode number.
    FindNamespaces(BTreeSet<u32>),
    /// Names and control groups of these network namespaces. The second is nicmon's own.
    IdentifyNamespaces(BTreeSet<u32>, u32),
    /// Sockets and files inside these network namespaces, at most 40: each has up to six, and the kernel
    /// passes at most 253 descriptors at once (`SCM_MAX_FD`, `include/net/scm.h`).
    EnterNamespaces(Vec<(u32, OsString)>),
    /// The processes that have these sockets open, by inode number.
    FindSocketOwners(BTreeSet<u64>),
    /// Whether the process still has this socket at this descriptor.
    HasSocket {
        /// The process.
        pid: u32,
        /// Its descriptor.
        descriptor: u32,
        /// Inode number of the socket.
        inode: u64,
    },
    /// A perf event on this CPU, which does not run yet.
    OpenEvent {
        /// What it counts.
        event: Event,
        /// How many of them make a sample.
        period: u64,
        /// The CPU.
        cpu: u32,
    },
    /// Run-time statistics of BPF programs, which are on while the descriptor is open.
    EnableStatistics,
    /// A look at the flows of some packets.
    LookAtFlows(WhoseFlows),
}

/// What a perf event counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Cycles of the CPU.
    Cycles,
    /// Nanoseconds of the CPU's clock.
    CpuClock,
}

/// What a request gave: a value, as JSON, and descriptors.
#[derive(Debug, Default)]
pub struct Answer {
    value: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Answer {
    /// A value with descriptors.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn new<T: Serialize>(value: &T, descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        Ok(Self { value: serde_json::to_vec(value)?, descriptors })
    }
}

/// Does what a request asks for.
pub type Perform = Arc<dyn Fn(Request) -> io::Result<Answer> + Send + Sync>;

/// Who does what takes a privilege.
#[derive(Clone)]
pub struct Privileges(Arc<Who>);

enum Who {
    Own(Perform),
    Broker(Broker),
}

impl Privileges {
    /// This process, which gives up nothing.
    pub fn own(perform: Perform) -> Self {
        Self(Arc::new(Who::Own(perform)))
    }

    /// Starts a broker. It ends with this process, however that ends.
    ///
    /// # Errors
    /// This process has other threads already, or no process can be started.
    pub fn split(perform: &Perform) -> io::Result<Self> {
        Ok(Self(Arc::new(Who::Broker(Broker::fork(perform)?))))
    }

    /// The answer to a request. It blocks until there is one.
    ///
    /// # Errors
    /// What was asked for failed, or the broker has ended.
    pub fn ask<T: DeserializeOwned>(&self, request: Request) -> io::Result<(T, Vec<OwnedFd>)> {
        let Answer { value, descriptors } = match &*self.0 {
            Who::Own(perform) => perform(request)?,
            Who::Broker(broker) => broker.ask(&request)?,
        };
        Ok((serde_json::from_slice(&value)?, descriptors))
    }

    /// CPU time of the broker as of its last answer, in ns; 0 without one.
    pub fn broker_cpu_ns(&self) -> u64 {
        self.broker().map_or(0, Broker::cpu_ns)
    }

    /// Process id of the broker.
    pub fn broker_pid(&self) -> Option<u32> {
        self.broker().map(Broker::pid)
    }

    /// Takes from the calling thread what it no longer needs: capabilities, most system calls that take any,
    /// and files outside of `/proc` and `/sys`. Threads that it starts later have as little. Without a broker
    /// nothing happens, because everything that needs a privilege later would fail.
    ///
    /// `still_works` is tried without capabilities. If it returns false, `CAP_BPF` is kept: before Linux 5.19
    /// even reading a map takes it, if `kernel.unprivileged_bpf_disabled` is set. `signals_others` keeps
    /// `CAP_KILL`.
    ///
    /// Returns what the thread is confined to; `None` without a broker.
    pub fn give_up(
        &self,
        proc: &Path,
        signals_others: bool,
        still_works: impl FnOnce() -> bool,
    ) -> Option<Confinement> {
        self.broker().map(|_| confine::rest(proc, signals_others, still_works))
    }

    fn broker(&self) -> Option<&Broker> {
        match &*self.0 {
            Who::Own(_) => None,
            Who::Broker(broker) => Some(broker),
        }
    }
}

impl fmt::Debug for Privileges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Privileges").field(&self.broker_pid()).finish()
    }
}
