//! Where polls spent their time.

use std::fmt::Write as _;

use super::{
    recording::Report,
    text::{name, pct, rows, wrapped},
};
use crate::{
    frame::{Nic, Share},
    present::{
        table::{Column, Table},
        text::{interval, seconds},
    },
};

const COLUMNS: [Column; 4] = [
    Column::words("STAGE"),
    Column::figures("SAMPLES"),
    Column::figures("SHARE%"),
    Column::figures("95 % interval"),
];

/// Number of functions named that belong to no stage.
const OTHERS: usize = 5;

pub(super) fn section(report: &Report<'_>) -> String {
    let mut tables = String::new();
    let polled =
        report.frame.nics.iter().filter(|nic| nic.stages.as_ref().is_some_and(|stages| !stages.is_empty()));
    for nic in polled.take(report.top) {
        let mut table = Table::new(COLUMNS);
        for share in nic.stages.iter().flatten() {
            table.add([
                share.stage.label().to_owned(),
                share.samples.to_string(),
                pct(share.share_pct),
                interval(share.ci_pct, pct),
            ]);
        }
        let gap = nic.sampled_gap_ns.map(|ns| {
            let all_ns = report.frame.interval_ns;
            format!(" (known for {} of {} s)", seconds(all_ns.saturating_sub(ns)), seconds(all_ns))
        });
        let table = rows(&table, report) + &others(nic, report.top);
        // Writing to a String cannot fail.
        let _ = write!(tables, "{}{}:\n{table}", name(&nic.name), gap.unwrap_or_default());
    }
    if tables.is_empty() {
        return tables;
    }
    format!(
        "{}{tables}",
        wrapped("Stages of the network stack in the polls of each NIC: share of its samples, estimated")
    )
}

/// Functions that belong to no stage.
fn others(nic: &Nic, top: usize) -> String {
    let stages = || nic.stages.iter().flatten();
    let all = stages().fold(0_u64, |sum, share| sum.saturating_add(share.samples));
    let functions: Vec<String> = stages()
        .flat_map(|share| &share.functions)
        .filter_map(|function| {
            let share = Share::of(function.samples, all)?;
            Some(format!("{} {} % {}", name(&function.symbol), pct(share.pct), interval(share.ci_pct, pct)))
        })
        .take(top.min(OTHERS))
        .collect();
    if functions.is_empty() {
        String::new()
    } else {
        wrapped(&format!("  in other: {}", functions.join(", ")))
    }
}
