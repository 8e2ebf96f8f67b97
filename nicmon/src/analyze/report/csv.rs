//! The figures of a frame, one row each.

use std::collections::HashMap;

use ::csv::{Error, IntoInnerError, Terminator, Writer, WriterBuilder};
use serde_json::{Map, Value};

use crate::{
    frame::{Field, Frame, Nic, fields},
    present::text::printable,
};

/// The head of each column.
const HEAD: [&str; 7] = ["section", "subject", "part", "cpu", "name", "value", "unit"];
/// The fields that name the elements of an array, by its path in docs/reference/fields.md. Elements of other
/// arrays are named by `cpu`.
const NAMES: [(&str, &[&str]); 12] = [
    ("softirqs[]", &["vector"]),
    ("nics[]", &["name"]),
    ("nics[].napis[]", &["napi_id", "poll_fn", "queue", "kind", "mode"]),
    ("nics[].stages[]", &["stage"]),
    ("nics[].stages[].functions[]", &["symbol"]),
    ("drivers[]", &["driver"]),
    ("drivers[].companions[]", &["name"]),
    ("drivers[].functions[]", &["symbol", "context", "comm"]),
    ("irqs[]", &["irq", "action"]),
    ("netns[]", &["inum"]),
    ("host.drops[]", &["reason"]),
    ("host.drops[].locations[]", &["symbol"]),
];

/// All figures of a frame as CSV (RFC 4180), except its topology, call stacks, and the buckets of histograms.
///
/// The columns are: section of the frame; subject (a NIC, a driver ...); part of the subject; CPU; name of
/// the field as in docs/reference/fields.md, without its path; value; unit. A column that does not apply is
/// empty, and so is an unknown value. The bounds of an interval have names that end in `.low` and `.high`. If
/// several NICs have the same name, `@` and the inode of their namespace are appended.
///
/// # Errors
/// The rows have different numbers of columns, which no frame can cause.
pub fn csv(frame: &Frame) -> Result<String, Error> {
    let mut frame = frame.clone();
    tell_apart(&mut frame.nics);
    let value = serde_json::to_value(&frame).unwrap_or_default();
    let mut rows = Rows {
        writer: WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new()),
        fields: fields().iter().map(|field| (field.path.as_str(), field)).collect(),
    };
    rows.writer.write_record(HEAD)?;
    let has_figures = |name: &str| !["topology", "stacks"].contains(&name);
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| has_figures(name)) {
        let section = if value.is_object() || value.is_array() { name } else { "frame" };
        rows.value(value, &Place { section, path: name.clone(), ..Place::default() })?;
    }
    let bytes = rows.writer.into_inner().map_err(IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tell_apart(nics: &mut [Nic]) {
    let mut times: HashMap<String, u32> = HashMap::new();
    for nic in nics.iter() {
        *times.entry(nic.name.clone()).or_default() += 1;
    }
    for nic in nics {
        if let Some(netns) = nic.netns
            && times.get(&nic.name).is_some_and(|times| *times > 1)
        {
            nic.name = format!("{}@{netns}", nic.name);
        }
    }
}

/// The place of a value in the frame.
#[derive(Debug, Clone, Default)]
struct Place<'a> {
    section: &'a str,
    /// As in docs/reference/fields.md.
    path: String,
    subject: String,
    part: String,
    cpu: String,
    /// The name of the value within the element of the innermost array.
    name: String,
}

struct Rows {
    writer: Writer<Vec<u8>>,
    fields: HashMap<&'static str, &'static Field>,
}

impl Rows {
    fn value(&mut self, value: &Value, place: &Place<'_>) -> Result<(), Error> {
        match value {
            Value::Object(fields) => self.object(fields, place),
            Value::Array(elements) => elements.iter().enumerate().try_for_each(|(at, element)| {
                if let Value::Object(fields) = element {
                    return self.object(fields, &element_place(fields, place));
                }
                if !self.is_interval(place) {
                    return Ok(());
                }
                let bound = if at == 0 { "low" } else { "high" };
                self.figure(element, &format!("{}.{bound}", own_name(place)), place)
            }),
            _ => self.figure(value, own_name(place), place),
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, place: &Place<'_>) -> Result<(), Error> {
        for (field, value) in fields {
            let name = if place.name.is_empty() { field.clone() } else { format!("{}.{field}", place.name) };
            let path = format!("{}.{field}", place.path);
            let is_bucket = place.path.ends_with("_histogram") && field == "first";
            if !is_bucket && !names(&place.path).contains(&field.as_str()) {
                self.value(value, &Place { path, name, ..place.clone() })?;
            }
        }
        Ok(())
    }

    /// Whether it is an array of two bounds: no other array of numbers has a unit.
    fn is_interval(&self, place: &Place<'_>) -> bool {
        let field = self.fields.get(place.path.as_str());
        field.is_some_and(|field| field.kind == "array" && field.unit.is_some())
    }

    /// Adds a row, unless the value is text.
    fn figure(&mut self, value: &Value, name: &str, place: &Place<'_>) -> Result<(), Error> {
        let field = self.fields.get(place.path.as_str());
        let is_figure = self.is_interval(place)
            || field.is_some_and(|field| matches!(field.kind.as_str(), "integer" | "number"));
        let value = match value {
            Value::Number(number) => number.to_string(),
            Value::Null if is_figure => String::new(),
            _ => return Ok(()),
        };
        let unit = field.and_then(|field| field.unit).unwrap_or_default();
        let Place { section, subject, part, cpu, .. } = place;
        self.writer.write_record([*section, subject, part, cpu, name, &value, unit])
    }
}

/// The fields that name the elements of an array.
fn names(path: &str) -> &'static [&'static str] {
    let named = NAMES.iter().find(|(array, _)| *array == path).map(|(_, names)| *names);
    named.unwrap_or(if path.ends_with("[]") { &["cpu"] } else { &[] })
}

fn own_name<'a>(place: &'a Place<'_>) -> &'a str {
    if place.name.is_empty() { &place.path } else { &place.name }
}

fn element_place<'a>(fields: &Map<String, Value>, array: &Place<'a>) -> Place<'a> {
    let path = format!("{}[]", array.path);
    let text = |name: &&str| match fields.get(*name)? {
        // Many a CSV ends on a terminal.
        Value::String(text) => Some(printable(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let names = names(&path);
    let label = names.iter().filter_map(text).collect::<Vec<_>>().join(" ");
    let mut place = Place { path, name: String::new(), ..array.clone() };
    if names == ["cpu"] {
        place.cpu = label;
    } else if place.subject.is_empty() {
        place.subject = label;
    } else {
        place.part = label;
    }
    place
}
