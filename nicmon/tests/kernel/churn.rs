//! A thousand veth pairs are made, renamed, moved and deleted while nicmon runs.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    mem::offset_of,
    net::{SocketAddr, UdpSocket},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nicmon_common::{INDEX_EMPTY, INDEX_REMOVED, NapiKey, NapiOwner};
use serde_json::Value;
use testkit::{load::Namespace, process::output};

use crate::{child::Nicmon, clean::objects_of, loads::inode, tell};

const ROUNDS: usize = 10;
const PAIRS: usize = 100;
/// How many pairs of each round receive packets by NAPI.
const POLLING: usize = 6;
const PACKETS: usize = 50;
/// How many bytes nicmon may grow by.
const GROWTH: u64 = 2 << 20;

pub(crate) fn churn() -> Result<()> {
    let pid = std::process::id();
    let here = Namespace::create(&format!("nicmon-t-churn-a-{pid}"))?;
    let there = Namespace::create(&format!("nicmon-t-churn-b-{pid}"))?;
    let inodes = [inode(&here)?, inode(&there)?];

    let mut nicmon = Nicmon::start(&["-d", "500ms"])?;
    // A first round is not counted: after it, everything that is allocated only once has been.
    nicmon.more(2)?;
    round(&here, &there, ROUNDS)?;
    nicmon.catch_up()?;
    nicmon.more(2)?;
    let before = resident_bytes(nicmon.pid())?;
    let start = Instant::now();
    for number in 0..ROUNDS {
        round(&here, &there, number)?;
        nicmon.catch_up()?;
    }
    let time = start.elapsed();
    let polled: BTreeSet<_> = nicmon
        .frames
        .iter()
        .flat_map(|arrived| &arrived.frame.nics)
        .filter(|nic| {
            nic.netns.is_some_and(|netns| inodes.contains(&netns))
                && nic.cpus.iter().any(|cpu| cpu.work > Some(0))
        })
        .map(|nic| (nic.netns, nic.ifindex, nic.name.clone()))
        .collect();

    // All of them disappear within seconds, from the map and from nicmon's memory.
    let maps = objects_of(nicmon.pid())?.maps;
    let patience = Instant::now() + Duration::from_secs(8);
    let mut dead = dead_napis(&maps, &inodes)?;
    while dead > 0 && Instant::now() < patience {
        nicmon.more(1)?;
        dead = dead_napis(&maps, &inodes)?;
    }
    nicmon.catch_up()?;
    nicmon.more(2)?;
    // The threads that read what has changed (topology, symbols) may still be busy for a moment.
    let mut after = resident_bytes(nicmon.pid())?;
    let patience = Instant::now() + Duration::from_secs(12);
    while after > before + GROWTH && Instant::now() < patience {
        nicmon.more(1)?;
        after = resident_bytes(nicmon.pid())?;
    }
    let lost: u64 = nicmon.frames.iter().filter_map(|arrived| arrived.frame.own.lost).sum();
    let shown = nicmon
        .more(1)?
        .frame
        .nics
        .iter()
        .filter(|nic| nic.netns.is_some_and(|n| inodes.contains(&n)))
        .count();
    let frames = nicmon.stop()?;
    tell(
        "churn",
        &format!(
            "{} pairs in {time:.1?}, {} frames, {} NICs seen polling, resident {} -> {} kB, \
             {dead} dead NAPIs, lost {lost}",
            ROUNDS * PAIRS,
            frames.len(),
            polled.len(),
            before / 1024,
            after / 1024
        ),
    );
    ensure!(polled.len() >= ROUNDS, "only {} of the pairs were seen polling", polled.len());
    ensure!(dead == 0, "{dead} dead NAPIs are still in the map");
    ensure!(shown <= 2, "{shown} NICs of empty namespaces are still shown");
    ensure!(after <= before + GROWTH, "resident memory grew from {before} to {after} bytes");
    Ok(())
}

fn round(here: &Namespace, there: &Namespace, number: usize) -> Result<()> {
    let group = number + 1;
    let batch = |line: &dyn Fn(usize) -> String, of: usize| -> Result<()> {
        let mut text = String::new();
        for pair in 0..of {
            writeln!(text, "{}", line(pair))?;
        }
        let mut file = tempfile::NamedTempFile::new()?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        output(Command::new("ip").args(["-n", here.name(), "-batch"]).arg(file.path())).map(drop)
    };
    batch(&|pair| format!("link add a{pair} group {group} type veth peer name b{pair}"), PAIRS)?;
    for pair in 0..POLLING {
        output(here.command("ethtool").args(["-K", &format!("b{pair}"), "gro", "on"]))?;
        output(here.command("ethtool").args(["-K", &format!("a{pair}"), "tso", "off"]))?;
    }
    batch(&|pair| format!("addr add 198.51.100.{}/30 broadcast + dev a{pair}", pair * 4 + 1), POLLING)?;
    batch(&|pair| format!("link set a{pair} up"), POLLING)?;
    batch(&|pair| format!("link set b{pair} up"), POLLING)?;
    send(here)?;
    batch(&|pair| format!("link set a{pair} down"), POLLING)?;
    // The other end stays up and is renamed.
    batch(&|pair| format!("link set a{pair} name renamed{pair}"), PAIRS)?;
    batch(&|pair| format!("link set renamed{pair} netns {}", there.name()), PAIRS)?;
    // Half of them are deleted one by one, the others at once by their group.
    batch(&|pair| format!("link del b{pair}"), PAIRS / 2)?;
    output(Command::new("ip").args(["-n", there.name(), "link", "del", "group", &group.to_string()]))
        .map(drop)
}

/// Broadcasts need no neighbour entry, so each goes over its own pair.
fn send(namespace: &Namespace) -> Result<()> {
    namespace.within(|| -> Result<()> {
        for pair in 0..POLLING {
            let host = u8::try_from(pair * 4 + 1)?;
            let socket =
                UdpSocket::bind(SocketAddr::from(([198, 51, 100, host], 0))).context("cannot bind")?;
            socket.set_broadcast(true)?;
            for _ in 0..PACKETS {
                socket
                    .send_to(&[0; 64], SocketAddr::from(([198, 51, 100, host + 2], 9)))
                    .context("cannot send")?;
            }
        }
        Ok(())
    })?
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes = line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok());
    Ok(kilobytes.context("no VmRSS")? * 1024)
}

/// Slots that belong to NAPIs of devices in these namespaces: the index still leads to them.
fn dead_napis(maps: &BTreeSet<u64>, inodes: &[u32]) -> Result<usize> {
    let shown: Value = serde_json::from_str(&output(Command::new("bpftool").args(["-j", "map", "show"]))?)?;
    let shown = shown.as_array().context("bpftool shows no list")?;
    let of_name = |name: &str| -> Result<Vec<Vec<u8>>> {
        let is_it = |map: &&Value| map["name"] == name;
        let id = (shown.iter().filter(is_it))
            .find_map(|map| map["id"].as_u64().filter(|id| maps.contains(id)))
            .with_context(|| format!("nicmon has no map {name}"))?;
        elements(id)
    };
    let (index, owners) = (of_name("NAPI_INDEX")?, of_name("NAPI_OWNERS")?);
    let mut dead = 0;
    for (at, entry) in index.iter().enumerate() {
        let entry = u64::from_ne_bytes(entry.as_slice().try_into()?);
        if entry == INDEX_EMPTY || entry == INDEX_REMOVED {
            continue;
        }
        // The index has two elements for each slot.
        let per_cpu = owners.len() / possible_cpus()?;
        let slot = usize::try_from(entry & u64::from(u32::MAX))? - 1;
        let owner = &owners[at / (2 * per_cpu) * per_cpu + slot];
        let netns = offset_of!(NapiOwner, key) + offset_of!(NapiKey, netns);
        let netns = u32::from_ne_bytes(owner[netns..netns + 4].try_into()?);
        dead += usize::from(inodes.contains(&netns));
    }
    Ok(dead)
}

/// The values of an array.
fn elements(id: u64) -> Result<Vec<Vec<u8>>> {
    let dump = output(Command::new("bpftool").args(["-j", "map", "dump", "id", &id.to_string()]))?;
    let entries: Value = serde_json::from_str(&dump)?;
    let value = |entry: &Value| -> Result<Vec<u8>> {
        let bytes = entry["value"].as_array().context("no value")?;
        let byte = |byte: &Value| u8::from_str_radix(byte.as_str()?.trim_start_matches("0x"), 16).ok();
        bytes.iter().map(|text| byte(text).context("no byte")).collect()
    };
    entries.as_array().context("bpftool dumps no list")?.iter().map(value).collect()
}

fn possible_cpus() -> Result<usize> {
    let possible = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let highest = possible.trim().rsplit(['-', ',']).next().context("no CPU")?;
    Ok(highest.parse::<usize>()? + 1)
}
