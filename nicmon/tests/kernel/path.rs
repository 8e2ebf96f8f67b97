//! `nicmon path`: what is provoked on the way of packets lands in its own line, and nothing is left over.

use std::{
    fs, io,
    net::UdpSocket,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use testkit::{
    filter::{Verdict, object_file},
    load::{Receive, VethPair, pin_thread, tcp_throughput},
    process::output,
};

use crate::{child::Lines, loads::udp_counter, tell};

/// Datagrams that each load sends.
const DATAGRAMS: u64 = 20_000;
const PORT: u16 = 9001;
/// The last tracepoint to which `nicmon path` attaches a program.
const LAST: &str = "netif_rx_entry";

/// The path of the receiving end of a pair, while something happens.
fn path_during<T>(pair: &VethPair, work: impl FnOnce() -> Result<T>) -> Result<(Value, T)> {
    let mut command = pair.rx.command(env!("CARGO_BIN_EXE_nicmon"));
    command.args(["path", VethPair::RX_NAME, "--for", "6s", "--json"]);
    let mut nicmon = Lines::start(command)?;
    wait_for_programs(nicmon.pid())?;
    let done = work()?;
    let (_, line) = nicmon.next()?.context("nicmon path printed nothing")?;
    let path: Value = serde_json::from_str(&line)?;
    Ok((path, done))
}

/// Waits until packets are counted: the first reading comes after the programs and the topology.
fn wait_for_programs(pid: u32) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { bail!("nicmon path ended early") };
        let mut texts = files.flatten().filter_map(|file| fs::read_to_string(file.path()).ok());
        if texts.any(|text| text.contains(LAST)) {
            thread::sleep(Duration::from_millis(500));
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("nicmon path attached no program to {LAST}")
}

/// Sends [`DATAGRAMS`], slowly enough for the ring of a veth (256 packets). What is under way fills the send
/// buffer of its socket, so that one socket alone could not fill a backlog.
fn send(pair: &VethPair, to: &str) -> Result<()> {
    pair.tx.within(|| -> Result<()> {
        pin_thread(0)?;
        let open = || UdpSocket::bind("0.0.0.0:0");
        let sockets: Vec<UdpSocket> = std::iter::repeat_with(open).take(16).collect::<io::Result<_>>()?;
        for (number, socket) in (1..=DATAGRAMS).zip(sockets.iter().cycle()) {
            socket.send_to(&[0; 100], (to, PORT))?;
            if number.is_multiple_of(64) {
                thread::sleep(Duration::from_micros(300));
            }
        }
        Ok(())
    })?
}

fn stage<'a>(path: &'a Value, name: &str) -> Result<&'a Value> {
    let stages = path["receive"].as_array().context("no stages")?;
    stages.iter().find(|stage| stage["stage"] == name).with_context(|| format!("no stage {name}: {path}"))
}

/// Packets lost in a stage by this counter, reason or function.
fn lost(path: &Value, name: &str, by: &str) -> Result<u64> {
    let losses = stage(path, name)?["lost"].as_array().context("no losses")?;
    let mut packets = 0;
    for loss in losses.iter().filter(|loss| loss["by"] == by || loss["function"] == by) {
        packets += loss["packets"].as_u64().context("no packets")?;
    }
    Ok(packets)
}

/// That nothing but this was lost, that so much was, within 0.1 %, and that less than 1 % is unexplained.
fn ensure_lost(path: &Value, name: &str, by: &str, provoked: u64) -> Result<()> {
    let packets = lost(path, name, by)?;
    ensure!(packets.abs_diff(provoked) * 1000 <= provoked, "{packets} of {provoked} by {by}: {path}");
    let mut all = 0;
    for stage in path["receive"].as_array().context("no stages")? {
        for loss in stage["lost"].as_array().context("no losses")? {
            all += loss["packets"].as_u64().context("no packets")?;
        }
    }
    ensure!((all - packets) * 1000 <= provoked, "other losses than {by}: {path}");
    ensure_explained(path)?;
    tell("path", &format!("{name}: {packets} lost by {by}, {provoked} provoked"));
    Ok(())
}

/// That in no stage 1 % of the packets that came into the NIC is unexplained, and that all are known.
fn ensure_explained(path: &Value) -> Result<()> {
    let all = stage(path, "ring")?["packets"].as_i64().context("no packets in the ring")?;
    ensure!(all > 0, "no packets: {path}");
    for name in ["driver", "gro", "core", "ip", "socket"] {
        let left = stage(path, name)?["unexplained"].as_i64().with_context(|| format!("{name}: {path}"))?;
        ensure!(left.abs() * 100 < all, "{left} of {all} packets are unexplained in {name}: {path}");
    }
    Ok(())
}

/// A socket that nobody reads is full after some datagrams, which stay in it.
pub(crate) fn full_socket() -> Result<()> {
    for mode in [Receive::Napi, Receive::Backlog] {
        let pair = VethPair::create("nicmon-t-path")?;
        pair.receive_by(mode, 0)?;
        let socket = small_socket(&pair)?;

        let (path, dropped) = path_during(&pair, || {
            let before = rcvbuf_errors(&pair)?;
            send(&pair, VethPair::RX_ADDRESS)?;
            Ok(rcvbuf_errors(&pair)? - before)
        })?;
        drop(socket);
        ensure!(dropped > DATAGRAMS * 9 / 10, "only {dropped} did not fit");
        ensure_lost(&path, "socket", "SOCKET_RCVBUFF", dropped)?;
    }
    Ok(())
}

/// A socket that has room for a few datagrams.
fn small_socket(pair: &VethPair) -> Result<UdpSocket> {
    let socket = pair.rx.within(|| UdpSocket::bind((VethPair::RX_ADDRESS, PORT)))??;
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
    Ok(socket)
}

fn rcvbuf_errors(pair: &VethPair) -> Result<u64> {
    pair.rx.within(|| udp_counter("RcvbufErrors"))?
}

pub(crate) fn netfilter() -> Result<()> {
    let pair = VethPair::create("nicmon-t-path")?;
    output(pair.rx.command("iptables").args(["-A", "INPUT", "-p", "udp", "-j", "DROP"]))?;
    let (path, ()) = path_during(&pair, || send(&pair, VethPair::RX_ADDRESS))?;
    // The rule has its own counter.
    let rules = output(pair.rx.command("iptables").args(["-L", "INPUT", "-v", "-x", "-n"]))?;
    let rule = rules.lines().find(|line| line.contains("DROP") && !line.starts_with("Chain"));
    let packets = rule.and_then(|rule| rule.split_whitespace().next()).context("no counter of the rule")?;
    ensure!(packets.parse() == Ok(DATAGRAMS), "the rule dropped {packets}");
    ensure_lost(&path, "netfilter", "NETFILTER_DROP", DATAGRAMS)
}

pub(crate) fn no_route() -> Result<()> {
    let pair = VethPair::create("nicmon-t-path")?;
    let via = ["-n", pair.tx.name(), "route", "add", "198.51.100.0/24", "via", VethPair::RX_ADDRESS];
    output(Command::new("ip").args(via))?;
    let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    output(pair.rx.command("sh").args(["-c", forward]))?;
    let (path, ()) = path_during(&pair, || send(&pair, "198.51.100.1"))?;
    ensure_lost(&path, "ip", "IP_INNOROUTES", DATAGRAMS)
}

/// An XDP program that drops all, in the driver and in the stack.
pub(crate) fn xdp() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let object = directory.path().join("drop.o");
    fs::write(&object, object_file(1, Verdict::Drop)?)?;
    for (kind, name, by) in
        [("xdpdrv", "driver", "xdp_drop (ethtool -S)"), ("xdpgeneric", "core", "do_xdp_generic")]
    {
        let pair = VethPair::create("nicmon-t-path")?;
        let link = ["-n", pair.rx.name(), "link", "set", VethPair::RX_NAME, kind, "object"];
        let attach = Command::new("ip").args(link).arg(&object).args(["section", "xdp"]).output()?;
        ensure!(attach.status.success(), "{kind}: {}", String::from_utf8_lossy(&attach.stderr));
        let (path, ()) = path_during(&pair, || send(&pair, VethPair::RX_ADDRESS))?;
        ensure_lost(&path, name, by, DATAGRAMS)?;
    }
    Ok(())
}

/// RPS passes packets to a CPU that needs too long for each: its backlog overflows.
pub(crate) fn backlog() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let object = directory.path().join("slow.o");
    fs::write(&object, object_file(200_000, Verdict::Pass)?)?;
    let pair = VethPair::create("nicmon-t-path")?;
    pair.receive_by(Receive::Rps, 0)?;
    let link = ["-n", pair.rx.name(), "link", "set", VethPair::RX_NAME, "xdpgeneric", "object"];
    output(Command::new("ip").args(link).arg(&object).args(["section", "xdp"]))?;
    let socket = small_socket(&pair)?;
    let (path, dropped) = path_during(&pair, || {
        let before = softnet_dropped()?;
        send(&pair, VethPair::RX_ADDRESS)?;
        Ok(softnet_dropped()? - before)
    })?;
    drop(socket);
    ensure!(dropped > DATAGRAMS / 10, "the backlog had room: {dropped} dropped");
    let packets = lost(&path, "gro", "CPU_BACKLOG")?;
    ensure!(packets.abs_diff(dropped) * 1000 <= dropped, "{packets} of {dropped}: {path}");
    ensure_explained(&path)?;
    tell("path", &format!("backlog: {packets} lost, {dropped} by softnet_stat"));
    Ok(())
}

/// Packets that the backlogs of all CPUs dropped.
fn softnet_dropped() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/softnet_stat")?;
    let dropped = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    Ok(text.lines().filter_map(dropped).sum())
}

/// GRO merges what a TCP download brings, and no packet is left over.
pub(crate) fn download() -> Result<()> {
    for mode in [Receive::Napi, Receive::Backlog] {
        let pair = VethPair::create("nicmon-t-path")?;
        pair.receive_by(mode, 0)?;
        let (path, _) = path_during(&pair, || tcp_throughput(&pair, 0, Duration::from_secs(1)))?;
        ensure_explained(&path)?;
        let ring = stage(&path, "ring")?["packets"].as_u64().unwrap_or(0);
        let socket = stage(&path, "socket")?["packets"].as_u64().unwrap_or(0);
        tell("path", &format!("download, {mode:?}: {ring} packets, {socket} to sockets"));
    }
    Ok(())
}

/// Where loopback carries packets, too, the counters of IP are of both.
pub(crate) fn two_nics() -> Result<()> {
    let pair = VethPair::create("nicmon-t-path")?;
    let (path, ()) = path_during(&pair, || {
        pair.rx.within(|| -> Result<()> {
            let (one, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
            for _ in 0..1000 {
                one.send_to(&[0; 100], other.local_addr()?)?;
            }
            Ok(())
        })??;
        send(&pair, VethPair::RX_ADDRESS)
    })?;
    for name in ["netfilter", "ip", "socket"] {
        let stage = stage(&path, name)?;
        ensure!(stage["packets"].is_null() && stage["next"].is_null(), "{name} is known: {path}");
        ensure!(stage["unexplained"].is_null(), "{name} has a remainder: {path}");
    }
    let core = stage(&path, "core")?;
    ensure!(core["packets"].as_u64() == Some(DATAGRAMS) && core["next"].is_null(), "{path}");
    ensure!(path["notes"][0].as_str().is_some_and(|note| note.contains("Other interfaces")), "{path}");
    Ok(())
}
