//! A value that satisfies a JSON schema, as far as types, constants, choices and required properties go.

use serde_json::{Map, Value, json};

/// Deep enough for any schema a person writes; a schema that refers to itself ends here.
const DEPTH_MAX: usize = 12;

/// Strings are made from `text`.
pub(super) fn of(schema: &Value, text: &str) -> Value {
    at(schema, schema, text, DEPTH_MAX)
}

fn at(schema: &Value, root: &Value, text: &str, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let pointed = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return pointed.map_or(Value::Null, |schema| at(schema, root, text, depth));
    }
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|list| list.first());
    if let Some(value) = schema.get("const").or_else(|| first("enum")).or_else(|| schema.get("default")) {
        return value.clone();
    }
    if let Some(schema) = first("anyOf").or_else(|| first("oneOf")).or_else(|| first("allOf")) {
        return at(schema, root, text, depth);
    }
    match kind(schema) {
        "object" => object(schema, root, text, depth),
        "array" => array(schema, root, text, depth),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(42)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => string(schema, text),
    }
}

/// Of several types the first; without one, what the other keywords suggest.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("string"),
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

fn object(schema: &Value, root: &Value, text: &str, depth: usize) -> Value {
    let mut made = Map::new();
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for name in required.iter().filter_map(Value::as_str) {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        made.insert(name.to_owned(), property.map_or(json!(text), |property| at(property, root, text, depth)));
    }
    Value::Object(made)
}

fn array(schema: &Value, root: &Value, text: &str, depth: usize) -> Value {
    let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(0, 8);
    let item = schema.get("items").map_or(json!(text), |items| at(items, root, text, depth));
    Value::Array((0..least).map(|_| item.clone()).collect())
}

fn string(schema: &Value, text: &str) -> Value {
    let fixed = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-01",
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("time") => "00:00:00Z",
        Some("email") => "demo@example.com",
        Some("uri") => "https://example.com/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => text,
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let most = bound("maxLength").unwrap_or(200).min(10_000);
    let least = bound("minLength").unwrap_or(1).min(most);
    let mut made: String = fixed.chars().take(most).collect();
    let missing = least.saturating_sub(made.chars().count());
    made.extend(std::iter::repeat_n('.', missing));
    Value::String(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_properties_are_there_and_fit() {
        let schema = json!({
            "type": "object",
            "required": ["city", "unit", "days", "exact", "tags", "where", "maybe"],
            "properties": {
                "city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer", "minimum": 3},
                "exact": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                "where": {"$ref": "#/$defs/place"}, "maybe": {"type": ["null", "string"]}, "unused": {"type": "string"},
            },
            "$defs": {"place": {"type": "object", "required": ["lat"], "properties": {"lat": {"type": "number"}}}},
        });
        let made = of(&schema, "Oslo");
        let expected = json!({
            "city": "Oslo", "unit": "c", "days": 3, "exact": true, "tags": ["Oslo", "Oslo"], "where": {"lat": 42},
            "maybe": null,
        });
        assert_eq!(made, expected);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}});
        assert!(of(&schema, "x").to_string().len() < 200);
    }
}
