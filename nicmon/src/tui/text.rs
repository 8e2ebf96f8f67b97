//! Figures as short text.

use unicode_width::UnicodeWidthChar as _;

/// A figure of the screen: unknown is not zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Figure {
    /// Measured.
    Known(f64),
    /// Nobody knows: `?`.
    Unknown,
    /// Measured, and nothing happened: `.`.
    Nothing,
}

impl From<Option<f64>> for Figure {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Unknown, Self::Known)
    }
}

impl Figure {
    /// As text, its number made by `form`.
    pub(super) fn text(self, form: impl FnOnce(f64) -> String) -> String {
        match self {
            Self::Known(value) => form(value),
            Self::Unknown => "?".to_owned(),
            Self::Nothing => ".".to_owned(),
        }
    }
}

/// A percentage in at most 4 characters. `0` is a zero, `0.00` is less than one can show.
pub(super) fn pct(value: f64) -> String {
    if value <= 0.0 {
        "0".to_owned()
    } else if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else if value < 9999.5 {
        format!("{value:.0}")
    } else {
        scaled(value)
    }
}

/// A percentage in at most 3 characters, up to 999.
pub(super) fn short_pct(value: f64) -> String {
    if value <= 0.0 {
        "0".to_owned()
    } else if value < 9.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A count or rate in at most 5 characters: three digits and a unit of a thousand's power.
pub(super) fn scaled(value: f64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    if value <= 0.0 {
        return "0".to_owned();
    }
    let mut left = value;
    for unit in UNITS {
        if left < 999.5 {
            let is_whole = unit.is_empty() && left.fract() < f64::EPSILON;
            return if is_whole || left >= 99.95 {
                format!("{left:.0}{unit}")
            } else if left >= 9.995 {
                format!("{left:.1}{unit}")
            } else {
                format!("{left:.2}{unit}")
            };
        }
        left /= 1000.0;
    }
    format!("{value:.0e}")
}

/// A number in at most 5 characters, whole as long as that fits: of times in ns, a unit within a unit would have to be
/// read twice.
pub(super) fn whole(value: f64) -> String {
    if value < 99_999.5 { format!("{value:.0}") } else { scaled(value) }
}

/// A 95 % interval in at most 12 characters.
pub(super) fn interval([low, high]: [f64; 2]) -> String {
    format!("[{}, {}]", pct(low), pct(high))
}

/// A name that cannot harm a terminal or shift a column: control characters and those without a width (combining,
/// direction marks) become a replacement character. Interface names may hold them (`dev_valid_name`, net/core/dev.c).
pub(super) fn printable(name: &str) -> String {
    name.chars().map(|c| if c.width().is_none_or(|width| width == 0) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_fit() {
        let of = |value: f64| (pct(value), short_pct(value));
        let both = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(of(0.0), both("0", "0"));
        assert_eq!(of(0.001), both("0.00", "0.0"));
        assert_eq!(of(9.994), both("9.99", "10"));
        assert_eq!(of(9.996), both("10.0", "10"));
        assert_eq!(of(99.96), both("100", "100"));
        assert_eq!(of(6400.0).0, "6400");
        assert_eq!(of(1e300).0, "1e300");
    }

    #[test]
    fn rates_have_three_digits() {
        let texts = [0.0, 0.4, 3.0, 12.34, 999.4, 999.6, 59_994.0, 1.5e6, 9.999e9, 2e19, 1e25].map(scaled);
        assert_eq!(
            texts,
            ["0", "0.40", "3", "12.3", "999", "1.00k", "60.0k", "1.50M", "10.0G", "20.0E", "1e25"]
        );
    }

    #[test]
    fn unknown_zero_and_nothing_differ() {
        let texts = [Figure::Unknown, Figure::Known(0.0), Figure::Nothing].map(|figure| figure.text(pct));
        assert_eq!(texts, ["?", "0", "."]);
    }

    #[test]
    fn names_keep_what_is_harmless() {
        assert_eq!(printable("größe-ü漢"), "größe-ü漢");
        assert_eq!(printable("a\u{1b}[31m\u{301}\u{202e}"), "a\u{fffd}[31m\u{fffd}\u{fffd}");
    }
}
