//! A paced UDP sender of several flows, whose packets nobody has to read.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};

use super::{
    Namespace, Phases,
    pace::{self, Pace, Sent},
    pin_thread,
};

/// Discard. No reader is needed: without one, the kernel drops each packet as late as it can, after all work
/// of receiving, and answers at most once per second.
const PORT: u16 = 9;
const FIRST_SOURCE_PORT: u16 = 40_000;
const PAYLOAD: [u8; 64] = [0; 64];

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct FlowsPlan {
    /// Address of the sender.
    pub from: Ipv4Addr,
    /// Address of the receiver.
    pub to: Ipv4Addr,
    /// Number of source ports, which take turns.
    pub flows: u16,
    /// How many addresses from `from` on send: each flow has the next one.
    pub addresses: u16,
    /// Packets per second, of all flows together.
    pub pps: u32,
    /// The CPU that sends; any if this is `None`.
    pub sender_cpu: Option<usize>,
    /// If the load comes and goes.
    pub phases: Option<Phases>,
    /// The load ends on its own after this time.
    pub limit: Duration,
}

/// A running load. It ends with [`Self::stop`], at its limit, or when this value is dropped.
#[derive(Debug)]
pub struct UdpFlows {
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<Result<Sent>>>,
}

impl UdpFlows {
    /// Starts to send from within a namespace.
    ///
    /// # Errors
    /// When the kernel refuses a thread. Other errors come from [`Self::stop`].
    pub fn start(namespace: &Namespace, plan: FlowsPlan) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (enter, stopped) = (namespace.entrance(), Arc::clone(&stop));
        let sender = thread::Builder::new().name("udp-flows".into()).spawn(move || {
            enter()?;
            if let Some(cpu) = plan.sender_cpu {
                pin_thread(cpu)?;
            }
            send(&plan, &stopped)
        })?;
        Ok(Self { stop, sender: Some(sender) })
    }

    /// Whether it is still sending: false after its limit, and after an error, which [`Self::stop`] returns.
    pub fn is_sending(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.is_finished())
    }

    /// Stops it.
    ///
    /// # Errors
    /// Any error of the sender.
    pub fn stop(mut self) -> Result<Sent> {
        self.end()
    }

    fn end(&mut self) -> Result<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        let sender = self.sender.take().context("the load was stopped before")?;
        sender.join().map_err(|_| anyhow!("the UDP sender panicked"))?.context("the UDP sender failed")
    }
}

impl Drop for UdpFlows {
    fn drop(&mut self) {
        if self.sender.is_some()
            && let Err(error) = self.end()
        {
            eprintln!("testkit: {error:#}");
        }
    }
}

fn send(plan: &FlowsPlan, stop: &AtomicBool) -> Result<Sent> {
    let FlowsPlan { from, to, flows, addresses, pps, sender_cpu: _, phases, limit } = *plan;
    let socket = |flow: u16| {
        let from = Ipv4Addr::from_bits(u32::from(from) + u32::from(flow % addresses.max(1)));
        let socket = UdpSocket::bind((from, FIRST_SOURCE_PORT + flow)).context("cannot bind the sender")?;
        socket.connect((to, PORT)).context("cannot connect the sender")?;
        Ok(socket)
    };
    let sockets = (0..flows).map(socket).collect::<Result<Vec<UdpSocket>>>()?;
    let mut turns = sockets.iter().cycle();
    pace::send(Pace { pps, phases, limit }, stop, || match turns.next() {
        Some(socket) => socket.send(&PAYLOAD),
        None => Ok(0),
    })
}
