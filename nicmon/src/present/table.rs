//! Columns of text, at most 80 wide.

use unicode_width::UnicodeWidthStr;

use super::text::{printable, shortened};

/// Width of the widest line.
pub(crate) const WIDTH: usize = 80;
/// Words are never shortened below this width.
const SHORTEST: usize = 6;

/// A column: its head, and the layout of its cells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    head: &'static str,
    side: Side,
    least: usize,
    most: usize,
}

/// The side on which the text of a cell is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Column {
    /// A column of words, which are aligned left and may be shortened.
    pub(crate) const fn words(head: &'static str) -> Self {
        Self { head, side: Side::Left, least: 0, most: usize::MAX }
    }

    /// A column of figures, which are aligned right and never shortened.
    pub(crate) const fn figures(head: &'static str) -> Self {
        Self { head, side: Side::Right, least: 0, most: usize::MAX }
    }

    /// Sets the width whatever the column contains, so that consecutive tables look alike. Words are
    /// shortened to this width.
    pub(crate) const fn wide(mut self, width: usize) -> Self {
        self.least = width;
        if matches!(self.side, Side::Left) {
            self.most = width;
        }
        self
    }

    /// Sets the least width.
    pub(crate) const fn at_least(mut self, width: usize) -> Self {
        self.least = width;
        self
    }
}

/// Rows below a head. All cells are made printable.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    indent: usize,
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(columns: [Column; N]) -> Self {
        Self { columns, indent: 0, rows: Vec::new() }
    }

    /// The same table, indented by this many columns.
    pub(crate) fn indented(mut self, indent: usize) -> Self {
        self.indent = indent;
        self
    }

    pub(crate) fn add(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| printable(&cell)));
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The head and all rows.
    pub(crate) fn text(&self) -> String {
        self.first(usize::MAX)
    }

    /// The head and at most this many rows.
    pub(crate) fn first(&self, rows: usize) -> String {
        let shown = &self.rows[..self.rows.len().min(rows)];
        let widths = self.widths(shown);
        let head = self.columns.map(|column| column.head.to_owned());
        std::iter::once(&head).chain(shown).map(|row| self.line(row, &widths)).collect()
    }

    /// Widths that fit the cells. If a line would be too long, words are shortened, the longest first.
    fn widths(&self, rows: &[[String; N]]) -> [usize; N] {
        let mut widths = self.columns.map(|column| column.head.width().max(column.least));
        for row in rows {
            for ((width, cell), column) in widths.iter_mut().zip(row).zip(&self.columns) {
                *width = (*width).max(cell.width()).min(column.most.max(column.head.width()));
            }
        }
        while self.width(&widths) > WIDTH {
            let words = widths.iter_mut().zip(&self.columns).filter(|(_, column)| column.side == Side::Left);
            match words.map(|(width, _)| width).max_by_key(|width| **width) {
                Some(width) if *width > SHORTEST => *width -= 1,
                _ => break,
            }
        }
        widths
    }

    fn width(&self, widths: &[usize; N]) -> usize {
        let gaps: usize = (1..N).map(|at| self.gap(at)).sum();
        self.indent + gaps + widths.iter().sum::<usize>()
    }

    /// Spaces before a column. Words after a figure get more, or they would be read as its unit.
    fn gap(&self, at: usize) -> usize {
        match at.checked_sub(1).map(|before| (self.columns[before].side, self.columns[at].side)) {
            None => 0,
            Some((Side::Right, Side::Left)) => 2,
            Some(_) => 1,
        }
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let mut line = " ".repeat(self.indent);
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            let Column { side, .. } = self.columns[at];
            let cell = if side == Side::Left { shortened(cell, *width) } else { cell.clone() };
            let room = " ".repeat(width.saturating_sub(cell.width()));
            let [before, after] = if side == Side::Left { ["", &*room] } else { [&*room, ""] };
            line += &" ".repeat(self.gap(at));
            line += before;
            line += &cell;
            line += after;
        }
        format!("{}\n", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_figures_right() {
        let mut table = Table::new([Column::words("NIC"), Column::figures("LOAD%"), Column::words("NOTE")]);
        table.add(["eth0".to_owned(), "1.00".to_owned(), "a\u{1b}b".to_owned()]);
        table.add(["lo".to_owned(), "1234.00".to_owned(), String::new()]);
        assert_eq!(table.text(), "NIC    LOAD%  NOTE\neth0    1.00  a\u{fffd}b\nlo   1234.00\n");
        assert_eq!(table.first(1), "NIC  LOAD%  NOTE\neth0  1.00  a\u{fffd}b\n");
    }

    #[test]
    fn long_words_are_shortened_and_figures_are_not() {
        let mut table =
            Table::new([Column::words("NIC").wide(4), Column::words("DRIVER"), Column::figures("N")])
                .indented(2);
        table.add(["longer".to_owned(), "漢".repeat(50), "9".repeat(70)]);
        let lines: Vec<String> = table.text().lines().map(str::to_owned).collect();
        assert_eq!(lines[1], format!("  long 漢漢漢 {}", "9".repeat(70)));
    }
}
