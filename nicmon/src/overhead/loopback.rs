//! Packets that a thread sends to itself.

use std::{
    io,
    net::UdpSocket,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_setaffinity};

use super::OverheadError;
use crate::host::{own::waited_for_cpu, own_net};

/// Packets to send before looking for the next request.
const BETWEEN: u32 = 50;

/// A thread that sends packets, and times them on request, on one CPU and in a network namespace of its own.
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
            loop {
                // Between requests packets go on, so that no block begins on a CPU that was idle.
                let took = match wanted.try_recv() {
                    Ok(Request { warm_up, packets }) => {
                        loopback.send(warm_up).and_then(|()| loopback.ns_per_packet(packets))
                    }
                    Err(TryRecvError::Empty) => match loopback.send(BETWEEN) {
                        Ok(()) => continue,
                        Err(error) => Err(error),
                    },
                    Err(TryRecvError::Disconnected) => return,
                };
                let is_broken = took.is_err();
                if done.send(took).is_err() || is_broken {
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
            // With a timeout set, a receiver that was stopped and goes on is interrupted (signal(7)).
            while let Err(error) = self.receiver.recv(&mut buffer) {
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// How long that takes per packet, in ns, without the time for which the thread had to wait for its
    /// CPU. Not its CPU time, from which some kernels take softirqs off.
    fn ns_per_packet(&self, packets: u32) -> io::Result<f64> {
        let (waited_before, start) = (waited_for_cpu()?, Instant::now());
        self.send(packets)?;
        let took = start.elapsed();
        let waited = waited_for_cpu()?.saturating_sub(waited_before);
        Ok(took.saturating_sub(waited).as_nanos() as f64 / f64::from(packets))
    }
}
