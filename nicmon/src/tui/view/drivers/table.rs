//! A table of named rows that shows the columns and rows that fit.

use ratatui::{layout::Rect, style::Style};

use crate::tui::{
    Canvas, Target, Theme,
    paint::{left, right},
};

/// A column after the name.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) head: &'static str,
    /// Including the space before it.
    pub(super) width: u16,
    /// If not all columns fit, those with the lowest ranks stay.
    pub(super) rank: u8,
    pub(super) side: Side,
}

/// The side on which the text of a cell is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A row, with one cell for each column.
pub(super) struct Row {
    pub(super) name: (String, Style),
    pub(super) cells: Vec<(String, Style)>,
    /// What a click on it means.
    pub(super) target: Option<Target>,
}

impl Row {
    pub(super) fn new(name: String, cells: Vec<String>) -> Self {
        let cells = cells.into_iter().map(|cell| (cell, Style::new())).collect();
        Self { name: (name, Style::new()), cells, target: None }
    }
}

/// What all rows share.
pub(super) struct Table<'a> {
    pub(super) theme: Theme,
    /// Head of the column of names.
    pub(super) title: &'a str,
    /// Least and most width of the names.
    pub(super) names: (u16, u16),
    pub(super) columns: &'a [Column],
}

impl Table<'_> {
    /// Draws the head and the rows, starting with row `first`.
    pub(super) fn render(&self, rows: &[Row], first: usize, area: Rect, canvas: &mut Canvas) {
        if area.is_empty() {
            return;
        }
        let shown = self.that_fit(area.width);
        let figures: u16 = shown.iter().map(|at| self.columns[*at].width).sum();
        let name_width = area.width.saturating_sub(figures).min(self.names.1.max(self.names.0));
        let room = usize::from(area.height - 1);
        let first = first.min(rows.len().saturating_sub(room));
        let title = if room == 0 || rows.len() <= room {
            self.title.to_owned()
        } else {
            format!("{} {}-{}/{}", self.title, first + 1, first + room, rows.len())
        };
        // A title may extend over columns without a head.
        let free = shown.iter().map(|at| &self.columns[*at]).take_while(|column| column.head.is_empty());
        let title_width = name_width + free.map(|column| column.width).sum::<u16>();
        left(canvas, (area.x, area.y), title_width, &title, self.theme.head());
        self.cells(&shown, area.x + name_width, area.y, canvas, |column, _| {
            (self.columns[column].head.to_owned(), self.theme.head())
        });
        for (row, y) in rows.iter().skip(first).zip(area.y + 1..area.bottom()) {
            // A name may extend over empty cells.
            let is_empty = |at: &&usize| row.cells.get(**at).is_none_or(|(text, _)| text.is_empty());
            let free: u16 = shown.iter().take_while(is_empty).map(|at| self.columns[*at].width).sum();
            if let Some(target) = &row.target {
                canvas.is_for((area.x, y), area.width, target.clone());
            }
            left(canvas, (area.x, y), name_width + free, &row.name.0, row.name.1);
            self.cells(&shown, area.x + name_width, y, canvas, |column, theme| {
                let (text, style) = row.cells.get(column).cloned().unwrap_or_default();
                let style = if matches!(text.as_str(), "0" | "?" | ".") { theme.quiet() } else { style };
                (text, style)
            });
        }
    }

    fn cells(
        &self,
        shown: &[usize],
        mut x: u16,
        y: u16,
        canvas: &mut Canvas,
        cell: impl Fn(usize, Theme) -> (String, Style),
    ) {
        for at in shown {
            let column = &self.columns[*at];
            let (text, style) = cell(*at, self.theme);
            let place = (x.saturating_add(1), y);
            match column.side {
                Side::Left => left(canvas, place, column.width - 1, &text, style),
                Side::Right => right(canvas, place, column.width - 1, &text, style),
            }
            x = x.saturating_add(column.width);
        }
    }

    /// The columns that fit beside the shortest names.
    fn that_fit(&self, width: u16) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let room = width.saturating_sub(self.names.0);
        while shown.iter().map(|at| self.columns[*at].width).sum::<u16>() > room {
            let Some(last) = shown.iter().map(|at| self.columns[*at].rank).max() else { break };
            shown.retain(|at| self.columns[*at].rank != last);
        }
        shown
    }
}
