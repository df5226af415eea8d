//! The kinds of resources as a person may call them: `keys`, `key`, `Key`.

use registry::ResourceKind;
use serde_json::Value;

use crate::render::{cell, field};
use crate::table::Table;

/// For the argument parser.
pub(crate) fn parse(text: &str) -> Result<ResourceKind, String> {
    let word = text.to_ascii_lowercase();
    let called = |kind: &ResourceKind| kind.collection() == word || kind.as_str().to_ascii_lowercase() == word;
    ResourceKind::ALL.into_iter().find(called).ok_or_else(|| {
        let known: Vec<&str> = ResourceKind::ALL.iter().map(|kind| kind.collection()).collect();
        format!("there are {}", known.join(", "))
    })
}

pub(crate) fn table(kind: ResourceKind, documents: &[Value]) -> Table {
    let heads: &[&str] = match kind {
        ResourceKind::Provider => &["name", "dialect", "reaches", "credential", "revision"],
        ResourceKind::Model => &["name", "targets", "revision"],
        ResourceKind::Team => &["name", "description", "revision"],
        ResourceKind::User => &["name", "email", "team", "revision"],
        ResourceKind::Key => &["name", "id", "team", "user", "models", "expires", "disabled", "revision"],
    };
    let mut table = Table::new().columns(heads);
    for document in documents {
        table.row(heads.iter().map(|head| match *head {
            "reaches" if document.get("demo").is_some() => "(demo)".to_owned(),
            "reaches" => field(document, "baseUrl"),
            "credential" => document.get("credential").map(|_| "sealed".to_owned()).unwrap_or_default(),
            "targets" => targets(document),
            "disabled" if document.get("disabled").is_none() => "no".to_owned(),
            plain => field(document, plain),
        }));
    }
    table
}

fn targets(model: &Value) -> String {
    let targets = model.get("targets").and_then(Value::as_array).into_iter().flatten();
    let parts = targets
        .map(|target| format!("{}:{}", field(target, "provider"), target.get("model").map(cell).unwrap_or_default()));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_goes_by_its_singular_its_plural_and_any_case() {
        for word in ["keys", "key", "Key", "KEYS"] {
            assert_eq!(parse(word), Ok(ResourceKind::Key), "{word}");
        }
        assert!(parse("budgets").unwrap_err().contains("providers, models, teams, users, keys"));
    }

    #[test]
    fn a_list_shows_what_matters_of_each_kind() {
        let models = [json!({"kind": "Model", "name": "gpt", "revision": 4,
            "targets": [{"provider": "a", "model": "x"}, {"provider": "b", "model": "y"}]})];
        assert_eq!(table(ResourceKind::Model, &models).render(), "NAME  TARGETS   REVISION\ngpt   a:x, b:y  4\n");
        let providers = [
            json!({"name": "demo", "dialect": "openai", "demo": {}, "revision": 1}),
            json!({"name": "m", "dialect": "openai", "baseUrl": "http://h/v1", "credential": {"sealed": true}, "revision": 2}),
        ];
        let expected = "\
NAME  DIALECT  REACHES      CREDENTIAL  REVISION
demo  openai   (demo)       -           1
m     openai   http://h/v1  sealed      2
";
        assert_eq!(table(ResourceKind::Provider, &providers).render(), expected);
    }
}
