//! `nicmon topology`: how the network is set up. Needs neither root nor kernel programs.

mod nic;
mod text;

use std::fmt::Write as _;

use self::text::{known, list, paragraph, plain, yes_no};
use super::{Failure, output::print};
use crate::{
    cli,
    collect::{CollectError, Filter, read_topology},
    frame::topology::{Cpu, PacketType, Sysctls, Topology},
    host::Roots,
};

pub(super) fn run(args: &cli::Topology) -> Result<(), Failure> {
    let filter = Filter::new(&args.interfaces, &[]).map_err(CollectError::from)?;
    let topology = read_topology(&Roots::default(), &filter)?;
    let text = if args.json {
        // Numbers, strings and lists of them: there is nothing in it that JSON cannot say.
        let mut line = serde_json::to_string(&topology).unwrap_or_default();
        line.push('\n');
        line
    } else {
        render(&topology)
    };
    print(text.as_bytes())
}

/// The whole topology as text; of offloads, a star stands for fixed. Writing to a String cannot fail, here and below.
fn render(topology: &Topology) -> String {
    let mut text = String::new();
    for nic in &topology.nics {
        nic::render(&mut text, nic);
        text.push('\n');
    }
    cpus(&mut text, &topology.cpus);
    sysctls(&mut text, &topology.sysctls);
    packet_types(&mut text, topology.packet_types.as_deref());
    text
}

fn cpus(text: &mut String, cpus: &[Cpu]) {
    let _ = writeln!(
        text,
        "{:<5}{:>8}{:>6}{:>6}{:>10}{:>11}  SIBLINGS",
        "CPU", "PACKAGE", "CORE", "NUMA", "ISOLATED", "NOHZ_FULL"
    );
    for cpu in cpus {
        let _ = writeln!(
            text,
            "{:<5}{:>8}{:>6}{:>6}{:>10}{:>11}  {}",
            cpu.cpu,
            known(cpu.package),
            known(cpu.core),
            known(cpu.numa_node),
            yes_no(cpu.isolated),
            yes_no(cpu.nohz_full),
            list(cpu.siblings.as_deref()),
        );
    }
    text.push('\n');
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
        settings.iter().map(|(name, value)| format!("{name} {}", known(*value))).collect();
    paragraph(text, "net.core", &items);
}

fn packet_types(text: &mut String, types: Option<&[PacketType]>) {
    let taps = types.map(|types| {
        let shown = |tap: &PacketType| {
            let device = tap.device.as_deref().map_or_else(|| "every device".to_owned(), plain);
            format!("{} on {device} by {}", tap.protocol, tap.function)
        };
        types.iter().filter(|of| of.tap).map(shown).collect::<Vec<_>>()
    });
    match taps {
        None => paragraph(text, "taps", &["?".to_owned()]),
        Some(taps) if taps.is_empty() => paragraph(text, "taps", &["none".to_owned()]),
        Some(taps) => paragraph(text, "taps", &taps),
    }
}
