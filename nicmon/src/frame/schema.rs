//! The JSON Schema of a frame, from the types themselves.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use super::Frame;

/// The JSON Schema (draft 2020-12) of the frames that nicmon writes. Fields that may be unknown have two
/// types, one of them `null`. Readers must expect fields that are not in the schema, because later versions
/// add some.
pub fn schema() -> Value {
    schema_of::<Frame>()
}

/// The JSON Schema (draft 2020-12) of what is written.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Frames of a real machine.
    const CAPTURE: &str = include_str!("../../tests/fixtures/stream/this-machine.ndjson");

    /// The faults of a value by our schema: types, required fields, words and minima.
    fn faults(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(at) = schema["$ref"].as_str() {
            let target = root.pointer(at.trim_start_matches('#')).expect("the reference leads somewhere");
            found.extend(faults(root, target, value, path));
        }
        for choice in ["anyOf", "oneOf"] {
            let fits = |one: &Value| faults(root, one, value, path).is_empty();
            if schema[choice].as_array().is_some_and(|choices| !choices.iter().any(fits)) {
                found.push(format!("{path}: fits none of {choice}"));
            }
        }
        let types: Vec<_> = match &schema["type"] {
            Value::Array(types) => types.iter().collect(),
            Value::Null => Vec::new(),
            one => vec![one],
        };
        let fits = |one: &&Value| match one.as_str() {
            Some("integer") => value.is_u64(),
            Some("number") => value.is_number(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            Some("null") => value.is_null(),
            _ => false,
        };
        if !types.is_empty() && !types.iter().any(fits) {
            found.push(format!("{path}: {value} is not of the type {types:?}"));
        }
        if !schema["const"].is_null() && schema["const"] != *value {
            found.push(format!("{path}: {value} is not {}", schema["const"]));
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.is_object() && value.get(name).is_none() {
                found.push(format!("{path}.{name} is missing"));
            }
        }
        for (name, field) in value.as_object().into_iter().flatten() {
            // Beside a reference or in `anyOf`, the fields are listed elsewhere.
            if let Some(schema) = schema["properties"].get(name) {
                found.extend(faults(root, schema, field, &format!("{path}.{name}")));
            }
        }
        for item in value.as_array().into_iter().flatten() {
            found.extend(faults(root, &schema["items"], item, &format!("{path}[]")));
        }
        found
    }

    #[test]
    fn real_frames_fit() {
        let schema = schema();
        for line in CAPTURE.lines() {
            let frame: Frame = serde_json::from_str(line).expect("a frame");
            let value = serde_json::to_value(&frame).expect("JSON");
            assert_eq!(faults(&schema, &schema, &value, ""), [""; 0]);
        }
    }

    #[test]
    fn others_do_not() {
        let schema = schema();
        let frame: Frame = serde_json::from_str(CAPTURE.lines().next().unwrap_or_default()).expect("a frame");
        let good = serde_json::to_value(&frame).expect("JSON");
        for (pointer, wrong) in [
            ("/schema", json!("nicmon.frame/2")),
            ("/seq", json!(-1)),
            ("/time", json!(null)),
            ("/host/accounting", json!("guessed")),
            ("/cpus/0/softirq/net_rx/ns", json!("many")),
            ("/nics/0/rx_bytes", json!(0.5)),
            ("/nics/0/cpus", json!({})),
            ("/self", json!([])),
        ] {
            let mut value = good.clone();
            *value.pointer_mut(pointer).expect("the capture has it") = wrong;
            assert_eq!(faults(&schema, &schema, &value, "").len(), 1, "{pointer}");
        }
        let mut value = good;
        value.as_object_mut().expect("an object").remove("cpus");
        assert_eq!(faults(&schema, &schema, &value, ""), [".cpus is missing"]);
    }
}
