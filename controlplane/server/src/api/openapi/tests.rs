use std::collections::{BTreeMap, BTreeSet};

use registry::{ResourceKind, read};
use serde_json::{Map, Value, json};

use super::DOCUMENT;
use crate::api::routes::ROUTES;

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

fn operations(document: &Value) -> BTreeMap<(String, String), Value> {
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters") {
            operations.insert((method.to_ascii_uppercase(), path.clone()), operation.clone());
        }
    }
    operations
}

#[test]
fn the_document_and_the_routes_are_the_same_set() {
    let routes: BTreeSet<_> = ROUTES.iter().map(|route| (route.method.to_owned(), route.template.to_owned())).collect();
    assert_eq!(routes.len(), ROUTES.len());
    assert_eq!(routes, operations(&document()).into_keys().collect());
}

#[test]
fn the_query_parameters_of_every_route_are_described() {
    let document = document();
    let operations = operations(&document);
    for route in ROUTES {
        let operation = &operations[&(route.method.to_owned(), route.template.to_owned())];
        let described = operation["parameters"].as_array().into_iter().flatten();
        let described = described.map(|parameter| resolved(&document, parameter)).filter(|p| p["in"] == "query");
        let described: BTreeSet<_> = described.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(described, route.params.iter().copied().collect(), "{} {}", route.method, route.template);
    }
}

#[test]
fn only_the_description_itself_is_public() {
    for ((_, path), operation) in operations(&document()) {
        assert_eq!(operation.get("security").is_some(), path == "/openapi.json", "{path}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
    fn walk(document: &Value, value: &Value) {
        match value {
            Value::Object(map) => {
                assert!(!resolved(document, value).is_null());
                map.values().for_each(|inner| walk(document, inner));
            }
            Value::Array(list) => list.iter().for_each(|inner| walk(document, inner)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
    let operations = operations(&document);
    let names: BTreeSet<_> = operations.values().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), operations.len());
}

/// The members that `registry` takes at this place, out of all that the document knows anywhere.
fn taken(kind: ResourceKind, place: &[&str], candidates: &BTreeSet<String>) -> BTreeSet<String> {
    let members: Map<String, Value> = candidates.iter().map(|name| (name.clone(), json!(null))).collect();
    let mut value = Value::Object(members);
    for step in place.iter().rev() {
        value = if *step == "[]" { json!([value]) } else { json!({ *step: value }) };
    }
    value["kind"] = json!(kind.as_str());
    value["name"] = json!("x");
    if place.first().is_some_and(|place| ["credential", "timeouts"].contains(place)) {
        value["baseUrl"] = json!("http://a/v1");
    }
    let (_, faults) = read(0, &value);
    let inner = place.concat().replace("[]", "[0]");
    let refused: BTreeSet<String> = faults
        .iter()
        .filter(|fault| fault.message.starts_with("there is no such field"))
        .filter_map(|fault| fault.path.strip_prefix(&format!("{kind}/x.")))
        .filter_map(|path| if inner.is_empty() { Some(path) } else { path.strip_prefix(&format!("{inner}.")) })
        .map(str::to_owned)
        .collect();
    candidates.difference(&refused).cloned().collect()
}

#[test]
fn the_fields_of_the_schemas_are_those_that_are_read() {
    let document = document();
    let fields = |schema: &str| -> BTreeSet<String> {
        document["components"]["schemas"][schema]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let places: [(&str, ResourceKind, &[&str]); 10] = [
        ("Provider", ResourceKind::Provider, &[]),
        ("Model", ResourceKind::Model, &[]),
        ("Team", ResourceKind::Team, &[]),
        ("User", ResourceKind::User, &[]),
        ("Key", ResourceKind::Key, &[]),
        ("Credential", ResourceKind::Provider, &["credential"]),
        ("Timeouts", ResourceKind::Provider, &["timeouts"]),
        ("Demo", ResourceKind::Provider, &["demo"]),
        ("Target", ResourceKind::Model, &["targets", "[]"]),
        ("Previous", ResourceKind::Key, &["previous"]),
    ];
    let mut candidates: BTreeSet<String> = places.iter().flat_map(|(schema, ..)| fields(schema)).collect();
    candidates
        .extend(["bogus", "spec", "labels", "budget", "limits", "weight", "priority", "owner"].map(str::to_owned));
    for (schema, kind, place) in places {
        assert_eq!(fields(schema), taken(kind, place, &candidates), "{schema}");
    }
}
