use serde_json::{Value, json};
use vocab::Dialect;

use super::*;
use crate::{write_model, write_models};

#[test]
fn a_list_of_models_is_openais() {
    let rows = [("gpt-4o", 7), ("a/b\"c", 0)].map(|(name, created_s)| ModelRow { name, owner: "turnpike", created_s });
    let list: Value = serde_json::from_slice(&write_models(Dialect::Openai, rows.into_iter())).unwrap();
    let expected = json!({"object": "list", "data": [
        {"id": "gpt-4o", "object": "model", "created": 7, "owned_by": "turnpike"},
        {"id": "a/b\"c", "object": "model", "created": 0, "owned_by": "turnpike"},
    ]});
    assert_eq!(list, expected);
    let one: Value = serde_json::from_slice(&write_model(Dialect::Openai, rows[1])).unwrap();
    assert_eq!(one, expected["data"][1]);
}

#[test]
fn no_models_are_an_empty_list() {
    assert_eq!(write_models(Dialect::Openai, std::iter::empty()), &br#"{"object":"list","data":[]}"#[..]);
}
