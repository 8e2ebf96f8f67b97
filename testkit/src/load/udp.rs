//! A paced UDP sender on one CPU and a receiver, each in its own namespace.

use std::{
    io,
    net::UdpSocket,
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use rustix::net::sockopt;

use super::{
    VethPair, other_cpu,
    pace::{self, Pace, Sent},
    pin_thread,
};

const PORT: u16 = 9;
const PAYLOAD: [u8; 64] = [0; 64];

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct UdpPlan {
    /// Packets per second.
    pub pps: u32,
    /// The load ends on its own after this time.
    pub limit: Duration,
    /// The sender stays on this CPU, and the receiver on another one if there is one.
    pub sender_cpu: usize,
    /// The receiver polls the NIC itself (`SO_BUSY_POLL`).
    pub busy_poll: bool,
}

/// What was sent and received.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// Packets handed to the kernel.
    pub sent: u64,
    /// Packets that the receiver read.
    pub received: u64,
    /// Time from the first packet to the last.
    pub time: Duration,
}

type Sender = JoinHandle<Result<Sent>>;
/// Returns the number of packets received.
type Receiver = JoinHandle<Result<u64>>;

/// A running load. It ends with [`Self::stop`], at its limit, or when this value is dropped.
#[derive(Debug)]
pub struct UdpLoad {
    stop: Arc<AtomicBool>,
    threads: Option<(Sender, Receiver)>,
}

impl UdpLoad {
    /// Starts both ends and returns once the receiver listens.
    ///
    /// # Errors
    /// When a namespace, CPU or socket option is refused.
    pub fn start(pair: &VethPair, plan: UdpPlan) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let receiver_cpu = other_cpu(plan.sender_cpu)?;
        let (ready, listening) = mpsc::channel();
        let (enter, stopped) = (pair.rx.entrance(), Arc::clone(&stop));
        let receiver = thread::Builder::new().name("udp-receiver".into()).spawn(move || {
            enter()?;
            if let Some(cpu) = receiver_cpu {
                pin_thread(cpu)?;
            }
            let socket = listen(plan.busy_poll)?;
            let _ = ready.send(());
            drain(&socket, &stopped)
        })?;
        if listening.recv().is_err() {
            let failure = joined(receiver);
            return Err(failure.err().unwrap_or_else(|| anyhow!("the UDP receiver ended at once")));
        }
        let (enter, stopped) = (pair.tx.entrance(), Arc::clone(&stop));
        let sender = thread::Builder::new().name("udp-sender".into()).spawn(move || {
            enter()?;
            pin_thread(plan.sender_cpu)?;
            send(plan, &stopped)
        })?;
        Ok(Self { stop, threads: Some((sender, receiver)) })
    }

    /// Whether the sender is still sending: false after its limit, and after an error, which [`Self::stop`]
    /// returns.
    pub fn is_sending(&self) -> bool {
        self.threads.as_ref().is_some_and(|(sender, _)| !sender.is_finished())
    }

    /// Stops both ends.
    ///
    /// # Errors
    /// Any error of the sender or of the receiver.
    pub fn stop(mut self) -> Result<Totals> {
        self.end()
    }

    fn end(&mut self) -> Result<Totals> {
        self.stop.store(true, Ordering::Relaxed);
        let (tx, rx) = self.threads.take().context("the load was stopped before")?;
        let (sent, received) = (joined(tx), joined(rx));
        let Sent { packets: sent, time } = sent.context("the UDP sender failed")?;
        Ok(Totals { sent, received: received.context("the UDP receiver failed")?, time })
    }
}

impl Drop for UdpLoad {
    fn drop(&mut self) {
        if self.threads.is_some()
            && let Err(error) = self.end()
        {
            eprintln!("testkit: {error:#}");
        }
    }
}

fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("its thread panicked"))?
}

fn send(plan: UdpPlan, stop: &AtomicBool) -> Result<Sent> {
    let socket = UdpSocket::bind((VethPair::TX_ADDRESS, 0)).context("cannot bind the sender")?;
    socket.connect((VethPair::RX_ADDRESS, PORT)).context("cannot connect the sender")?;
    let pace = Pace { pps: plan.pps, phases: None, limit: plan.limit };
    pace::send(pace, stop, || socket.send(&PAYLOAD))
}

fn listen(busy_poll: bool) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((VethPair::RX_ADDRESS, PORT)).context("cannot bind the receiver")?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    // Room for about 10 ms, so that no packets are dropped if the receiver loses its CPU for a moment.
    sockopt::set_socket_recv_buffer_size_force(&socket, 4 << 20).context("cannot set SO_RCVBUFFORCE")?;
    if busy_poll {
        set_option(&socket, libc::SO_BUSY_POLL, 50).context("cannot set SO_BUSY_POLL")?;
        // Since Linux 5.11. Without it the socket still polls, but the softirq handles packets as well.
        if let Err(error) = set_option(&socket, libc::SO_PREFER_BUSY_POLL, 1) {
            eprintln!("testkit: no SO_PREFER_BUSY_POLL on this kernel ({error}): less of the load is polled");
        }
    }
    Ok(socket)
}

/// Sets an integer `SOL_SOCKET` option that rustix has no name for.
fn set_option(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).expect("an int's size fits");
    #[expect(unsafe_code, reason = "neither std nor rustix knows the busy-polling options")]
    // SAFETY: the descriptor is open for the call, and value and length describe one readable c_int.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn drain(socket: &UdpSocket, stop: &AtomicBool) -> Result<u64> {
    let mut buffer = [0; 2048];
    let mut received = 0;
    while !stop.load(Ordering::Relaxed) {
        match socket.recv(&mut buffer) {
            Ok(_) => received += 1,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => return Err(e).context("cannot receive"),
        }
    }
    Ok(received)
}
