//! A comparison as text. Tables are at most 80 columns wide; names and sentences may be longer.

use std::fmt::Write as _;

use crate::{
    analyze::compare::{About, Compared, Comparison, Figure, Pair},
    present::{
        table::{Column, Table},
        text::{digits, interval, known, plural, printable, seconds},
    },
};

/// With fewer frames, the interval itself is uncertain.
const FEW_FRAMES: u64 = 20;

const COLUMNS: [Column; 6] = [
    Column::words("").wide(25),
    Column::figures("").wide(6),
    Column::figures("A").wide(9),
    Column::figures("B").wide(9),
    Column::figures("B/A").wide(8),
    Column::words("95 % interval"),
];

pub(in crate::commands) fn render(comparison: &Comparison, is_one: bool) -> String {
    let mut text = String::new();
    about(&mut text, "A", &comparison.a);
    if is_one {
        text.push_str("B  the same recording\n");
    } else {
        about(&mut text, "B", &comparison.b);
    }
    for difference in &comparison.differences {
        line(&mut text, &format!("   {difference}"));
    }
    for pair in &comparison.drivers {
        text.push('\n');
        table(&mut text, pair);
    }
    text.push('\n');
    if !comparison.left_out.is_empty() {
        line(&mut text, &format!("Not compared (use --driver A=B): {}", comparison.left_out.join(", ")));
    }
    text.push_str(
        "est.: estimated from samples or from NAPI thread times. exact: measured.\n\
         Polls include the driver and the stack.\n",
    );
    text.push_str(&between_runs(comparison));
    text
}

fn about(text: &mut String, side: &str, about: &About) {
    let setting = about.settings.first();
    let host = setting.map_or_else(String::new, |one| format!("  {}  Linux {}", one.hostname, one.kernel));
    let runs = if about.runs > 1 { format!(" in {} recordings", about.runs) } else { String::new() };
    let (length, frames) = (seconds(about.interval_ns), plural(about.frames, "frame"));
    line(text, &format!("{side}  {}{host}  {length} s, {frames}{runs}", about.name));
}

fn table(text: &mut String, pair: &Pair) {
    line(text, &format!("A: {}   B: {}", pair.a, pair.b));
    let mut table = Table::new(COLUMNS);
    for compared in &pair.figures {
        table.add([
            label(compared.figure).to_owned(),
            if compared.is_estimate { "est." } else { "exact" }.to_owned(),
            known(compared.a, digits),
            known(compared.b, digits),
            known(compared.ratio, digits),
            known(compared.ratio_ci, |bounds| interval(bounds, digits)),
        ]);
    }
    text.push_str(&table.text());
    let reasons = reasons(&pair.figures);
    for (at, why) in &reasons {
        line(text, &format!("?  {at}: {why}"));
    }
    let fewest =
        pair.figures.iter().filter(|compared| compared.ratio_ci.is_some()).filter_map(|one| one.frames).min();
    if let Some(frames) = fewest.filter(|frames| *frames < FEW_FRAMES) {
        line(text, &format!("Only {frames} frames with traffic: the intervals themselves are uncertain."));
    }
    // The reason is above, beside the figures that it applies to.
    let is_told = reasons.iter().any(|(_, why)| pair.summary.ends_with(why));
    if pair.verdicts.is_empty() && is_told {
        line(text, "=> no verdict");
        return;
    }
    for sentence in pair.summary.split("; ") {
        line(text, &format!("=> {sentence}"));
    }
}

/// The reasons for question marks, each once, with the figures that it applies to.
fn reasons(figures: &[Compared]) -> Vec<(String, &str)> {
    let mut reasons: Vec<(String, &str)> = Vec::new();
    for compared in figures {
        let Some(why) = &compared.unknown else { continue };
        match reasons.iter_mut().find(|(_, known)| known == why) {
            Some((figures, _)) => {
                let _ = write!(figures, ", {}", compared.figure.name());
            }
            None => reasons.push((compared.figure.name().to_owned(), why)),
        }
    }
    reasons
}

fn between_runs(comparison: &Comparison) -> String {
    let Comparison { drivers, run_to_run_pct, .. } = comparison;
    let mut intervals =
        drivers.iter().flat_map(|pair| &pair.figures).filter(|one| one.ratio_ci.is_some()).peekable();
    if intervals.peek().is_some() && intervals.all(|one| one.is_of_recordings) {
        return "Intervals reflect how much the recordings on each side differ.\n".to_owned();
    }
    format!(
        "Intervals reflect how much frames differ, and assume that recordings of the same\n\
         work differ by {run_to_run_pct} % (--run-to-run). To measure that instead, join three or more\n\
         recordings on each side with cat.\n"
    )
}

fn label(figure: Figure) -> &'static str {
    match figure {
        Figure::CostPerGb => "CPU per GB, s",
        Figure::CostPerPacket => "CPU per packet, ns",
        Figure::BusyShare => "share of busy samples, %",
        Figure::Cost => "CPU time, % of one CPU",
        Figure::PollNsPerPacket => "polls per packet, ns",
        Figure::IrqNsPerPacket => "interrupts per packet, ns",
    }
}

/// Adds a line. Names come from recordings, and a terminal must not obey them.
fn line(text: &mut String, line: &str) {
    text.push_str(&printable(line.trim_end()));
    text.push('\n');
}
