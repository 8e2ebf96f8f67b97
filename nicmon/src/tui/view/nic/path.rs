//! The way of packets through a NIC and the kernel, from the counters of a frame: how many came to each
//! stage, and how many were lost there. `nicmon path` counts every packet and says more.

use crate::{
    frame::{Frame, Nic, NicDrops},
    present::text::known,
    tui::{figures, paint::wrapped, view::nics::rate},
};

/// Widths of a stage's name and of the packets that came to it.
const STAGE: usize = 12;
const PACKETS: usize = 10;

/// A stage: its name, packets per second, and what is lost in it.
struct Stage {
    name: &'static str,
    packets: String,
    lost: String,
}

/// A line for each stage, and before it their heads. What is lost may take more lines.
pub(super) fn lines(frame: &Frame, nic: &Nic, width: u16) -> Vec<String> {
    let indent = STAGE + PACKETS + 2;
    let room = width.saturating_sub(u16::try_from(indent).unwrap_or(u16::MAX));
    let mut text = vec![line("STAGE", "PACKETS/s", "LOST PER SECOND")];
    for Stage { name, packets, lost } in stages(frame, nic) {
        let mut parts = wrapped(&lost, room).into_iter();
        text.push(line(name, &packets, &parts.next().unwrap_or_default()));
        text.extend(parts.map(|part| line("", "", &part)));
    }
    text
}

fn line(name: &str, packets: &str, lost: &str) -> String {
    format!("{name:<STAGE$}{packets:>PACKETS$}  {lost}")
}

/// In the order in which received packets pass, and then sending.
fn stages(frame: &Frame, nic: &Nic) -> Vec<Stage> {
    let counted_ns = frame.counters_known_ns(nic);
    let of = |count: Option<u64>| rate(counted_ns, count);
    let drops = |drop: fn(&NicDrops) -> u64| of(nic.counters.drops.as_ref().map(drop));
    let mut stages = vec![
        Stage {
            name: "NIC",
            packets: of(nic.counters.rx_packets),
            lost: format!(
                "missed {}, fifo {}, bad {}",
                drops(|drops| drops.rx_missed),
                drops(|drops| drops.rx_fifo),
                drops(|drops| drops.rx_crc)
            ),
        },
        Stage {
            name: "polls",
            packets: rate(frame.interval_ns, polled(frame, nic)),
            lost: format!(
                "dropped {}, no handler {}",
                drops(|drops| drops.rx_dropped),
                drops(|drops| drops.rx_nohandler)
            ),
        },
    ];
    if let Some(netns) = frame.netns.iter().find(|netns| Some(netns.inum) == nic.netns) {
        let known_ns = frame.interval_ns.saturating_sub(netns.gap_ns.unwrap_or(0));
        stages.push(Stage {
            name: "IP, sockets",
            packets: rate(known_ns, netns.ip_packets),
            lost: format!(
                "full UDP sockets {}, listening sockets {} (all NICs of its namespace, IPv4; GRO merged {} \
                 packets into one)",
                rate(known_ns, netns.udp_rcvbuf_errors),
                rate(known_ns, netns.listen_drops),
                known(netns.gro_ratio, |ratio| format!("{ratio:.1}"))
            ),
        });
    }
    stages.push(Stage {
        name: "sends",
        packets: of(nic.counters.tx_packets),
        lost: format!("dropped {}", drops(|drops| drops.tx_dropped)),
    });
    stages
}

/// What its polls returned on all CPUs: unknown if not all CPUs are shown, or if not all polls were seen.
fn polled(frame: &Frame, nic: &Nic) -> Option<u64> {
    let are_seen = nic.napis.is_some() && frame.window.is_none() && frame.has_all_cpus();
    figures::sum(nic.cpus.iter().map(|on| on.work)).filter(|_| are_seen)
}
