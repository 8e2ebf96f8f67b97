//! One NIC as text.

use std::collections::BTreeMap;

use super::text::{list, paragraph, yes_no};
use crate::{
    frame::{
        pct_of,
        topology::{
            Channels, Coalesce, HashField, HashFields, Irq, Nic, Offload, Queue, QueueKind, Rings, Rss, Xdp,
            XdpMode,
        },
    },
    present::{
        table::{Column, Table},
        text::{known, plain, printable},
    },
};

const QUEUES: [Column; 8] = [
    Column::words("QUEUE").at_least(8),
    Column::figures("NAPI").at_least(6),
    Column::figures("IRQ").at_least(5),
    Column::words("AFFINITY").at_least(11),
    Column::words("EFFECTIVE").at_least(11),
    Column::words("RPS").at_least(11),
    Column::figures("RFS").at_least(6),
    Column::words("XPS"),
];

const COUNTED: [Column; 4] = [
    Column::words("QUEUE").at_least(8),
    Column::figures("PACKETS").at_least(14),
    Column::figures("SHARE%").at_least(6),
    Column::figures("BYTES").at_least(17),
];

/// Aligned with the columns of the queues.
const OTHER_IRQS: [Column; 4] = [
    Column::figures("IRQ").at_least(21),
    Column::words("AFFINITY").at_least(11),
    Column::words("EFFECTIVE").at_least(11),
    Column::words("OTHER INTERRUPT"),
];

/// Everything about a NIC. What its driver does not have or does not report is left out.
pub(super) fn render(text: &mut String, nic: &Nic) {
    text.push_str(&printable(&nic.name));
    text.push('\n');
    let mut add = |title: &str, items: Vec<String>| {
        if !items.is_empty() {
            paragraph(text, title, &items);
        }
    };
    add("driver", driver(nic));
    add("link", link(nic));
    add("XDP", nic.xdp.iter().flatten().map(xdp).collect());
    add("channels", nic.channels.map(channels).unwrap_or_default());
    add("rings", nic.rings.map(rings).unwrap_or_default());
    add("RSS", nic.rss.as_ref().map(rss).unwrap_or_default());
    add("coalesce", nic.coalesce.map(coalesce).unwrap_or_default());
    add("offloads", nic.offloads.as_ref().map(offloads).unwrap_or_default());
    add("NAPI", napi(nic));
    text.push_str(&queues(nic));
    text.push_str(&other_irqs(nic));
    text.push_str(&counted(nic));
}

fn driver(nic: &Nic) -> Vec<String> {
    let name = nic.driver.as_deref().or(nic.kind.as_deref()).unwrap_or("no driver");
    let version = nic.driver_version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let mut items = vec![format!("{name}{version}")];
    if nic.sleeps {
        items.push("asleep; not woken, so its settings are unknown".to_owned());
    }
    items.extend(nic.firmware.as_deref().map(|firmware| format!("firmware {firmware}")));
    items.extend(nic.bus.as_deref().map(|bus| format!("bus {bus}")));
    items.extend(nic.numa_node.map(|node| format!("NUMA node {node}")));
    items
}

fn link(nic: &Nic) -> Vec<String> {
    let mut items = vec![if nic.up { "up" } else { "down" }.to_owned()];
    items.extend(nic.speed_mbps.map(|speed| format!("{speed} Mbit/s")));
    items.extend(nic.mtu_bytes.map(|mtu| format!("MTU {mtu}")));
    items.extend(nic.tx_queue_len.map(|length| format!("tx queue length {length}")));
    items.push(format!("index {} in netns {}", nic.ifindex, nic.netns));
    items.extend(nic.alt_names.iter().map(|name| format!("also called {name}")));
    items.extend(nic.master.as_deref().map(|master| format!("master {master}")));
    items.extend(nic.upper.iter().flatten().map(|upper| format!("below {upper}")));
    items.extend(nic.lower.iter().flatten().map(|lower| format!("above {lower}")));
    items
}

fn xdp(xdp: &Xdp) -> String {
    let mode = match xdp.mode {
        XdpMode::Generic => "generic",
        XdpMode::Native => "native",
        XdpMode::Offload => "offload",
    };
    format!("{mode} (program {})", plain(xdp.prog_id))
}

/// `rx 4 of 8`, for those that exist.
fn of_most(values: &[(&str, Option<u32>, Option<u32>)]) -> Vec<String> {
    let known = values.iter().filter_map(|(name, value, most)| Some((name, (*value)?, most)));
    known
        .map(|(name, value, most)| match most {
            Some(most) => format!("{name} {value} of {most}"),
            None => format!("{name} {value}"),
        })
        .collect()
}

fn channels(channels: Channels) -> Vec<String> {
    let Channels { rx, rx_max, tx, tx_max, other, other_max, combined, combined_max } = channels;
    of_most(&[
        ("combined", combined, combined_max),
        ("rx", rx, rx_max),
        ("tx", tx, tx_max),
        ("other", other, other_max),
    ])
}

fn rings(rings: Rings) -> Vec<String> {
    let mut items = of_most(&[
        ("rx", rings.rx, rings.rx_max),
        ("rx-mini", rings.rx_mini, rings.rx_mini_max),
        ("rx-jumbo", rings.rx_jumbo, rings.rx_jumbo_max),
        ("tx", rings.tx, rings.tx_max),
        ("rx-buf-len", rings.rx_buf_len_bytes, None),
        ("cqe-size", rings.cqe_size_bytes, None),
    ]);
    items.extend(rings.tcp_data_split.map(|split| format!("tcp-data-split {}", on_off(split))));
    items.extend(rings.tx_push.filter(|push| *push).map(|_| "tx-push on".to_owned()));
    items
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn rss(rss: &Rss) -> Vec<String> {
    let mut items = Vec::new();
    items.extend(rss.function.clone());
    items.extend(rss.rx_queues.map(|queues| format!("rx queues {queues}")));
    if let Some(table) = &rss.table {
        let mut buckets: BTreeMap<u32, usize> = BTreeMap::new();
        for queue in table {
            *buckets.entry(*queue).or_default() += 1;
        }
        let shares: Vec<String> = buckets.iter().map(|(queue, count)| format!("{queue}:{count}")).collect();
        // One item per share, so lines can be broken between them.
        items.push(format!("table of {} (queue:buckets)", table.len()));
        items.extend(shares);
    }
    let HashFields { tcp4, udp4, tcp6, udp6 } = &rss.hash_fields;
    for (name, fields) in [("tcp4", tcp4), ("udp4", udp4), ("tcp6", tcp6), ("udp6", udp6)] {
        items.extend(fields.as_ref().map(|fields| format!("{name} hash {}", hash_fields(fields))));
    }
    items
}

fn hash_fields(fields: &[HashField]) -> String {
    let name = |field: &HashField| match field {
        HashField::L2Dst => "MAC",
        HashField::Vlan => "VLAN",
        HashField::L3Proto => "protocol",
        HashField::IpSrc => "src",
        HashField::IpDst => "dst",
        HashField::L4Src => "sport",
        HashField::L4Dst => "dport",
        HashField::Discard => "discard",
    };
    let names: Vec<_> = fields.iter().map(name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join("+") }
}

fn coalesce(coalesce: Coalesce) -> Vec<String> {
    let adaptive = [("adaptive-rx", coalesce.adaptive_rx), ("adaptive-tx", coalesce.adaptive_tx)];
    let cqe = [("cqe-mode-rx", coalesce.cqe_mode_rx), ("cqe-mode-tx", coalesce.cqe_mode_tx)];
    let flags = |flags: [(&str, Option<bool>); 2]| {
        flags.into_iter().filter_map(|(name, on)| Some(format!("{name} {}", on_off(on?)))).collect::<Vec<_>>()
    };
    let mut items = flags(adaptive);
    items.extend(of_most(&[
        ("rx-usecs", coalesce.rx_usecs, None),
        ("rx-frames", coalesce.rx_frames, None),
        ("rx-usecs-irq", coalesce.rx_usecs_irq, None),
        ("rx-frames-irq", coalesce.rx_frames_irq, None),
        ("tx-usecs", coalesce.tx_usecs, None),
        ("tx-frames", coalesce.tx_frames, None),
        ("tx-usecs-irq", coalesce.tx_usecs_irq, None),
        ("tx-frames-irq", coalesce.tx_frames_irq, None),
        ("stats-block-usecs", coalesce.stats_block_usecs, None),
        ("sample-interval", coalesce.sample_interval_secs, None),
        ("pkt-rate-low", coalesce.pkt_rate_low_per_s, None),
        ("pkt-rate-high", coalesce.pkt_rate_high_per_s, None),
        ("rx-usecs-low", coalesce.rx_usecs_low, None),
        ("rx-frames-low", coalesce.rx_frames_low, None),
        ("tx-usecs-low", coalesce.tx_usecs_low, None),
        ("tx-frames-low", coalesce.tx_frames_low, None),
        ("rx-usecs-high", coalesce.rx_usecs_high, None),
        ("rx-frames-high", coalesce.rx_frames_high, None),
        ("tx-usecs-high", coalesce.tx_usecs_high, None),
        ("tx-frames-high", coalesce.tx_frames_high, None),
    ]));
    items.extend(flags(cqe));
    items
}

/// The offloads that are on; a star marks those that cannot be changed.
fn offloads(offloads: &BTreeMap<String, Offload>) -> Vec<String> {
    let on = offloads.iter().filter(|(_, offload)| offload.on);
    on.map(|(name, offload)| format!("{name}{}", if offload.fixed { "*" } else { "" })).collect()
}

fn napi(nic: &Nic) -> Vec<String> {
    let mut items = Vec::new();
    items.extend(nic.threaded_napi.map(|threaded| format!("threaded {}", yes_no(Some(threaded)))));
    items.extend(nic.gro_flush_timeout_ns.map(|timeout| format!("gro_flush_timeout {timeout} ns")));
    items.extend(nic.napi_defer_hard_irqs.map(|polls| format!("napi_defer_hard_irqs {polls}")));
    items
}

fn queues(nic: &Nic) -> String {
    if nic.queues.is_empty() {
        return String::new();
    }
    let mut table = Table::new(QUEUES).indented(2);
    for queue in &nic.queues {
        table.add(queue_row(queue, nic.irqs.as_deref()));
    }
    table.text()
}

/// What the queues have counted, and the share of each in the packets of its direction.
fn counted(nic: &Nic) -> String {
    if nic.queues.iter().all(|queue| queue.packets.is_none() && queue.bytes.is_none()) {
        return String::new();
    }
    let mut table = Table::new(COUNTED).indented(2);
    for queue in &nic.queues {
        let own = nic.queues.iter().filter(|other| other.kind == queue.kind);
        let all: Option<u64> =
            own.map(|other| other.packets).try_fold(0_u64, |sum, more| Some(sum.saturating_add(more?)));
        let share = queue.packets.zip(all.filter(|all| *all > 0)).map(|(packets, all)| pct_of(packets, all));
        table.add([
            queue_name(queue),
            plain(queue.packets),
            known(share, |share| format!("{share:.1}")),
            plain(queue.bytes),
        ]);
    }
    table.text()
}

fn queue_name(queue: &Queue) -> String {
    format!("{}-{}", queue.kind.label(), queue.index)
}

fn queue_row(queue: &Queue, irqs: Option<&[Irq]>) -> [String; 8] {
    // A virtual interface has no interrupts.
    let (irq, affinity, effective) = if irqs.is_some_and(<[Irq]>::is_empty) && queue.irq.is_none() {
        ("-".to_owned(), "-".to_owned(), "-".to_owned())
    } else {
        let irq = irqs.unwrap_or_default().iter().find(|irq| Some(irq.irq) == queue.irq);
        (
            plain(queue.irq),
            list(irq.and_then(|irq| irq.affinity.as_deref())),
            list(irq.and_then(|irq| irq.affinity_effective.as_deref())),
        )
    };
    let receives = queue.kind == QueueKind::Rx;
    let (rps, rfs, xps) = if receives {
        (list(queue.rps_cpus.as_deref()), plain(queue.rps_flow_cnt), String::new())
    } else {
        (String::new(), String::new(), list(queue.xps_cpus.as_deref()))
    };
    [queue_name(queue), plain(queue.napi_id), irq, affinity, effective, rps, rfs, xps]
}

/// Interrupts that belong to no queue.
fn other_irqs(nic: &Nic) -> String {
    let has_queue = |irq: &&Irq| nic.queues.iter().any(|queue| queue.irq == Some(irq.irq));
    let mut table = Table::new(OTHER_IRQS).indented(2);
    for irq in nic.irqs.iter().flatten().filter(|irq| !has_queue(irq)) {
        let (affinity, effective) = (list(irq.affinity.as_deref()), list(irq.affinity_effective.as_deref()));
        table.add([irq.irq.to_string(), affinity, effective, irq.action.clone()]);
    }
    if table.len() == 0 { String::new() } else { table.text() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nic: &Nic) -> String {
        let mut text = String::new();
        render(&mut text, nic);
        text
    }

    #[test]
    fn a_nic_with_everything() {
        let irq = |irq, action: &str, effective| Irq {
            irq,
            action: action.to_owned(),
            queue: None,
            affinity: Some(vec![0, 1, 2, 3]),
            affinity_effective: effective,
        };
        let fields = Some(vec![HashField::IpSrc, HashField::IpDst, HashField::L4Src, HashField::L4Dst]);
        let nic = Nic {
            name: "eth\u{1b}0".into(),
            ifindex: 2,
            netns: 4_026_531_840,
            driver: Some("igb".into()),
            up: true,
            xdp: Some(vec![Xdp { mode: XdpMode::Native, prog_id: Some(7) }]),
            channels: Some(Channels { combined: Some(2), combined_max: Some(8), ..Channels::default() }),
            rings: Some(Rings { rx: Some(256), rx_max: Some(4096), ..Rings::default() }),
            rss: Some(Rss {
                function: Some("toeplitz".into()),
                table: Some(vec![0, 1, 0, 0]),
                hash_fields: HashFields { tcp4: fields, udp4: Some(vec![]), ..HashFields::default() },
                ..Rss::default()
            }),
            coalesce: Some(Coalesce { adaptive_rx: Some(true), rx_usecs: Some(3), ..Coalesce::default() }),
            offloads: Some(BTreeMap::from([
                ("rx-gro".to_owned(), Offload { on: true, fixed: false }),
                ("rx-lro".to_owned(), Offload { on: false, fixed: true }),
                ("highdma".to_owned(), Offload { on: true, fixed: true }),
            ])),
            queues: vec![
                Queue {
                    napi_id: Some(8193),
                    irq: Some(38),
                    rps_cpus: Some(vec![2, 3]),
                    rps_flow_cnt: Some(4096),
                    packets: Some(1_234_567),
                    bytes: Some(98_765_432_100),
                    ..Queue::new(QueueKind::Rx, 0)
                },
                Queue { xps_cpus: Some(vec![]), ..Queue::new(QueueKind::Tx, 0) },
            ],
            irqs: Some(vec![irq(37, "eth0", None), irq(38, "eth0-TxRx-0", Some(vec![1]))]),
            threaded_napi: Some(false),
            ..Nic::default()
        };
        let expected = "\
eth\u{fffd}0
  driver    igb
  link      up, index 2 in netns 4026531840
  XDP       native (program 7)
  channels  combined 2 of 8
  rings     rx 256 of 4096
  RSS       toeplitz, table of 4 (queue:buckets), 0:3, 1:1,
            tcp4 hash src+dst+sport+dport, udp4 hash none
  coalesce  adaptive-rx on, rx-usecs 3
  offloads  highdma*, rx-gro
  NAPI      threaded no
  QUEUE      NAPI   IRQ  AFFINITY    EFFECTIVE   RPS            RFS  XPS
  rx-0       8193    38  0-3         1           2-3           4096
  tx-0          ?     ?  ?           ?                               -
                    IRQ  AFFINITY    EFFECTIVE   OTHER INTERRUPT
                     37  0-3         ?           eth0
  QUEUE           PACKETS SHARE%             BYTES
  rx-0            1234567  100.0       98765432100
  tx-0                  ?      ?                 ?
";
        assert_eq!(of(&nic), expected);
    }

    #[test]
    fn little_is_known() {
        let text = of(&Nic { name: "x".into(), ..Nic::default() });
        assert_eq!(text, "x\n  driver    no driver\n  link      down, index 0 in netns 0\n");
    }
}
