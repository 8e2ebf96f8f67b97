//! Text for the page.

use crate::{
    frame::title,
    present::text::{interval, known, printable},
};

/// Text for use between tags or in a quoted attribute: printable, without markup, and without the characters
/// that XML 1.0 forbids.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{FFFE}' | '\u{FFFF}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The head of a column that shows one field: its title, and the unit or what else the column shows.
pub(super) fn head(path: &str, unit: &str) -> String {
    format!("<th>{}{unit}</th>", escape(title(path).unwrap_or_default()))
}

/// A number with as many decimals as are useful, or `?`.
pub(super) fn number(value: Option<f64>) -> String {
    known(value, |value| match value {
        0.0 => "0".to_owned(),
        value if value.abs() < 1.0 => format!("{value:.3}"),
        value if value.abs() < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    })
}

/// A share with its interval, both in percent, or `?`.
pub(super) fn share(share: Option<(f64, [f64; 2])>) -> String {
    let number = |value| number(Some(value));
    known(share, |(pct, bounds)| format!("{} {}", number(pct), interval(bounds, number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names() {
        assert_eq!(escape("<b a=\"1\" c='2'>&amp;"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;");
        assert_eq!(escape("a\u{1b}[31m\n\u{202e}\u{ffff}ü"), "a\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}ü");
    }

    #[test]
    fn numbers() {
        let numbers = [None, Some(0.0), Some(0.1234), Some(12.34), Some(1234.5)].map(number);
        assert_eq!(numbers, ["?", "0", "0.123", "12.3", "1234"]);
    }
}
