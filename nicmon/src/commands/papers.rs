//! What documents nicmon, from its own types: the schema, the field table, manual pages, completions.

use std::{fmt::Write as _, fs};

use clap::CommandFactory as _;
use clap_mangen::Man as Page;

use super::{Failure, output::print};
use crate::{
    analyze::compare,
    cli::{Cli, Completions, Man, Schema, SchemaOf},
    frame::{Field, SCHEMA, fields, fields_of, schema as json_schema},
};

/// `nicmon schema`
pub(super) fn schema(args: &Schema) -> Result<(), Failure> {
    let text = match (args.of, args.markdown) {
        (SchemaOf::Frame, false) => format!("{:#}\n", json_schema()),
        (SchemaOf::Frame, true) => frame_fields(),
        (SchemaOf::Comparison, false) => format!("{:#}\n", compare::schema()),
        (SchemaOf::Comparison, true) => comparison_fields(),
    };
    print(text.as_bytes())
}

/// `nicmon man`
pub(super) fn man(args: &Man) -> Result<(), Failure> {
    let Some(directory) = &args.directory else {
        let mut page = Vec::new();
        Page::new(Cli::command()).render(&mut page).map_err(Failure::Output)?;
        return print(&page);
    };
    let write = || {
        fs::create_dir_all(directory)?;
        clap_mangen::generate_to(Cli::command(), directory)
    };
    write().map_err(|source| Failure::Papers { path: directory.clone(), source })
}

/// `nicmon completions`
pub(super) fn completions(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nicmon", &mut script);
    print(&script)
}

/// The whole of docs/fields.md.
fn frame_fields() -> String {
    let head = format!(
        "# Fields of a frame\n\n\
         Made by `nicmon schema --markdown` from the fields in `nicmon/src/frame`: do not edit.\n\n\
         These are the fields of `{SCHEMA}`. Each value is of the frame's interval unless said otherwise. `null` means\n\
         unknown here, an absent array element a measured zero. Numbers without a unit are counts, or name something.\n"
    );
    head + &table(fields())
}

fn comparison_fields() -> String {
    let head = format!(
        "# Fields of a comparison\n\n\
         These are the fields of `{}`, which `nicmon compare --json` prints. `null` means unknown.\n",
        compare::SCHEMA
    );
    head + &table(&fields_of(&compare::schema()))
}

fn table(fields: &[Field]) -> String {
    let mut text =
        "\n| field | title | type | unit | may be `null` | definition |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for field in fields {
        let null = if field.is_nullable { "yes" } else { "" };
        let Field { path, title, kind, unit, meaning, .. } = field;
        let (unit, meaning) = (unit.unwrap_or_default(), meaning.replace('|', "\\|"));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{path}` | {title} | {kind} | {unit} | {null} | {meaning} |");
    }
    text
}
