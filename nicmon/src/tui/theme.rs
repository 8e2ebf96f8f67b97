//! Colours, and their substitutes on terminals without colours.

use ratatui::style::{Color, Modifier, Style};

/// From this load on, a CPU counts as busy; in percent of one CPU.
pub(super) const BUSY_PCT: f64 = 30.0;
/// From this load on, a CPU counts as hot; in percent of one CPU.
pub(super) const HOT_PCT: f64 = 70.0;

/// How the screen emphasises things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    colours: Colours,
    /// Whether the terminal has characters for bars.
    has_bars: bool,
}

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Colours {
    None,
    Eight,
    Sixteen,
    /// 256, of which 216 are a cube with six levels of red, green and blue.
    Cube,
    /// Any, with 256 levels each.
    True,
}

/// Terminals without colours, by the start of `TERM`. So are those of DEC, `vt` and a number; `vte` is not.
const COLOURLESS: [&str; 2] = ["dumb", "unknown"];
/// Ends of `TERM` that say so, too.
const MONOCHROME: [&str; 4] = ["-mono", "-m", ".vt100", "-vt220"];
/// Parts of `TERM` that stand for more than eight colours.
const MANY: [&str; 4] = ["16color", "88color", "256color", "direct"];
/// Values of `COLORTERM` that stand for any colour.
const TRUE: [&str; 2] = ["truecolor", "24bit"];

impl Theme {
    /// The terminal's own 16 colours.
    pub const COLOUR: Self = Self { colours: Colours::Sixteen, has_bars: true };
    /// Bold and reverse only.
    pub const PLAIN: Self = Self { colours: Colours::None, has_bars: true };

    /// The theme that the environment asks for: a `NO_COLOR` that is not empty turns colours off
    /// (<https://no-color.org>), and `TERM` and `COLORTERM` say how many there are.
    pub fn from_environment() -> Self {
        let [term, colorterm, no_color] = ["TERM", "COLORTERM", "NO_COLOR"].map(variable);
        Self {
            has_bars: locale_has_bars(),
            ..Self::of(term.as_deref(), colorterm.as_deref(), no_color.as_deref())
        }
    }

    /// With colours, whatever `NO_COLOR` says: as many as the terminal has, and at least 16.
    pub fn coloured() -> Self {
        let [term, colorterm] = ["TERM", "COLORTERM"].map(variable);
        let theme = Self::of(term.as_deref(), colorterm.as_deref(), None);
        Self { colours: theme.colours.max(Colours::Sixteen), has_bars: locale_has_bars() }
    }

    /// Without colours.
    #[must_use]
    pub fn without_colours(self) -> Self {
        Self { colours: Colours::None, ..self }
    }

    /// Whether the terminal has characters for bars of eight heights.
    pub(super) fn has_bars(self) -> bool {
        self.has_bars
    }

    /// The theme for these values of `TERM`, `COLORTERM` and `NO_COLOR`.
    pub(super) fn of(term: Option<&str>, colorterm: Option<&str>, no_color: Option<&str>) -> Self {
        let is_set = |value: Option<&str>| value.is_some_and(|value| !value.is_empty());
        let term = term.unwrap_or_default();
        let is_dec =
            term.strip_prefix("vt").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let lacks_colours = term.is_empty()
            || is_dec
            || COLOURLESS.iter().any(|start| term.starts_with(start))
            || MONOCHROME.iter().any(|end| term.ends_with(end));
        let colours = if is_set(no_color) || lacks_colours {
            Colours::None
        } else if colorterm.is_some_and(|value| TRUE.contains(&value)) {
            Colours::True
        } else if term.contains("256color") {
            Colours::Cube
        } else if is_set(colorterm) || MANY.iter().any(|part| term.contains(part)) {
            Colours::Sixteen
        } else {
            Colours::Eight
        };
        Self { colours, has_bars: true }
    }

    fn either(self, coloured: Style, plain: Style) -> Style {
        if self.colours == Colours::None { plain } else { coloured }
    }

    /// White as far as the terminal has it: among eight colours, bold makes it bright.
    fn white(self) -> Color {
        if self.colours >= Colours::Sixteen { Color::White } else { Color::Gray }
    }

    /// A load in percent of one CPU.
    pub(super) fn load(self, pct: f64) -> Style {
        let style = Style::new();
        if pct >= BUSY_PCT && self.colours >= Colours::Cube {
            return self.heat(pct);
        }
        if pct >= HOT_PCT {
            let hot = style.fg(self.white()).bg(Color::Red).add_modifier(Modifier::BOLD);
            self.either(hot, style.add_modifier(Modifier::REVERSED | Modifier::BOLD))
        } else if pct >= BUSY_PCT {
            self.either(style.fg(Color::Black).bg(Color::Yellow), style.add_modifier(Modifier::BOLD))
        } else if pct > 0.0 {
            self.either(style.fg(Color::Green), style)
        } else {
            self.quiet()
        }
    }

    /// Shades from yellow to red, each with the text that can be read on it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
    fn heat(self, pct: f64) -> Style {
        let heat = ((pct - BUSY_PCT) / (100.0 - BUSY_PCT)).clamp(0.0, 1.0);
        let (red, green) = (255.0 - 80.0 * heat, 215.0 * (1.0 - heat));
        let levels = [red, green].map(|level| (level / 51.0).round() as u8);
        // White can be read on the dark end only; the test computes the contrast.
        let (shade, is_dark) = match self.colours {
            Colours::True => (Color::Rgb(red as u8, green as u8, 0), heat >= 0.65),
            _ => (Color::Indexed(16 + 36 * levels[0] + 6 * levels[1]), levels[1] == 0),
        };
        let text = if is_dark { Color::White } else { Color::Black };
        let style = Style::new().fg(text).bg(shade);
        if pct >= HOT_PCT { style.add_modifier(Modifier::BOLD) } else { style }
    }

    /// For a part of a bar that stands for all that a CPU does, in the order of the bar: interrupts,
    /// `NET_RX`, other softirqs, user, kernel, stolen, idle. Without colours its letters tell parts apart.
    pub(super) fn part(self, number: usize) -> Style {
        const BACKGROUNDS: [Color; 6] =
            [Color::Magenta, Color::Red, Color::Yellow, Color::Green, Color::Blue, Color::Cyan];
        match BACKGROUNDS.get(number) {
            Some(colour) => self.either(Style::new().fg(Color::Black).bg(*colour), Style::new()),
            None => self.quiet(),
        }
    }

    /// For what should not attract attention: zeros, unknowns, hints.
    pub(super) fn quiet(self) -> Style {
        // There is no grey among eight colours.
        match self.colours {
            Colours::None | Colours::Eight => Style::new(),
            Colours::Sixteen | Colours::Cube | Colours::True => Style::new().fg(Color::DarkGray),
        }
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
            Style::new().fg(self.white()).bg(Color::Red).add_modifier(Modifier::BOLD),
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
        )
    }

    /// For signs that the screen is not live: paused, end.
    pub(super) fn mark() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// Whether the locale is of UTF-8.
fn locale_has_bars() -> bool {
    // The first that is set to something counts (locale(7)).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    let locale = locale.map(|value| value.to_string_lossy().to_lowercase()).find(|value| !value.is_empty());
    locale.is_some_and(|name| name.contains("utf-8") || name.contains("utf8"))
}

/// A variable of the environment.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text on the shades has a contrast of at least 4.5 (WCAG 2, level AA).
    #[test]
    fn shades_can_be_read() {
        let linear = |level: f64| {
            let level = level / 255.0;
            if level <= 0.040_45 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = |red: f64, green: f64| 0.2126 * linear(red) + 0.7152 * linear(green);
        for term in [("xterm", "truecolor"), ("xterm-256color", "")] {
            let theme = Theme::of(Some(term.0), Some(term.1), None);
            for pct in 30..=400 {
                let style = theme.load(pct.into());
                let behind = match style.bg {
                    Some(Color::Rgb(red, green, 0)) => luminance(red.into(), green.into()),
                    Some(Color::Indexed(of @ 16..)) => {
                        // The levels of xterm's cube.
                        let level = |part: u8| [0.0, 95.0, 135.0, 175.0, 215.0, 255.0][usize::from(part)];
                        luminance(level((of - 16) / 36), level((of - 16) % 36 / 6))
                    }
                    other => panic!("{pct}: {other:?}"),
                };
                let text = if style.fg == Some(Color::White) { 1.0 } else { 0.0 };
                let (more, less) = if text > behind { (text, behind) } else { (behind, text) };
                let contrast = (more + 0.05) / (less + 0.05);
                assert!(contrast >= 4.5, "{term:?}, {pct} %: {contrast}");
            }
        }
    }

    #[test]
    fn without_colours_levels_still_differ() {
        let theme = Theme::PLAIN;
        let levels = [5.0, BUSY_PCT, HOT_PCT].map(|pct| theme.load(pct));
        assert!(levels.iter().all(|style| style.fg.is_none() && style.bg.is_none()));
        assert!(levels[0] != levels[1] && levels[1] != levels[2]);
    }
}
