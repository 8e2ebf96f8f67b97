//! Functions of drivers by process, as perf reports them.

use super::{
    recording::Report,
    text::{name, pct, rows, wrapped},
};
use crate::{
    analyze::cost::known_time,
    frame::{Context, Driver, Share},
    present::{
        table::{Column, Table},
        text::{interval, known, plural},
    },
};

const COLUMNS: [Column; 6] = [
    Column::words("SYMBOL"),
    Column::words("PROCESS"),
    Column::words("CONTEXT"),
    Column::figures("SAMPLES"),
    Column::figures("SHARE%"),
    Column::figures("95 % interval"),
];

pub(super) fn section(report: &Report<'_>) -> String {
    let drivers = report.frame.drivers.iter().flatten();
    let tables: String = drivers.map(|driver| one(report, driver)).collect();
    if tables.is_empty() {
        return tables;
    }
    let title = "Functions of drivers: share of the busy samples, estimated, with its 95 % interval";
    format!("{}{tables}", wrapped(title))
}

fn one(report: &Report<'_>, driver: &Driver) -> String {
    let busy = known_time(report.frame, driver).busy;
    let mut table = Table::new(COLUMNS);
    for function in &driver.functions {
        let share = Share::of(function.samples, busy);
        table.add([
            name(&function.symbol),
            name(&function.comm),
            function.context.label().to_owned(),
            function.samples.to_string(),
            known(share, |share| pct(share.pct)),
            known(share, |share| interval(share.ci_pct, pct)),
        ]);
    }
    let text = rows(&table, report);
    if text.is_empty() {
        return text;
    }
    // Interrupt handlers are in the list, but their samples are not among the driver's.
    let listed = driver.functions.iter().filter(|function| function.context != Context::Hardirq);
    let listed = listed.fold(0_u64, |sum, function| sum.saturating_add(function.samples));
    let rest = match driver.samples.unwrap_or(0).saturating_sub(listed) {
        0 => String::new(),
        rest => format!("  and {} in functions that the frames do not list\n", plural(rest, "sample")),
    };
    format!("{}:\n{text}{rest}", name(&driver.driver))
}
