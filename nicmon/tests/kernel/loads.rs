//! Loads that only these tests need, and facts that the tests read themselves.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    net::UdpSocket,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::{
    net::sockopt,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use testkit::{
    load::{Namespace, UdpPlan, pin_thread},
    process::output,
};

/// `CLOCK_MONOTONIC` in nanoseconds, as `mono_ns` in frames.
pub(crate) fn mono_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// The inode of a namespace.
pub(crate) fn inode(namespace: &Namespace) -> Result<u32> {
    let path = Path::new("/run/netns").join(namespace.name());
    let inode = fs::metadata(&path).with_context(|| format!("cannot stat {}", path.display()))?.ino();
    u32::try_from(inode).context("an nsfs inode with more than 32 bits")
}

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &str) -> Result<()> {
    output(Command::new("ip").args(arguments.split(' '))).map(drop)
}

/// 60,000 packets per second from this CPU.
pub(crate) fn plan(sender_cpu: usize) -> UdpPlan {
    UdpPlan { pps: 60_000, limit: Duration::from_secs(30), sender_cpu, busy_poll: false }
}

/// Keeps the calling thread, and whatever it starts, on one CPU until dropped.
pub(crate) struct Pinned(CpuSet);

impl Pinned {
    pub(crate) fn to(cpu: usize) -> Result<Self> {
        let before = sched_getaffinity(None)?;
        pin_thread(cpu)?;
        Ok(Self(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Err(error) = sched_setaffinity(None, &self.0) {
            eprintln!("cannot undo the pinning: {error}");
        }
    }
}

/// A new namespace whose loopback is up.
pub(crate) fn loopback_namespace(name: &str) -> Result<Namespace> {
    let namespace = Namespace::create(&format!("{name}-{}", std::process::id()))?;
    ip(&format!("-n {} link set lo up", namespace.name()))?;
    Ok(namespace)
}

/// What one thread sends to itself over loopback.
#[derive(Clone, Copy)]
pub(crate) enum Loop {
    /// Sends one packet, then receives it: one packet per poll, the worst case for hooks.
    Single,
    /// Sends datagrams of some 40 fragments each. RPS passes them to another CPU, which polls many in one
    /// run.
    Fragments,
}

/// UDP over loopback in a namespace, from a thread on one CPU. It ends on request, at its limit, or when
/// dropped.
pub(crate) struct Loopback {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64>>>,
}

impl Loopback {
    pub(crate) fn start(namespace: &Namespace, cpu: usize, what: Loop, limit: Duration) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (enter, stopped) = (namespace.entrance(), Arc::clone(&stop));
        let thread = thread::Builder::new().name("loopback".into()).spawn(move || {
            enter()?;
            pin_thread(cpu)?;
            send_to_self(what, limit, &stopped)
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the load and returns the number of datagrams sent.
    pub(crate) fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until the load ends at its limit, and returns the number of datagrams sent.
    pub(crate) fn wait(mut self) -> Result<u64> {
        self.join()
    }

    fn join(&mut self) -> Result<u64> {
        let thread = self.thread.take().context("the load has already ended")?;
        thread.join().map_err(|_| anyhow!("the loopback thread panicked"))?
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.is_some()
            && let Err(error) = self.join()
        {
            eprintln!("loopback: {error:#}");
        }
    }
}

fn send_to_self(what: Loop, limit: Duration, stop: &AtomicBool) -> Result<u64> {
    let receiver = UdpSocket::bind("127.0.0.1:0").context("cannot bind")?;
    receiver.set_read_timeout(Some(Duration::from_millis(20)))?;
    sockopt::set_socket_recv_buffer_size_force(&receiver, 8 << 20).context("cannot set SO_RCVBUFFORCE")?;
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    sender.connect(receiver.local_addr()?)?;
    let (payload, at_once) = match what {
        Loop::Single => (vec![0; 64], 1),
        Loop::Fragments => (vec![0; 60_000], 32),
    };
    let mut buffer = vec![0; 65536];
    let (mut sent, start) = (0, Instant::now());
    while !stop.load(Ordering::Relaxed) && start.elapsed() < limit {
        for _ in 0..at_once {
            sender.send(&payload).context("cannot send")?;
            sent += 1;
        }
        for _ in 0..at_once {
            match receiver.recv(&mut buffer) {
                Ok(_) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => break,
                Err(e) => return Err(e).context("cannot receive"),
            }
        }
    }
    Ok(sent)
}

/// A file that is written through to the disk, to make the disk interrupt. The file has no name.
pub(crate) struct Disk(File);

impl Disk {
    pub(crate) fn new() -> Result<Self> {
        tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).map(Self).context("cannot make a file")
    }

    /// Writes `times` times, each write reaching the disk before the next.
    pub(crate) fn write(&mut self, times: u32) -> Result<()> {
        for _ in 0..times {
            self.0.write_all(&[0x5a; 4096])?;
            self.0.sync_data()?;
        }
        // It never grows beyond one call's writes.
        self.0.set_len(0)?;
        Ok(io::Seek::rewind(&mut self.0)?)
    }
}

/// CPU time of a thread in nanoseconds, from its schedstat.
pub(crate) fn thread_ns(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    text.split(' ').next().and_then(|ns| ns.parse().ok()).with_context(|| format!("{path}: {text}"))
}

/// The pids of the kernel threads that poll the NAPIs of the device with this name.
pub(crate) fn napi_threads(device: &str) -> Result<Vec<u32>> {
    let prefix = format!("napi/{device}-");
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if comm.starts_with(&prefix) {
            pids.push(pid);
        }
    }
    ensure!(!pids.is_empty(), "no thread is called {prefix}*");
    Ok(pids)
}

/// A counter of UDP in the calling thread's network namespace.
pub(crate) fn udp_counter(wanted: &str) -> Result<u64> {
    let snmp = fs::read_to_string("/proc/thread-self/net/snmp")?;
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (names, values) = (lines.next().context("no Udp")?, lines.next().context("no Udp values")?);
    let mut columns = names.split_whitespace().zip(values.split_whitespace());
    Ok(columns.find(|(name, _)| *name == wanted).with_context(|| format!("no {wanted}"))?.1.parse()?)
}
