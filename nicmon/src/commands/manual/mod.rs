//! `nicmon man` and `nicmon completions`, made from the definition of the command line.

mod markdown;

use std::{fs, io, path::Path};

use clap::Command;
use clap_mangen::{
    Man as Page,
    roff::{Roff, bold, roman},
};

use super::{
    Failure,
    new_file::{NewFile, Readers},
    output::print,
};
use crate::cli::{self, Completions, Man, notes};

/// Manuals with more information, besides those of nicmon's own commands.
const OTHER_PAGES: &str = "ethtool(8), ip(8), perf(1)";

/// `nicmon man`
pub(super) fn man(args: &Man) -> Result<(), Failure> {
    let command = documented();
    if args.markdown {
        return print(markdown::reference(&command).as_bytes());
    }
    match &args.directory {
        None => print(&page(&command, &command).map_err(Failure::Output)?),
        Some(directory) => write_pages(&command, directory)
            .map_err(|source| Failure::ManualPages { path: directory.clone(), source }),
    }
}

/// `nicmon completions`
pub(super) fn completions(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "nicmon", &mut script);
    print(&script)
}

/// The command line in the form for manuals: with a heading for arguments as well, and with nothing hidden.
fn documented() -> Command {
    let adapted = |command: Command| {
        command.subcommand_help_heading("COMMANDS").mut_args(|argument| {
            let argument = argument.hide_short_help(false);
            if argument.is_positional() { argument.help_heading("Arguments") } else { argument }
        })
    };
    let mut command = adapted(cli::command()).mut_subcommands(adapted);
    command.build();
    command
}

fn write_pages(command: &Command, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for of in std::iter::once(command).chain(command.get_subcommands()) {
        let path = directory.join(format!("{}.1", page_name(of)));
        NewFile::create(&path, true, Readers::Everybody)?.write_whole(&page(of, command)?)?;
    }
    Ok(())
}

/// `nicmon`, or `nicmon-record` for a command.
fn page_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of `command`, which is `nicmon` itself or one of its commands.
fn page(command: &Command, nicmon: &Command) -> io::Result<Vec<u8>> {
    let page = Page::new(command.clone());
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    after_options(command, nicmon).to_writer(&mut text)?;
    Ok(text)
}

fn after_options(command: &Command, nicmon: &Command) -> Roff {
    let mut roff = Roff::new();
    let notes = notes(command.get_name());
    roff.control("SH", ["EXAMPLES"]);
    for (line, meaning) in notes.examples {
        roff.control("TP", []).text([bold(*line)]).text([roman(*meaning)]);
    }
    for section in notes.sections {
        roff.control("SH", [section.title.to_uppercase().as_str()]);
        for (term, meaning) in section.entries {
            roff.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
        }
    }
    let pages = std::iter::once(nicmon).chain(nicmon.get_subcommands()).map(page_name);
    let others = pages.filter(|name| *name != page_name(command)).map(|name| format!("{name}(1), "));
    roff.control("SH", ["SEE ALSO"]).text([roman(others.collect::<String>() + OTHER_PAGES)]);
    roff
}
