//! How the user wants the screen to start.

use std::collections::BTreeMap;

use super::{Sort, Source, State, Theme, Units, View};

/// What a configuration may change.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The first view.
    pub view: View,
    /// Colours.
    pub theme: Theme,
    /// What a cell of a NIC on a CPU shows.
    pub units: Units,
    /// The order of NICs.
    pub sort: Sort,
    /// Heads of the columns of NICs that are shown; empty for all.
    pub columns: Vec<String>,
    /// Letters that do what other letters do.
    pub keys: BTreeMap<char, char>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            view: View::Overview,
            theme: Theme::COLOUR,
            units: Units::Pct,
            sort: Sort::Load,
            columns: Vec::new(),
            keys: BTreeMap::new(),
        }
    }
}

impl State {
    /// The state before the first frame, as the user wants it.
    pub fn with(source: Source, settings: Settings) -> Self {
        let Settings { view, theme, units, sort, columns, keys } = settings;
        Self { view, sort, columns, keys, units, ..Self::new(source, theme) }
    }
}
