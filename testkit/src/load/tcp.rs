//! TCP over the veth pair, as fast as possible.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use super::{VethPair, other_cpu, pin_thread};

const PORT: u16 = 5201;
const CHUNK: usize = 128 << 10;
/// How long one end waits for the other before the run fails.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends for `time` from a thread on `sender_cpu` and receives on another CPU. Returns bytes received per
/// second.
///
/// # Errors
/// When a namespace, CPU or socket is refused, or the connection breaks.
pub fn tcp_throughput(pair: &VethPair, sender_cpu: usize, time: Duration) -> Result<f64> {
    let receiver_cpu = other_cpu(sender_cpu)?;
    let listener = pair
        .rx
        .within(|| TcpListener::bind((VethPair::RX_ADDRESS, PORT)))?
        .context("cannot listen for the TCP run")?;
    // Both ends exist before a thread starts, so neither can wait for one that failed.
    let mut sending = pair
        .tx
        .within(|| TcpStream::connect((VethPair::RX_ADDRESS, PORT)))?
        .context("cannot connect for the TCP run")?;
    let (mut receiving, _) = listener.accept().context("cannot accept")?;
    sending.set_write_timeout(Some(PATIENCE))?;
    receiving.set_read_timeout(Some(PATIENCE))?;
    let send = move || -> Result<()> {
        pin_thread(sender_cpu)?;
        let chunk = vec![0; CHUNK];
        let start = Instant::now();
        while start.elapsed() < time {
            sending.write_all(&chunk).context("cannot send")?;
        }
        sending.shutdown(Shutdown::Write).context("cannot end the stream")
    };
    let receive = move || -> Result<f64> {
        if let Some(cpu) = receiver_cpu {
            pin_thread(cpu)?;
        }
        let mut buffer = vec![0; CHUNK];
        let (mut bytes, start) = (0_u64, Instant::now());
        loop {
            match receiving.read(&mut buffer).context("cannot receive")? {
                0 => return Ok(bytes as f64 / start.elapsed().as_secs_f64()),
                n => bytes += n as u64,
            }
        }
    };
    let panicked = |_| anyhow!("a thread of the TCP run panicked");
    thread::scope(|scope| {
        let sender = scope.spawn(send);
        let receiver = scope.spawn(receive);
        sender.join().map_err(panicked)??;
        receiver.join().map_err(panicked)?
    })
}
