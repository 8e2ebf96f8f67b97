//! Pieces of text of at most 80 columns.

use std::fmt::Display;

use crate::frame::cpu_list;

const COLUMNS: usize = 80;
/// Where the items of a paragraph begin.
const INDENT: usize = 12;

/// A value, or `?`.
pub(super) fn known<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

/// `yes`, `no` or `?`.
pub(super) fn yes_no(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    }
}

/// A list of CPUs, `-` where it is empty, or `?`.
pub(super) fn list(cpus: Option<&[u32]>) -> String {
    match cpus {
        None => "?".to_owned(),
        Some([]) => "-".to_owned(),
        Some(cpus) => cpu_list(cpus),
    }
}

/// A name with `?` for each control character, which could change the terminal.
pub(super) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Items with commas between them, in lines of 80 columns, under a title.
pub(super) fn paragraph(text: &mut String, title: &str, items: &[String]) {
    let mut line = format!("  {title:<width$}", width = INDENT - 2);
    let mut is_first = true;
    for (at, item) in items.iter().enumerate() {
        let comma = if at + 1 < items.len() { "," } else { "" };
        if !is_first && line.chars().count() + 1 + item.chars().count() + comma.len() > COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(INDENT);
            is_first = true;
        }
        if !is_first {
            line.push(' ');
        }
        is_first = false;
        line.push_str(item);
        line.push_str(comma);
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_before_the_last_column() {
        let mut text = String::new();
        let items: Vec<String> = (0..40).map(|number| format!("offload-{number}")).collect();
        paragraph(&mut text, "on", &items);
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(text.starts_with("  on        offload-0, offload-1,"));
        assert!(text.ends_with("offload-39\n"));
        let mut text = String::new();
        paragraph(&mut text, "none", &[]);
        assert_eq!(text, "  none\n");
    }

    #[test]
    fn unknown_and_odd() {
        assert_eq!((known::<u32>(None), known(Some(7))), ("?".into(), "7".into()));
        assert_eq!(
            (list(None), list(Some(&[])), list(Some(&[0, 1]))),
            ("?".into(), "-".into(), "0-1".into())
        );
        assert_eq!(plain("a\u{1b}[31m"), "a?[31m");
    }
}
