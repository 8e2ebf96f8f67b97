//! Packets that a thread sends to itself.

use std::{
    fs, io,
    net::UdpSocket,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_setaffinity};

use super::OverheadError;
use crate::host::own_net;

/// A thread that sends packets on request, on one CPU and in a network namespace of its own.
#[derive(Debug)]
pub(super) struct Load {
    requests: Sender<Request>,
    replies: Receiver<io::Result<f64>>,
}

/// What to send: first some packets that are not timed, then those that are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) warm_up: u32,
    pub(super) packets: u32,
}

impl Load {
    /// Starts the thread. It ends when this is dropped.
    pub(super) fn start(cpu: u32) -> Result<Self, OverheadError> {
        let ((requests, wanted), (done, replies)) = (channel::<Request>(), channel());
        let (opened, is_open) = channel();
        let work = move || {
            let loopback = match open(cpu) {
                Ok(loopback) => loopback,
                Err(error) => return drop(opened.send(Err(error))),
            };
            let _ = opened.send(Ok(()));
            while let Ok(Request { warm_up, packets }) = wanted.recv() {
                let took = loopback.send(warm_up).and_then(|()| loopback.ns_per_packet(packets));
                if done.send(took).is_err() {
                    return;
                }
            }
        };
        let failed =
            |source| OverheadError::Load { what: "cannot start a thread", source, todo: "See `ulimit -a`." };
        thread::Builder::new().name("loopback".to_owned()).spawn(work).map_err(failed)?;
        is_open.recv().unwrap_or_else(|_| Err(sent(io::ErrorKind::BrokenPipe.into())))?;
        Ok(Self { requests, replies })
    }

    /// Sends packets, and returns the time per packet in ns.
    pub(super) fn send(&self, request: Request) -> Result<f64, OverheadError> {
        self.begin(request)?;
        self.finish()
    }

    /// Sends packets meanwhile; [`Self::finish`] waits for them.
    pub(super) fn begin(&self, request: Request) -> Result<(), OverheadError> {
        self.requests.send(request).map_err(|_| sent(io::ErrorKind::BrokenPipe.into()))
    }

    pub(super) fn finish(&self) -> Result<f64, OverheadError> {
        self.replies.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())).map_err(sent)
    }
}

fn sent(source: io::Error) -> OverheadError {
    OverheadError::Load { what: "cannot send packets over loopback", source, todo: "Run it again." }
}

/// Moves the calling thread to the CPU and into a new namespace.
fn open(cpu: u32) -> Result<Loopback, OverheadError> {
    let mut set = CpuSet::new();
    if (cpu as usize) < CpuSet::MAX_CPU {
        set.set(cpu as usize);
    }
    sched_setaffinity(None, &set).map_err(|error| OverheadError::NoCpu { cpu, source: error.into() })?;
    own_net::enter_new().map_err(|source| OverheadError::Load {
        what: "cannot make a network namespace",
        source,
        todo: "Run nicmon as root, or give it CAP_SYS_ADMIN.",
    })?;
    Loopback::open().map_err(sent)
}

/// Two sockets of one thread.
struct Loopback {
    sender: UdpSocket,
    receiver: UdpSocket,
}

impl Loopback {
    /// In the namespace of the calling thread.
    fn open() -> io::Result<Self> {
        let socket = || UdpSocket::bind(("127.0.0.1", 0));
        let (sender, receiver) = (socket()?, socket()?);
        sender.connect(receiver.local_addr()?)?;
        receiver.connect(sender.local_addr()?)?;
        receiver.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(Self { sender, receiver })
    }

    /// Sends so many packets, each of which is polled and received before the next.
    fn send(&self, packets: u32) -> io::Result<()> {
        let mut buffer = [0; 64];
        for _ in 0..packets {
            self.sender.send(&[0; 32])?;
            self.receiver.recv(&mut buffer)?;
        }
        Ok(())
    }

    /// How long that takes per packet, in ns, without the time for which the thread had to wait for its
    /// CPU. Not its CPU time, from which some kernels take softirqs off.
    fn ns_per_packet(&self, packets: u32) -> io::Result<f64> {
        let (waited_before, start) = (waited()?, Instant::now());
        self.send(packets)?;
        let took = start.elapsed();
        let waited = waited()?.saturating_sub(waited_before);
        Ok(took.saturating_sub(waited).as_nanos() as f64 / f64::from(packets))
    }
}

/// How long this thread has waited for a CPU so far: the second number in its schedstat
/// (`proc_pid_schedstat`, fs/proc/base.c).
fn waited() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns = text.split_ascii_whitespace().nth(1).and_then(|ns| ns.parse().ok());
    ns.map(Duration::from_nanos).ok_or_else(|| io::Error::other("unexpected /proc/thread-self/schedstat"))
}
