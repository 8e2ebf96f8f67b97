//! Pieces of text, at most 80 columns wide.

use crate::{
    frame::cpu_list,
    present::{
        table::WIDTH,
        text::{known, printable},
    },
};

/// Column in which the items of a paragraph start.
const INDENT: usize = 12;

/// `yes`, `no` or `?`.
pub(super) fn yes_no(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    }
}

/// A list of CPUs, `-` if it is empty, or `?`.
pub(super) fn list(cpus: Option<&[u32]>) -> String {
    known(cpus, |cpus| if cpus.is_empty() { "-".to_owned() } else { cpu_list(cpus) })
}

/// Adds a title and its items, separated by commas, in lines of at most 80 columns. All items are made
/// printable.
pub(super) fn paragraph(text: &mut String, title: &str, items: &[String]) {
    let mut line = format!("  {title:<width$}", width = INDENT - 2);
    let mut is_first = true;
    for (at, item) in items.iter().map(|item| printable(item)).enumerate() {
        let comma = if at + 1 < items.len() { "," } else { "" };
        if !is_first && line.chars().count() + 1 + item.chars().count() + comma.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(INDENT);
            is_first = true;
        }
        if !is_first {
            line.push(' ');
        }
        is_first = false;
        line.push_str(&item);
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
        assert_eq!(
            (list(None), list(Some(&[])), list(Some(&[0, 1]))),
            ("?".into(), "-".into(), "0-1".into())
        );
        let mut text = String::new();
        paragraph(&mut text, "taps", &["a\u{1b}[31m".to_owned()]);
        assert_eq!(text, "  taps      a\u{fffd}[31m\n");
    }
}
