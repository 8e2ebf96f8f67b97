//! Words that nobody would say to a colleague: banned-words.txt.

use std::path::Path;

use crate::{
    report,
    source::tokens,
    tree::{self, File},
};

const LIST: &str = include_str!("banned-words.txt");
/// These files list the banned words.
const EXEMPT: &str = "nicmon/tests/house/";

#[test]
fn banned_words_are_not_used() {
    let banned = parse(LIST);
    assert!(banned.len() > 10, "the list of banned words is empty");
    let files = tree::files(".", &["md", "rs"]).into_iter().filter(|file| !file.path.starts_with(EXEMPT));
    let findings: Vec<_> = files.flat_map(|file| check(&banned, &file)).collect();
    report("banned words (nicmon/tests/house/banned-words.txt)", &findings);
}

/// Pairs of a phrase and what to write instead.
fn parse(list: &str) -> Vec<(&str, &str)> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(" -> ").unwrap_or_else(|| panic!("no ` -> ` in: {line}"))).collect()
}

fn check(banned: &[(&str, &str)], file: &File) -> Vec<String> {
    let lines = if is_code(file) { prose_of_code(file) } else { lines(&file.text, 1) };
    let findings = lines.iter().flat_map(|(number, line)| {
        let found = banned.iter().filter(|(phrase, _)| uses(line, phrase));
        found.map(move |(phrase, better)| format!("{}:{number}: {phrase:?}; write: {better}", file.path))
    });
    findings.collect()
}

fn is_code(file: &File) -> bool {
    Path::new(&file.path).extension().is_some_and(|extension| extension == "rs")
}

fn lines(text: &str, first: usize) -> Vec<(usize, String)> {
    text.lines().enumerate().map(|(n, line)| (first + n, line.to_owned())).collect()
}

/// Comments and strings. Names in code are not checked, because some must match names in the JSON.
fn prose_of_code(file: &File) -> Vec<(usize, String)> {
    let tokens = tokens(&file.path, &file.text);
    let literals = tokens.iter().filter(|token| token.is_literal);
    let mut prose: Vec<_> = literals.flat_map(|token| lines(&token.text, token.line)).collect();
    let comment = |(number, line): (usize, &str)| {
        let line = line.trim_start();
        let is_doc = ["///", "//!"].iter().any(|mark| line.starts_with(mark));
        (line.starts_with("//") && !is_doc).then(|| (number + 1, line.to_owned()))
    };
    prose.extend(file.text.lines().enumerate().filter_map(comment));
    prose
}

/// Whether a line has the phrase as whole words. In quotation marks or backticks it is a name, such as a JSON
/// field.
fn uses(line: &str, phrase: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || "_\"`".contains(character);
    let in_capitals = phrase.chars().all(|character| character.is_ascii_uppercase());
    let line = if in_capitals { line.to_owned() } else { line.to_lowercase() };
    let phrase = if in_capitals { phrase.to_owned() } else { phrase.to_lowercase() };
    line.match_indices(&phrase).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + phrase.len()..]);
        let joined = before.ends_with(is_name) && after.starts_with(is_name);
        let part_of_a_word =
            before.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        !joined && !part_of_a_word && !before.ends_with('_') && !after.starts_with('_')
    })
}

#[cfg(test)]
mod tests {
    use super::{File, check, uses};

    #[test]
    fn phrases_are_whole_words() {
        assert!(uses("This is Dear.", "dear") && uses("It IS no file", "is no file"));
        assert!(uses("see DESIGN 3", "DESIGN") && !uses("the design", "DESIGN"));
        assert!(!uses("dearest", "dear") && !uses("`dear`", "dear") && !uses("\"dear\": 1", "dear"));
    }

    #[test]
    fn names_in_code_are_not_words() {
        let text = "//! One dear.\nfn dear() {\n    // Two dear.\n    say(\"three\\\n dear\", dear);\n}\n";
        let file = File { path: "a.rs".to_owned(), text: text.to_owned() };
        let mut found = check(&[("dear", "expensive")], &file);
        found.sort();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("a.rs:1: \"dear\"")
                && found[1].starts_with("a.rs:3")
                && found[2].starts_with("a.rs:5")
        );
    }
}
