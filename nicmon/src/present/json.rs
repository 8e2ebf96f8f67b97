//! JSON as lines. Names stay what they are, but what a terminal would obey is escaped.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};

use super::text::is_unsafe;

/// A value as one line of JSON, including the line end.
///
/// # Errors
/// The value has no JSON form, such as a map whose keys are not strings.
pub(crate) fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut line, Escaping))?;
    line.push(b'\n');
    // serde_json writes strings as they are or as ASCII.
    String::from_utf8(line).map_err(serde::ser::Error::custom)
}

/// Compact JSON in which control characters (C1 and DEL, too), marks that change the direction of writing and
/// invisible characters are written as `\u` and four digits. `serde_json` itself escapes C0 only.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn names_stay_and_terminals_are_safe() {
        let names =
            ["a\u{202e}b\u{200b}\u{7f}\u{9b}31m\u{1b}\u{e0001}", "\u{5b57}\u{e9} \u{1f980}", "\\u0041\"", ""];
        let line = line(&names).expect("JSON");
        assert_eq!(
            line,
            "[\"a\\u202eb\\u200b\\u007f\\u009b31m\\u001b\\udb40\\udc01\",\"\u{5b57}\u{e9} \u{1f980}\",\"\\\\u0041\\\"\",\"\"]\n"
        );
        let again: Vec<String> = serde_json::from_str(&line).expect("JSON");
        assert_eq!(again, names);
    }

    #[test]
    fn a_line_or_an_error() {
        assert_eq!(line(&["a\nb", "c"]).expect("JSON"), "[\"a\\nb\",\"c\"]\n");
        assert!(line(&HashMap::from([([1, 2], 3)])).is_err(), "an empty line would be taken for a frame");
    }
}
