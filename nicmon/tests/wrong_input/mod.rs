//! Wrong command lines: nicmon says what is wrong and what to write instead, and exits with 2.

use std::fmt::Write as _;

use super::{nicmon, output, seen, snapshot};
use crate::privileges::is_root;

const NOT_A_RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// Wrong for everyone, on every machine.
const WRONG: [&[&str]; 36] = [
    &["--jsn"],
    &["rekord"],
    &["--json", "--plain"],
    &["--json", "-n", "0"],
    &["--json", "-n", "many"],
    &["--json", "-d", "0"],
    &["--json", "-d", "-1"],
    &["--json", "--delay", "-500ms"],
    &["--json", "-d", "soon"],
    &["--json", "-d", "2d"],
    &["--json", "-F", "0"],
    &["--json", "-i", "eth[0"],
    &["--json", "-C", "9999"],
    &["--json", "-C", "0-"],
    &["--json", "-C", "3-1"],
    &["--source", "perf"],
    &["record", "true"],
    &["record", "-d", "1ms", "--", "true"],
    &["record", "-o", "-", "--", "true"],
    &["record", "-n", "3"],
    &["record", "--count=3", "--", "true"],
    &["record", "--json"],
    &["record", "a\u{1b}[31m\u{202e}b"],
    &["replay"],
    &["replay", "/nonexistent/frames"],
    &["replay", "/"],
    &["replay", "--speed", "0", "-"],
    &["report", "--json", "--csv", "-"],
    &["report", "--from", "soon", "-"],
    &["report", "--from", "-5", "-"],
    &["report", "--from", "5m", "--to", "1m", "-"],
    &["report", "--from", "2026-11-23T06:33:07Z", "--to", "2026-11-23T06:33:07Z", "-"],
    &["report", "--top", "0", "-"],
    &["schema", "table"],
    &["completions", "csh"],
    &["man", "/dev/null"],
];

#[test]
fn wrong_command_lines() {
    let mut all = String::new();
    for arguments in WRONG.into_iter().chain([&["report", NOT_A_RECORDING] as &[&str]]) {
        let output = output(&mut nicmon(arguments));
        let line = arguments.join(" ").escape_debug().to_string();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "nicmon {line}");
        let said = String::from_utf8(output.stderr).expect("nicmon writes UTF-8");
        writeln!(all, "$ nicmon {line}\n{said}").expect("a String");
    }
    let all = all.replace(NOT_A_RECORDING, "Cargo.toml");
    insta::assert_snapshot!("wrong_command_lines", all, "standard error; the exit code of each is 2");
}

#[test]
fn interfaces_and_cpus_that_this_machine_lacks() {
    const LACKS: &str = "nicmon: -C 8191: this machine has no such CPU; possible CPUs are ";
    snapshot("unknown_interface", &["--json", "-i", "nosuch0"], &["Existing interfaces: "]);
    snapshot("topology_unknown_interface", &["topology", "-i", "nosuch0"], &["Existing interfaces: "]);
    snapshot("cpu_that_this_machine_lacks", &["--json", "-n", "1", "-C", "0,8191"], &[LACKS]);
}

#[test]
fn recordings_and_commands_that_cannot_be() {
    if is_root("recordings_and_commands_that_cannot_be") {
        snapshot("record_without_a_place", &["record", "-o", "/nosuch/a.rec", "--", "true"], &[]);
        snapshot("record_into_a_directory", &["record", "-o", "/", "--", "true"], &[]);
        snapshot("record_of_no_command", &["record", "-o", "/dev/null", "--", "/nosuch/command"], &[]);
        snapshot("record_of_a_directory", &["record", "-o", "/dev/null", "--", "/"], &[]);
    }
}

#[test]
fn comparisons_that_cannot_be() {
    snapshot("compare_standard_input_twice", &["compare", "-", "-"], &[]);
    snapshot("compare_by_what", &["compare", "--fail-if", "speed > 1.1", "a", "b"], &[]);
    snapshot("compare_no_claim", &["compare", "--fail-if", "cost_per_gb = 1.1", "a", "b"], &[]);
    snapshot("compare_half_a_pair", &["compare", "--driver", "8139cp=", "a", "b"], &[]);
    let missing = seen(&output(&mut nicmon(&["compare", NOT_A_RECORDING, "/nonexistent/b.rec"])), &[]);
    assert!(missing.starts_with("exit code: 2\n"), "{missing}");
}
