//! The ledger as text.

use std::fmt::Write as _;

use crate::{
    cli::wrap,
    path::{Loss, PacketPath, StageCounts, all_elsewhere, all_lost},
    present::{
        table::{Column, Table, WIDTH},
        text::{digits, interval, known, plain, printable, seconds},
    },
};

const STAGES: [Column; 7] = [
    Column::words("STAGE").at_least(9),
    Column::figures("PACKETS").at_least(8),
    Column::figures("LOST").at_least(7),
    Column::figures("ELSEWHERE"),
    Column::figures("NEXT").at_least(8),
    Column::figures("UNEXPLAINED"),
    Column::figures("~ns/PACKET"),
];

const LOSSES: [Column; 4] = [
    Column::words("STAGE").at_least(9),
    Column::figures("LOST").at_least(9),
    Column::words("BY"),
    Column::words("IN FUNCTION"),
];

const QUEUES: [Column; 4] = [
    Column::words("QUEUE").at_least(9),
    Column::figures("PACKETS").at_least(9),
    Column::figures("BYTES"),
    Column::figures("% OF PACKETS"),
];

/// Everything, in lines of at most 80 columns.
pub(super) fn render(path: &PacketPath) -> String {
    let PacketPath { nic, driver, interval_ns, timed_ns, poll_ns_per_packet, .. } = path;
    let time = poll_ns_per_packet.map_or_else(
        || "time per packet is unknown, because the NIC was not polled".to_owned(),
        |ns| format!("{} ns per packet in polls, exact, and its parts, estimated", digits(ns)),
    );
    let mut text = paragraph(&format!(
        "{} ({}): packets of {} s. From the {} s before them: {time}.",
        printable(nic),
        driver.as_deref().map_or_else(|| "?".to_owned(), printable),
        seconds(*interval_ns),
        seconds(*timed_ns),
    ));
    for (title, stages) in [("IN", &path.receive), ("OUT", &path.transmit)] {
        let mut table = Table::new(STAGES);
        for stage in stages {
            table.add(row(stage));
        }
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "\n{title}\n{}", table.text());
    }
    losses(&mut text, path);
    elsewhere(&mut text, path);
    queues(&mut text, path);
    let lost = (path.drops_lost > 0)
        .then(|| format!("{} drops were not counted: they had too many reasons.", path.drops_lost));
    for note in path.notes.iter().cloned().chain(lost) {
        let _ = write!(text, "\n{}", paragraph(&note));
    }
    text
}

fn paragraph(text: &str) -> String {
    format!("{}\n", wrap(text, 0, 2, WIDTH))
}

fn row(stage: &StageCounts) -> [String; 7] {
    let time = stage.est_ns_per_packet.zip(stage.est_ci_ns_per_packet);
    [
        stage.stage.label().to_owned(),
        plain(stage.packets),
        all_lost(&stage.lost).to_string(),
        all_elsewhere(&stage.elsewhere).to_string(),
        plain(stage.next),
        stage.unexplained.map_or_else(|| "-".to_owned(), |packets| packets.to_string()),
        time.map_or_else(
            || "-".to_owned(),
            |(value, bounds)| format!("{} {}", digits(value), interval(bounds, digits)),
        ),
    ]
}

fn losses(text: &mut String, path: &PacketPath) {
    let mut table = Table::new(LOSSES);
    for stage in path.receive.iter().chain(&path.transmit) {
        for Loss { by, function, packets } in &stage.lost {
            table.add([
                stage.stage.label().to_owned(),
                packets.to_string(),
                by.clone().unwrap_or_else(|| "-".to_owned()),
                function.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    let _ = if table.len() > 0 {
        write!(text, "\nLosses\n{}", table.text())
    } else {
        write!(text, "\nNo losses were seen.\n")
    };
}

fn elsewhere(text: &mut String, path: &PacketPath) {
    let all = path.receive.iter().flat_map(|stage| stage.elsewhere.iter().map(move |onward| (stage, onward)));
    let lines: Vec<String> = all
        .map(|(stage, onward)| format!("{}: {} {}", stage.stage.label(), onward.packets, onward.to))
        .collect();
    if !lines.is_empty() {
        let _ = write!(text, "\n{}", paragraph(&format!("Elsewhere: {}", lines.join("; "))));
    }
}

fn queues(text: &mut String, path: &PacketPath) {
    let mut table = Table::new(QUEUES);
    for queue in &path.queues {
        let own = path.queues.iter().filter(|other| other.kind == queue.kind);
        let all: u64 = own.filter_map(|other| other.packets).sum();
        let share = queue.packets.filter(|_| all > 0).map(|packets| packets as f64 * 100.0 / all as f64);
        table.add([
            format!("{}-{}", queue.kind.label(), queue.index),
            plain(queue.packets),
            plain(queue.bytes),
            known(share, |pct| format!("{pct:.1}")),
        ]);
    }
    if table.len() > 0 {
        let _ = write!(text, "\n{}", table.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::topology::QueueKind,
        path::{Onward, PathStage, QueueShare, SCHEMA},
    };

    fn stage(stage: PathStage, packets: u64, next: u64) -> StageCounts {
        let (packets, next) = (Some(packets), Some(next));
        StageCounts { stage, packets, next, unexplained: Some(0), ..StageCounts::default() }
    }

    fn loss(by: Option<&str>, function: Option<&str>, packets: u64) -> Loss {
        Loss { by: by.map(str::to_owned), function: function.map(str::to_owned), packets }
    }

    #[test]
    fn a_ledger() {
        let merged = Onward { to: "merged into others".to_owned(), packets: 1_140_000 };
        let queue = |index, packets| {
            let packets = Some(packets);
            QueueShare { kind: QueueKind::Rx, index, packets, bytes: packets.map(|packets| packets * 1514) }
        };
        let path = PacketPath {
            schema: SCHEMA.to_owned(),
            nic: "eth0".to_owned(),
            ifindex: 2,
            netns: 7,
            driver: Some("igb".to_owned()),
            interval_ns: 5_000_000_000,
            timed_ns: 5_000_000_000,
            receive: vec![
                StageCounts {
                    lost: vec![loss(Some("rx_missed_errors"), None, 345)],
                    unexplained: None,
                    ..stage(PathStage::Ring, 1_200_345, 1_200_000)
                },
                StageCounts {
                    est_ns_per_packet: Some(310.0),
                    est_ci_ns_per_packet: Some([296.0, 324.0]),
                    ..stage(PathStage::Driver, 1_200_000, 1_200_000)
                },
                StageCounts { elsewhere: vec![merged], ..stage(PathStage::Gro, 1_200_000, 60_000) },
                StageCounts { next: None, unexplained: None, ..stage(PathStage::Core, 60_000, 0) },
                StageCounts { stage: PathStage::Ip, ..StageCounts::default() },
                StageCounts {
                    lost: vec![loss(None, Some("tcp_v4_rcv"), 12)],
                    unexplained: Some(-3),
                    ..stage(PathStage::Socket, 59_988, 59_979)
                },
            ],
            transmit: vec![stage(PathStage::Transmit, 40_000, 40_000)],
            queues: vec![queue(0, 1_190_000), queue(1, 10_000)],
            poll_ns_per_packet: Some(1234.5),
            drops_lost: 1,
            notes: vec!["Its packets go on to br0.".to_owned()],
        };
        insta::assert_snapshot!(render(&path));
    }
}
