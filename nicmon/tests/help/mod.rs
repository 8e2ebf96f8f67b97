//! Help, manual pages, completions and the documents made from the same definitions.

use std::{fmt::Write as _, fs, iter};

use clap::Command;

use super::{nicmon, output, seen, snapshot};

/// The command line, built, as clap knows it.
fn command_line() -> Command {
    let mut command = nicmon::cli::command();
    command.build();
    command
}

/// nicmon itself and its commands: the words that come before options.
fn commands(nicmon: &Command) -> Vec<(Vec<&str>, &Command)> {
    let commands = nicmon.get_subcommands().map(|command| (vec![command.get_name()], command));
    iter::once((Vec::new(), nicmon)).chain(commands).collect()
}

fn printed(words: &[&str], option: &str) -> String {
    let output = output(nicmon(words).arg(option));
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{words:?} {option}");
    String::from_utf8(output.stdout).expect("nicmon writes UTF-8")
}

#[test]
fn every_summary_fits_a_screen_and_has_an_example() {
    let mut all = String::new();
    for (words, _) in commands(&command_line()) {
        let text = printed(&words, "-h");
        let (lines, columns) =
            (text.lines().count(), text.lines().map(|line| line.chars().count()).max().unwrap_or(0));
        // A terminal of 24 lines also shows the next prompt.
        assert!(lines <= 23 && columns <= 80, "{words:?}: {lines} lines, {columns} columns\n{text}");
        assert!(text.contains("\nExamples:\n  "), "{words:?} has no example\n{text}");
        writeln!(all, "$ nicmon {}\n{text}", [&*words, &["-h"]].concat().join(" ")).expect("a String");
    }
    insta::assert_snapshot!("summaries", all, "nicmon [COMMAND] -h");
}

#[test]
fn help_has_every_option_under_a_heading() {
    for (words, command) in commands(&command_line()) {
        let text = printed(&words, "--help");
        for argument in command.get_arguments() {
            let name = match (argument.get_long(), argument.get_value_names()) {
                (Some(long), _) => format!("--{long}"),
                (None, Some([name, ..])) => name.to_string(),
                (None, _) => panic!("{argument} has no name"),
            };
            assert!(text.contains(&name), "{words:?} --help lacks {name}\n{text}");
            if let Some(heading) = argument.get_help_heading() {
                assert!(text.contains(&format!("\n{heading}:\n")), "{words:?} --help lacks {heading}");
            }
        }
        for subcommand in command.get_subcommands() {
            assert!(text.contains(&format!("\n  {} ", subcommand.get_name())), "{text}");
        }
    }
}

#[test]
fn help() {
    snapshot("help", &["--help"], &[]);
    snapshot("help_record", &["record", "--help"], &[]);
    snapshot("help_compare", &["compare", "--help"], &[]);
}

#[test]
fn h_after_the_end_of_options_is_the_commands() {
    let recorded = seen(&output(&mut nicmon(&["record", "-o", "-", "--", "ls", "-h"])), &[]);
    assert!(recorded.starts_with("exit code: 2\n") && recorded.contains("(-o -)"), "{recorded}");
}

#[test]
fn schema() {
    snapshot("schema", &["schema"], &[]);
    snapshot("schema_comparison", &["schema", "comparison", "--markdown"], &[]);
    let json = output(&mut nicmon(&["schema", "comparison"]));
    assert!(serde_json::from_slice::<serde_json::Value>(&json.stdout).is_ok_and(|schema| schema.is_object()));
}

#[test]
fn the_reference_is_up_to_date() {
    let documents = [
        (include_str!("../../../docs/reference/fields.md"), &["schema"][..], "fields"),
        (include_str!("../../../docs/reference/path.md"), &["schema", "path"], "path"),
        (include_str!("../../../docs/reference/cli.md"), &["man"], "cli"),
    ];
    for (committed, command, name) in documents {
        let is_same = printed(command, "--markdown") == committed;
        let command = command.join(" ");
        assert!(is_same, "run: cargo run --package nicmon -- {command} --markdown >docs/reference/{name}.md");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let pages = directory.path().join("man");
    assert!(output(nicmon(&["man"]).arg(&pages)).status.success());
    for (words, command) in commands(&command_line()) {
        let name = iter::once("nicmon").chain(words).collect::<Vec<_>>().join("-");
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).expect("a page");
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "EXIT STATUS", "SEE ALSO", "GENERAL"] {
            let heading = if heading.contains(' ') { format!("\"{heading}\"") } else { heading.to_owned() };
            assert!(page.contains(&format!("\n.SH {heading}\n")), "{name} lacks {heading}\n{page}");
        }
        for argument in command.get_arguments() {
            let option = argument.get_long().map(|long| format!("--{long}"));
            let help = argument.get_help().map(ToString::to_string);
            for text in option.into_iter().chain(help) {
                let roff = text.replace('-', "\\-").replace('\'', "\\*(Aq");
                assert!(page.contains(&roff), "{name} lacks {text}\n{page}");
            }
        }
    }
    let main = fs::read_to_string(pages.join("nicmon.1")).expect("the main page");
    for what in ["NO_COLOR", "COLUMNS", "nicmon\\-record(1)", "PERMISSIONS", "FILES", "KEYS"] {
        assert!(main.contains(what), "{what} is missing\n{main}");
    }
    assert_eq!(output(&mut nicmon(&["man"])).stdout, main.as_bytes());
}

#[test]
fn completions_know_every_option() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = output(&mut nicmon(&["completions", shell]));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success() && text.contains("kernel-log"), "{shell}: {text}");
    }
}
