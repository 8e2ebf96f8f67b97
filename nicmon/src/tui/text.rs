//! Figures of the screen as text.

use crate::present::text::{self, pct};

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

/// A percentage in at most 4 characters.
pub(super) fn short_pct(value: f64) -> String {
    pct(value, 4)
}

/// A count or rate in at most 5 characters.
pub(super) fn scaled(value: f64) -> String {
    text::scaled(value, 5)
}

/// A number in at most 5 characters, whole as long as that fits.
pub(super) fn whole(value: f64) -> String {
    text::whole(value, 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_zero_and_nothing_differ() {
        let texts =
            [Figure::Unknown, Figure::Known(0.0), Figure::Nothing].map(|figure| figure.text(short_pct));
        assert_eq!(texts, ["?", "0", "."]);
    }
}
