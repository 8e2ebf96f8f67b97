//! `nicmon schema`: the fields of frames and of what commands print, as JSON Schema or as a table.

use std::fmt::Write as _;

use super::{Failure, output::print};
use crate::{
    analyze::compare,
    cli::{Schema, SchemaOf},
    frame::{Field, SCHEMA, fields, fields_of, schema as json_schema},
    overhead, path,
};

pub(super) fn run(args: &Schema) -> Result<(), Failure> {
    let text = match (args.of, args.markdown) {
        (SchemaOf::Frame, false) => format!("{:#}\n", json_schema()),
        (SchemaOf::Frame, true) => frame_fields(),
        (SchemaOf::Comparison, false) => format!("{:#}\n", compare::schema()),
        (SchemaOf::Comparison, true) => comparison_fields(),
        (SchemaOf::Path, false) => format!("{:#}\n", path::schema()),
        (SchemaOf::Path, true) => path_fields(),
        (SchemaOf::Overhead, false) => format!("{:#}\n", overhead::schema()),
        (SchemaOf::Overhead, true) => overhead_fields(),
    };
    print(text.as_bytes())
}

/// The whole of docs/reference/fields.md.
fn frame_fields() -> String {
    let head = format!(
        "# Fields of a frame\n\n\
         Made by `nicmon schema --markdown` from the fields in `nicmon/src/frame`: do not edit.\n\
         \n\
         These are the fields of `{SCHEMA}`. Each value covers the frame's interval unless its meaning\n\
         says otherwise. `null` means unknown; an array element that is absent was measured as zero.\n\
         Numbers without a unit are counts or identifiers.\n"
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

fn path_fields() -> String {
    let head = format!(
        "# Fields of a path\n\n\
         Made by `nicmon schema path --markdown` from the fields in `nicmon/src/path`: do not edit.\n\
         \n\
         These are the fields of `{}`, which `nicmon path --json` prints. `null` means unknown.\n",
        path::SCHEMA
    );
    head + &table(&fields_of(&path::schema()))
}

fn overhead_fields() -> String {
    let head = format!(
        "# Fields of an overhead report\n\n\
         These are the fields of `{}`, which `nicmon overhead --json` prints.\n",
        overhead::SCHEMA
    );
    head + &table(&fields_of(&overhead::schema()))
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
