//! Columns of text.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::text::shortened;

/// The widest line.
const WIDTH: usize = 80;
/// What stays of a name where there is no room.
const SHORTEST: usize = 6;

/// Rows below a head. The first columns are names and stand left, all others are figures and stand right.
pub(super) struct Table<const N: usize> {
    head: [&'static str; N],
    names: usize,
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&'static str; N], names: usize) -> Self {
        Self { head, names, rows: Vec::new() }
    }

    pub(super) fn add(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// The table; nothing without rows. Of more rows than `top`, the first, and a line that says so.
    pub(super) fn text(&self, top: usize) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let shown = &self.rows[..self.rows.len().min(top)];
        let widths = self.widths(shown);
        let head = self.head.map(str::to_owned);
        let mut text: String =
            std::iter::once(&head).chain(shown).map(|row| self.line(row, &widths)).collect();
        let left_out = self.rows.len() - shown.len();
        if left_out > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {left_out} more; --top {} shows them", self.rows.len());
        }
        text
    }

    /// As wide as their cells; names are shortened where a line would be too long.
    fn widths(&self, rows: &[[String; N]]) -> [usize; N] {
        let mut widths = self.head.map(UnicodeWidthStr::width);
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        while widths.iter().map(|width| width + 1).sum::<usize>() > WIDTH + 1 {
            let widest = widths[..self.names].iter_mut().max_by_key(|width| **width);
            match widest {
                Some(width) if *width > SHORTEST => *width -= 1,
                _ => break,
            }
        }
        widths
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            let cell = shortened(cell, *width);
            let room = " ".repeat(width.saturating_sub(cell.width()));
            let [before, after] = if at < self.names { ["", &room] } else { [&*room, ""] };
            line.push_str(if at > 0 { " " } else { "" });
            line.push_str(before);
            line.push_str(&cell);
            line.push_str(after);
        }
        format!("{}\n", line.trim_end())
    }
}
