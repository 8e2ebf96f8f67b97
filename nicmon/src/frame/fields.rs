//! The fields of a frame as a flat table, made from its JSON Schema: path, title, type, unit and definition.

use std::sync::OnceLock;

use serde_json::Value;

use super::schema;

/// A field of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its path, as in `nics[].cpus[].load_pct`.
    pub path: String,
    /// What it is, for people: at most 60 characters, without a unit.
    pub title: String,
    /// Its JSON type; for a choice of words, the words.
    pub kind: String,
    /// Its unit; `None` for counts, for numbers that name something, and for everything that is not a number.
    pub unit: Option<&'static str>,
    /// Whether it may be `null`: unknown.
    pub is_nullable: bool,
    /// Its definition.
    pub meaning: String,
}

/// Units, by the last part of a field's name.
const UNITS: [(&str, &str); 4] = [("ns", "ns"), ("pct", "%"), ("bytes", "bytes"), ("per_s", "1/s")];

/// All fields of a frame, in the order of the types.
pub fn fields() -> &'static [Field] {
    static FIELDS: OnceLock<Vec<Field>> = OnceLock::new();
    FIELDS.get_or_init(|| fields_of(&schema()))
}

/// The fields of any schema that schemars made.
pub fn fields_of(root: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    Walk { root, fields: &mut fields }.object(root, "");
    fields
}

/// The title of the field at a path.
pub fn title(path: &str) -> Option<&'static str> {
    fields().iter().find(|field| field.path == path).map(|field| field.title.as_str())
}

/// A walk over a schema as schemars makes it. A field is a reference, perhaps beside a title and a
/// description, or `anyOf` a reference and null; or it is an object, an array, or `oneOf` several words.
struct Walk<'a> {
    root: &'a Value,
    fields: &'a mut Vec<Field>,
}

impl<'a> Walk<'a> {
    fn object(&mut self, schema: &'a Value, path: &str) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.field(field, name, &path);
        }
    }

    fn field(&mut self, schema: &'a Value, name: &str, path: &str) {
        let (kind, is_nullable) = self.resolve(schema);
        self.fields.push(Field {
            path: path.to_owned(),
            title: schema["title"].as_str().unwrap_or_default().to_owned(),
            kind: kind_of(kind),
            unit: unit_of(name),
            is_nullable,
            meaning: schema["description"].as_str().unwrap_or_default().replace('\n', " "),
        });
        if kind["items"].is_object() {
            let (item, _) = self.resolve(&kind["items"]);
            self.object(item, &format!("{path}[]"));
        } else {
            self.object(kind, path);
        }
    }

    /// Follows a reference and leaves out `null`; also returns whether `null` was allowed.
    fn resolve(&self, schema: &'a Value) -> (&'a Value, bool) {
        if let Some(choices) = schema["anyOf"].as_array() {
            let other = choices.iter().find(|choice| choice["type"] != "null").unwrap_or(schema);
            return (self.resolve(other).0, true);
        }
        let target = schema["$ref"].as_str().and_then(|at| self.root.pointer(at.trim_start_matches('#')));
        let schema = target.unwrap_or(schema);
        let is_nullable =
            schema["type"].as_array().is_some_and(|types| types.iter().any(|one| one == "null"));
        (schema, is_nullable)
    }
}

fn kind_of(schema: &Value) -> String {
    if let Some(words) = schema["oneOf"].as_array() {
        let words: Vec<_> = words.iter().filter_map(|word| word["const"].as_str()).collect();
        return words.join(", ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.as_slice(),
        one => std::slice::from_ref(one),
    };
    types.iter().filter_map(Value::as_str).find(|one| *one != "null").unwrap_or_default().to_owned()
}

fn unit_of(name: &str) -> Option<&'static str> {
    let is_it =
        |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    UNITS.iter().find(|(suffix, _)| is_it(suffix)).map(|(_, unit)| *unit)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_field_says_what_it_means() {
        assert!(fields().len() > 100, "{} fields", fields().len());
        let silent: Vec<_> =
            fields().iter().filter(|field| field.meaning.is_empty()).map(|field| &field.path).collect();
        assert!(silent.is_empty(), "without a comment: {silent:?}");
        for field in fields() {
            assert!(!field.kind.is_empty(), "{} has no type", field.path);
            // A reader of JSON does not know Rust.
            assert!(
                !field.meaning.contains("None") && !field.meaning.contains("[`"),
                "{}: {}",
                field.path,
                field.meaning
            );
        }
    }

    #[test]
    fn every_field_has_a_title_of_its_own() {
        const LONGEST: usize = 60;
        let mut titles: HashMap<(&str, &str), &str> = HashMap::new();
        for Field { path, title, .. } in fields() {
            assert!(!title.is_empty(), "{path} has no title");
            assert!(
                title.chars().count() <= LONGEST,
                "{path}: {title:?} is longer than {LONGEST} characters"
            );
            assert!(!title.contains('`') && !title.ends_with('.'), "{path}: {title:?} is no title");
            let object = path.rsplit_once('.').map_or("", |(object, _)| object);
            if let Some(other) = titles.insert((object, title), path) {
                panic!("{other} and {path} have the same title: {title:?}");
            }
        }
    }

    #[test]
    fn a_path_leads_to_its_field() {
        let field = |path| fields().iter().find(|field| field.path == path).expect("the field");
        let load = field("nics[].cpus[].load_pct");
        assert_eq!((load.kind.as_str(), load.unit, load.is_nullable), ("number", Some("%"), true));
        let mode = field("nics[].napis[].mode");
        assert_eq!((mode.kind.as_str(), mode.unit), ("softirq, threaded, busy, backlog", None));
        // Flattened into others.
        assert_eq!(field("nics[].rx_bytes").unit, Some("bytes"));
        assert_eq!(field("cpus[].softirq.net_rx.ns").unit, Some("ns"));
        assert!(field("cpus[].softirq").is_nullable);
        assert!(field("interval_ns").meaning.contains("a late tick makes it longer"));
        assert_eq!((title("interval_ns"), title("nosuch")), (Some("Length of the interval"), None));
    }

    #[test]
    fn units_are_whole_parts_of_names() {
        assert_eq!(unit_of("ns"), Some("ns"));
        assert_eq!(unit_of("rx_per_s"), Some("1/s"));
        assert_eq!(unit_of("netns"), None, "not the ns of netns");
    }
}
