//! Compares a topology with the output of `ethtool`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::topology::{HashField, Nic};

use super::{Machine, pairs, same};

pub(super) fn compare(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let compared = [
        driver(nic, machine)?,
        channels(nic, machine)?,
        rings(nic, machine)?,
        coalesce(nic, machine)?,
        offloads(nic, machine)?,
        rss(nic, machine)?,
        hash_fields(nic, machine)?,
    ];
    Ok(compared.iter().sum())
}

fn ethtool(nic: &Nic, machine: &dyn Machine, option: &str) -> Result<Option<String>> {
    machine.ethtool(&format!("{option} {}", nic.name))
}

fn driver(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let text = ethtool(nic, machine, "-i")?.unwrap_or_default();
    let theirs: BTreeMap<_, _> = pairs(&text).filter(|(_, value)| !["", "N/A"].contains(value)).collect();
    let ours = [
        ("driver", &nic.driver),
        ("version", &nic.driver_version),
        ("firmware-version", &nic.firmware),
        ("bus-info", &nic.bus),
    ];
    let mut compared = 0;
    for (key, ours) in ours {
        compared += same(nic, key, ours.as_deref(), theirs.get(key).copied())?;
    }
    Ok(compared)
}

/// The values of `-l` or `-g` as (maximum, current), by name; `n/a` gives none.
fn maxima(text: &str) -> BTreeMap<&str, (Option<u32>, Option<u32>)> {
    let (most, now) = text.split_once("Current hardware settings").unwrap_or_default();
    let mut values: BTreeMap<&str, (Option<u32>, Option<u32>)> = BTreeMap::new();
    for (key, value) in pairs(most) {
        values.entry(key).or_default().0 = value.parse().ok();
    }
    for (key, value) in pairs(now) {
        values.entry(key).or_default().1 = value.parse().ok();
    }
    values
}

fn channels(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let text = ethtool(nic, machine, "-l")?;
    same(nic, "whether there are channels", nic.channels.is_some(), text.is_some())?;
    let (Some(text), Some(ours)) = (text, nic.channels) else { return Ok(1) };
    let theirs = maxima(&text);
    let at = |key| theirs.get(key).copied().unwrap_or_default();
    same(nic, "channels rx", (ours.rx_max, ours.rx), at("RX"))?;
    same(nic, "channels tx", (ours.tx_max, ours.tx), at("TX"))?;
    same(nic, "channels other", (ours.other_max, ours.other), at("Other"))?;
    same(nic, "channels combined", (ours.combined_max, ours.combined), at("Combined"))?;
    Ok(8)
}

fn rings(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let text = ethtool(nic, machine, "-g")?;
    same(nic, "whether there are rings", nic.rings.is_some(), text.is_some())?;
    let (Some(text), Some(ours)) = (text, nic.rings) else { return Ok(1) };
    let theirs = maxima(&text);
    let at = |key| theirs.get(key).copied().unwrap_or_default();
    same(nic, "rings rx", (ours.rx_max, ours.rx), at("RX"))?;
    same(nic, "rings rx_mini", (ours.rx_mini_max, ours.rx_mini), at("RX Mini"))?;
    same(nic, "rings rx_jumbo", (ours.rx_jumbo_max, ours.rx_jumbo), at("RX Jumbo"))?;
    same(nic, "rings tx", (ours.tx_max, ours.tx), at("TX"))?;
    same(nic, "rings rx_buf_len", (None, ours.rx_buf_len_bytes), at("RX Buf Len"))?;
    same(nic, "rings cqe_size", (None, ours.cqe_size_bytes), at("CQE Size"))?;
    let words: BTreeMap<&str, &str> = pairs(&text).collect();
    let on = |key| match words.get(key) {
        Some(&"on") => Some(true),
        Some(&"off") => Some(false),
        _ => None,
    };
    same(nic, "rings tcp_data_split", ours.tcp_data_split, on("TCP data split"))?;
    same(nic, "rings tx_push", ours.tx_push, on("TX Push"))?;
    Ok(12)
}

fn coalesce(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let text = ethtool(nic, machine, "-c")?;
    same(nic, "whether there is coalescing", nic.coalesce.is_some(), text.is_some())?;
    let (Some(text), Some(ours)) = (text, nic.coalesce) else { return Ok(1) };
    let theirs: BTreeMap<&str, Option<u32>> =
        pairs(&text).map(|(key, value)| (key, value.parse().ok())).collect();
    let numbers = [
        ("stats-block-usecs", ours.stats_block_usecs),
        ("sample-interval", ours.sample_interval_secs),
        ("pkt-rate-low", ours.pkt_rate_low_per_s),
        ("pkt-rate-high", ours.pkt_rate_high_per_s),
        ("rx-usecs", ours.rx_usecs),
        ("rx-frames", ours.rx_frames),
        ("rx-usecs-irq", ours.rx_usecs_irq),
        ("rx-frames-irq", ours.rx_frames_irq),
        ("tx-usecs", ours.tx_usecs),
        ("tx-frames", ours.tx_frames),
        ("tx-usecs-irq", ours.tx_usecs_irq),
        ("tx-frames-irq", ours.tx_frames_irq),
        ("rx-usecs-low", ours.rx_usecs_low),
        ("rx-frame-low", ours.rx_frames_low),
        ("tx-usecs-low", ours.tx_usecs_low),
        ("tx-frame-low", ours.tx_frames_low),
        ("rx-usecs-high", ours.rx_usecs_high),
        ("rx-frame-high", ours.rx_frames_high),
        ("tx-usecs-high", ours.tx_usecs_high),
        ("tx-frame-high", ours.tx_frames_high),
    ];
    for (key, ours) in numbers {
        let theirs = theirs.get(key).with_context(|| format!("ethtool -c prints no {key}"))?;
        same(nic, key, ours, *theirs)?;
    }
    let two = |line: &str| -> Result<(Option<bool>, Option<bool>)> {
        let (_, rest) = text.split_once(line).with_context(|| format!("ethtool -c prints no {line}"))?;
        let words: Vec<_> = rest.lines().next().unwrap_or_default().split_whitespace().collect();
        let flag = |at: usize| match words.get(at) {
            Some(&"on") => Some(true),
            Some(&"off") => Some(false),
            _ => None,
        };
        Ok((flag(0), flag(2)))
    };
    same(nic, "adaptive", (ours.adaptive_rx, ours.adaptive_tx), two("Adaptive RX:")?)?;
    same(nic, "cqe mode", (ours.cqe_mode_rx, ours.cqe_mode_tx), two("CQE mode RX:")?)?;
    Ok(numbers.len() + 4)
}

/// Names that ethtool had before the kernel named its features.
const OLD_NAMES: [(&str, &str); 8] = [
    ("rx-checksumming", "rx-checksum"),
    ("generic-segmentation-offload", "tx-generic-segmentation"),
    ("generic-receive-offload", "rx-gro"),
    ("large-receive-offload", "rx-lro"),
    ("rx-vlan-offload", "rx-vlan-hw-parse"),
    ("tx-vlan-offload", "tx-vlan-hw-insert"),
    ("ntuple-filters", "rx-ntuple-filter"),
    ("receive-hashing", "rx-hashing"),
];
/// Names of groups of features; the features follow one by one.
const GROUPS: [&str; 3] = ["tx-checksumming", "scatter-gather", "tcp-segmentation-offload"];

fn offloads(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let text = ethtool(nic, machine, "-k")?.context("ethtool -k fails")?;
    let theirs: BTreeMap<&str, (bool, bool)> = pairs(&text)
        .filter(|(_, value)| !value.is_empty())
        .filter(|(key, _)| !GROUPS.contains(key))
        .map(|(key, value)| {
            let key = OLD_NAMES.iter().find(|(old, _)| *old == key).map_or(key, |(_, name)| name);
            (key, (value.starts_with("on"), value.contains("[fixed]")))
        })
        .collect();
    let ours = nic.offloads.iter().flatten();
    let ours: BTreeMap<&str, (bool, bool)> =
        ours.map(|(name, offload)| (name.as_str(), (offload.on, offload.fixed))).collect();
    ensure!(theirs.len() > 30, "ethtool -k prints {} features", theirs.len());
    let compared = 2 * theirs.len();
    // Features that are permanently off are not in the topology.
    let theirs = theirs.into_iter().filter(|(_, (on, fixed))| *on || !*fixed).collect();
    same(nic, "offloads", ours, theirs)?;
    Ok(compared)
}

fn rss(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let text = ethtool(nic, machine, "-x")?.unwrap_or_default();
    let (rows, key) = text.split_once("RSS hash key:").unwrap_or((&text, ""));
    // Rows of the table: the first bucket, a colon, queues.
    let is_row = |key: &str| key.bytes().all(|byte| byte.is_ascii_digit()) && !key.is_empty();
    let row = |value: &str| value.split_whitespace().map(|queue| queue.parse().ok()).collect::<Vec<_>>();
    let table: Option<Vec<u32>> =
        pairs(rows).filter(|(key, _)| is_row(key)).flat_map(|(_, value)| row(value)).collect();
    let key = key.lines().nth(1).unwrap_or_default();
    let is_key = key.len() > 2 && key.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    let function = pairs(text.split_once("RSS hash function:").unwrap_or_default().1);
    let function = function.into_iter().find(|(_, value)| *value == "on").map(|(name, _)| name);
    let ours = nic.rss.as_ref();
    same(nic, "RSS table", ours.and_then(|rss| rss.table.clone()), table.filter(|table| !table.is_empty()))?;
    same(nic, "RSS key", ours.and_then(|rss| rss.key_hex.clone()), is_key.then(|| key.replace(':', "")))?;
    same(nic, "RSS function", ours.and_then(|rss| rss.function.as_deref()), function)?;
    // `RX flow hash indirection table for eth0 with 4 RX ring(s):`
    let rings =
        text.lines().next().and_then(|line| line.split_once(" with ")?.1.split(' ').next()?.parse().ok());
    if let Some(rings) = rings {
        same(nic, "RSS queues", ours.and_then(|rss| rss.rx_queues), Some::<u32>(rings))?;
    }
    Ok(3 + usize::from(rings.is_some()))
}

/// The text that `ethtool -n` prints for each `RXH_*`, in the order of its lines.
const HASH_FIELDS: [(&str, HashField); 7] = [
    ("L2DA", HashField::L2Dst),
    ("VLAN tag", HashField::Vlan),
    ("L3 proto", HashField::L3Proto),
    ("IP SA", HashField::IpSrc),
    ("IP DA", HashField::IpDst),
    ("L4 bytes 0 & 1 [TCP/UDP src port]", HashField::L4Src),
    ("L4 bytes 2 & 3 [TCP/UDP dst port]", HashField::L4Dst),
];

fn hash_fields(nic: &Nic, machine: &dyn Machine) -> Result<usize> {
    let ours = nic.rss.as_ref().map(|rss| rss.hash_fields.clone()).unwrap_or_default();
    let flows = [("tcp4", ours.tcp4), ("udp4", ours.udp4), ("tcp6", ours.tcp6), ("udp6", ours.udp6)];
    let compared = flows.len();
    for (flow, ours) in flows {
        let text = machine.ethtool(&format!("-n {} rx-flow-hash {flow}", nic.name))?;
        let field = |line: &str| HASH_FIELDS.iter().find(|(text, _)| *text == line).map(|(_, field)| *field);
        let theirs = text.map(|text| text.lines().filter_map(field).collect::<Vec<_>>());
        same(nic, &format!("hash fields of {flow}"), ours, theirs)?;
    }
    Ok(compared)
}
