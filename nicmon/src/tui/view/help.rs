//! Keys, columns and thresholds, a line each.

use std::{borrow::Cow, sync::OnceLock};

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::{
    frame::meaning,
    tui::{
        State, Theme, View,
        paint::left,
        theme::{BUSY_PCT, HOT_PCT},
    },
};

/// What keys and columns take.
const KEY_WIDTH: u16 = 14;
/// Columns of what they mean: with them it fits a terminal of 80.
const TEXT_WIDTH: usize = 66;

/// A key or column, and what it means.
type Line = (&'static str, Cow<'static, str>);

/// Keys of every view.
const KEYS: [(&str, &str); 6] = [
    ("q Esc Ctrl-C", "quit"),
    ("? h", "this help, and back"),
    ("Tab 1 2", "the other view; NICs and CPUs; what drivers cost, by samples"),
    ("p space", "pause: the screen stands, collecting goes on"),
    ("+ -", "longer, shorter time between frames"),
    ("n b, < >", "replay: a frame forward or back; slower, faster"),
];

const NICS_KEYS: [(&str, &str); 3] = [
    ("s", "order of NICs: load, received, drops, name"),
    ("up down j k", "scroll NICs; also PgUp, PgDn, Home, End"),
    ("left right", "scroll CPUs, where they do not fit"),
];

const NICS: [(&str, &str); 18] = [
    ("LOAD%", "time of polls and hard irqs, % of one CPU, all CPUs together"),
    ("WORST CPU", "the CPU with most of it as far as known: % of that CPU"),
    ("RX.. TX..", "packets and bits a second, by the interface's counters"),
    ("DROP/s", "rx_dropped + rx_missed + tx_dropped of the interface"),
    ("ns/PKT", "time of polls and hard irqs for each packet received or sent"),
    ("(backlog)", "per-CPU backlog: RPS, loopback, devices without NAPI"),
    ("", ""),
    ("all softirqs", "exact, less device irqs within; NET_RX and NET_TX are part"),
    ("hard irqs", "handlers of device interrupts, exact"),
    ("ksoftirqd", "CPU time of that thread; overlaps softirqs"),
    ("kernel's ..", "the kernel's own accounting; by tick it is a sample only"),
    ("squeezed/s", "NET_RX ended with work left; a few are normal"),
    ("dropped/s", "packets that found the CPU's backlog full"),
    ("packets/s", "packets the CPU took from NICs and backlogs (softnet_stat)"),
    ("NET_RX runs/s", "runs of that softirq"),
    ("hard irqs/s", "calls of handlers of device interrupts"),
    ("", ""),
    ("lost", "events nicmon could not count"),
];

const GAP: [(&str, &str); 1] = [("", "")];

/// Of both views.
const SIGNS: [(&str, &str); 3] = [("", ""), (".", "measured: nothing happened"), ("?", "unknown")];

const DRIVERS_KEYS: [(&str, &str); 3] = [
    ("up down j k", "choose the driver that the rest is about"),
    ("PgUp PgDn", "scroll its functions; also Home, End"),
    ("w", "how many frames are added up: those of 10 s, of 30 s, or one"),
];

/// A column, a remark, and the field that it is made of: what that means stands in the table of fields.
const COLUMNS: [(&str, &str, &str); 13] = [
    ("ORIGIN", "", "drivers[].origin"),
    ("IRQ%", " in % of one CPU", "drivers[].hardirq_ns"),
    ("~CODE%", " in % of one CPU", "drivers[].sampled_est_ns"),
    ("~BUSY%", "", "drivers[].busy_share_pct"),
    ("95% INTERVAL", "", "drivers[].busy_share_ci_pct"),
    ("SAMPLES", "", "drivers[].samples"),
    ("~ns/PKT", ", of IRQ% and ~CODE%", "drivers[].ns_per_packet"),
    ("~s/GB", ", of IRQ% and ~CODE%", "drivers[].cpu_s_per_gb"),
    ("FUNCTION", " of each frame", "drivers[].functions"),
    ("PROCESS", "", "drivers[].functions[].comm"),
    ("COMPANION", "", "drivers[].companions"),
    ("STAGE", ", of all NICs of the driver", "nics[].stages"),
    ("~POLL%", "", "nics[].stages[].share_pct"),
];

/// After the columns.
const DRIVERS_NOTES: [(&str, &str); 5] = [
    ("(not listed)", "samples in functions that a frame has no room for"),
    ("~", "estimated from samples, wholly or in part; the rest is exact"),
    ("|||::", "a stage's interval: | to its lower bound, : on to the upper"),
    ("lost", "not counted: events in the first line, samples in the second"),
    ("cpu-clock", "a timer: it sees no code that runs with interrupts off"),
];

/// Lines of a view's help.
pub(in crate::tui) fn lines(view: View) -> usize {
    // One more is of the colours.
    text(view).len() + 1
}

fn text(view: View) -> &'static [Line] {
    static OF_NICS: OnceLock<Vec<Line>> = OnceLock::new();
    static OF_DRIVERS: OnceLock<Vec<Line>> = OnceLock::new();
    match view {
        View::Nics => OF_NICS.get_or_init(|| fixed(&[&KEYS, &NICS_KEYS, &GAP, &NICS, &SIGNS])),
        View::Drivers => OF_DRIVERS.get_or_init(|| {
            let mut lines = fixed(&[&KEYS, &DRIVERS_KEYS, &GAP]);
            for (head, remark, path) in COLUMNS {
                lines.extend(column(head, remark, path));
            }
            lines.extend(fixed(&[&DRIVERS_NOTES, &SIGNS]));
            lines
        }),
    }
}

fn fixed(parts: &[&[(&'static str, &'static str)]]) -> Vec<Line> {
    parts.iter().flat_map(|part| part.iter()).map(|(key, text)| (*key, Cow::Borrowed(*text))).collect()
}

/// As many lines as it takes.
fn column(head: &'static str, remark: &str, path: &str) -> Vec<Line> {
    let name = path.rsplit('.').next().unwrap_or(path);
    // No text of the screen is JSON.
    let meaning = meaning(path).unwrap_or_default().replace("`null`", "unknown").replace('`', "");
    let mut lines = vec![(head, String::new())];
    for word in format!("{name}{remark}: {meaning}").split(' ') {
        let (_, line) = match lines.last_mut() {
            Some(line) if line.1.len() + 1 + word.len() <= TEXT_WIDTH => line,
            _ => lines.push_mut(("", String::new())),
        };
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.into_iter().map(|(head, line)| (head, Cow::Owned(line))).collect()
}

/// Draws the help from its line `first` on.
pub(super) fn render(state: &State, first: usize, area: Rect, buffer: &mut Buffer) {
    let theme = state.theme;
    let (text, lines) = (text(state.view), lines(state.view));
    let first = first.min(lines.saturating_sub(area.height.into()));
    let key_width = KEY_WIDTH.min(area.width);
    for (line, y) in (first..lines).zip(area.y..area.bottom()) {
        let at = |x| (area.x.saturating_add(x), y);
        if let Some((key, meaning)) = text.get(line) {
            left(buffer, at(0), key_width, key, Theme::name());
            left(buffer, at(key_width), area.width - key_width, meaning, Style::new());
        } else {
            left(buffer, at(0), key_width, "colours", Theme::name());
            let levels = [("some", 1.0), ("busy", BUSY_PCT), ("hot", HOT_PCT)];
            let mut x = key_width;
            for (name, from) in levels {
                let text = if from < BUSY_PCT { name.to_owned() } else { format!("{name} from {from}%") };
                let width = area.width.saturating_sub(x);
                left(buffer, at(x), width, &text, theme.load(from));
                x = x.saturating_add(super::paint::text_width(&text) + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_80_columns_and_names_fields_that_there_are() {
        for (head, text) in [View::Nics, View::Drivers].into_iter().flat_map(text) {
            assert!(head.chars().count() < KEY_WIDTH.into(), "{head}");
            assert!(text.chars().count() <= TEXT_WIDTH, "{head}: {text}");
        }
        for (head, _, path) in COLUMNS {
            assert!(meaning(path).is_some(), "{head}: there is no {path}");
        }
    }
}
