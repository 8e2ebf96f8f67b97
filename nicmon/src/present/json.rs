//! JSON as lines.

use serde::Serialize;

/// A value as one line of JSON, including the line end.
///
/// # Errors
/// The value has no JSON form, such as a map whose keys are not strings.
pub(crate) fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_line_or_an_error() {
        assert_eq!(line(&["a\nb", "c"]).expect("JSON"), "[\"a\\nb\",\"c\"]\n");
        assert!(line(&HashMap::from([([1, 2], 3)])).is_err(), "an empty line would be taken for a frame");
    }
}
