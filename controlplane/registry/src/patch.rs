//! JSON merge patch (RFC 7386), on the export form of a resource.

use serde_json::{Map, Value};

use crate::resource::ResourceKind;

/// Members of which a document says one: a patch that says one takes the others away.
const CREDENTIAL: [&str; 4] = ["value", "env", "file", "sealed"];
const SECRET: [&str; 2] = ["secret", "sha256"];
const PREVIOUS: &str = "previous";

/// `document` is what `export` gives, so that whatever the patch does not touch stays, secrets too.
///
/// Merge patch as it is written, with one thing added: where a document says one of several members (how a credential
/// is given, how a key's secret is given), a patch that says another one replaces it. And `previous: null` stays to be
/// read: that a key's `previous` is not there would mean that it stays as it is.
#[must_use]
pub fn patch(document: &Value, patch: &Value) -> Value {
    let mut target = document.clone();
    if let (Value::Object(target), Value::Object(patch)) = (&mut target, patch) {
        make_way(target, patch);
    }
    merge(&mut target, patch);
    let ends_grace = patch.get(PREVIOUS).is_some_and(Value::is_null);
    if let Value::Object(target) = &mut target
        && ends_grace
        && target.get("kind").and_then(Value::as_str) == Some(ResourceKind::Key.as_str())
    {
        target.insert(PREVIOUS.to_owned(), Value::Null);
    }
    target
}

fn make_way(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    let says = |patch: &Map<String, Value>, choices: &[&str]| {
        choices.iter().any(|choice| patch.get(*choice).is_some_and(|value| !value.is_null()))
    };
    if says(patch, &SECRET) {
        for field in SECRET {
            target.shift_remove(field);
        }
        // The secret before the last rotation goes with the one it was rotated to.
        target.shift_remove(PREVIOUS);
    }
    let credentials = (target.get_mut("credential"), patch.get("credential"));
    if let (Some(Value::Object(target)), Some(Value::Object(patch))) = credentials
        && says(patch, &CREDENTIAL)
    {
        for field in CREDENTIAL {
            target.shift_remove(field);
        }
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.shift_remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests;
