//! Size limits of functions, files and lines, so that a reader can keep track of them.

use crate::{
    report,
    source::{Token, closing, is, tokens, tokens_without_tests},
    tree::{self, File},
};

const FUNCTION_LINES: usize = 60;
const FILE_LINES: usize = 500;
const COLUMNS: usize = 110;
/// The folders of our Rust code. Functions in tests are not measured.
const SOURCES: [&str; 6] = ["bench", "nicmon", "nicmon-common", "nicmon-ebpf", "testkit", "xtask"];

fn sources() -> Vec<File> {
    SOURCES.iter().flat_map(|folder| tree::files(folder, &["rs"])).collect()
}

#[test]
fn functions_are_short() {
    let code = sources().into_iter().filter(|file| !tree::is_test(&file.path));
    let long = code.flat_map(|file| {
        let functions = functions(&tokens_without_tests(&file.path, &file.text));
        let long = functions.into_iter().filter(|function| function.lines > FUNCTION_LINES);
        long.map(|function| {
            format!("{}:{}: {} has {} lines", file.path, function.line, function.name, function.lines)
        })
        .collect::<Vec<_>>()
    });
    report("functions above 60 lines", &long.collect::<Vec<_>>());
}

#[test]
fn files_are_short() {
    let all = sources();
    let long = all.iter().map(|file| (&file.path, file.text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > FILE_LINES);
    report(
        "files above 500 lines",
        &long.map(|(path, lines)| format!("{path}: {lines}")).collect::<Vec<_>>(),
    );
}

/// Literals in tests are fixtures, which may have longer lines.
#[test]
fn lines_of_code_are_short() {
    let mut long = Vec::new();
    for file in sources() {
        let fixtures = lines_of_test_literals(&file);
        long.extend(
            long_lines(&file).filter(|line| !fixtures.contains(line)).map(|line| (file.path.clone(), line)),
        );
    }
    report("lines above 110 columns", &shown(&long));
}

/// Tables, output of programs and links may have longer lines.
#[test]
fn lines_of_documents_are_short() {
    let mut long = Vec::new();
    for file in tree::files(".", &["md"]) {
        let lines: Vec<_> = file.text.lines().collect();
        let mut fenced = false;
        let prose: Vec<_> = lines
            .iter()
            .map(|line| {
                fenced ^= line.trim_start().starts_with("```");
                !fenced
                    && !line.starts_with("    ")
                    && !line.trim_start().starts_with('|')
                    && !line.contains("](http")
            })
            .collect();
        long.extend(long_lines(&file).filter(|line| prose[line - 1]).map(|line| (file.path.clone(), line)));
    }
    report("lines above 110 columns", &shown(&long));
}

fn shown(places: &[(String, usize)]) -> Vec<String> {
    places.iter().map(|(path, line)| format!("{path}:{line}")).collect()
}

fn long_lines(file: &File) -> impl Iterator<Item = usize> {
    let lines = file.text.lines().enumerate();
    lines.filter(|(_, line)| line.chars().count() > COLUMNS).map(|(number, _)| number + 1)
}

/// All lines that a literal in test code extends over.
fn lines_of_test_literals(file: &File) -> Vec<usize> {
    let (all, code) = (tokens(&file.path, &file.text), tokens_without_tests(&file.path, &file.text));
    let literals = |tokens: &[Token]| -> Vec<usize> {
        let lines = |token: &Token| token.line..=token.line + token.text.matches('\n').count();
        tokens.iter().filter(|token| token.is_literal && !token.is_comment).flat_map(lines).collect()
    };
    let of_code = if tree::is_test(&file.path) { Vec::new() } else { literals(&code) };
    literals(&all).into_iter().filter(|line| !of_code.contains(line)).collect()
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// All functions with a body, from the word `fn` to the closing brace.
fn functions(tokens: &[Token]) -> Vec<Function> {
    let starts = (0..tokens.len()).filter(|&at| is(tokens, at, "fn") && !is(tokens, at + 1, "("));
    let function = |at: usize| {
        let open = body(tokens, at)?;
        let (name, line) = (tokens[at + 1].text.clone(), tokens[at].line);
        Some(Function { name, line, lines: tokens[closing(tokens, open)].line + 1 - line })
    };
    starts.filter_map(function).collect()
}

/// The index of the brace that opens the body; `None` for a declaration.
fn body(tokens: &[Token], mut at: usize) -> Option<usize> {
    while at < tokens.len() && !is(tokens, at, ";") {
        if is(tokens, at, "{") {
            return Some(at);
        }
        let bracket = is(tokens, at, "(") || is(tokens, at, "[");
        at = if bracket { closing(tokens, at) } else { at } + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{File, functions, lines_of_test_literals, tokens_without_tests};

    #[test]
    fn functions_are_measured_without_tests() {
        let text = "trait T { fn declared(&self) -> [u8; 3]; }\ntype F = fn(u8);\nfn one() { \"}\"; }\n\
                    fn three(\n    a: u8,\n) {}\n#[cfg(test)]\nmod tests {\n    fn not_here() {}\n}\n";
        let found: Vec<_> = functions(&tokens_without_tests("a.rs", text))
            .into_iter()
            .map(|f| (f.name, f.line, f.lines))
            .collect();
        assert_eq!(found, [("one".to_owned(), 3, 1), ("three".to_owned(), 4, 3)]);
    }

    #[test]
    fn only_literals_of_tests_are_fixtures() {
        let text = "/// A comment.\nconst A: &str = \"x\";\n#[cfg(test)]\nmod tests {\n\
                    \x20   const B: &str = \"y\n    z\";\n}\n";
        let file = |path: &str| File { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(lines_of_test_literals(&file("nicmon/src/a.rs")), [5, 6]);
        assert_eq!(lines_of_test_literals(&file("nicmon/tests/a.rs")), [2, 5, 6]);
    }
}
