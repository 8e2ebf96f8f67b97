//! Which module may import which: the table in ARCHITECTURE.md.

use std::collections::BTreeMap;

use crate::{
    report,
    source::{paths, tokens_without_tests},
    tree::{self, File},
};

const TABLE: &str = "| module | purpose | may import | entry point |";
/// These files put the crate together and belong to no module.
const ROOTS: [&str; 2] = ["lib", "main"];

/// Each module with the modules that it may import.
type Rules = BTreeMap<String, Vec<String>>;

#[test]
fn modules_import_only_what_the_architecture_allows() {
    let architecture = std::fs::read_to_string(tree::root().join("ARCHITECTURE.md")).unwrap();
    let rules = parse(&architecture);
    assert!(!rules.is_empty(), "ARCHITECTURE.md has no table `{TABLE}`");
    report("imports that the table in ARCHITECTURE.md does not allow", &check(&rules, &sources()));
}

fn sources() -> Vec<File> {
    let all = tree::files("nicmon/src", &["rs"]);
    all.into_iter().filter(|file| !tree::is_test(&file.path)).collect()
}

/// Reads the table; a module may always import itself.
fn parse(architecture: &str) -> Rules {
    let table = architecture.lines().skip_while(|line| line.trim() != TABLE).skip(2);
    let row = |line: &str| -> Option<(String, Vec<String>)> {
        let cells: Vec<_> = line.trim().strip_prefix('|')?.split('|').collect();
        let [module, _, may_import, ..] = cells.as_slice() else { return None };
        Some((in_backticks(module).first()?.to_string(), owned(&in_backticks(may_import))))
    };
    table.map_while(row).collect()
}

fn in_backticks(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn check(rules: &Rules, files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    let modules: Vec<_> = files.iter().map(|file| module(&file.path)).collect();
    for gone in rules.keys().filter(|rule| !modules.contains(rule)) {
        findings.push(format!("ARCHITECTURE.md: `{gone}` is in the table, but not in nicmon/src"));
    }
    for (file, module) in files.iter().zip(&modules).filter(|(_, module)| !ROOTS.contains(&module.as_str())) {
        let Some(allowed) = rules.get(module) else {
            findings.push(format!("{}: the table has no row for `{module}`", file.path));
            continue;
        };
        for path in paths(&tokens_without_tests(&file.path, &file.text)) {
            // `crate::` may also be followed by a macro or a function of lib.rs.
            let Some(target) = path.segments.get(1) else { continue };
            let foreign = path.segments[0] == "crate" && target != module && modules.contains(target);
            if foreign && !allowed.contains(target) {
                findings.push(format!("{}:{}: {module} -> {target}", file.path, path.line));
            }
        }
    }
    findings
}

/// The top-level module that a file of nicmon/src belongs to.
fn module(path: &str) -> String {
    let inside = path.trim_start_matches("nicmon/src/");
    inside.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

#[cfg(test)]
mod tests {
    use super::{File, check, parse};

    const ARCHITECTURE: &str = "\
| module | purpose |\n|---|---|\n| `other` | another table |\n
| module | purpose | may import | entry point |
|---|---|---|---|
| `frame` | what happened | nothing | `Frame` |
| `stream` | bytes | `frame` | `Reader` |
| `collect` | makes frames | `frame`, `host` | `Collector` |
\nText `after` it.\n";

    fn file(path: &str, text: &str) -> File {
        File { path: format!("nicmon/src/{path}"), text: text.to_owned() }
    }

    #[test]
    fn the_table_is_read() {
        let rules = parse(ARCHITECTURE);
        assert_eq!(rules.keys().collect::<Vec<_>>(), ["collect", "frame", "stream"]);
        assert_eq!(rules["frame"], Vec::<String>::new());
        assert_eq!(rules["collect"], ["frame", "host"]);
        assert!(parse("no table").is_empty());
    }

    #[test]
    fn forbidden_arrows_are_found() {
        let files = [
            file("frame/mod.rs", "use crate::frame::Nic;\nuse crate::stream::{\n    Reader,\n};\n"),
            file("stream.rs", "use crate::{frame, frame::Nic};\nfn f() { crate::say!(1) }"),
            file("collect/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::stream::Reader; }"),
            file("host.rs", ""),
            file("lib.rs", "pub use crate::frame::Frame;"),
        ];
        let wanted = [
            "nicmon/src/frame/mod.rs:3: frame -> stream",
            "nicmon/src/host.rs: the table has no row for `host`",
        ];
        assert_eq!(check(&parse(ARCHITECTURE), &files), wanted);
        let gone = check(&parse(ARCHITECTURE), &files[..2]);
        assert!(
            gone.contains(&"ARCHITECTURE.md: `collect` is in the table, but not in nicmon/src".to_owned())
        );
    }
}
