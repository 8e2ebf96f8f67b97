//! The rules of this repository that a program can check: imports, sizes, words, and the commands in the
//! documents.

mod circles;
mod commands;
mod imports;
mod sizes;
mod source;
mod tree;
mod words;

/// Fails with all findings, one per line.
fn report(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}: {} findings\n{}", findings.len(), findings.join("\n"));
}
