//! Text that goes into the page.

/// Text between tags or in a quoted attribute. Names of interfaces and threads may hold any byte but `/` and NUL;
/// characters that XML 1.0 does not allow become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Marks that turn the direction of writing would turn what follows as well.
            '\u{FFFE}' | '\u{FFFF}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                escaped.push('\u{FFFD}');
            }
            c if c.is_control() => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A number with as many decimals as help, or `?`.
pub(super) fn number(value: Option<f64>) -> String {
    match value {
        None => "?".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value.abs() < 1.0 => format!("{value:.3}"),
        Some(value) if value.abs() < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
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
