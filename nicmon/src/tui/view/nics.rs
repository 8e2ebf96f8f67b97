//! The table of NICs: load, rates, drops.

use ratatui::{layout::Rect, style::Style};

use crate::{
    frame::{Frame, Nic, per_s},
    present::text::printable,
    tui::{
        Canvas, NicId, Sort, State, Target, Theme,
        figures::{self, Worst},
        lists,
        paint::{left, right},
        text::{Figure, scaled, short_pct, whole},
    },
};

/// `IFNAMSIZ` without the final NUL byte.
pub(super) const NAME_WIDTH: u16 = 15;
/// Width of a driver's name; longer names are cut.
const DRIVER_WIDTH: u16 = 9;

/// Width of the line of bars, and what it covers.
const SPARK: u16 = 20;
const SPARK_NS: u64 = 300_000_000_000;

/// A column of figures.
struct Column {
    head: &'static str,
    /// Whether its figures are times, which may be estimates.
    is_time: bool,
    width: u16,
    /// If not all columns fit, those with the lowest ranks stay.
    rank: u8,
    /// The order that a click on its head chooses.
    order: Option<Sort>,
    cell: fn(&State, &Frame, &Nic) -> (String, Style),
}

const COLUMNS: [Column; 9] = [
    Column {
        head: "LOAD%",
        is_time: true,
        width: 6,
        rank: 0,
        order: Some(Sort::Load),
        cell: |_, frame, nic| load(frame, nic),
    },
    Column {
        head: "WORST CPU",
        is_time: true,
        width: 11,
        rank: 1,
        order: None,
        cell: |state, _, nic| worst(state, nic),
    },
    Column {
        head: "RXPKT/s",
        is_time: false,
        width: 8,
        rank: 2,
        order: Some(Sort::Received),
        cell: |_, f, nic| (rate(f.counters_known_ns(nic), nic.counters.rx_packets), Style::new()),
    },
    Column {
        head: "TXPKT/s",
        is_time: false,
        width: 8,
        rank: 4,
        order: None,
        cell: |_, f, nic| (rate(f.counters_known_ns(nic), nic.counters.tx_packets), Style::new()),
    },
    Column {
        head: "RXbit/s",
        is_time: false,
        width: 8,
        rank: 5,
        order: None,
        cell: |_, f, nic| (bits(f.counters_known_ns(nic), nic.counters.rx_bytes), Style::new()),
    },
    Column {
        head: "TXbit/s",
        is_time: false,
        width: 8,
        rank: 6,
        order: None,
        cell: |_, f, nic| (bits(f.counters_known_ns(nic), nic.counters.tx_bytes), Style::new()),
    },
    Column { head: "DROP/s", is_time: false, width: 7, rank: 3, order: Some(Sort::Drops), cell: drops },
    Column {
        head: "ns/PKT",
        is_time: true,
        width: 7,
        rank: 7,
        order: None,
        cell: |_, frame, nic| per_packet(frame, nic),
    },
    Column { head: "5 MINUTES", is_time: true, width: SPARK + 2, rank: 8, order: None, cell: spark },
];

/// Draws the rows and columns that fit.
pub(super) fn render(state: &State, frame: &Frame, nics: &[&Nic], area: Rect, canvas: &mut Canvas) {
    if area.is_empty() {
        return;
    }
    let figures: u16 = COLUMNS.iter().map(|column| column.width).sum();
    // The load is more important than the end of a name.
    let name_width = NAME_WIDTH.min(area.width.saturating_sub(COLUMNS[0].width).max(4));
    let has_driver = area.width > NAME_WIDTH + figures + DRIVER_WIDTH;
    let driver_width = if has_driver { DRIVER_WIDTH + 1 } else { 0 };
    let is_windowed = frame.window.is_some();
    let columns = that_fit(state, is_windowed, area.width.saturating_sub(name_width + driver_width));
    let (x, y) = (area.x, area.y);
    let shown = usize::from(area.height - 1);
    let chosen = lists::chosen_nic(state, nics);
    let first = lists::first_around(chosen, nics.len(), shown);
    let theme = state.theme;

    let head = head(first, shown, nics.len());
    canvas.is_for((x, y), name_width, Target::NicOrder(Sort::Name));
    left(canvas, (x, y), name_width, &head, theme.head());
    if has_driver {
        left(canvas, (x + name_width + 1, y), DRIVER_WIDTH, "DRIVER", theme.head());
    }
    let begin = x + name_width + driver_width;
    let mut at = begin;
    for column in &columns {
        let mark = if is_windowed && column.is_time { "~" } else { "" };
        let width = column.width(is_windowed);
        if let Some(order) = column.order {
            canvas.is_for((at, y), width, Target::NicOrder(order));
        }
        right(canvas, (at, y), width, &format!("{mark}{}", column.head), theme.head());
        at += width;
    }
    for ((row, nic), y) in nics.iter().enumerate().skip(first).zip(y + 1..area.bottom()) {
        let style = if row == chosen { Theme::mark() } else { Theme::name() };
        canvas.is_for((x, y), area.width, Target::Nic(NicId::of(nic)));
        left(canvas, (x, y), name_width, &printable(&nic.name), style);
        if has_driver {
            let driver = printable(nic.driver.as_deref().unwrap_or("-"));
            left(canvas, (x + name_width + 1, y), DRIVER_WIDTH, &driver, Style::new());
        }
        let mut at = begin;
        for column in &columns {
            let (text, style) = (column.cell)(state, frame, nic);
            let style = if matches!(text.as_str(), "0" | "?" | ".") { theme.quiet() } else { style };
            let width = column.width(is_windowed);
            right(canvas, (at, y), width, &text, style);
            at += width;
        }
    }
}

fn head(first: usize, shown: usize, rows: usize) -> String {
    if shown == 0 || rows <= shown {
        "NIC".to_owned()
    } else {
        format!("NIC {}-{}/{rows}", first + 1, rows.min(first + shown))
    }
}

impl Column {
    /// An estimate has a mark before its head.
    fn width(&self, is_windowed: bool) -> u16 {
        self.width + u16::from(is_windowed && self.is_time)
    }
}

/// The heads of all columns of figures.
pub fn nic_columns() -> Vec<&'static str> {
    COLUMNS.iter().map(|column| column.head).collect()
}

/// The columns that the user wants, as far as they fit.
fn that_fit(state: &State, is_windowed: bool, width: u16) -> Vec<&'static Column> {
    let is_wanted =
        |column: &&Column| state.columns.is_empty() || state.columns.iter().any(|head| head == column.head);
    let mut columns: Vec<_> = COLUMNS.iter().filter(is_wanted).collect();
    while columns.iter().map(|column| column.width(is_windowed)).sum::<u16>() > width {
        let Some(last) = columns.iter().map(|column| column.rank).max() else { break };
        columns.retain(|column| column.rank != last);
    }
    columns
}

/// Its load in the last minutes, as bars of which the highest stands for a whole CPU or for the most that it
/// took.
fn spark(state: &State, frame: &Frame, nic: &Nic) -> (String, Style) {
    let slots = state.history.of_nic(&NicId::of(nic), (frame.mono_ns, SPARK_NS), SPARK.into());
    let most = slots.iter().filter_map(|slot| slot.most_pct).fold(100.0, f32::max);
    (super::spark::bars(state, &slots, most), Style::new())
}

fn load(frame: &Frame, nic: &Nic) -> (String, Style) {
    (Figure::from(figures::load_pct(nic, frame.interval_ns)).text(short_pct), Style::new())
}

fn worst(state: &State, nic: &Nic) -> (String, Style) {
    match figures::worst_cpu(nic) {
        Worst::Cpu(cpu, load) => (format!("{cpu}: {}", short_pct(load)), state.theme.load(load)),
        Worst::Unknown => ("?".to_owned(), Style::new()),
        Worst::Nowhere => (".".to_owned(), Style::new()),
    }
}

/// A count of this time per second.
pub(super) fn rate(time_ns: u64, count: Option<u64>) -> String {
    Figure::from(per_s(count, time_ns)).text(scaled)
}

/// Bytes of this time as bits per second.
pub(super) fn bits(time_ns: u64, bytes: Option<u64>) -> String {
    Figure::from(per_s(bytes, time_ns).map(|bytes| bytes * 8.0)).text(scaled)
}

fn drops(state: &State, frame: &Frame, nic: &Nic) -> (String, Style) {
    (rate(frame.counters_known_ns(nic), figures::dropped(nic)), state.theme.loud())
}

fn per_packet(frame: &Frame, nic: &Nic) -> (String, Style) {
    (figures::ns_per_packet(frame, nic).text(whole), Style::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::Source;

    #[test]
    fn columns_leave_by_rank() {
        let mut state = State::new(Source::Replay { speed: None, end: None }, Theme::PLAIN);
        let of = |state: &State, is_windowed, width| {
            that_fit(state, is_windowed, width).iter().map(|column| column.head).collect::<Vec<_>>()
        };
        let heads = |width| of(&state, false, width);
        assert_eq!(heads(5), [""; 0]);
        assert_eq!(heads(17), ["LOAD%", "WORST CPU"]);
        assert_eq!(heads(25), ["LOAD%", "WORST CPU", "RXPKT/s"]);
        assert_eq!(heads(32), ["LOAD%", "WORST CPU", "RXPKT/s", "DROP/s"]);
        assert_eq!(heads(100).len(), COLUMNS.len());
        assert_eq!(of(&state, true, 25), ["LOAD%", "WORST CPU"], "estimates are wider");
        state.columns = vec!["DROP/s".to_owned(), "LOAD%".to_owned()];
        assert_eq!(of(&state, false, 100), ["LOAD%", "DROP/s"]);
    }
}
