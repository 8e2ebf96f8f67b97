//! What sockets cost the tasks that use them, compared with perf's call stacks of the same load at the same
//! time.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    ops::Range,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nicmon::frame::Direction;
use testkit::share::Share;

use crate::{perf, tell};

const SECONDS: u64 = 8;
/// Functions on the stack of a task that receives, or sends.
const RECEIVES: [&str; 3] = ["inet_recvmsg", "tcp_recvmsg", "udp_recvmsg"];
const SENDS: [&str; 3] = ["inet_sendmsg", "tcp_sendmsg", "udp_sendmsg"];
/// What a softirq that interrupts a call, or follows it, has on the stack. It was `__do_softirq` before 6.11.
const SOFTIRQS: [&str; 2] = ["handle_softirqs", "__do_softirq"];
/// The threads of the load, with what they do.
const THREADS: [(&str, Direction); 4] = [
    ("nicmon-tcp-rx", Direction::Rx),
    ("nicmon-tcp-tx", Direction::Tx),
    ("nicmon-udp-rx", Direction::Rx),
    ("nicmon-udp-tx", Direction::Tx),
];
/// A program that copies as much as a download, but from files.
const COPIES: &str = "dd";

/// By thread and direction.
type Counts = BTreeMap<(String, Direction), u64>;

pub(crate) fn as_perf() -> Result<()> {
    let load = Load::start()?;
    let (frames, _folder, data) = perf::beside_nicmon(&[], SECONDS)?;
    load.stop()?;

    let (mut ours, mut our_busy, mut spans) = (Counts::new(), 0, Vec::new());
    for frame in frames.iter().map(|arrived| &arrived.frame) {
        // The first frames have none, until the kernel's symbols are read.
        let (Some(sockets), Some(sampling)) = (&frame.sockets, frame.host.sampling) else { continue };
        // Every second sample is looked at.
        our_busy += sampling.busy / 2;
        spans.push(frame.mono_ns.saturating_sub(frame.interval_ns)..frame.mono_ns);
        for one in sockets {
            *ours.entry((one.comm.clone(), one.direction)).or_default() += one.samples;
        }
    }
    // In the same time: a thread runs for several samples in a row, so which one runs when differs.
    let theirs = Perfs::read(&data, &spans)?;
    ensure!(theirs.copying > 100, "perf saw {COPIES} copy in {} samples only", theirs.copying);
    let mut told = vec![format!("{COPIES} copied in {} samples of perf", theirs.copying)];
    for (comm, direction) in THREADS {
        let key = (comm.to_owned(), direction);
        let mine = Share::of(ours.get(&key).copied().unwrap_or(0), our_busy).context("no samples")?;
        let perf = Share::of(theirs.counts.get(&key).copied().unwrap_or(0), theirs.busy);
        let perf = perf.context("no samples of perf")?;
        told.push(format!("{comm}: {}", mine.beside(perf)));
        ensure!(mine.can_be(perf), "{comm} has {mine} of the busy samples, in perf {perf}");
    }
    tell("sockets", &told.join("\n  "));
    let copier = [Direction::Rx, Direction::Tx].map(|direction| (COPIES.to_owned(), direction));
    ensure!(copier.iter().all(|key| !ours.contains_key(key)), "{COPIES} uses no socket, but {ours:?}");
    Ok(())
}

/// What perf sampled.
#[derive(Default)]
struct Perfs {
    busy: u64,
    counts: Counts,
    /// Samples of the program that copies files, in the function that downloads copy with, too.
    copying: u64,
}

impl Perfs {
    fn read(data: &Path, spans: &[Range<u64>]) -> Result<Self> {
        let samples = perf::Stacked::read(data)?;
        let mut perfs = Self::default();
        let is_seen = |at: u64| spans.iter().any(|span| span.contains(&at));
        samples.iter().filter(|sample| is_seen(sample.mono_ns)).for_each(|sample| perfs.add(sample));
        Ok(perfs)
    }

    fn add(&mut self, sample: &perf::Stacked) {
        let perf::Stacked { comm, functions, .. } = sample;
        if !sample.is_busy() {
            return;
        }
        self.busy += 1;
        let has = |names: &[&str]| functions.iter().any(|function| names.contains(&function.as_str()));
        self.copying += u64::from(comm == COPIES && has(&["_copy_to_iter", "copy_page_to_iter"]));
        let direction = match (has(&RECEIVES), has(&SENDS)) {
            _ if has(&SOFTIRQS) => return,
            (true, _) => Direction::Rx,
            (_, true) => Direction::Tx,
            _ => return,
        };
        *self.counts.entry((comm.clone(), direction)).or_default() += 1;
    }
}

/// A TCP download and UDP over loopback, and beside them a program that copies a file from the page cache.
struct Load {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
    copier: std::process::Child,
    _file: tempfile::NamedTempFile,
}

impl Load {
    fn start() -> Result<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let server = TcpListener::bind("127.0.0.1:0")?;
        let sender = TcpStream::connect(server.local_addr()?)?;
        let (receiver, _) = server.accept()?;
        let (from, to) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        from.connect(to.local_addr()?)?;
        to.set_read_timeout(Some(Duration::from_millis(100)))?;

        let work: [Box<dyn FnMut() -> std::io::Result<()> + Send>; 4] = [
            Box::new(reader(receiver)),
            Box::new(writer(sender)),
            Box::new(move || match to.recv(&mut [0; 1500]) {
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(()),
            }),
            Box::new(move || from.send(&[0; 1400]).map(drop)),
        ];
        let mut threads = Vec::new();
        for ((name, _), mut step) in THREADS.into_iter().zip(work) {
            let ends = Arc::clone(&ends);
            let run = move || {
                while !ends.load(Ordering::Relaxed) {
                    step()?;
                }
                Ok(())
            };
            threads.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        }
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(&vec![0; 64 << 20])?;
        let again =
            format!("while :; do dd if={} of=/dev/null bs=1M 2>/dev/null; done", file.path().display());
        let copier = Command::new("sh").args(["-c", &again]).stdin(Stdio::null()).spawn()?;
        Ok(Self { ends, threads, copier, _file: file })
    }

    fn stop(mut self) -> Result<()> {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let result = thread.join().map_err(|_| anyhow!("a thread of the load panicked"))?;
            // The end of a connection is no failure of the load.
            drop(result);
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.copier.kill();
        let _ = self.copier.wait();
    }
}

fn reader(mut receiver: TcpStream) -> impl FnMut() -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    move || receiver.read(&mut buffer).map(drop)
}

fn writer(mut sender: TcpStream) -> impl FnMut() -> std::io::Result<()> {
    let buffer = vec![0; 1 << 16];
    move || sender.write(&buffer).map(drop)
}
