//! Colours, and their substitutes on terminals without colours.

use ratatui::style::{Color, Modifier, Style};

/// From this load on, a CPU counts as busy; in percent of one CPU.
pub(super) const BUSY_PCT: f64 = 30.0;
/// From this load on, a CPU counts as hot; in percent of one CPU.
pub(super) const HOT_PCT: f64 = 70.0;

/// How the screen emphasises things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    colour: bool,
}

impl Theme {
    /// The terminal's own 16 colours.
    pub const COLOUR: Self = Self { colour: true };
    /// Bold and reverse only.
    pub const PLAIN: Self = Self { colour: false };

    /// The theme that the environment asks for: a `NO_COLOR` that is not empty turns colours off
    /// (<https://no-color.org>).
    pub fn from_environment() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if refused { Self::PLAIN } else { Self::COLOUR }
    }

    fn either(self, coloured: Style, plain: Style) -> Style {
        if self.colour { coloured } else { plain }
    }

    /// A load in percent of one CPU.
    pub(super) fn load(self, pct: f64) -> Style {
        let style = Style::new();
        if pct >= HOT_PCT {
            let hot = style.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD);
            self.either(hot, style.add_modifier(Modifier::REVERSED | Modifier::BOLD))
        } else if pct >= BUSY_PCT {
            self.either(style.fg(Color::Black).bg(Color::Yellow), style.add_modifier(Modifier::BOLD))
        } else if pct > 0.0 {
            self.either(style.fg(Color::Green), style)
        } else {
            self.quiet()
        }
    }

    /// For what should not attract attention: zeros, unknowns, hints.
    pub(super) fn quiet(self) -> Style {
        self.either(Style::new().fg(Color::DarkGray), Style::new())
    }

    /// For heads of columns.
    pub(super) fn head(self) -> Style {
        self.either(Style::new().fg(Color::Cyan), Style::new().add_modifier(Modifier::UNDERLINED))
    }

    /// For names: host, NIC.
    pub(super) fn name() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// For what must be seen: lost events, drops.
    pub(super) fn loud(self) -> Style {
        self.either(
            Style::new().fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
        )
    }

    /// For signs that the screen is not live: paused, end.
    pub(super) fn mark() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_levels_still_differ() {
        let theme = Theme::PLAIN;
        let levels = [5.0, BUSY_PCT, HOT_PCT].map(|pct| theme.load(pct));
        assert!(levels.iter().all(|style| style.fg.is_none() && style.bg.is_none()));
        assert!(levels[0] != levels[1] && levels[1] != levels[2]);
    }
}
