//! The command line as one page of Markdown: docs/reference/cli.md.

use std::{fmt::Write as _, iter};

use clap::{Arg, Command};

use crate::cli::{notes, wrap};

/// Columns of a line, as in all documents of the project.
const WIDTH: usize = 110;

/// The whole page.
pub(super) fn reference(nicmon: &Command) -> String {
    let mut text = "# The command line\n\n\
                    Made by `nicmon man --markdown` from the definitions in `nicmon/src/cli`: do not edit.\n"
        .to_owned();
    for command in iter::once(nicmon).chain(nicmon.get_subcommands()) {
        describe(&mut text, command);
    }
    text
}

/// The section of a command. Writing to a String cannot fail, here and below.
fn describe(text: &mut String, command: &Command) {
    let _ = writeln!(text, "\n## {}\n", command.get_bin_name().unwrap_or_else(|| command.get_name()));
    let about = command.get_long_about().or_else(|| command.get_about());
    for paragraph in about.map(ToString::to_string).unwrap_or_default().split("\n\n") {
        let _ = writeln!(text, "{}\n", wrap(&escaped(paragraph), 0, 0, WIDTH));
    }
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(text, "    {}", usage.trim_start_matches("Usage: ").trim());
    if command.has_subcommands() {
        text.push_str("\n### Commands\n\n");
        for command in command.get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            item(text, &format!("[`{0}`](#nicmon-{0})", command.get_name()), &escaped(&about));
        }
    }
    for heading in headings(command) {
        let _ = writeln!(text, "\n### {heading}\n");
        for argument in shown(command).filter(|argument| argument.get_help_heading() == Some(heading)) {
            item(text, &signature(argument), &meaning(argument));
        }
    }
    let notes = notes(command.get_name());
    text.push_str("\n### Examples\n\n");
    for (line, meaning) in notes.examples {
        item(text, &format!("`{line}`"), &escaped(meaning));
    }
    for section in notes.sections {
        let _ = writeln!(text, "\n### {}\n", section.title);
        for (term, meaning) in section.entries {
            item(text, &format!("`{term}`"), &escaped(meaning));
        }
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| !argument.is_hide_set())
}

/// The headings of a command's arguments, each once.
fn headings(command: &Command) -> Vec<&str> {
    let mut headings = Vec::new();
    for heading in shown(command).filter_map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    headings
}

/// `-d, --delay <TIME>`
fn signature(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let mut signature = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    if let Some([name, ..]) = argument.get_value_names().filter(|_| takes_value(argument)) {
        signature = if argument.is_positional() { name.to_string() } else { format!("{signature} <{name}>") };
    }
    format!("`{signature}`")
}

/// Everything that the help says about an argument, in one paragraph.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default().replace("\n\n", ". ");
    let mut meaning = escaped(help.trim_end_matches('.'));
    if !takes_value(argument) {
        return meaning;
    }
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({})", value.get_name(), escaped(&help.to_string())),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if !values.is_empty() {
        let _ = write!(meaning, ". One of {}", values.join(", "));
    }
    if let [default, ..] = argument.get_default_values() {
        let _ = write!(meaning, ". Default: `{}`", default.display());
    }
    meaning
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_num_args().is_some_and(|number| number.takes_values())
}

/// A list item.
fn item(text: &mut String, term: &str, meaning: &str) {
    let meaning = format!("{term}: {meaning}{}", if meaning.ends_with('.') { "" } else { "." });
    let _ = writeln!(text, "- {}", wrap(&meaning, 2, 2, WIDTH));
}

/// Escapes what Markdown would take for emphasis or a tag, except in code between backticks.
fn escaped(text: &str) -> String {
    let escape = |part: &str| part.replace('*', "\\*").replace('<', "&lt;");
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { escape(part) } else { format!("`{part}`") }).collect()
}
