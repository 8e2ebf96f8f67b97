//! `nicmon topology`: how the network is configured. It needs neither root nor eBPF programs.

mod nic;
mod text;

use self::text::{list, paragraph, yes_no};
use super::{
    Failure,
    output::{json_line, print},
};
use crate::{
    cli,
    collect::{CollectError, Filter, read_topology},
    frame::topology::{Cpu, PacketType, Sysctls, Topology},
    host::Roots,
    present::{
        table::{Column, Table},
        text::plain,
    },
};

const CPUS: [Column; 7] = [
    Column::words("CPU").at_least(4),
    Column::figures("PACKAGE").at_least(8),
    Column::figures("CORE").at_least(5),
    Column::figures("NUMA").at_least(5),
    Column::figures("ISOLATED").at_least(9),
    Column::figures("NOHZ_FULL").at_least(10),
    Column::words("SIBLINGS"),
];

pub(super) fn run(args: &cli::Topology) -> Result<(), Failure> {
    let filter = Filter::new(&args.interfaces, &[]).map_err(CollectError::from)?;
    let topology = read_topology(&Roots::default(), &filter)?;
    let text = if args.json { json_line(&topology)? } else { render(&topology) };
    print(text.as_bytes())
}

/// The whole topology as text.
pub(super) fn render(topology: &Topology) -> String {
    let mut text = String::new();
    for nic in &topology.nics {
        nic::render(&mut text, nic);
        text.push('\n');
    }
    text += &cpus(&topology.cpus);
    text.push('\n');
    sysctls(&mut text, &topology.sysctls);
    packet_types(&mut text, topology.packet_types.as_deref());
    text
}

fn cpus(cpus: &[Cpu]) -> String {
    let mut table = Table::new(CPUS);
    for cpu in cpus {
        table.add([
            cpu.cpu.to_string(),
            plain(cpu.package),
            plain(cpu.core),
            plain(cpu.numa_node),
            yes_no(cpu.isolated).to_owned(),
            yes_no(cpu.nohz_full).to_owned(),
            list(cpu.siblings.as_deref()),
        ]);
    }
    table.text()
}

fn sysctls(text: &mut String, sysctls: &Sysctls) {
    let Sysctls {
        netdev_budget,
        netdev_budget_usecs,
        netdev_max_backlog,
        dev_weight,
        dev_weight_rx_bias,
        dev_weight_tx_bias,
        gro_normal_batch,
        rps_sock_flow_entries,
        busy_poll,
        busy_read,
    } = *sysctls;
    let settings = [
        ("netdev_budget", netdev_budget),
        ("netdev_budget_usecs", netdev_budget_usecs),
        ("netdev_max_backlog", netdev_max_backlog),
        ("dev_weight", dev_weight),
        ("dev_weight_rx_bias", dev_weight_rx_bias),
        ("dev_weight_tx_bias", dev_weight_tx_bias),
        ("gro_normal_batch", gro_normal_batch),
        ("rps_sock_flow_entries", rps_sock_flow_entries),
        ("busy_poll", busy_poll),
        ("busy_read", busy_read),
    ];
    let items: Vec<String> =
        settings.iter().map(|(name, value)| format!("{name} {}", plain(*value))).collect();
    paragraph(text, "net.core", &items);
}

fn packet_types(text: &mut String, types: Option<&[PacketType]>) {
    let taps = types.map(|types| {
        let shown = |tap: &PacketType| {
            let device = tap.device.as_deref().unwrap_or("every device");
            format!("{} on {device} to {}", tap.protocol, tap.function)
        };
        types.iter().filter(|of| of.tap).map(shown).collect::<Vec<_>>()
    });
    match taps {
        None => paragraph(text, "taps", &["?".to_owned()]),
        Some(taps) if taps.is_empty() => paragraph(text, "taps", &["none".to_owned()]),
        Some(taps) => paragraph(text, "taps", &taps),
    }
}
