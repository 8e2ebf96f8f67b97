//! Rust source as tokens: comments and strings cannot be mistaken for code, and test code can be left out.

use std::str::FromStr as _;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// A word, a bracket or one punctuation character; a literal as it is written.
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) is_literal: bool,
    /// The text of a doc comment.
    pub(crate) is_comment: bool,
}

/// All tokens of a file. Doc comments appear as `#[doc = "..."]`.
pub(crate) fn tokens(path: &str, text: &str) -> Vec<Token> {
    let stream = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    tokens
}

/// All tokens except those of tests, which are items under `#[cfg(test)]` and `#[test]`.
pub(crate) fn tokens_without_tests(path: &str, text: &str) -> Vec<Token> {
    let all = tokens(path, text);
    let mut kept = Vec::new();
    let mut at = 0;
    while at < all.len() {
        let starts = |words: &[&str]| words.iter().enumerate().all(|(n, word)| is(&all, at + n, word));
        if starts(&["#", "[", "cfg", "(", "test", ")", "]"]) || starts(&["#", "[", "test", "]"]) {
            at = end_of_item(&all, at);
        } else {
            kept.push(all[at].clone());
            at += 1;
        }
    }
    kept
}

pub(crate) fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text && !token.is_literal)
}

/// The index after the item that starts at `at` with an attribute.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    while is(tokens, at, "#") {
        at = closing(tokens, at + 1) + 1;
    }
    while at < tokens.len() && !is(tokens, at, ";") {
        if is(tokens, at, "{") {
            return closing(tokens, at) + 1;
        }
        at = if is_opening(tokens, at) { closing(tokens, at) } else { at } + 1;
    }
    at + 1
}

fn is_opening(tokens: &[Token], at: usize) -> bool {
    ["(", "[", "{"].iter().any(|bracket| is(tokens, at, bracket))
}

/// The index of the bracket that closes the one at `at`.
pub(crate) fn closing(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (n, token) in tokens.iter().enumerate().skip(at).filter(|(_, token)| !token.is_literal) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return n;
        }
    }
    unreachable!("brackets match in what has been parsed")
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: String, line, is_literal| {
            let is_comment = is_literal && tokens.len() > 1 && is(tokens, tokens.len() - 2, "doc");
            tokens.push(Token { text, line, is_literal, is_comment });
        };
        match tree {
            TokenTree::Ident(word) => push(word.to_string(), line, false),
            TokenTree::Punct(character) => push(character.as_char().to_string(), line, false),
            TokenTree::Literal(literal) => push(literal.to_string(), line, true),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => continue,
                };
                push(open.to_owned(), line, false);
                flatten(group.stream(), tokens);
                let line = group.span_close().start().line;
                let text = close.to_owned();
                tokens.push(Token { text, line, is_literal: false, is_comment: false });
            }
        }
    }
}

/// A path such as `crate::frame::Nic`. Groups in `use` are split into single paths.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsedPath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// All paths with a `::`.
pub(crate) fn paths(tokens: &[Token]) -> Vec<UsedPath> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_word(tokens, at) && is_separator(tokens, at + 1) {
            at = expand(tokens, at, &[], &mut paths);
        } else {
            at += 1;
        }
    }
    paths
}

fn is_word(tokens: &[Token], at: usize) -> bool {
    let first = |token: &Token| token.text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    tokens.get(at).is_some_and(|token| !token.is_literal && first(token))
}

fn is_separator(tokens: &[Token], at: usize) -> bool {
    is(tokens, at, ":") && is(tokens, at + 1, ":")
}

/// Adds the paths that start with `prefix` and the word at `at`; returns the index after them.
fn expand(tokens: &[Token], at: usize, prefix: &[String], paths: &mut Vec<UsedPath>) -> usize {
    let mut segments = prefix.to_vec();
    segments.push(tokens[at].text.clone());
    let line = tokens[at].line;
    if !is_separator(tokens, at + 1) {
        paths.push(UsedPath { segments, line });
        return at + 1;
    }
    let next = at + 3;
    if is_word(tokens, next) {
        return expand(tokens, next, &segments, paths);
    }
    if !is(tokens, next, "{") {
        // `*`, or the arguments of a generic.
        paths.push(UsedPath { segments, line });
        return next;
    }
    let end = closing(tokens, next);
    let mut inner = next + 1;
    while inner < end {
        inner = if is_word(tokens, inner) { expand(tokens, inner, &segments, paths) } else { inner + 1 };
        // `as Name` belongs to the path before it.
        inner += if is(tokens, inner, "as") { 2 } else { 0 };
    }
    end + 1
}

#[cfg(test)]
mod tests {
    use super::{paths, tokens_without_tests};

    #[test]
    fn groups_are_taken_apart_and_tests_left_out() {
        let text = "use crate::{frame::{Nic, self}, host as other, stream};\n// use crate::no;\n\
                    fn f() { crate::tui::draw::<u8>(\"crate::no::no\"); }\n\
                    #[cfg(test)]\nmod tests { use crate::no::no; fn g() { [0; 3]; } }\n\
                    #[cfg(test)]\nuse crate::no::{no};\nfn g() { super::h() }";
        let found = paths(&tokens_without_tests("a.rs", text));
        let found: Vec<_> = found.iter().map(|path| (path.segments.join("::"), path.line)).collect();
        let wanted = [
            ("crate::frame::Nic", 1),
            ("crate::frame::self", 1),
            ("crate::host", 1),
            ("crate::stream", 1),
            ("crate::tui::draw", 3),
            ("super::h", 8),
        ];
        assert_eq!(found, wanted.map(|(path, line)| (path.to_owned(), line)));
    }
}
