//! A value that satisfies a JSON schema, made from what the caller said:
//! <https://json-schema.org/understanding-json-schema/reference>.

use serde_json::{Map, Number, Value, json};

use super::voice;

/// A schema may refer to itself, and twice at every step; this many values are made and then no more.
const VALUES_MAX: u32 = 1000;
const DEPTH_MAX: u32 = 24;
const STRING_CHARS_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct Sampler<'s> {
    root: &'s Value,
    text: &'s str,
    values_left: u32,
    depth: u32,
}

impl<'s> Sampler<'s> {
    pub(super) fn new(root: &'s Value, text: &'s str) -> Sampler<'s> {
        Sampler { root, text, values_left: VALUES_MAX, depth: 0 }
    }

    pub(super) fn value(&mut self, schema: &'s Value) -> Value {
        if self.values_left == 0 || DEPTH_MAX <= self.depth {
            return Value::Null;
        }
        self.values_left -= 1;
        self.depth += 1;
        let value = self.made(schema);
        self.depth -= 1;
        value
    }

    fn made(&mut self, schema: &'s Value) -> Value {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return found.map_or(Value::Null, |found| self.value(found));
        }
        if let Some(given) = schema.get("const").or_else(|| schema.get("enum")?.get(0)) {
            return given.clone();
        }
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            return self.merged(all);
        }
        let choices = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
        let something = |choices: &'s Vec<Value>| choices.iter().find(|choice| type_of(choice) != Some("null"));
        if let Some(choice) = choices.and_then(something) {
            return self.value(choice);
        }
        match type_of(schema) {
            Some("object") => self.object(schema),
            Some("array") => self.array(schema),
            Some("string") => Value::String(self.string(schema)),
            Some("integer") => json!(self.integer(schema)),
            Some("number") => self.number(schema),
            Some("boolean") => Value::Bool(true),
            Some("null") => Value::Null,
            _ if schema.get("properties").is_some() => self.object(schema),
            _ if schema.get("items").is_some() => self.array(schema),
            _ => Value::String(voice::phrase(self.text)),
        }
    }

    fn merged(&mut self, all: &'s [Value]) -> Value {
        let mut merged = Map::new();
        for schema in all {
            match self.value(schema) {
                Value::Object(members) => merged.extend(members),
                other => return other,
            }
        }
        Value::Object(merged)
    }

    /// What is required, and nothing more.
    fn object(&mut self, schema: &'s Value) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        let names = required.into_iter().flatten().filter_map(Value::as_str);
        let mut members = Map::new();
        for name in names {
            let of_name = schema.get("properties").and_then(|properties| properties.get(name));
            members.insert(name.to_owned(), self.value(of_name.unwrap_or(&Value::Null)));
        }
        Value::Object(members)
    }

    /// One item is more telling than none, where one may be.
    fn array(&mut self, schema: &'s Value) -> Value {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let most = bound("maxItems").unwrap_or(u64::MAX).min(u64::from(self.values_left));
        let n_items = bound("minItems").unwrap_or(0).max(1).min(most);
        let items = schema.get("items").unwrap_or(&Value::Null);
        (0..n_items).map(|_| self.value(items)).collect()
    }

    fn string(&self, schema: &Value) -> String {
        let text = match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => "2030-01-01T00:00:00Z".to_owned(),
            Some("date") => "2030-01-01".to_owned(),
            Some("time") => "12:00:00Z".to_owned(),
            Some("email") => "demo@example.com".to_owned(),
            Some("uri" | "url") => "https://example.com/".to_owned(),
            Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
            Some("ipv4") => "192.0.2.1".to_owned(),
            _ => voice::phrase(self.text),
        };
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
        let least = bound("minLength").unwrap_or(0).min(STRING_CHARS_MAX);
        let length = text.chars().count().max(least).min(bound("maxLength").unwrap_or(usize::MAX));
        text.chars().chain(std::iter::repeat('.')).take(length).collect()
    }

    /// A number the caller mentioned, moved into the bounds.
    fn integer(&self, schema: &Value) -> i64 {
        let bound = |name: &str, exclusive: &str, step: i64| {
            let strict = schema.get(exclusive).and_then(Value::as_i64).map(|bound| bound.saturating_add(step));
            strict.or_else(|| schema.get(name).and_then(Value::as_i64))
        };
        let least = bound("minimum", "exclusiveMinimum", 1).unwrap_or(i64::MIN);
        let most = bound("maximum", "exclusiveMaximum", -1).unwrap_or(i64::MAX);
        let number = voice::number(self.text).unwrap_or(1).max(least).min(most);
        let Some(step) = schema.get("multipleOf").and_then(Value::as_i64).filter(|step| 0 < *step) else {
            return number;
        };
        // The next multiple downwards, unless that falls out of the bounds.
        let below = number.saturating_sub(number.rem_euclid(step));
        if below < least { below.saturating_add(step) } else { below }
    }

    fn number(&self, schema: &Value) -> Value {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let fits = |number: &f64| {
            bound("minimum").is_none_or(|least| least <= *number)
                && bound("maximum").is_none_or(|most| *number <= most)
                && bound("exclusiveMinimum").is_none_or(|least| least < *number)
                && bound("exclusiveMaximum").is_none_or(|most| *number < most)
        };
        let whole = self.integer(schema);
        if Number::from(whole).as_f64().filter(fits).is_some() {
            return json!(whole);
        }
        // The bounds lie between two whole numbers.
        let least = bound("minimum").or(bound("exclusiveMinimum"));
        let most = bound("maximum").or(bound("exclusiveMaximum"));
        match (least, most) {
            (Some(least), Some(most)) => json!(least + (most - least) / 2.0),
            (Some(least), None) => json!(least + 0.5),
            (None, Some(most)) => json!(most - 0.5),
            (None, None) => json!(whole),
        }
    }
}

/// Of several types the first that is something.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(one) => Some(one),
        Value::Array(many) => many.iter().filter_map(Value::as_str).find(|one| *one != "null").or(Some("null")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: &Value, text: &str, expected: &Value) {
        assert_eq!(Sampler::new(schema, text).value(schema), *expected, "{schema}");
    }

    #[test]
    fn what_is_required_is_there_and_of_its_type() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"}, "days": {"type": "integer", "maximum": 5}, "unit": {"enum": ["celsius", "f"]},
                "exact": {"type": "boolean"}, "where": {"$ref": "#/$defs/point"},
                "tags": {"type": "array", "items": {"type": "string"}}, "maybe": {"type": ["null", "number"]},
                "either": {"anyOf": [{"type": "null"}, {"const": 3}]}, "left out": {"type": "string"},
                "both": {"allOf": [
                    {"type": "object", "required": ["a"]},
                    {"properties": {"b": {"type": "null"}}, "required": ["b"]},
                ]}
            },
            "required": ["city", "days", "unit", "exact", "where", "tags", "maybe", "either", "both"],
            "$defs": {"point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}}
        });
        let expected = json!({
            "city": "Paris", "days": 5, "unit": "celsius", "exact": true, "where": {"x": 7}, "tags": ["Paris"],
            "maybe": 7, "either": 3, "both": {"a": "Paris", "b": null}
        });
        check(&schema, "What is the weather in Paris for the next 7 days?", &expected);
    }

    #[test]
    fn bounds_are_kept() {
        check(&json!({"type": "integer", "minimum": 10}), "3", &json!(10));
        check(&json!({"type": "integer", "exclusiveMaximum": 3}), "3", &json!(2));
        check(&json!({"type": "integer", "multipleOf": 5, "minimum": 6}), "3", &json!(10));
        check(&json!({"type": "number", "minimum": 0, "maximum": 0.5}), "3", &json!(0.25));
        check(&json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}), "", &json!(0.5));
        check(&json!({"type": "string", "minLength": 6, "maxLength": 8}), "abc", &json!("abc..."));
        check(&json!({"type": "string", "maxLength": 2}), "abc", &json!("ab"));
        check(&json!({"type": "array", "maxItems": 0, "items": {}}), "abc", &json!([]));
        check(&json!({"type": "array", "minItems": 2, "items": {"type": "null"}}), "abc", &json!([null, null]));
        check(&json!({"type": "string", "format": "date"}), "abc", &json!("2030-01-01"));
    }

    #[test]
    fn a_schema_without_end_has_a_value_with_one() {
        let sides = json!({"l": {"$ref": "#"}, "r": {"$ref": "#"}});
        let node = json!({"type": "object", "properties": sides, "required": ["l", "r"]});
        assert!(Sampler::new(&node, "").value(&node).to_string().len() < 100_000);
        let list = json!({"type": "array", "minItems": 1_000_000_000_000_u64, "items": {"$ref": "#"}});
        assert!(Sampler::new(&list, "").value(&list).to_string().len() < 100_000);
        check(&json!({"$ref": "#/nowhere"}), "", &Value::Null);
        check(&json!({"$ref": "#"}), "", &Value::Null);
    }
}
