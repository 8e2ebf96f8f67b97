//! No two parts of a module use each other.
//!
//! The parts of a module are its direct children, each with everything below it. Uses between a parent and a
//! child do not count, in either direction: a parent consists of its children and may define what they share.
//! Anything that the parent only re-exports belongs to the child that defines it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    report,
    source::{Token, is, paths, tokens_without_tests},
    tree,
};

/// The modules whose parts must not use each other in a circle.
const ORDERED: [&str; 3] = ["collect", "symbols", "analyze"];

#[test]
fn no_parts_of_a_module_use_each_other() {
    let sources = tree::files("nicmon/src", &["rs"]).into_iter().filter(|file| !tree::is_test(&file.path));
    let files: Vec<_> = sources
        .map(|file| Source::new(&file.path, tokens_without_tests(&file.path, &file.text)))
        .filter(|source| source.module.first().is_some_and(|top| ORDERED.contains(&top.as_str())))
        .collect();
    for top in ORDERED {
        assert!(files.iter().any(|source| source.module[0] == top), "nicmon/src has no module {top}");
    }
    report("parts of a module that use each other", &circles(&files));
}

/// A file and the path of its module.
struct Source {
    path: String,
    module: Vec<String>,
    tokens: Vec<Token>,
}

impl Source {
    fn new(path: &str, tokens: Vec<Token>) -> Self {
        let inside = path.trim_start_matches("nicmon/src/").trim_end_matches(".rs");
        let mut module: Vec<_> = inside.split('/').map(str::to_owned).collect();
        module.pop_if(|last| last == "mod");
        Self { path: path.to_owned(), module, tokens }
    }
}

/// An arrow between two parts of `parent`, and where it was found.
#[derive(Clone, Debug)]
struct Arrow {
    parent: Vec<String>,
    from: String,
    to: String,
    place: String,
}

fn circles(files: &[Source]) -> Vec<String> {
    let arrows = arrows(files);
    let mut findings = BTreeSet::new();
    for arrow in &arrows {
        let siblings: Vec<_> = arrows.iter().filter(|other| other.parent == arrow.parent).collect();
        if reaches(&siblings, &arrow.to, &arrow.from) {
            findings.insert(format!(
                "{}: in {}, {} -> {}, and a way leads back",
                arrow.place,
                arrow.parent.join("::"),
                arrow.from,
                arrow.to
            ));
        }
    }
    findings.into_iter().collect()
}

fn reaches(arrows: &[&Arrow], from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        let next = arrows.iter().filter(|arrow| arrow.from == at).map(|arrow| arrow.to.as_str());
        open.extend(next.filter(|part| seen.insert(part)));
    }
    false
}

fn arrows(files: &[Source]) -> Vec<Arrow> {
    let modules: BTreeSet<_> = files.iter().map(|file| file.module.clone()).collect();
    let exports: BTreeMap<_, _> =
        files.iter().map(|file| (file.module.clone(), imported_from_children(file))).collect();
    let mut arrows = Vec::new();
    for file in files {
        for used in paths(&file.tokens) {
            let Some(target) = resolve(&file.module, &used.segments) else { continue };
            let target = definition(&target, &modules, &exports);
            let place = format!("{}:{}", file.path, used.line);
            arrows.extend(between(&file.module, &target, place));
        }
    }
    arrows
}

/// The arrow between the parts that `from` and `to` belong to, at the point where their paths diverge.
fn between(from: &[String], to: &[String], place: String) -> Option<Arrow> {
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let (from_part, to_part) = (from.get(common)?, to.get(common)?);
    (common > 0).then(|| Arrow {
        parent: from[..common].to_vec(),
        from: from_part.clone(),
        to: to_part.clone(),
        place,
    })
}

/// A path from the root of the crate; `None` for names outside this crate.
fn resolve(module: &[String], segments: &[String]) -> Option<Vec<String>> {
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    match segments[0].as_str() {
        "crate" => Some(segments[1..].to_vec()),
        "super" => Some([&module[..module.len().checked_sub(supers)?], &segments[supers..]].concat()),
        _ => None,
    }
}

/// The file that defines what a path names: its longest module, or the child from which this module has it.
fn definition(
    path: &[String],
    modules: &BTreeSet<Vec<String>>,
    exports: &BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
) -> Vec<String> {
    let length = (0..=path.len()).rev().find(|&length| modules.contains(&path[..length])).unwrap_or(0);
    let (module, rest) = path.split_at(length);
    let child = rest.first().and_then(|name| exports.get(module)?.get(name));
    match child {
        Some(child) => definition(&[module, child, rest].concat(), modules, exports),
        None => module.to_vec(),
    }
}

/// The names that a module imports from its own children, with the path below it.
fn imported_from_children(file: &Source) -> BTreeMap<String, Vec<String>> {
    let declared = |n: &usize| is(&file.tokens, *n, "mod");
    let children: BTreeSet<_> =
        (0..file.tokens.len()).filter(declared).map(|n| file.tokens[n + 1].text.clone()).collect();
    let of_child = |segments: Vec<String>| {
        let (name, child) = segments.split_last()?;
        children.contains(child.first()?).then(|| (name.clone(), child.to_vec()))
    };
    let own = |mut segments: Vec<String>| {
        if segments[0] == "self" {
            segments.remove(0);
        }
        segments
    };
    paths(&file.tokens).into_iter().filter_map(|used| of_child(own(used.segments))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Source, circles, tokens_without_tests};

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let source = |(path, text): &(&str, &str)| {
            Source::new(&format!("nicmon/src/{path}"), tokens_without_tests(path, text))
        };
        circles(&files.iter().map(source).collect::<Vec<_>>())
    }

    #[test]
    fn siblings_that_use_each_other_are_found() {
        let files = [
            ("collect/mod.rs", "mod a; mod b; pub use a::A; use b::B;"),
            ("collect/a.rs", "use super::b;"),
            ("collect/b/mod.rs", "mod c;"),
            ("collect/b/c.rs", "use crate::collect::A;"),
        ];
        let wanted = [
            "nicmon/src/collect/a.rs:1: in collect, a -> b, and a way leads back",
            "nicmon/src/collect/b/c.rs:1: in collect, b -> a, and a way leads back",
        ];
        assert_eq!(found(&files), wanted);
        assert!(found(&files[..3]).is_empty());
    }

    #[test]
    fn a_parent_and_its_children_may_use_each_other() {
        let files = [
            ("symbols/mod.rs", "mod a; mod b; struct Shared; fn f() { a::f() }"),
            ("symbols/a.rs", "use super::Shared; use crate::host::x;"),
            ("symbols/b.rs", "use super::a::f;\n#[cfg(test)]\nmod tests { use super::super::b; }"),
        ];
        assert!(found(&files).is_empty());
    }
}
