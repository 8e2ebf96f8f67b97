//! The way of packets through a NIC and the kernel, from the counters of a frame: how many came to each
//! stage, and how many were lost there. `nicmon path` counts every packet and says more.

use crate::{
    frame::{Frame, Nic, NicDrops},
    present::text::known,
    tui::{paint::wrapped, view::nics::rate},
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
    let mut text = vec![line("WAY", "PACKETS/s", "LOST PER SECOND")];
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
    let of = |count: Option<u64>| rate(frame, count);
    let drops = |of: fn(&NicDrops) -> u64| rate(frame, nic.counters.drops.as_ref().map(of));
    let work = nic.cpus.iter().map(|on| on.work).try_fold(0_u64, |sum, work| Some(sum.saturating_add(work?)));
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
            packets: of(work),
            lost: format!(
                "dropped {}, no handler {}",
                drops(|drops| drops.rx_dropped),
                drops(|drops| drops.rx_nohandler)
            ),
        },
    ];
    if let Some(netns) = frame.netns.iter().find(|netns| Some(netns.inum) == nic.netns) {
        stages.push(Stage {
            name: "IP, sockets",
            packets: of(netns.ip_packets),
            lost: format!(
                "full UDP sockets {}, full listen queues {} (all NICs of its namespace; GRO merged {} \
                 packets into one)",
                of(netns.udp_rcvbuf_errors),
                of(netns.listen_drops),
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
